//! What an interceptor or a partitioner declares of itself, before it has a configuration.

/// A set of the parts of a record. Timestamps and offsets are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    pub(crate) key: bool,
    pub(crate) value: bool,
    pub(crate) headers: bool,
}

impl Parts {
    /// None of them.
    pub const fn none() -> Self {
        Self { key: false, value: false, headers: false }
    }

    /// With the key.
    #[must_use]
    pub const fn key(mut self) -> Self {
        self.key = true;
        self
    }

    /// With the value.
    #[must_use]
    pub const fn value(mut self) -> Self {
        self.value = true;
        self
    }

    /// With the headers.
    #[must_use]
    pub const fn headers(mut self) -> Self {
        self.headers = true;
        self
    }
}

/// How often `on_consume` must see a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// On each delivery: the plugin counts or writes down who reads.
    #[default]
    Never,
    /// What it made of a batch holds for all consumers.
    ForEveryone,
    /// What it made of a batch holds for all consumers of the same principal.
    ForPrincipal,
}

/// The hooks that an interceptor is called at, and what it reads, changes and takes away there. The operator
/// sees it at upload, and the host holds the plugin to it: what is not read is not given, what
/// is not declared as written or dropped is a fault when it is.
///
/// A plugin that changes a part needs the part of the records that it leaves alone, so writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    pub(crate) hooks: Hooks,
    pub(crate) reads: Parts,
    pub(crate) writes: Parts,
    pub(crate) drops: bool,
    pub(crate) reuse: Reuse,
}

/// The hooks that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hooks {
    pub(crate) on_send: bool,
    pub(crate) on_acknowledgement: bool,
    pub(crate) on_consume: bool,
    pub(crate) on_commit: bool,
}

impl Wants {
    /// No hook, and no part of a record. A plugin states at least one hook.
    pub const fn new() -> Self {
        Self {
            hooks: Hooks { on_send: false, on_acknowledgement: false, on_consume: false, on_commit: false },
            reads: Parts::none(),
            writes: Parts::none(),
            drops: false,
            reuse: Reuse::Never,
        }
    }

    /// Is called before a producer's batch is appended.
    #[must_use]
    pub const fn on_send(mut self) -> Self {
        self.hooks.on_send = true;
        self
    }

    /// Is called when the batch has been committed, or refused.
    #[must_use]
    pub const fn on_acknowledgement(mut self) -> Self {
        self.hooks.on_acknowledgement = true;
        self
    }

    /// Is called before a batch leaves to a consumer.
    #[must_use]
    pub const fn on_consume(mut self) -> Self {
        self.hooks.on_consume = true;
        self
    }

    /// Is called when a group has committed offsets.
    #[must_use]
    pub const fn on_commit(mut self) -> Self {
        self.hooks.on_commit = true;
        self
    }

    /// Reads keys.
    #[must_use]
    pub const fn reads_key(mut self) -> Self {
        self.reads.key = true;
        self
    }

    /// Reads values.
    #[must_use]
    pub const fn reads_value(mut self) -> Self {
        self.reads.value = true;
        self
    }

    /// Reads headers.
    #[must_use]
    pub const fn reads_headers(mut self) -> Self {
        self.reads.headers = true;
        self
    }

    /// Changes keys, and reads them.
    #[must_use]
    pub const fn writes_key(mut self) -> Self {
        self.writes.key = true;
        self.reads_key()
    }

    /// Changes values, and reads them.
    #[must_use]
    pub const fn writes_value(mut self) -> Self {
        self.writes.value = true;
        self.reads_value()
    }

    /// Changes headers, and reads them.
    #[must_use]
    pub const fn writes_headers(mut self) -> Self {
        self.writes.headers = true;
        self.reads_headers()
    }

    /// Takes records away.
    #[must_use]
    pub const fn drops(mut self) -> Self {
        self.drops = true;
        self
    }

    /// How often `on_consume` must see a batch; [`Reuse::Never`] when it is not said.
    #[must_use]
    pub const fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }
}
