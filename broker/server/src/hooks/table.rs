//! Which topics have hooks, and what they are now.
//!
//! An append looks its topic up and takes its place in the order (in the lane, or in the shard) under one read lock, so that
//! whoever takes the write lock knows that every append that did not see his change has one. A topic whose hooks are gone stays in the table
//! until its lanes are empty.

use super::Client;
use super::append::{Begun, Budget, Passage, Progress, SendFailure, Sending, post};
use super::effective::{defaults, effective};
use super::emit::Emitter;
use super::lane::{Inside, Lane};
use super::pool::{BRISK, Pace, Pool};
use crate::driver::Driver;
use pelton_api::hooks::{Hooks, TopicHooks};
use pelton_api::interceptor::Hook;
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{AppendOrigin, Appended};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Bytes that may wait on the way through all hooks together.
const WAITING_BYTES: usize = 512 << 20;
/// Of those, for one topic.
const TOPIC_WAITING_BYTES: usize = 64 << 20;
/// For how long a batch whose hooks have been swift may hold up the thread that brought it; what takes longer goes to the
/// guest threads. Kept to the precision of the engine's clock.
const MOMENT: Duration = Duration::from_millis(2);
/// What a batch counts beside its bytes.
const BATCH_OVERHEAD: usize = 1_024;

type Topics = BTreeMap<Arc<str>, Arc<HookedTopic>>;

/// The topics with hooks. Cheap to clone.
#[derive(Clone)]
pub struct TopicTable {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub hooks: Arc<dyn Hooks>,
    pub defaults: BTreeMap<String, String>,
    pub driver: Arc<Driver>,
    pub images: watch::Receiver<Arc<ClusterImage>>,
    pub emitter: Emitter,
    pub pool: Pool,
    topics: RwLock<Topics>,
    budget: Arc<Budget>,
}

/// One topic with hooks, or one whose hooks are gone and whose lanes are not empty yet.
pub struct HookedTopic {
    name: Arc<str>,
    hooks: RwLock<Option<Arc<dyn TopicHooks>>>,
    /// One for each partition; more when the topic gets more partitions.
    lanes: RwLock<Vec<Arc<Turnstile>>>,
    sending: Arc<Pace>,
    acknowledging: Arc<Pace>,
    consuming: Arc<Pace>,
    committing: Arc<Pace>,
    gone: AtomicBool,
    budget: Arc<Budget>,
    table: std::sync::Weak<Inner>,
    driver: Arc<Driver>,
    emitter: Emitter,
    pool: Pool,
}

/// What became of a batch that was brought.
enum Brought {
    /// It has its place, or was turned away.
    Begun(Begun),
    /// Its turn is now, on this thread.
    Inside(Inside, Box<Passage>, oneshot::Receiver<Progress>),
}

/// The way into one partition.
struct Turnstile {
    lane: Arc<Lane>,
    /// Last offset that a batch got that was sent one by one.
    last_offset: AtomicI64,
}

impl TopicTable {
    /// A table without topics. `configs` are the broker's; the defaults for topics are among them.
    pub(crate) fn new(
        hooks: Arc<dyn Hooks>,
        configs: &BTreeMap<String, String>,
        driver: Arc<Driver>,
        images: watch::Receiver<Arc<ClusterImage>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                hooks,
                defaults: defaults(configs),
                emitter: Emitter::new(driver.clone(), images.clone()),
                driver,
                images,
                pool: Pool::new(tokio::runtime::Handle::current()),
                topics: RwLock::default(),
                budget: Budget::new(WAITING_BYTES),
            }),
        }
    }

    /// The `pelton.*` configs that a topic with these configs of its own has in effect.
    pub fn effective(&self, internal: bool, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        effective(&self.inner.defaults, internal, own)
    }

    /// Checks the `pelton.*` configs that a topic is to have in effect.
    ///
    /// # Errors
    /// [`Refusal::InvalidConfig`], for the operator: also for more than the record of a switch can hold.
    pub async fn check(
        &self,
        topic: &str,
        partitions: i32,
        effective: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        super::journal::check_room(partitions, effective).map_err(Refusal::InvalidConfig)?;
        let (hooks, topic, configs) = (self.inner.hooks.clone(), topic.to_owned(), effective.clone());
        let checked = tokio::task::spawn_blocking(move || hooks.check(&topic, partitions, &configs)).await;
        match checked {
            Ok(checked) => checked.map_err(Refusal::InvalidConfig),
            Err(_) => {
                Err(Refusal::InvalidConfig("the broker failed to check the plugins; its log says more".to_owned()))
            }
        }
    }

    /// Begins to append a batch. Its place in the order of its partition is fixed when this returns.
    pub fn append(&self, sending: Sending, client: impl FnOnce() -> Client) -> Begun {
        let topics = self.inner.read();
        let Some(topic) = topics.get(&sending.partition.topic) else {
            // Under the lock: see the head of this file.
            return match post(&self.inner.driver, sending, AppendOrigin::Client) {
                Ok((pending, append_time)) => Begun::Posted(pending, append_time),
                Err(failure) => Begun::Failed(failure),
            };
        };
        let brought = topic.bring(sending, client(), &self.inner.budget);
        drop(topics);
        match brought {
            Brought::Begun(begun) => begun,
            Brought::Inside(inside, passage, progress) => {
                inside.run(|| passage.run_within(MOMENT));
                Begun::Hooked(progress)
            }
        }
    }

    /// The hooks of a topic, if it has any that want this.
    pub(super) fn wanting(&self, topic: &str, hook: Hook) -> Option<(Arc<HookedTopic>, Arc<dyn TopicHooks>)> {
        let topic = self.inner.read().get(topic)?.clone();
        let hooks = topic.hooks().filter(|hooks| hooks.hooks().has(hook))?;
        Some((topic, hooks))
    }

    /// Whether records of the topic pass `on-consume` hooks on their way to a consumer.
    pub fn reads(&self, topic: &str) -> bool {
        self.is_used() && self.wanting(topic, Hook::OnConsume).is_some()
    }

    /// What the topic's hooks are now; `None` where it has none.
    pub fn identity(&self, topic: &str) -> Option<String> {
        let topic = self.inner.read().get(topic)?.clone();
        topic.hooks().map(|hooks| hooks.identity().to_owned())
    }

    /// Ends the guest threads.
    pub fn stop(&self) {
        self.inner.pool.stop();
        self.inner.write().clear();
    }

    /// The topic's place in the table; made if it has none, and then held. Whoever asks is the only one who changes
    /// the topic.
    pub(super) fn hold(&self, name: &Arc<str>, partitions: i32) -> Arc<HookedTopic> {
        let mut topics = self.inner.write();
        let topic = topics
            .entry(name.clone())
            .or_insert_with(|| Arc::new(HookedTopic::new(name.clone(), partitions, &self.inner)));
        topic.widen(partitions, &self.inner);
        for turnstile in topic.turnstiles() {
            turnstile.lane.hold();
        }
        topic.clone()
    }

    /// Puts a topic into the table that nobody can have sent to yet.
    pub(super) fn insert(&self, name: &Arc<str>, partitions: i32, hooks: Arc<dyn TopicHooks>) {
        let topic = HookedTopic::new(name.clone(), partitions, &self.inner);
        topic.set_hooks(Some(hooks));
        self.inner.write().insert(name.clone(), Arc::new(topic));
    }

    /// Takes a topic out that is no more.
    pub(super) fn remove(&self, name: &str) {
        if let Some(topic) = self.inner.write().remove(name) {
            topic.gone.store(true, Ordering::Release);
        }
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no topic has hooks.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Takes a topic without hooks out when nothing is left in its lanes; says whether it is out.
    fn sweep(&self, topic: &Arc<HookedTopic>) -> bool {
        let mut topics = self.write();
        if !topics.get(&topic.name).is_some_and(|present| Arc::ptr_eq(present, topic)) {
            return true;
        }
        // Nobody can put anything into its lanes, or hold them, while the table is locked.
        let over = topic.hooks().is_none() && topic.is_idle();
        if over {
            topics.remove(&topic.name);
        }
        over
    }
}

impl HookedTopic {
    fn new(name: Arc<str>, partitions: i32, table: &Arc<Inner>) -> Self {
        let topic = Self {
            name,
            hooks: RwLock::new(None),
            lanes: RwLock::default(),
            sending: Arc::default(),
            acknowledging: Arc::default(),
            consuming: Arc::default(),
            committing: Arc::default(),
            gone: AtomicBool::new(false),
            budget: Budget::new(TOPIC_WAITING_BYTES),
            table: Arc::downgrade(table),
            driver: table.driver.clone(),
            emitter: table.emitter.clone(),
            pool: table.pool.clone(),
        };
        topic.widen(partitions, table);
        topic
    }

    /// Has a lane for each of so many partitions. The table is locked, or nobody knows the topic yet.
    fn widen(&self, partitions: i32, table: &Inner) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let turnstile = || {
            let lane = Arc::new(Lane::new(table.pool.clone(), self.sending.clone()));
            Arc::new(Turnstile { lane, last_offset: AtomicI64::new(-1) })
        };
        let wanted = usize::try_from(partitions).unwrap_or(0).max(lanes.len());
        lanes.resize_with(wanted, turnstile);
    }

    fn turnstiles(&self) -> Vec<Arc<Turnstile>> {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turnstile(&self, partition: i32) -> Option<Arc<Turnstile>> {
        let index = usize::try_from(partition).ok()?;
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }

    /// Gives a batch its place in the lane of its partition, or its turn at once.
    fn bring(self: &Arc<Self>, sending: Sending, client: Client, budget: &Arc<Budget>) -> Brought {
        let failed = |failure| Brought::Begun(Begun::Failed(failure));
        let Some(turnstile) = self.turnstile(sending.partition.partition) else {
            return failed(SendFailure::Refused(Refusal::UnknownTopicOrPartition));
        };
        let bytes = sending.batch.bytes.len() + BATCH_OVERHEAD;
        let (Some(own), Some(all)) = (self.budget.charge(bytes), budget.charge(bytes)) else {
            return failed(self.overrun());
        };
        let (answer, progress) = oneshot::channel();
        let passage = Passage { topic: self.clone(), client, sending, answer, charges: [own, all] };
        // Where nobody sees sends, the lane is for the order alone.
        let unseen = || !self.hooks().is_some_and(|hooks| hooks.hooks().has(Hook::OnSend));
        if (self.sending.is_swift() || unseen())
            && let Some(inside) = turnstile.lane.enter()
        {
            return Brought::Inside(inside, Box::new(passage), progress);
        }
        match turnstile.lane.put(Box::new(move || passage.run())) {
            Ok(()) => Brought::Begun(Begun::Hooked(progress)),
            Err(_) => failed(self.overrun()),
        }
    }

    fn overrun(&self) -> SendFailure {
        let identity = self.hooks().map_or_else(String::new, |hooks| hooks.identity().to_owned());
        SendFailure::Unavailable(format!(
            "too much waits for the plugins of {} ({identity}); send again later",
            self.name
        ))
    }

    /// Leaves the table if there is neither a hook nor a batch left; says whether it has.
    pub(super) fn sweep(self: &Arc<Self>) -> bool {
        self.table.upgrade().is_none_or(|table| table.sweep(self))
    }

    fn is_idle(&self) -> bool {
        self.turnstiles().iter().all(|turnstile| turnstile.lane.is_idle())
    }

    /// Whether the topic was deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The hooks as they are now.
    pub(super) fn hooks(&self) -> Option<Arc<dyn TopicHooks>> {
        self.hooks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the hooks. The lanes are held, or nobody knows the topic yet.
    pub(super) fn set_hooks(&self, hooks: Option<Arc<dyn TopicHooks>>) {
        *self.hooks.write().unwrap_or_else(PoisonError::into_inner) = hooks;
        for pace in [&self.sending, &self.acknowledging, &self.consuming, &self.committing] {
            pace.forget();
        }
    }

    /// Waits until no batch is between its hooks and the shard. The lanes are held.
    pub(super) async fn quiet(&self) {
        for turnstile in self.turnstiles() {
            turnstile.lane.quiet().await;
        }
    }

    /// Lets the lanes go on.
    pub(super) fn release(&self) {
        for turnstile in self.turnstiles() {
            turnstile.lane.release();
        }
    }

    pub(super) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    pub(super) fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Tells hooks with state what became of the batch that they saw last. A repetition that the partition knew
    /// already was not appended: its offset is not past the last one.
    pub(super) fn note_sent(&self, hooks: &dyn TopicHooks, partition: i32, appended: Option<&Appended>) {
        let turnstile = self.turnstile(partition);
        let appended = match (appended, turnstile) {
            (Some(appended), Some(turnstile)) => {
                appended.base_offset > turnstile.last_offset.fetch_max(appended.last_offset, Ordering::AcqRel)
            }
            _ => false,
        };
        hooks.sent(partition, appended);
    }

    /// Calls `on-acknowledgement` on a guest thread.
    pub(super) fn call_acknowledged<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        self.pool.call(&self.acknowledging, BRISK, call)
    }

    /// Calls `on-consume` on a guest thread; `bytes` are what it is given.
    pub(super) fn call_consume<T: Send + 'static>(
        &self,
        bytes: usize,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let mebibytes = u32::try_from(bytes >> 20).unwrap_or(u32::MAX).saturating_add(1);
        let allowed: Duration = BRISK.saturating_mul(mebibytes);
        self.pool.call(&self.consuming, allowed, call)
    }

    /// Calls `on-commit` on a guest thread.
    pub(super) fn call_commit<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        self.pool.call(&self.committing, BRISK, call)
    }
}
