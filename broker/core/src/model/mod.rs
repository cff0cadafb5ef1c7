//! The nouns: offsets, epochs, ids, and the four watermarks of a partition.

mod ids;
mod watermarks;

pub use ids::{
    Isolation, LeaderEpoch, MemberId, Offset, PartId, ProducerEpoch, ProducerId, Timestamp, Token, TopicId,
    TopicPartition,
};
pub use watermarks::Watermarks;

/// Topic that holds committed group offsets and group metadata, in Kafka's record schemas.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Topic that holds the state of transactions, in Kafka's record schemas.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// Log of the cluster image: topics, configs, producer-id blocks, plugins, jobs. Never served to clients.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
