//! The schemas of the requests that are served, as far as [`super::shape`] needs them.
//!
//! Source: `clients/src/main/resources/common/message/*Request.json` of Apache Kafka. A test encodes every
//! request in every served version with `kafka_protocol` and walks it.

use super::shape::{Field, Kind, Shape};

mod admin;

pub use admin::*;

const EVER: i16 = i16::MAX;

const fn field(from: i16, to: i16, kind: Kind) -> Field {
    Field { from, to, kind, tag: None }
}

const fn always(kind: Kind) -> Field {
    field(0, EVER, kind)
}

const fn tagged(from: i16, tag: u32, kind: Kind) -> Field {
    Field { from, to: EVER, kind, tag: Some(tag) }
}

const BYTE: Kind = Kind::Fixed(1);
const I16: Kind = Kind::Fixed(2);
const I32: Kind = Kind::Fixed(4);
const I64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text;
const NAMED_PARTITIONS: &[Field] = &[always(TEXT), always(Kind::List(&I32))];

/// Produce.
pub const PRODUCE: Shape = Shape {
    flexible_from: 9,
    fields: &[
        field(3, EVER, TEXT),
        always(I16),
        always(I32),
        always(Kind::Structs(&[
            field(0, 12, TEXT),
            field(13, EVER, UUID),
            always(Kind::Structs(&[always(I32), always(Kind::Bytes)])),
        ])),
    ],
};

/// Fetch.
pub const FETCH: Shape = Shape {
    flexible_from: 12,
    fields: &[
        field(0, 14, I32),
        always(I32),
        always(I32),
        always(I32),
        always(BYTE),
        field(7, EVER, I32),
        field(7, EVER, I32),
        always(Kind::Structs(&[
            field(0, 12, TEXT),
            field(13, EVER, UUID),
            always(Kind::Structs(&[
                always(I32),
                field(9, EVER, I32),
                always(I64),
                field(12, EVER, I32),
                field(5, EVER, I64),
                always(I32),
                tagged(17, 0, UUID),
                tagged(18, 1, I64),
            ])),
        ])),
        field(7, EVER, Kind::Structs(&[field(0, 12, TEXT), field(13, EVER, UUID), always(Kind::List(&I32))])),
        field(11, EVER, TEXT),
        tagged(12, 0, TEXT),
        tagged(15, 1, Kind::Struct(&[always(I32), always(I64)])),
    ],
};

/// ListOffsets.
pub const LIST_OFFSETS: Shape = Shape {
    flexible_from: 6,
    fields: &[
        always(I32),
        field(2, EVER, BYTE),
        always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32), field(4, EVER, I32), always(I64)]))])),
        field(10, EVER, I32),
    ],
};

/// Metadata.
pub const METADATA: Shape = Shape {
    flexible_from: 9,
    fields: &[
        always(Kind::Structs(&[field(10, EVER, UUID), always(TEXT)])),
        field(4, EVER, BYTE),
        field(8, 10, BYTE),
        field(8, EVER, BYTE),
    ],
};

/// OffsetCommit.
pub const OFFSET_COMMIT: Shape = Shape {
    flexible_from: 8,
    fields: &[
        always(TEXT),
        always(I32),
        always(TEXT),
        field(7, EVER, TEXT),
        field(2, 4, I64),
        always(Kind::Structs(&[
            field(0, 9, TEXT),
            field(10, EVER, UUID),
            always(Kind::Structs(&[always(I32), always(I64), field(6, EVER, I32), always(TEXT)])),
        ])),
    ],
};

/// OffsetFetch.
pub const OFFSET_FETCH: Shape = Shape {
    flexible_from: 6,
    fields: &[
        field(0, 7, TEXT),
        field(0, 7, Kind::Structs(NAMED_PARTITIONS)),
        field(
            8,
            EVER,
            Kind::Structs(&[
                always(TEXT),
                field(9, EVER, TEXT),
                field(9, EVER, I32),
                always(Kind::Structs(&[field(0, 9, TEXT), field(10, EVER, UUID), always(Kind::List(&I32))])),
            ]),
        ),
        field(7, EVER, BYTE),
    ],
};

/// FindCoordinator.
pub const FIND_COORDINATOR: Shape =
    Shape { flexible_from: 3, fields: &[field(0, 3, TEXT), field(1, EVER, BYTE), field(4, EVER, Kind::List(&TEXT))] };

/// JoinGroup.
pub const JOIN_GROUP: Shape = Shape {
    flexible_from: 6,
    fields: &[
        always(TEXT),
        always(I32),
        field(1, EVER, I32),
        always(TEXT),
        field(5, EVER, TEXT),
        always(TEXT),
        always(Kind::Structs(&[always(TEXT), always(Kind::Bytes)])),
        field(8, EVER, TEXT),
    ],
};

/// Heartbeat.
pub const HEARTBEAT: Shape =
    Shape { flexible_from: 4, fields: &[always(TEXT), always(I32), always(TEXT), field(3, EVER, TEXT)] };

/// LeaveGroup.
pub const LEAVE_GROUP: Shape = Shape {
    flexible_from: 4,
    fields: &[
        always(TEXT),
        field(0, 2, TEXT),
        field(3, EVER, Kind::Structs(&[always(TEXT), always(TEXT), field(5, EVER, TEXT)])),
    ],
};

/// SyncGroup.
pub const SYNC_GROUP: Shape = Shape {
    flexible_from: 4,
    fields: &[
        always(TEXT),
        always(I32),
        always(TEXT),
        field(3, EVER, TEXT),
        field(5, EVER, TEXT),
        field(5, EVER, TEXT),
        always(Kind::Structs(&[always(TEXT), always(Kind::Bytes)])),
    ],
};

/// DescribeGroups.
pub const DESCRIBE_GROUPS: Shape =
    Shape { flexible_from: 5, fields: &[always(Kind::List(&TEXT)), field(3, EVER, BYTE)] };

/// ListGroups.
pub const LIST_GROUPS: Shape =
    Shape { flexible_from: 3, fields: &[field(4, EVER, Kind::List(&TEXT)), field(5, EVER, Kind::List(&TEXT))] };

/// DeleteGroups.
pub const DELETE_GROUPS: Shape = Shape { flexible_from: 2, fields: &[always(Kind::List(&TEXT))] };

/// OffsetDelete.
pub const OFFSET_DELETE: Shape = Shape {
    flexible_from: EVER,
    fields: &[always(TEXT), always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32)]))]))],
};

/// ApiVersions.
pub const API_VERSIONS: Shape = Shape { flexible_from: 3, fields: &[field(3, EVER, TEXT), field(3, EVER, TEXT)] };

/// CreateTopics.
pub const CREATE_TOPICS: Shape = Shape {
    flexible_from: 5,
    fields: &[
        always(Kind::Structs(&[
            always(TEXT),
            always(I32),
            always(I16),
            always(Kind::Structs(&[always(I32), always(Kind::List(&I32))])),
            always(Kind::Structs(&[always(TEXT), always(TEXT)])),
        ])),
        always(I32),
        field(1, EVER, BYTE),
    ],
};

/// DeleteTopics.
pub const DELETE_TOPICS: Shape = Shape {
    flexible_from: 4,
    fields: &[
        field(6, EVER, Kind::Structs(&[always(TEXT), always(UUID)])),
        field(0, 5, Kind::List(&TEXT)),
        always(I32),
    ],
};

/// DeleteRecords.
pub const DELETE_RECORDS: Shape = Shape {
    flexible_from: 2,
    fields: &[always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32), always(I64)]))])), always(I32)],
};

/// InitProducerId.
pub const INIT_PRODUCER_ID: Shape =
    Shape { flexible_from: 2, fields: &[always(TEXT), always(I32), field(3, EVER, I64), field(3, EVER, I16)] };

/// AddPartitionsToTxn, as clients send it, and from v4 on as brokers do.
pub const ADD_PARTITIONS_TO_TXN: Shape = Shape {
    flexible_from: 3,
    fields: &[
        field(
            4,
            EVER,
            Kind::Structs(&[
                always(TEXT),
                always(I64),
                always(I16),
                always(BYTE),
                always(Kind::Structs(NAMED_PARTITIONS)),
            ]),
        ),
        field(0, 3, TEXT),
        field(0, 3, I64),
        field(0, 3, I16),
        field(0, 3, Kind::Structs(NAMED_PARTITIONS)),
    ],
};

/// AddOffsetsToTxn.
pub const ADD_OFFSETS_TO_TXN: Shape =
    Shape { flexible_from: 3, fields: &[always(TEXT), always(I64), always(I16), always(TEXT)] };

/// TxnOffsetCommit.
pub const TXN_OFFSET_COMMIT: Shape = Shape {
    flexible_from: 3,
    fields: &[
        always(TEXT),
        always(TEXT),
        always(I64),
        always(I16),
        field(3, EVER, I32),
        field(3, EVER, TEXT),
        field(3, EVER, TEXT),
        always(Kind::Structs(&[
            always(TEXT),
            always(Kind::Structs(&[always(I32), always(I64), field(2, EVER, I32), always(TEXT)])),
        ])),
    ],
};

/// EndTxn.
pub const END_TXN: Shape = Shape { flexible_from: 3, fields: &[always(TEXT), always(I64), always(I16), always(BYTE)] };

/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: Shape = Shape {
    flexible_from: 4,
    fields: &[
        always(Kind::Structs(&[always(BYTE), always(TEXT), always(Kind::List(&TEXT))])),
        field(1, EVER, BYTE),
        field(3, EVER, BYTE),
    ],
};

/// AlterConfigs.
pub const ALTER_CONFIGS: Shape = Shape {
    flexible_from: 2,
    fields: &[
        always(Kind::Structs(&[always(BYTE), always(TEXT), always(Kind::Structs(&[always(TEXT), always(TEXT)]))])),
        always(BYTE),
    ],
};

/// AlterReplicaLogDirs.
pub const ALTER_REPLICA_LOG_DIRS: Shape = Shape {
    flexible_from: 2,
    fields: &[always(Kind::Structs(&[always(TEXT), always(Kind::Structs(NAMED_PARTITIONS))]))],
};

/// DescribeLogDirs.
pub const DESCRIBE_LOG_DIRS: Shape = Shape { flexible_from: 2, fields: &[always(Kind::Structs(NAMED_PARTITIONS))] };

/// IncrementalAlterConfigs.
pub const INCREMENTAL_ALTER_CONFIGS: Shape = Shape {
    flexible_from: 1,
    fields: &[
        always(Kind::Structs(&[
            always(BYTE),
            always(TEXT),
            always(Kind::Structs(&[always(TEXT), always(BYTE), always(TEXT)])),
        ])),
        always(BYTE),
    ],
};

/// DescribeCluster.
pub const DESCRIBE_CLUSTER: Shape =
    Shape { flexible_from: 0, fields: &[always(BYTE), field(1, EVER, BYTE), field(2, EVER, BYTE)] };
