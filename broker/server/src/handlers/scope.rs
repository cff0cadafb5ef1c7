//! What a handler may see and do.

use super::charging::Charging;
use crate::auth::{self, AclOperation, Resource, Subject};
use crate::driver::Pending;
use crate::hooks::Client;
use crate::net::mute::Mute;
use crate::server::Server;
use kafka_protocol::messages::TopicName;
use pelton_core::cluster::{ClusterImage, TopicImage, check_topic_name};
use pelton_core::coordinator::partition_for;
use pelton_core::event::{
    ClusterReply, ClusterRequest, CommitOffset, GroupReply, GroupRequest, PartitionReply, PartitionRequest, Reply,
    Request, TransactionReply, TransactionRequest,
};
use pelton_core::model::{METADATA_TOPIC, Offset, PartId, TopicPartition};
use pelton_core::refusal::{Protected, Refusal};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// What is known of a connection.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Where clients are told to find this broker: `advertised.listeners`, or the address that this very
    /// client reached.
    pub endpoint: (String, u16),
    /// The client's address, in Kafka's notation: `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Whether it came in by the control listener, which serves no data.
    pub control: bool,
    /// For how long it is not read, because its client used up too much.
    pub mute: Mute,
}

impl ConnectionFacts {
    /// Of a connection from `peer` to `local`, whose clients are told `advertised`, if not where they came.
    pub fn new(advertised: Option<(String, u16)>, local: SocketAddr, peer: SocketAddr, control: bool) -> Self {
        let endpoint = advertised.unwrap_or_else(|| (local.ip().to_canonical().to_string(), local.port()));
        let client_host = format!("/{}", peer.ip().to_canonical()).into();
        Self { endpoint, client_host, control, mute: Mute::default() }
    }
}

/// Memory that an answer was admitted to while it was put together.
#[derive(Debug, Clone, Default)]
pub struct Admitted(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Admitted {
    /// Keeps the permit until the answer has been written.
    pub fn put(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    /// Takes `permits` more of a semaphore, if they are free.
    pub fn more(&self, semaphore: &Arc<Semaphore>, permits: usize) -> bool {
        let wanted = u32::try_from(permits).unwrap_or(u32::MAX);
        let Ok(more) = semaphore.clone().try_acquire_many_owned(wanted) else { return false };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        true
    }

    /// Takes the permit out.
    pub fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whom a connection speaks for as long as nobody authenticates.
pub(super) static ANONYMOUS: LazyLock<Arc<str>> = LazyLock::new(|| "User:ANONYMOUS".into());

/// One request's view of the broker.
pub struct Scope {
    /// The broker.
    pub server: Arc<Server>,
    /// The connection that asks.
    pub connection: Arc<ConnectionFacts>,
    /// The version of the request.
    pub version: i16,
    /// From the request header; empty when there is none.
    pub client_id: Arc<str>,
    /// Bytes of the request without its header, where its handler is charged for them; otherwise 0.
    pub body_bytes: usize,
    /// Memory of the answer.
    pub admitted: Admitted,
    /// What the request is charged with.
    pub charging: Charging,
}

impl Scope {
    /// A view for one request; charged where it is known how long that took to decode.
    pub fn new(
        server: Arc<Server>,
        connection: Arc<ConnectionFacts>,
        version: i16,
        client_id: &str,
        decoding: Option<Duration>,
    ) -> Self {
        let client_id: Arc<str> = client_id.into();
        let charging = match decoding {
            Some(decoding) => Charging::of(&server, &connection, &client_id, decoding),
            None => Charging::default(),
        };
        Self { server, connection, version, client_id, body_bytes: 0, admitted: Admitted::default(), charging }
    }

    /// The cluster as it stands.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.server.image()
    }

    /// Who asks, as plugins are told.
    pub fn client(&self) -> Client {
        Client {
            principal: ANONYMOUS.clone(),
            client_id: self.client_id.clone(),
            client_address: self.connection.client_host.clone(),
        }
    }

    /// Who asks, for the record of what was changed. Clients are not authenticated yet, so this is all that is known.
    pub fn by(&self) -> String {
        format!("{}, client.id {:?} at {}", *ANONYMOUS, self.client_id, self.connection.client_host)
    }

    /// Whether the client may do this to that resource. Every handler asks before it looks at anything of the
    /// resource, and refuses with [`Refusal::AuthorizationFailed`] where the answer is no.
    pub fn authorize(&self, operation: AclOperation, resource: Resource<'_>) -> bool {
        self.server.authorizer.allows(self.subject(), operation, resource)
    }

    /// Whether the client may do this to any resource of that kind.
    pub fn authorize_anywhere(&self, operation: AclOperation, kind: Protected) -> bool {
        self.server.authorizer.allows_anywhere(self.subject(), operation, kind)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { principal: &ANONYMOUS, client_host: &self.connection.client_host }
    }

    /// [`Scope::authorize`] as a step of a decision.
    ///
    /// # Errors
    /// [`Refusal::AuthorizationFailed`] with the kind of the resource.
    pub fn require(&self, operation: AclOperation, resource: Resource<'_>) -> Result<(), Refusal> {
        if self.authorize(operation, resource) {
            return Ok(());
        }
        Err(Refusal::AuthorizationFailed(resource.kind()))
    }

    /// The topic of that name, if the client may do this to it. Who may not is told so of every name, so that nobody learns
    /// which topics there are.
    ///
    /// # Errors
    /// [`Refusal::AuthorizationFailed`], [`Refusal::UnknownTopicOrPartition`].
    pub fn topic<'a>(
        &self,
        operation: AclOperation,
        image: &'a ClusterImage,
        name: &TopicName,
    ) -> Result<(&'a Arc<str>, &'a TopicImage), Refusal> {
        self.require(operation, Resource::Topic(&name.0))?;
        resolve(image, false, name, Uuid::nil())
    }

    /// The topic with that id, if the client may do this to it.
    ///
    /// # Errors
    /// [`Refusal::UnknownTopicId`], [`Refusal::AuthorizationFailed`].
    pub fn topic_by_id<'a>(
        &self,
        operation: AclOperation,
        image: &'a ClusterImage,
        id: Uuid,
    ) -> Result<(&'a Arc<str>, &'a TopicImage), Refusal> {
        let found = resolve(image, true, &TopicName::default(), id)?;
        self.require(operation, Resource::Topic(found.0)).map(|()| found)
    }

    /// What the client may do to a resource, as a bit field, where it asked for that (KIP-430).
    pub fn authorized_operations(&self, asked: bool, resource: Resource<'_>) -> i32 {
        if !asked {
            return auth::OPERATIONS_NOT_ASKED;
        }
        let allowed = resource.operations().iter().copied().filter(|operation| self.authorize(*operation, resource));
        auth::bit_field(allowed)
    }

    /// What a commit tells `on-commit` hooks; nothing where no topic has hooks.
    pub fn committing(&self, offsets: &[CommitOffset]) -> Vec<(TopicPartition, Offset)> {
        if !self.server.hooks.is_used() {
            return Vec::new();
        }
        offsets.iter().map(|commit| (commit.partition.clone(), commit.offset)).collect()
    }

    /// Sends a question to a partition; it is on its way when this returns.
    pub fn ask_partition(&self, partition: TopicPartition, request: PartitionRequest) -> Pending {
        self.server.driver.ask(PartId::Partition(partition), Request::Partition(request))
    }

    /// Asks the coordinator of a group, if the client may do this to the group.
    pub async fn ask_group(
        &self,
        operation: AclOperation,
        group: &str,
        request: GroupRequest,
    ) -> Result<GroupReply, Refusal> {
        self.require(operation, Resource::Group(group))?;
        group_answer(self.ask_coordinator(self.coordinator_of(group), request).await)
    }

    /// As [`Self::ask_group`], for what waits for other members: when the broker stops, none of them can come any more, and the
    /// client is told to look for the coordinator again.
    pub async fn ask_group_of_members(&self, group: &str, request: GroupRequest) -> Result<GroupReply, Refusal> {
        tokio::select! {
            biased;
            answer = self.ask_group(AclOperation::Read, group, request) => answer,
            () = self.server.stopping() => Err(Refusal::NotCoordinator),
        }
    }

    /// Which partition of `__consumer_offsets` coordinates a group.
    pub fn coordinator_of(&self, group: &str) -> i32 {
        partition_for(group, self.server.core.offsets_topic_partitions)
    }

    /// Sends a question to the coordinator on that partition of `__consumer_offsets`; it is on its way when this returns.
    pub fn ask_coordinator(&self, index: i32, request: GroupRequest) -> Pending {
        self.server.driver.ask(PartId::Group(index), Request::Group(request))
    }

    /// Asks the coordinator of a transactional id. Whether the client may is asked before.
    pub async fn ask_transaction(
        &self,
        transactional_id: &str,
        request: TransactionRequest,
    ) -> Result<TransactionReply, Refusal> {
        transaction_answer(
            self.ask_transaction_coordinator(self.transaction_coordinator_of(transactional_id), request).await,
        )
    }

    /// Which partition of `__transaction_state` coordinates a transactional id.
    pub fn transaction_coordinator_of(&self, transactional_id: &str) -> i32 {
        partition_for(transactional_id, self.server.core.transaction_topic_partitions)
    }

    /// Sends a question to the coordinator on that partition of `__transaction_state`; it is on its way when this returns.
    pub fn ask_transaction_coordinator(&self, index: i32, request: TransactionRequest) -> Pending {
        self.server.driver.ask(PartId::Transaction(index), Request::Transaction(request))
    }

    /// Asks the cluster part.
    pub async fn ask_cluster(&self, request: ClusterRequest) -> Result<ClusterReply, Refusal> {
        self.server.ask_cluster(request).await
    }
}

/// What a partition answered.
pub fn partition_answer(reply: Reply) -> Result<PartitionReply, Refusal> {
    match reply {
        Reply::Partition(result) => result,
        other => Err(unexpected(&other)),
    }
}

/// What a group coordinator answered.
pub fn group_answer(reply: Reply) -> Result<GroupReply, Refusal> {
    match reply {
        Reply::Group(result) => result,
        other => Err(unexpected(&other)),
    }
}

/// What a transaction coordinator answered.
pub fn transaction_answer(reply: Reply) -> Result<TransactionReply, Refusal> {
    match reply {
        Reply::Transaction(result) => result,
        other => Err(unexpected(&other)),
    }
}

/// An answer of another kind than the question: a fault of the broker, told to the client as one.
pub fn unexpected(reply: &dyn std::fmt::Debug) -> Refusal {
    tracing::error!(?reply, "a part gave an answer that does not fit its question");
    Refusal::Storage("the broker answered its own question wrongly; its log says more".to_owned())
}

/// The topic that a request names, by id where the version has ids, otherwise by name. Clients never see
/// the log of the cluster image.
///
/// # Errors
/// [`Refusal::UnknownTopicId`] or [`Refusal::UnknownTopicOrPartition`].
pub fn resolve<'a>(
    image: &'a ClusterImage,
    by_id: bool,
    name: &TopicName,
    id: Uuid,
) -> Result<(&'a Arc<str>, &'a TopicImage), Refusal> {
    let (found, otherwise) = if by_id {
        (image.topic_by_id(crate::protocol::text::topic_id(id)), Refusal::UnknownTopicId)
    } else {
        (image.topics.get_key_value(name.0.as_str()), Refusal::UnknownTopicOrPartition)
    };
    found.filter(|(name, _)| &***name != METADATA_TOPIC).ok_or(otherwise)
}

/// Why a topic of that name was not found: where no topic could have the name, that it is no name.
pub fn checked_name(name: &str, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::UnknownTopicOrPartition => check_topic_name(name).err().unwrap_or(refusal),
        other => other,
    }
}

/// Those that a request names more than once.
pub fn repeated<T: Ord>(named: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for name in named {
        if seen.contains(&name) {
            repeated.insert(name);
        } else {
            seen.insert(name);
        }
    }
    repeated
}

/// A partition of a topic that was resolved.
///
/// # Errors
/// [`Refusal::UnknownTopicOrPartition`].
pub fn partition_of(name: &Arc<str>, topic: &TopicImage, partition: i32) -> Result<TopicPartition, Refusal> {
    if (0..topic.partitions).contains(&partition) {
        Ok(TopicPartition::new(name.clone(), partition))
    } else {
        Err(Refusal::UnknownTopicOrPartition)
    }
}
