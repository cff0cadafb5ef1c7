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
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod config_alteration;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod end_txn;
mod fetch;
mod fetch_plan;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offsets_to_commit;
mod produce;
mod produce_refused;
mod scope;
mod sync_group;
mod txn_offset_commit;

pub use scope::{ConnectionFacts, Scope, partition_answer, unexpected};

use crate::protocol::codec::{self, Frame, Malformed, Prelude};
use crate::protocol::shape::{self, Shape};
use crate::protocol::shapes;
use crate::server::Server;
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
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
    shape: &'static Shape,
    /// Bytes of memory that a byte of the request may come to when it is decoded. Record batches are not
    /// copied; small structures grow.
    memory_factor: usize,
    handle: fn(Call) -> Result<Answering, Malformed>,
}

/// A request with all that its handler needs to know.
pub struct Call {
    api: &'static Api,
    prelude: Prelude,
    scope: Scope,
    body: Bytes,
}

macro_rules! api {
    ($key:ident, $min:literal ..= $max:literal, $shape:ident, $factor:literal, $handler:path) => {
        Api {
            key: ApiKey::$key,
            min: $min,
            max: $max,
            name: stringify!($key),
            shape: &shapes::$shape,
            memory_factor: $factor,
            handle: |call| serve(call, $handler),
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
        handle: |call| {
            if call.prelude.version < 3 {
                return produce_refused::serve(&call);
            }
            serve(call, produce::handle)
        },
    },
    Api {
        key: ApiKey::Fetch,
        min: 4,
        max: 18,
        name: "Fetch",
        shape: &shapes::FETCH,
        memory_factor: 16,
        handle: fetch::serve,
    },
    api!(ListOffsets, 1..=10, LIST_OFFSETS, 16, list_offsets::handle),
    api!(Metadata, 0..=13, METADATA, 32, metadata::handle),
    api!(OffsetCommit, 2..=9, OFFSET_COMMIT, 16, offset_commit::handle),
    api!(OffsetFetch, 1..=9, OFFSET_FETCH, 32, offset_fetch::handle),
    api!(FindCoordinator, 0..=5, FIND_COORDINATOR, 32, find_coordinator::handle),
    api!(JoinGroup, 0..=9, JOIN_GROUP, 8, join_group::handle),
    api!(Heartbeat, 0..=4, HEARTBEAT, 8, heartbeat::handle),
    api!(LeaveGroup, 0..=5, LEAVE_GROUP, 32, leave_group::handle),
    api!(SyncGroup, 0..=5, SYNC_GROUP, 8, sync_group::handle),
    api!(ApiVersions, 0..=4, API_VERSIONS, 8, api_versions::handle),
    api!(CreateTopics, 2..=7, CREATE_TOPICS, 32, create_topics::handle),
    api!(DeleteTopics, 1..=6, DELETE_TOPICS, 32, delete_topics::handle),
    api!(DeleteRecords, 0..=2, DELETE_RECORDS, 16, delete_records::handle),
    api!(InitProducerId, 0..=5, INIT_PRODUCER_ID, 8, init_producer_id::handle),
    api!(AddPartitionsToTxn, 0..=3, ADD_PARTITIONS_TO_TXN, 16, add_partitions_to_txn::handle),
    api!(AddOffsetsToTxn, 0..=4, ADD_OFFSETS_TO_TXN, 8, add_offsets_to_txn::handle),
    api!(EndTxn, 0..=4, END_TXN, 8, end_txn::handle),
    api!(TxnOffsetCommit, 0..=4, TXN_OFFSET_COMMIT, 16, txn_offset_commit::handle),
    api!(DescribeConfigs, 1..=4, DESCRIBE_CONFIGS, 64, describe_configs::handle),
    api!(AlterConfigs, 0..=2, ALTER_CONFIGS, 64, alter_configs::handle),
    api!(AlterReplicaLogDirs, 1..=2, ALTER_REPLICA_LOG_DIRS, 32, alter_replica_log_dirs::handle),
    api!(DescribeLogDirs, 1..=4, DESCRIBE_LOG_DIRS, 32, describe_log_dirs::handle),
    api!(IncrementalAlterConfigs, 0..=1, INCREMENTAL_ALTER_CONFIGS, 64, incremental_alter_configs::handle),
    api!(DescribeCluster, 0..=2, DESCRIBE_CLUSTER, 8, describe_cluster::handle),
];

fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}

/// How much memory a request of that API and length may take, in bytes.
pub fn memory_estimate(key: i16, length: usize) -> usize {
    length.saturating_mul(find(key).map_or(1, |api| api.memory_factor))
}

/// Begins to answer one request.
///
/// # Errors
/// When the frame is not a request that is served: the connection must be closed.
pub fn begin(
    server: &Arc<Server>,
    connection: &Arc<ConnectionFacts>,
    mut frame: Bytes,
) -> Result<Answering, Malformed> {
    let prelude = Prelude::peek(&frame)?;
    let api = find(prelude.key).ok_or(Malformed::UnknownApi(prelude.key))?;
    if !(api.min..=api.max).contains(&prelude.version) {
        if api.key == ApiKey::ApiVersions {
            return api_versions::unknown_version(prelude.correlation_id);
        }
        return Err(Malformed::UnknownVersion { api: api.name, version: prelude.version });
    }
    let header = codec::request_header(&mut frame, api.key.request_header_version(prelude.version))?;
    shape::check(api.shape, prelude.version, &frame).map_err(|error| Malformed::Body {
        api: api.name,
        version: prelude.version,
        reason: error.to_string(),
    })?;
    let client_id = header.client_id.as_ref().map_or("", |id| id.as_str());
    let scope = Scope::new(server.clone(), connection.clone(), prelude.version, client_id);
    (api.handle)(Call { api, prelude, scope, body: frame })
}

/// What a handler comes to: an answer, none, or the end of the connection.
trait Outcome {
    type Response: Encodable;

    fn response(self) -> Result<Option<Self::Response>, Malformed>;
}

impl<R: Encodable> Outcome for Option<R> {
    type Response = R;

    fn response(self) -> Result<Option<R>, Malformed> {
        Ok(self)
    }
}

impl<R: Encodable> Outcome for Result<Option<R>, Malformed> {
    type Response = R;

    fn response(self) -> Self {
        self
    }
}

/// Decodes the request, runs the handler and encodes what it answers.
fn serve<Q, F>(mut call: Call, handler: fn(Scope, Q) -> F) -> Result<Answering, Malformed>
where
    Q: Decodable + Send + 'static,
    F: Future<Output: Outcome> + Send + 'static,
{
    let Prelude { version, correlation_id, .. } = call.prelude;
    let request = decode(&mut call)?;
    let header_version = call.api.key.response_header_version(version);
    let admitted = call.scope.admitted.clone();
    let answering = handler(call.scope, request);
    Ok(Box::pin(async move {
        let Some(response) = answering.await.response()? else { return Ok(None) };
        let frame = codec::response_frame(correlation_id, header_version, version, &response)?;
        Ok(Some(Answer { frame: frame.into(), admitted: admitted.take() }))
    }))
}

/// Decodes the request.
fn decode<Q: Decodable>(call: &mut Call) -> Result<Q, Malformed> {
    let version = call.prelude.version;
    Q::decode(&mut call.body, version).map_err(|error| Malformed::Body {
        api: call.api.name,
        version,
        reason: error.to_string(),
    })
}
