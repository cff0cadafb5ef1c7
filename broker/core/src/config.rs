//! The settings that decisions depend on, under Kafka's names. `broker/node` fills them from its configuration.

/// Settings of one broker's core. Defaults are Kafka's unless a comment says why not.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// `broker.id` / `node.id`: the id of this node, which leads everything.
    pub node_id: i32,
    /// `num.partitions`: partitions of a topic that is created without a number.
    pub num_partitions: i32,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `transaction.state.log.num.partitions`.
    pub transaction_topic_partitions: i32,
    /// `message.max.bytes`: the largest batch, compressed. A topic's `max.message.bytes` goes before.
    pub message_max_bytes: i32,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long a first rebalance waits for more members.
    pub group_initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `transaction.max.timeout.ms`.
    pub transaction_max_timeout_ms: i32,
    /// Whether an acknowledgement waits for fdatasync (`durability=fsync`, the default) or for the write
    /// alone (`durability=replicated`, Kafka's default behaviour).
    pub fsync: bool,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            node_id: 1,
            num_partitions: 1,
            offsets_topic_partitions: 50,
            transaction_topic_partitions: 50,
            message_max_bytes: 1_048_588,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: usize::MAX,
            offset_metadata_max_bytes: 4_096,
            transaction_max_timeout_ms: 900_000,
            fsync: true,
        }
    }
}
