//! What a handler may see and do.

use crate::driver::Pending;
use crate::hooks::Client;
use crate::server::Server;
use kafka_protocol::messages::TopicName;
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::coordinator::partition_for;
use pelton_core::event::{
    ClusterReply, ClusterRequest, CommitOffset, GroupReply, GroupRequest, PartitionReply, PartitionRequest, Reply,
    Request, TransactionReply, TransactionRequest,
};
use pelton_core::model::{METADATA_TOPIC, Offset, PartId, TopicPartition};
use pelton_core::refusal::Refusal;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
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
static ANONYMOUS: LazyLock<Arc<str>> = LazyLock::new(|| "User:ANONYMOUS".into());

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
    /// Memory of the answer.
    pub admitted: Admitted,
}

impl Scope {
    /// A view for one request.
    pub fn new(server: Arc<Server>, connection: Arc<ConnectionFacts>, version: i16, client_id: &str) -> Self {
        Self { server, connection, version, client_id: client_id.into(), admitted: Admitted::default() }
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

    /// Asks the coordinator of a group.
    pub async fn ask_group(&self, group: &str, request: GroupRequest) -> Result<GroupReply, Refusal> {
        let index = partition_for(group, self.server.core.offsets_topic_partitions);
        match self.server.driver.ask(PartId::Group(index), Request::Group(request)).await {
            Reply::Group(result) => result,
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the coordinator of a transactional id.
    pub async fn ask_transaction(
        &self,
        transactional_id: &str,
        request: TransactionRequest,
    ) -> Result<TransactionReply, Refusal> {
        let index = partition_for(transactional_id, self.server.core.transaction_topic_partitions);
        match self.server.driver.ask(PartId::Transaction(index), Request::Transaction(request)).await {
            Reply::Transaction(result) => result,
            other => Err(unexpected(&other)),
        }
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
