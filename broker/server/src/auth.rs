//! Who may do what: the question that every handler asks before it looks at anything of a resource.
//!
//! What it does: it names operations and resources as Kafka's ACLs do, and asks an [`Authorizer`]. What it does not do:
//! it keeps no rules. Without an authorizer everybody may do everything, as on a Kafka broker whose
//! `authorizer.class.name` is empty.

use pelton_core::refusal::Protected;

/// What is done to a resource (`AclOperation`). The numbers are those of Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AclOperation {
    /// Fetch from a topic; take part in a group and commit its offsets.
    Read = 3,
    /// Produce to a topic; use a transactional id.
    Write = 4,
    /// Make a topic.
    Create = 5,
    /// Delete a topic, its records, a group or its offsets.
    Delete = 6,
    /// Change what a topic consists of, or the cluster.
    Alter = 7,
    /// See that it is there and how it stands.
    Describe = 8,
    /// What brokers ask of each other.
    ClusterAction = 9,
    /// See its configs.
    DescribeConfigs = 10,
    /// Change its configs.
    AlterConfigs = 11,
    /// Get a producer id without a transactional id. Whoever may write to any topic may do so too (KIP-679).
    IdempotentWrite = 12,
    /// Take part in transactions over two phases (KIP-939).
    TwoPhaseCommit = 15,
}

/// What something is done to. Its kind, where no name is meant, is [`Protected`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// A topic, by name.
    Topic(&'a str),
    /// A group, by id.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
    /// The cluster.
    Cluster,
}

impl Resource<'_> {
    /// Its kind.
    pub fn kind(self) -> Protected {
        match self {
            Self::Topic(_) => Protected::Topic,
            Self::Group(_) => Protected::Group,
            Self::TransactionalId(_) => Protected::TransactionalId,
            Self::Cluster => Protected::Cluster,
        }
    }

    /// What can be done to a resource of this kind (`AclEntry.supportedOperations`).
    pub fn operations(self) -> &'static [AclOperation] {
        use AclOperation as O;
        match self {
            Self::Topic(_) => {
                &[O::Read, O::Write, O::Create, O::Delete, O::Alter, O::Describe, O::DescribeConfigs, O::AlterConfigs]
            }
            Self::Group(_) => &[O::Read, O::Delete, O::Describe, O::DescribeConfigs, O::AlterConfigs],
            Self::TransactionalId(_) => &[O::Describe, O::Write, O::TwoPhaseCommit],
            Self::Cluster => &[
                O::Create,
                O::Alter,
                O::Describe,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
            ],
        }
    }
}

/// What an answer holds instead of authorized operations when nobody asked for them (KIP-430).
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Whom a question is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// `User:name`.
    pub principal: &'a str,
    /// Where the client connects from, in Kafka's notation: `/127.0.0.1`.
    pub client_host: &'a str,
}

/// Whoever knows the rules. Asked on the threads of the network for every request, so it must not wait.
pub trait Authorizer: std::fmt::Debug + Send + Sync {
    /// Whether this client may do that.
    fn allows(&self, subject: Subject<'_>, operation: AclOperation, resource: Resource<'_>) -> bool;

    /// Whether this client may do that to any resource of the kind, be it there or not
    /// (`Authorizer.authorizeByResourceType`).
    fn allows_anywhere(&self, subject: Subject<'_>, operation: AclOperation, kind: Protected) -> bool;
}

/// No rules: everybody may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn allows(&self, _: Subject<'_>, _: AclOperation, _: Resource<'_>) -> bool {
        true
    }

    fn allows_anywhere(&self, _: Subject<'_>, _: AclOperation, _: Protected) -> bool {
        true
    }
}

/// The operations as Kafka's bit field: bit n stands for the operation with the number n.
pub fn bit_field(operations: impl Iterator<Item = AclOperation>) -> i32 {
    operations.fold(0, |bits, operation| bits | 1 << operation as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_lie_where_kafka_puts_them() {
        // READ 3, DELETE 6, DESCRIBE 8, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11.
        let group = Resource::Group("g").operations().iter().copied();
        assert_eq!(bit_field(group), 8 | 64 | 256 | 1024 | 2048);
        assert_eq!(bit_field(Resource::Topic("t").operations().iter().copied()), 3576);
        assert_eq!(bit_field(std::iter::empty()), 0);
    }
}
