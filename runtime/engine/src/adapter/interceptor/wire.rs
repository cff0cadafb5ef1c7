//! The types of `pelton:plugin/interceptor` as they cross to and from a component.

use crate::adapter::partitioner::GuestParts;
use crate::adapter::transform::GuestRejection;
use pelton_api::hooks::{Acknowledgement, Commit, Origin};
use pelton_api::interceptor::{Hook, HookSet, Reuse, Wants};
use wasmtime::component::{ComponentType, Lift, Lower};

wasmtime::component::flags! {
    GuestHooks {
        #[component(name = "on-send")]
        const ON_SEND;
        #[component(name = "on-acknowledgement")]
        const ON_ACKNOWLEDGEMENT;
        #[component(name = "on-consume")]
        const ON_CONSUME;
        #[component(name = "on-commit")]
        const ON_COMMIT;
    }
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, by the derived `Lift`")]
pub(super) enum GuestReuse {
    #[component(name = "never")]
    Never,
    #[component(name = "for-everyone")]
    ForEveryone,
    #[component(name = "for-principal")]
    ForPrincipal,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct GuestWants {
    #[component(name = "hooks")]
    hooks: GuestHooks,
    #[component(name = "reads")]
    reads: GuestParts,
    #[component(name = "writes")]
    writes: GuestParts,
    #[component(name = "drops")]
    drops: bool,
    #[component(name = "reuse")]
    reuse: GuestReuse,
}

impl From<GuestWants> for Wants {
    fn from(wants: GuestWants) -> Self {
        let flags =
            [GuestHooks::ON_SEND, GuestHooks::ON_ACKNOWLEDGEMENT, GuestHooks::ON_CONSUME, GuestHooks::ON_COMMIT];
        let wanted = Hook::ALL.into_iter().zip(flags).filter(|(_, flag)| wants.hooks.contains(*flag));
        Self {
            hooks: wanted.fold(HookSet::default(), |set, (hook, _)| set.with(hook)),
            reads: wants.reads.into(),
            writes: wants.writes.into(),
            drops: wants.drops,
            reuse: match wants.reuse {
                GuestReuse::Never => Reuse::Never,
                GuestReuse::ForEveryone => Reuse::ForEveryone,
                GuestReuse::ForPrincipal => Reuse::ForPrincipal,
            },
        }
    }
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct GuestOrigin<'a> {
    #[component(name = "principal")]
    principal: &'a str,
    #[component(name = "client-id")]
    client_id: &'a str,
    #[component(name = "client-address")]
    client_address: &'a str,
    #[component(name = "topic")]
    topic: &'a str,
    #[component(name = "partition")]
    partition: i32,
}

impl<'a> From<&'a Origin> for GuestOrigin<'a> {
    fn from(origin: &'a Origin) -> Self {
        Self {
            principal: &origin.principal,
            client_id: &origin.client_id,
            client_address: &origin.client_address,
            topic: &origin.topic,
            partition: origin.partition,
        }
    }
}

/// What becomes of a batch, as the guest says; not yet checked.
#[derive(Debug, Default, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum GuestChange {
    #[default]
    #[component(name = "none")]
    None,
    #[component(name = "drop")]
    Drop(Vec<i32>),
    #[component(name = "replace")]
    Replace(Vec<u8>),
}

/// What a hook answers; not yet checked.
#[derive(Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(crate) struct GuestOutcome {
    #[component(name = "change")]
    pub(crate) change: GuestChange,
    #[component(name = "rejected")]
    pub(crate) rejected: Vec<GuestRejection>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct GuestAcknowledgement<'a> {
    #[component(name = "base-offset")]
    base_offset: i64,
    #[component(name = "record-count")]
    record_count: i32,
    #[component(name = "at-ms")]
    at_ms: i64,
    #[component(name = "error")]
    error: Option<&'a str>,
}

impl<'a> From<&'a Acknowledgement> for GuestAcknowledgement<'a> {
    fn from(acknowledgement: &'a Acknowledgement) -> Self {
        Self {
            base_offset: acknowledgement.base_offset,
            record_count: acknowledgement.record_count,
            at_ms: acknowledgement.at_ms,
            error: acknowledgement.error.as_deref(),
        }
    }
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct GuestCommittedOffset {
    #[component(name = "partition")]
    partition: i32,
    #[component(name = "offset")]
    offset: i64,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct GuestCommit<'a> {
    #[component(name = "principal")]
    principal: &'a str,
    #[component(name = "client-id")]
    client_id: &'a str,
    #[component(name = "client-address")]
    client_address: &'a str,
    #[component(name = "group")]
    group: &'a str,
    #[component(name = "member")]
    member: &'a str,
    #[component(name = "topic")]
    topic: &'a str,
    #[component(name = "offsets")]
    offsets: &'a [GuestCommittedOffset],
    #[component(name = "transactional")]
    transactional: bool,
}

/// The offsets of a commit, as a component takes them.
pub(super) fn offsets(commit: &Commit) -> Vec<GuestCommittedOffset> {
    commit.offsets.iter().map(|&(partition, offset)| GuestCommittedOffset { partition, offset }).collect()
}

impl<'a> GuestCommit<'a> {
    pub(super) fn of(commit: &'a Commit, offsets: &'a [GuestCommittedOffset]) -> Self {
        Self {
            principal: &commit.principal,
            client_id: &commit.client_id,
            client_address: &commit.client_address,
            group: &commit.group,
            member: &commit.member,
            topic: &commit.topic,
            offsets,
            transactional: commit.transactional,
        }
    }
}
