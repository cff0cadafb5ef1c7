//! The schemas of the requests of administrators' tools.

use super::super::shape::{Field, Kind, Shape};
use super::{BYTE, EVER, I16, I32, I64, NAMED_PARTITIONS, TEXT, always, field};

/// SaslHandshake, which is in no version flexible.
pub const SASL_HANDSHAKE: Shape = Shape { flexible_from: EVER, fields: &[always(TEXT)] };

/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: Shape = Shape {
    flexible_from: 4,
    fields: &[
        field(3, EVER, I32),
        always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32), field(2, EVER, I32), always(I32)]))])),
    ],
};

/// WriteTxnMarkers.
pub const WRITE_TXN_MARKERS: Shape = Shape {
    flexible_from: 1,
    fields: &[always(Kind::Structs(&[
        always(I64),
        always(I16),
        always(BYTE),
        always(Kind::Structs(NAMED_PARTITIONS)),
        always(I32),
        field(2, EVER, BYTE),
    ]))],
};

/// An access rule, or a filter for some.
const ACL: &[Field] =
    &[always(BYTE), always(TEXT), field(1, EVER, BYTE), always(TEXT), always(TEXT), always(BYTE), always(BYTE)];

/// DescribeAcls.
pub const DESCRIBE_ACLS: Shape = Shape { flexible_from: 2, fields: ACL };

/// CreateAcls.
pub const CREATE_ACLS: Shape = Shape { flexible_from: 2, fields: &[always(Kind::Structs(ACL))] };

/// DeleteAcls.
pub const DELETE_ACLS: Shape = Shape { flexible_from: 2, fields: &[always(Kind::Structs(ACL))] };

/// SaslAuthenticate.
pub const SASL_AUTHENTICATE: Shape = Shape { flexible_from: 2, fields: &[always(Kind::Bytes)] };

/// CreatePartitions.
pub const CREATE_PARTITIONS: Shape = Shape {
    flexible_from: 2,
    fields: &[
        always(Kind::Structs(&[always(TEXT), always(I32), always(Kind::Structs(&[always(Kind::List(&I32))]))])),
        always(I32),
        always(BYTE),
    ],
};

/// ElectLeaders.
pub const ELECT_LEADERS: Shape =
    Shape { flexible_from: 2, fields: &[field(1, EVER, BYTE), always(Kind::Structs(NAMED_PARTITIONS)), always(I32)] };

/// AlterPartitionReassignments.
pub const ALTER_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_from: 0,
    fields: &[
        always(I32),
        field(1, EVER, BYTE),
        always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32), always(Kind::List(&I32))]))])),
    ],
};

/// ListPartitionReassignments.
pub const LIST_PARTITION_REASSIGNMENTS: Shape =
    Shape { flexible_from: 0, fields: &[always(I32), always(Kind::Structs(NAMED_PARTITIONS))] };

/// DescribeClientQuotas.
pub const DESCRIBE_CLIENT_QUOTAS: Shape = Shape {
    flexible_from: 1,
    fields: &[always(Kind::Structs(&[always(TEXT), always(BYTE), always(TEXT)])), always(BYTE)],
};

/// AlterClientQuotas.
pub const ALTER_CLIENT_QUOTAS: Shape = Shape {
    flexible_from: 1,
    fields: &[
        always(Kind::Structs(&[
            always(Kind::Structs(&[always(TEXT), always(TEXT)])),
            always(Kind::Structs(&[always(TEXT), always(I64), always(BYTE)])),
        ])),
        always(BYTE),
    ],
};

/// DescribeUserScramCredentials.
pub const DESCRIBE_USER_SCRAM_CREDENTIALS: Shape =
    Shape { flexible_from: 0, fields: &[always(Kind::Structs(&[always(TEXT)]))] };

/// AlterUserScramCredentials.
pub const ALTER_USER_SCRAM_CREDENTIALS: Shape = Shape {
    flexible_from: 0,
    fields: &[
        always(Kind::Structs(&[always(TEXT), always(BYTE)])),
        always(Kind::Structs(&[always(TEXT), always(BYTE), always(I32), always(Kind::Bytes), always(Kind::Bytes)])),
    ],
};

/// DescribeQuorum.
pub const DESCRIBE_QUORUM: Shape = Shape {
    flexible_from: 0,
    fields: &[always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(I32)]))]))],
};

/// UpdateFeatures.
pub const UPDATE_FEATURES: Shape = Shape {
    flexible_from: 0,
    fields: &[
        always(I32),
        always(Kind::Structs(&[always(TEXT), always(I16), field(0, 0, BYTE), field(1, EVER, BYTE)])),
        field(1, EVER, BYTE),
    ],
};

/// DescribeProducers.
pub const DESCRIBE_PRODUCERS: Shape = Shape { flexible_from: 0, fields: &[always(Kind::Structs(NAMED_PARTITIONS))] };

/// UnregisterBroker.
pub const UNREGISTER_BROKER: Shape = Shape { flexible_from: 0, fields: &[always(I32)] };

/// DescribeTransactions.
pub const DESCRIBE_TRANSACTIONS: Shape = Shape { flexible_from: 0, fields: &[always(Kind::List(&TEXT))] };

/// ListTransactions.
pub const LIST_TRANSACTIONS: Shape = Shape {
    flexible_from: 0,
    fields: &[always(Kind::List(&TEXT)), always(Kind::List(&I64)), field(1, EVER, I64), field(2, EVER, TEXT)],
};

/// ListConfigResources.
pub const LIST_CONFIG_RESOURCES: Shape = Shape { flexible_from: 0, fields: &[field(1, EVER, Kind::List(&BYTE))] };

/// DescribeTopicPartitions.
pub const DESCRIBE_TOPIC_PARTITIONS: Shape = Shape {
    flexible_from: 0,
    fields: &[
        always(Kind::Structs(&[always(TEXT)])),
        always(I32),
        always(Kind::Optional(&[always(TEXT), always(I32)])),
    ],
};
