//! One file for each API key, and the table that lists them.
//!
//! [`APIS`] is the only list: what ApiVersions advertises, what a frame is checked against, how much
//! memory it may cost and who handles it all come from here. A handler translates between the wire and the
//! core's words, asks the parts through the driver and puts their answers together; it decides nothing that
//! a machine of the core decides.
//!
//! Everything that a handler sends before it first waits is sent in the order of the requests of its
//! connection, because a connection polls each new handler once before it reads its next frame.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_user_scram_credentials;
mod api_versions;
mod charging;
mod config_alteration;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
mod fetch_plan;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod of_each_group;
mod of_each_partition;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod offsets_to_commit;
mod produce;
mod produce_refused;
mod sasl_authenticate;
mod sasl_handshake;
mod scope;
mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

pub use scope::{ConnectionFacts, Scope, partition_answer, unexpected};

use crate::net::memory::Class;
use crate::protocol::answer_fields;
use crate::protocol::codec::{self, Frame, Malformed, Prelude};
use crate::protocol::newest::{self, Failed, Wire};
use crate::protocol::shape::{self, Shape};
use crate::protocol::shapes;
use crate::server::Server;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;
use std::any::Any;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// An answer, ready to be written.
#[derive(Debug)]
pub struct Answer {
    /// The frame, its length in front.
    pub frame: Frame,
    /// Memory that its bytes were admitted to, given back when it has been written.
    pub admitted: Option<OwnedSemaphorePermit>,
}

/// A request that is being answered; `None` where the client wants no answer (Produce with acks=0).
pub type Answering = Pin<Box<dyn Future<Output = Result<Option<Answer>, Malformed>> + Send>>;

/// What becomes of a request that has been decoded, once it is known on whose behalf.
type Handling = Box<dyn FnOnce(Scope) -> Answering>;

/// A request that has been read whole, and not begun.
pub struct Received {
    /// Which API, in which version.
    pub prelude: Prelude,
    /// From the request header; empty when there is none.
    pub client_id: StrBytes,
    handling: Handling,
}

/// One API that is served.
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// First version that is advertised.
    pub min: i16,
    /// Last version that is advertised and served.
    pub max: i16,
    /// Its name, as Kafka writes it.
    pub name: &'static str,
    /// The schema of its request.
    pub shape: &'static Shape,
    /// Bytes of memory that a byte of the request may come to when it is decoded. Record batches are not
    /// copied; small structures grow.
    memory_factor: usize,
    read: fn(Call) -> Result<Handling, Malformed>,
}

/// A request whose header has been read, and whose body fits its shape.
pub struct Call {
    api: &'static Api,
    prelude: Prelude,
    body: Bytes,
}

macro_rules! api {
    ($key:ident, $min:literal ..= $max:literal, $shape:ident, $factor:literal, $handler:path) => {
        api!($key, $min..=$max, $shape, $factor, $handler, Wire::PLAIN)
    };
    ($key:ident, $min:literal ..= $max:literal, $shape:ident, $factor:literal, $handler:path, $wire:expr) => {
        Api {
            key: ApiKey::$key,
            min: $min,
            max: $max,
            name: stringify!($key),
            shape: &shapes::$shape,
            memory_factor: $factor,
            read: |call| serve(call, $handler, $wire),
        }
    };
}

/// Every API that is served, by key. Versions go up only when their semantics are there and tested.
pub static APIS: &[Api] = &[
    Api {
        key: ApiKey::Produce,
        min: 0,
        max: 13,
        name: "Produce",
        shape: &shapes::PRODUCE,
        memory_factor: 2,
        read: |call| {
            if call.prelude.version < 3 {
                return produce_refused::serve(&call);
            }
            serve(call, produce::handle, Wire::PLAIN)
        },
    },
    Api {
        key: ApiKey::Fetch,
        min: 4,
        max: 18,
        name: "Fetch",
        shape: &shapes::FETCH,
        memory_factor: 16,
        read: fetch::serve,
    },
    api!(ListOffsets, 1..=11, LIST_OFFSETS, 32, list_offsets::handle, newest::LIST_OFFSETS),
    api!(Metadata, 0..=13, METADATA, 64, metadata::handle),
    api!(OffsetCommit, 2..=10, OFFSET_COMMIT, 32, offset_commit::handle, newest::OFFSET_COMMIT),
    api!(OffsetFetch, 1..=10, OFFSET_FETCH, 64, offset_fetch::handle, newest::OFFSET_FETCH),
    api!(FindCoordinator, 0..=6, FIND_COORDINATOR, 256, find_coordinator::handle),
    api!(JoinGroup, 0..=9, JOIN_GROUP, 32, join_group::handle),
    api!(Heartbeat, 0..=4, HEARTBEAT, 8, heartbeat::handle),
    api!(LeaveGroup, 0..=5, LEAVE_GROUP, 96, leave_group::handle),
    api!(SyncGroup, 0..=5, SYNC_GROUP, 32, sync_group::handle),
    api!(DescribeGroups, 0..=6, DESCRIBE_GROUPS, 64, describe_groups::handle),
    api!(ListGroups, 0..=5, LIST_GROUPS, 32, list_groups::handle),
    api!(SaslHandshake, 0..=1, SASL_HANDSHAKE, 8, sasl_handshake::handle),
    api!(ApiVersions, 0..=4, API_VERSIONS, 8, api_versions::handle),
    api!(CreateTopics, 2..=7, CREATE_TOPICS, 256, create_topics::handle),
    api!(DeleteTopics, 1..=6, DELETE_TOPICS, 128, delete_topics::handle),
    api!(DeleteRecords, 0..=2, DELETE_RECORDS, 32, delete_records::handle),
    api!(InitProducerId, 0..=5, INIT_PRODUCER_ID, 8, init_producer_id::handle),
    api!(OffsetForLeaderEpoch, 2..=4, OFFSET_FOR_LEADER_EPOCH, 32, offset_for_leader_epoch::handle),
    api!(AddPartitionsToTxn, 0..=5, ADD_PARTITIONS_TO_TXN, 64, add_partitions_to_txn::handle),
    api!(AddOffsetsToTxn, 0..=4, ADD_OFFSETS_TO_TXN, 8, add_offsets_to_txn::handle),
    api!(EndTxn, 0..=4, END_TXN, 8, end_txn::handle),
    api!(WriteTxnMarkers, 1..=2, WRITE_TXN_MARKERS, 128, write_txn_markers::handle, newest::WRITE_TXN_MARKERS),
    api!(TxnOffsetCommit, 0..=4, TXN_OFFSET_COMMIT, 32, txn_offset_commit::handle),
    api!(DescribeAcls, 1..=3, DESCRIBE_ACLS, 8, describe_acls::handle),
    api!(CreateAcls, 1..=3, CREATE_ACLS, 32, create_acls::handle),
    api!(DeleteAcls, 1..=3, DELETE_ACLS, 32, delete_acls::handle),
    api!(DescribeConfigs, 1..=4, DESCRIBE_CONFIGS, 256, describe_configs::handle),
    api!(AlterConfigs, 0..=2, ALTER_CONFIGS, 128, alter_configs::handle),
    api!(AlterReplicaLogDirs, 1..=2, ALTER_REPLICA_LOG_DIRS, 32, alter_replica_log_dirs::handle),
    api!(DescribeLogDirs, 1..=5, DESCRIBE_LOG_DIRS, 32, describe_log_dirs::handle, newest::DESCRIBE_LOG_DIRS),
    api!(SaslAuthenticate, 0..=2, SASL_AUTHENTICATE, 8, sasl_authenticate::handle),
    api!(CreatePartitions, 0..=3, CREATE_PARTITIONS, 64, create_partitions::handle),
    api!(DeleteGroups, 0..=2, DELETE_GROUPS, 64, delete_groups::handle),
    api!(ElectLeaders, 0..=2, ELECT_LEADERS, 64, elect_leaders::handle),
    api!(IncrementalAlterConfigs, 0..=1, INCREMENTAL_ALTER_CONFIGS, 128, incremental_alter_configs::handle),
    api!(AlterPartitionReassignments, 0..=1, ALTER_PARTITION_REASSIGNMENTS, 64, alter_partition_reassignments::handle),
    api!(ListPartitionReassignments, 0..=0, LIST_PARTITION_REASSIGNMENTS, 32, list_partition_reassignments::handle),
    api!(OffsetDelete, 0..=0, OFFSET_DELETE, 64, offset_delete::handle),
    api!(DescribeClientQuotas, 0..=1, DESCRIBE_CLIENT_QUOTAS, 32, describe_client_quotas::handle),
    api!(AlterClientQuotas, 0..=1, ALTER_CLIENT_QUOTAS, 128, alter_client_quotas::handle),
    api!(
        DescribeUserScramCredentials,
        0..=0,
        DESCRIBE_USER_SCRAM_CREDENTIALS,
        128,
        describe_user_scram_credentials::handle
    ),
    api!(AlterUserScramCredentials, 0..=0, ALTER_USER_SCRAM_CREDENTIALS, 128, alter_user_scram_credentials::handle),
    api!(DescribeQuorum, 0..=2, DESCRIBE_QUORUM, 64, describe_quorum::handle),
    api!(UpdateFeatures, 0..=2, UPDATE_FEATURES, 64, update_features::handle),
    api!(DescribeCluster, 0..=2, DESCRIBE_CLUSTER, 8, describe_cluster::handle),
    api!(DescribeProducers, 0..=0, DESCRIBE_PRODUCERS, 128, describe_producers::handle),
    api!(UnregisterBroker, 0..=0, UNREGISTER_BROKER, 8, unregister_broker::handle),
    api!(DescribeTransactions, 0..=0, DESCRIBE_TRANSACTIONS, 128, describe_transactions::handle),
    api!(ListTransactions, 0..=2, LIST_TRANSACTIONS, 64, list_transactions::handle),
    api!(ListConfigResources, 0..=1, LIST_CONFIG_RESOURCES, 16, list_config_resources::handle),
    api!(DescribeTopicPartitions, 0..=0, DESCRIBE_TOPIC_PARTITIONS, 96, describe_topic_partitions::handle),
];

impl Api {
    /// Bytes of memory that a request of so many bytes is admitted to.
    fn decoded_bytes(&self, length: usize) -> usize {
        length.saturating_mul(self.memory_factor)
    }
}

fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}

/// Bytes that any request may take in memory when it is decoded, beside what it is admitted to by its length.
pub const ANY_REQUEST_BYTES: usize = 64 * 1024;

/// Whether an API carries records.
fn carries_data(key: ApiKey) -> bool {
    matches!(key, ApiKey::Produce | ApiKey::Fetch)
}

/// Which memory a request of so many bytes is admitted to before it is read, and how many bytes of it: the most that its decoded
/// form may take. `control`: it comes in by the control listener.
///
/// # Errors
/// What is not served need not be read.
pub fn admission(key: i16, length: usize, control: bool) -> Result<(Class, usize), Malformed> {
    let api = find(key).ok_or(Malformed::UnknownApi(key))?;
    let class = match api.key {
        key if control && carries_data(key) => return Err(Malformed::DataOnControl(api.name)),
        _ if control => Class::Control,
        ApiKey::Produce => Class::Produce,
        ApiKey::Fetch => Class::Fetch,
        _ => Class::Other,
    };
    Ok((class, api.decoded_bytes(length)))
}

/// Whether a request of that API waits for other clients, for as long as a rebalance lasts. Nothing of its frame is kept
/// meanwhile: what its group keeps of it is copied, and bounded by the core.
pub fn waits_for_clients(key: i16) -> bool {
    [ApiKey::JoinGroup as i16, ApiKey::SyncGroup as i16].contains(&key)
}

/// Begins to answer one request.
///
/// # Errors
/// When the frame is not a request that is served: the connection must be closed.
pub fn begin(server: &Arc<Server>, connection: &Arc<ConnectionFacts>, frame: Bytes) -> Result<Answering, Malformed> {
    let charged = server.quotas.enforced().then(Instant::now);
    let Received { prelude, client_id, handling } = receive(frame, connection.control)?;
    let decoding = charged.map(|begun| begun.elapsed());
    Ok(handling(Scope::new(server.clone(), connection.clone(), prelude.version, &client_id, decoding)))
}

/// Reads a request whole: everything that is decided by its bytes alone, and by whether it came in by the control
/// listener.
///
/// # Errors
/// When the frame is not a request that is served.
pub fn receive(mut frame: Bytes, control: bool) -> Result<Received, Malformed> {
    let (prelude, length) = (Prelude::peek(&frame)?, frame.len());
    let api = find(prelude.key).ok_or(Malformed::UnknownApi(prelude.key))?;
    if control && carries_data(api.key) {
        return Err(Malformed::DataOnControl(api.name));
    }
    if !(api.min..=api.max).contains(&prelude.version) {
        if api.key == ApiKey::ApiVersions {
            let handling = api_versions::unknown_version(prelude.correlation_id, control)?;
            return Ok(Received { prelude, client_id: StrBytes::default(), handling });
        }
        return Err(Malformed::UnknownVersion { api: api.name, version: prelude.version });
    }
    let malformed = |reason| Malformed::Body { api: api.name, version: prelude.version, reason };
    let most = api.decoded_bytes(length).saturating_add(ANY_REQUEST_BYTES);
    let refuse_above = |bytes: usize| match bytes <= most {
        true => Ok(()),
        false => {
            Err(malformed(format!("it takes up to {bytes} bytes of memory; one of {length} bytes may take {most}")))
        }
    };
    let header_version = api.key.request_header_version(prelude.version);
    let header_bytes = shape::check_header(header_version, &frame).map_err(|_| Malformed::Header)?;
    refuse_above(header_bytes)?;
    let header = codec::request_header(&mut frame, header_version)?;
    let body_bytes = shape::check(api.shape, prelude.version, &frame).map_err(|error| malformed(error.to_string()))?;
    refuse_above(header_bytes + body_bytes)?;
    let handling = (api.read)(Call { api, prelude, body: frame })?;
    Ok(Received { prelude, client_id: header.client_id.unwrap_or_default(), handling })
}

/// What a handler comes to: an answer, none, or the end of the connection.
trait Outcome {
    type Response: Any;

    fn response(self) -> Result<Option<Self::Response>, Malformed>;
}

impl<R: Any> Outcome for Option<R> {
    type Response = R;

    fn response(self) -> Result<Option<R>, Malformed> {
        Ok(self)
    }
}

impl<R: Any> Outcome for Result<Option<R>, Malformed> {
    type Response = R;

    fn response(self) -> Self {
        self
    }
}

/// What a handler of that kind answers with.
type Answered<F> = <<F as Future>::Output as Outcome>::Response;

/// Reads the request; its handler is run, and what it answers written, once there is a scope.
fn serve<Q, F>(mut call: Call, handler: fn(Scope, Q) -> F, wire: Wire<Q, Answered<F>>) -> Result<Handling, Malformed>
where
    Q: Send + 'static,
    F: Future<Output: Outcome> + Send + 'static,
{
    let Prelude { version, correlation_id, .. } = call.prelude;
    let (key, body_bytes) = (call.api.key, call.body.len());
    let request = read(&mut call, wire.read)?;
    Ok(Box::new(move |mut scope| {
        scope.body_bytes = body_bytes;
        let header_version = key.response_header_version(version);
        let (admitted, numbers, charging) =
            (scope.admitted.clone(), scope.server.metrics.clone(), scope.charging.clone());
        Box::pin(async move {
            let mut answering = pin!(handler(scope, request));
            let Some(response) = charging.settled(key, answering.as_mut()).await? else { return Ok(None) };
            answer_fields::count_errors(&numbers, key, &response);
            let write = |frame: &mut BytesMut| (wire.write)(&response, version, frame);
            let frame = codec::response_frame(correlation_id, header_version, write)?;
            Ok(Some(Answer { frame: frame.into(), admitted: admitted.take() }))
        })
    }))
}

/// Reads the request.
fn read<Q>(call: &mut Call, read: fn(&mut Bytes, i16) -> Result<Q, Failed>) -> Result<Q, Malformed> {
    let version = call.prelude.version;
    read(&mut call.body, version).map_err(|error| Malformed::Body {
        api: call.api.name,
        version,
        reason: error.to_string(),
    })
}
