//! What the engine gives for a plugin of the kind `interceptor`: instances that a chain calls.
//!
//! A batch crosses as the bytes of one uncompressed record batch that holds what the plugin wants to read; what the host
//! makes of an answer (which parts it takes, what a rejection means) is the chain's affair, in `runtime/hooks`.

use crate::fault::Fault;
use crate::hooks::{Acknowledgement, Commit, Emission, Origin};
use crate::transform::{Rejection, StateAccess};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A set of hooks. Bits as in `sdk/wit/FLAT.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Hook>", into = "Vec<Hook>")]
pub struct HookSet(pub u8);

/// The four points at which an interceptor is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before a producer's batch is appended.
    OnSend,
    /// When the batch has been committed, or refused.
    OnAcknowledgement,
    /// Before a batch leaves to a consumer.
    OnConsume,
    /// When a group has committed offsets.
    OnCommit,
}

impl Hook {
    /// All four, in their order.
    pub const ALL: [Self; 4] = [Self::OnSend, Self::OnAcknowledgement, Self::OnConsume, Self::OnCommit];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The name in the contract: `on-send`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnSend => "on-send",
            Self::OnAcknowledgement => "on-acknowledgement",
            Self::OnConsume => "on-consume",
            Self::OnCommit => "on-commit",
        }
    }
}

impl HookSet {
    /// Whether the hook is in the set.
    pub fn has(self, hook: Hook) -> bool {
        self.0 & hook.bit() != 0
    }

    /// The set with the hook in it.
    #[must_use]
    pub fn with(self, hook: Hook) -> Self {
        Self(self.0 | hook.bit())
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The hooks in the set.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.has(*hook))
    }
}

impl From<Vec<Hook>> for HookSet {
    fn from(hooks: Vec<Hook>) -> Self {
        hooks.into_iter().fold(Self::default(), Self::with)
    }
}

impl From<HookSet> for Vec<Hook> {
    fn from(set: HookSet) -> Self {
        set.iter().collect()
    }
}

/// A set of the parts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// The key.
    pub key: bool,
    /// The value.
    pub value: bool,
    /// The headers.
    pub headers: bool,
}

impl Parts {
    /// Key, value and headers.
    pub const ALL: Self = Self { key: true, value: true, headers: true };
    /// None of them.
    pub const NONE: Self = Self { key: false, value: false, headers: false };
}

/// How often `on-consume` must see a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// On each delivery.
    #[default]
    Never,
    /// What was made of a batch holds for all consumers.
    ForEveryone,
    /// What was made of a batch holds for all consumers of the same principal.
    ForPrincipal,
}

/// What an interceptor needs and does: its capabilities, as it declares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wants {
    /// The hooks that are called.
    pub hooks: HookSet,
    /// Parts that it reads; the others are not given to it.
    pub reads: Parts,
    /// Parts that it may change; a change of another is a fault.
    pub writes: Parts,
    /// Whether it may take records away.
    pub drops: bool,
    /// How often `on-consume` must see a batch.
    pub reuse: Reuse,
}

/// One call of an interceptor.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// `on-send`.
    Send(&'a Origin, &'a Bytes),
    /// `on-acknowledgement`.
    Acknowledgement(&'a Origin, &'a Acknowledgement),
    /// `on-consume`.
    Consume(&'a Origin, &'a Bytes),
    /// `on-commit`.
    Commit(&'a Commit),
}

impl Call<'_> {
    /// The hook that is called.
    pub fn hook(&self) -> Hook {
        match self {
            Self::Send(..) => Hook::OnSend,
            Self::Acknowledgement(..) => Hook::OnAcknowledgement,
            Self::Consume(..) => Hook::OnConsume,
            Self::Commit(_) => Hook::OnCommit,
        }
    }
}

/// What an interceptor answered. Checked for form by the engine, not yet for what the plugin may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// What becomes of the batch; always [`Change::None`] for the hooks that observe.
    pub change: Change,
    /// Records that it refuses, each of the batch, none twice.
    pub rejected: Vec<Rejection>,
    /// Batches for other topics, each uncompressed and well-formed, in the order in which they were emitted.
    pub emitted: Vec<Emission>,
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change {
    /// It goes on as it is.
    #[default]
    None,
    /// Records to take away, by offset delta, ascending.
    Drop(Vec<i32>),
    /// The batch in its new form: one whole uncompressed batch of data records. Empty bytes: all are gone.
    Replace(Bytes),
}

/// Makes instances of one compiled interceptor.
pub trait InterceptorFactory: Send + Sync {
    /// What the plugin declared when it was compiled.
    fn wants(&self) -> Wants;

    /// Whether it imports the state store.
    fn has_state(&self) -> bool;

    /// A fresh instance for a topic, which has accepted `config` (JSON text) and may emit to the topics in `emit`.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the plugin's `configure` refuses the configuration.
    fn instantiate(&self, topic: &str, config: &str, emit: &[String]) -> Result<Box<dyn Interceptor>, Fault>;
}

/// One instance, used by one call at a time. After a fault it must be dropped.
pub trait Interceptor: Send {
    /// Runs the guest, synchronously, on the caller's thread. The state is lent for the call and comes back whatever
    /// happens; what a failed call put into it must be discarded by the caller. A guest that is not ready within `at_most`
    /// ends with [`Fault::Late`]; without it, the engine's own limits hold alone.
    fn call(
        &mut self,
        call: Call<'_>,
        state: Box<dyn StateAccess>,
        at_most: Option<Duration>,
    ) -> (Box<dyn StateAccess>, Result<Answered, Fault>);
}
