//! The threads that wait for guests, so that those of the network and of the shards never do.
//!
//! Work stands in two queues. The *brisk* one has an elastic number of threads: one more is started when work has
//! waited for [`PATIENCE`] while all are busy, and an idle one ends after a while. Work that took long lately, or
//! that nobody has seen yet, stands in the *slow* one, which has few threads of its own, of the lowest priority: so hostile plugins
//! wait for each other, and not their neighbours for them. What nobody has seen yet goes first there. Every thread takes one piece of work and then the next of whoever has waited
//! longest.
//!
//! Bounds: [`MAX_THREADS`] brisk threads, and a slow one for two cores ([`slow_threads`]). What waits is bounded where it enters: by the
//! budget of the lanes, and by the requests that are being answered.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Brisk threads that stay when there is nothing to do.
const MIN_THREADS: usize = 2;
/// Brisk threads at most.
const MAX_THREADS: usize = 128;
/// How long work waits before it gets a further thread.
const PATIENCE: Duration = Duration::from_millis(3);
/// Pieces of work that wait for each busy thread before an idle one is woken for them. To wake a thread costs more than
/// most calls; what a busy one does not get to in [`PATIENCE`] goes to another.
const FOLLOWS: usize = 4;
/// How long the watch stays awake after the last piece of work.
const WATCH: Duration = Duration::from_millis(200);
/// How long a thread beyond [`MIN_THREADS`] is idle before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// A call that takes longer than this makes whoever made it slow.
pub const BRISK: Duration = Duration::from_millis(50);
/// How much nicer than the network's and the shards' threads those of guests are.
const NICENESS: i32 = 5;
/// The same for the slow ones: they get what nobody else wants.
const SLOW_NICENESS: i32 = 19;
/// Brisk calls in a row that make up for a slow one.
const PENANCE: u32 = 16;

/// A call that takes no longer than this is swift.
const SWIFT: Duration = Duration::from_millis(1);
/// Trust at which calls may be made on a thread that others wait for. Each swift call earns one.
const TRUSTED: i32 = 64;
/// The most trust that there is.
const MAX_TRUST: i32 = 128;
/// What a call that is not swift costs: on a busy machine the swiftest call takes long at times.
const NOT_SWIFT: i32 = 16;
/// What a call costs at first that did not get ready where others waited for it; each one costs twice as much as the one before.
const LATE: i32 = 64;
/// How often that is doubled at most.
const MAX_LATE: u32 = 12;

/// How long calls of something took lately. What has not been called yet counts as slow until its first brisk call: nobody
/// knows it.
#[derive(Debug)]
pub struct Pace {
    /// Brisk calls that it owes until it counts as brisk.
    owed: AtomicU32,
    /// Whether it was judged.
    known: AtomicBool,
    trust: AtomicI32,
    /// Times that it was trusted and late.
    late: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            owed: AtomicU32::new(1),
            known: AtomicBool::new(false),
            trust: AtomicI32::new(0),
            late: AtomicU32::new(0),
        }
    }
}

impl Pace {
    /// Forgets what it knows: it will be of something else.
    pub fn forget(&self) {
        self.owed.store(1, Ordering::Relaxed);
        self.known.store(false, Ordering::Relaxed);
        self.trust.store(0, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
    }

    /// Judges a call by how long it took and how long it may take. Calls at the same time may lose one of two judgements, which the
    /// next one makes good.
    pub fn judge(&self, took: Duration, allowed: Duration) {
        self.known.store(true, Ordering::Relaxed);
        let owed = self.owed.load(Ordering::Relaxed);
        self.owed.store(if took > allowed { PENANCE } else { owed.saturating_sub(1) }, Ordering::Relaxed);
        let trust = self.trust.load(Ordering::Relaxed);
        if took > SWIFT {
            self.trust.store(trust.min((trust - NOT_SWIFT).max(0)), Ordering::Relaxed);
            return;
        }
        let late = self.late.load(Ordering::Relaxed);
        if trust < MAX_TRUST {
            self.trust.store(trust + 1, Ordering::Relaxed);
        } else if late > 0 {
            self.late.store(late - 1, Ordering::Relaxed);
            self.trust.store(TRUSTED, Ordering::Relaxed);
        }
    }

    /// A call did not get ready on a thread that others wait for.
    pub fn was_late(&self) {
        let late = self.late.load(Ordering::Relaxed);
        self.trust.store(-(LATE << late), Ordering::Relaxed);
        self.late.store((late + 1).min(MAX_LATE), Ordering::Relaxed);
    }

    /// Whether it goes to the slow threads.
    pub fn is_slow(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// Whether it has not been judged yet.
    fn is_unknown(&self) -> bool {
        !self.known.load(Ordering::Relaxed)
    }

    /// Whether it has been swift for so long that others can wait for it.
    pub fn is_swift(&self) -> bool {
        self.trust.load(Ordering::Relaxed) >= TRUSTED
    }
}

/// Threads for what is slow: half of the cores, so that the other half is never taken.
fn slow_threads() -> usize {
    (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / 2).max(1)
}

/// A piece of work. It runs once each time that it is taken from a queue.
pub trait Work: Send + Sync {
    /// Does it, on a guest thread.
    fn run(self: Arc<Self>);

    /// Drops what it was to do: the pool stops.
    fn abandon(&self);
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Mutex<Queues>,
    brisk: Condvar,
    slow: Condvar,
    watch: Condvar,
    runtime: Handle,
}

#[derive(Default)]
struct Queues {
    brisk: VecDeque<(Instant, Arc<dyn Work>)>,
    /// For the slow threads: what nobody has seen yet.
    newcomers: VecDeque<Arc<dyn Work>>,
    slow: VecDeque<Arc<dyn Work>>,
    threads: usize,
    idle: usize,
    slow_threads: usize,
    slow_idle: usize,
    started: usize,
    watching: bool,
    watcher_sleeps: bool,
    stopping: bool,
}

impl Queues {
    fn take_slow(&mut self) -> Option<Arc<dyn Work>> {
        self.newcomers.pop_front().or_else(|| self.slow.pop_front())
    }
}

impl Pool {
    /// A pool without threads; they start with the first work. Futures run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                queues: Mutex::default(),
                brisk: Condvar::new(),
                slow: Condvar::new(),
                watch: Condvar::new(),
                runtime,
            }),
        }
    }

    /// Lets a future run.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.shared.runtime.spawn(future);
    }

    /// Puts work into its queue; a pool that stops takes none.
    pub fn put(&self, work: Arc<dyn Work>, pace: &Pace) -> bool {
        let mut queues = self.shared.lock();
        if queues.stopping {
            return false;
        }
        if pace.is_slow() {
            if pace.is_unknown() {
                queues.newcomers.push_back(work)
            } else {
                queues.slow.push_back(work)
            }
            if queues.slow_idle > 0 {
                self.shared.slow.notify_one();
            }
            let waiting = queues.newcomers.len() + queues.slow.len();
            if queues.slow_idle < waiting && queues.slow_threads < slow_threads() {
                self.start_thread(&mut queues, true);
            }
            return true;
        }
        queues.brisk.push_back((Instant::now(), work));
        let busy = queues.threads - queues.idle;
        if queues.idle > 0 && (busy == 0 || queues.brisk.len() > busy * FOLLOWS) {
            self.shared.brisk.notify_one();
        }
        if queues.threads < MIN_THREADS && queues.idle < queues.brisk.len() {
            self.start_thread(&mut queues, false);
        }
        if !queues.watching {
            self.start_watcher(&mut queues);
        } else if queues.watcher_sleeps && (busy > 0 || queues.idle == 0) {
            self.shared.watch.notify_one();
        }
        true
    }

    /// Runs `call` on a guest thread, and gives what it gives; an error when it panicked or the pool stops. A call
    /// whose answer nobody waits for any more is not made. The pace is judged by `allowed`.
    pub fn call<T: Send + 'static>(
        &self,
        pace: &Arc<Pace>,
        allowed: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let paced = pace.clone();
        let run = move || {
            if answer.is_closed() {
                return;
            }
            let began = Instant::now();
            let given = call();
            paced.judge(began.elapsed(), allowed);
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(given);
        };
        // What is not taken is dropped, and with it the way of the answer.
        let _ = self.put(Arc::new(Errand(Mutex::new(Some(Box::new(run))))), pace);
        answered
    }

    /// Ends the threads as soon as their guests let them, and drops what waits.
    pub fn stop(&self) {
        let mut queues = self.shared.lock();
        queues.stopping = true;
        let brisk = std::mem::take(&mut queues.brisk).into_iter().map(|(_, work)| work);
        let newcomers = std::mem::take(&mut queues.newcomers);
        let waiting: Vec<_> = brisk.chain(newcomers).chain(std::mem::take(&mut queues.slow)).collect();
        drop(queues);
        for work in waiting {
            work.abandon();
        }
        for condition in [&self.shared.brisk, &self.shared.slow, &self.shared.watch] {
            condition.notify_all();
        }
    }

    fn start_thread(&self, queues: &mut Queues, slow: bool) {
        let shared = self.shared.clone();
        let name = format!("pelton-guest-{}", queues.started);
        let run = move || if slow { shared.run_slow() } else { shared.run_brisk() };
        match std::thread::Builder::new().name(name).spawn(run) {
            Ok(_) => {
                queues.started += 1;
                *(if slow { &mut queues.slow_threads } else { &mut queues.threads }) += 1;
            }
            Err(error) => tracing::error!(%error, "no thread can be had for plugins; their calls wait"),
        }
    }

    fn start_watcher(&self, queues: &mut Queues) {
        let pool = self.clone();
        let builder = std::thread::Builder::new().name("pelton-guest-watch".to_owned());
        queues.watching = builder.spawn(move || pool.watch()).is_ok();
    }

    /// Wakes a further thread, or starts one, whenever work has waited too long.
    fn watch(&self) {
        let mut queues = self.shared.lock();
        let mut active = Instant::now();
        while !queues.stopping {
            if let Some((since, _)) = queues.brisk.front() {
                active = Instant::now();
                if since.elapsed() >= PATIENCE {
                    if queues.idle > 0 {
                        self.shared.brisk.notify_one();
                    } else if queues.threads < MAX_THREADS {
                        self.start_thread(&mut queues, false);
                    }
                }
            }
            // It stays awake for a while, for to wake it for each piece of work would cost as much as a guest thread.
            if active.elapsed() < WATCH || queues.idle < queues.threads {
                queues = wait(&self.shared.watch, queues, PATIENCE).0;
            } else {
                queues.watcher_sleeps = true;
                queues = self.shared.watch.wait(queues).unwrap_or_else(PoisonError::into_inner);
                queues.watcher_sleeps = false;
                active = Instant::now();
            }
        }
    }
}

/// Waits, and says whether for all of the time.
fn wait<'a>(condition: &Condvar, queues: MutexGuard<'a, Queues>, at_most: Duration) -> (MutexGuard<'a, Queues>, bool) {
    let (queues, waited) = condition.wait_timeout(queues, at_most).unwrap_or_else(PoisonError::into_inner);
    (queues, waited.timed_out())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_brisk(&self) {
        be_nice(NICENESS);
        let mut queues = self.lock();
        loop {
            if queues.stopping {
                break;
            }
            if let Some((_, work)) = queues.brisk.pop_front() {
                drop(queues);
                perform(work);
                queues = self.lock();
                continue;
            }
            queues.idle += 1;
            let (woken, in_vain) = wait(&self.brisk, queues, IDLE);
            queues = woken;
            queues.idle -= 1;
            if in_vain && queues.brisk.is_empty() && queues.threads > MIN_THREADS {
                break;
            }
        }
        queues.threads -= 1;
    }

    fn run_slow(&self) {
        be_nice(SLOW_NICENESS);
        let mut queues = self.lock();
        loop {
            if queues.stopping {
                break;
            }
            if let Some(work) = queues.take_slow() {
                drop(queues);
                perform(work);
                queues = self.lock();
                continue;
            }
            queues.slow_idle += 1;
            let (woken, in_vain) = wait(&self.slow, queues, IDLE);
            queues = woken;
            queues.slow_idle -= 1;
            if in_vain && queues.slow.is_empty() && queues.newcomers.is_empty() {
                break;
            }
        }
        queues.slow_threads -= 1;
    }
}

/// A panic in here is a fault of the broker's, and fails the piece of work: whoever waits for it learns that nothing
/// came.
fn perform(work: Arc<dyn Work>) {
    if catch_unwind(AssertUnwindSafe(|| work.run())).is_err() {
        tracing::error!("a call of a plugin panicked in the broker; it is answered as a failure");
    }
}

/// Makes the calling thread nicer than it was, by so much: on Linux the priority is the thread's own.
fn be_nice(by: i32) {
    if let Err(error) = rustix::process::nice(by) {
        tracing::debug!(%error, "a thread for plugins keeps its priority");
    }
}

/// Work that is done once.
struct Errand(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Work for Errand {
    fn run(self: Arc<Self>) {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(call) = call {
            call();
        }
    }

    fn abandon(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);

    /// The pace of something that made one call, which took so long.
    fn known(took: Duration) -> Arc<Pace> {
        let pace = Arc::new(Pace::default());
        pace.judge(took, BRISK);
        pace
    }

    fn blocker(gate: &mpsc::Sender<mpsc::Sender<()>>) -> impl FnOnce() + Send + 'static {
        let gate = gate.clone();
        move || {
            let (open, opened) = mpsc::channel();
            gate.send(open).unwrap();
            let _ = opened.recv_timeout(LONG);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_threads_come_when_all_are_busy_and_a_panic_costs_one_call() {
        let pool = Pool::new(Handle::current());
        let pace = known(Duration::ZERO);
        let (gate, entered) = mpsc::channel();
        let blocked: Vec<_> = (0..6).map(|_| pool.call(&pace, LONG, blocker(&gate))).collect();
        // All six are inside at once, though the pool keeps two threads.
        let opens: Vec<_> = (0..6).map(|_| entered.recv_timeout(LONG).unwrap()).collect();
        assert_eq!(pool.call(&pace, LONG, || 7).await, Ok(7), "a seventh thread");
        drop(opens);
        for blocked in blocked {
            assert_eq!(blocked.await, Ok(()));
        }
        assert!(pool.call(&pace, LONG, || panic!("on purpose")).await.is_err());
        assert_eq!(pool.call(&pace, LONG, || 8).await, Ok(8));
        pool.stop();
        assert!(pool.call(&pace, LONG, || 9).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_slow_waits_for_what_is_slow_alone() {
        let pool = Pool::new(Handle::current());
        let slow = known(BRISK * 2);
        let (gate, entered) = mpsc::channel();
        let blocked: Vec<_> = (0..10).map(|_| pool.call(&slow, Duration::ZERO, blocker(&gate))).collect();
        let first: Vec<_> = (0..slow_threads()).map(|_| entered.recv_timeout(LONG).unwrap()).collect();
        // The others stand in the queue, and neighbours pass them.
        let brisk = known(Duration::ZERO);
        for _ in 0..20 {
            assert_eq!(pool.call(&brisk, LONG, || ()).await, Ok(()));
        }
        assert!(entered.try_recv().is_err(), "one slow call too many runs");
        drop(first);
        for _ in slow_threads()..10 {
            drop(entered.recv_timeout(LONG).unwrap());
        }
        for blocked in blocked {
            assert_eq!(blocked.await, Ok(()));
        }
        assert!(slow.is_slow());
        for _ in 0..PENANCE {
            assert!(slow.is_slow(), "it has not made up for it yet");
            assert_eq!(pool.call(&slow, LONG, || ()).await, Ok(()));
        }
        assert!(!slow.is_slow(), "brisk calls in a row bring it back");
        pool.stop();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn newcomers_go_before_what_is_known_to_be_slow() {
        let pool = Pool::new(Handle::current());
        let (slow, (gate, entered)) = (known(BRISK * 2), mpsc::channel());
        let (order, ordered) = mpsc::channel();
        let note = |name: &'static str| {
            let order = order.clone();
            move || order.send(name).unwrap()
        };
        let blocked: Vec<_> = (0..slow_threads()).map(|_| pool.call(&slow, LONG, blocker(&gate))).collect();
        let inside: Vec<_> = blocked.iter().map(|_| entered.recv_timeout(LONG).unwrap()).collect();
        let known_to_be_slow = pool.call(&known(BRISK * 2), LONG, note("slow"));
        let newcomer = pool.call(&Arc::new(Pace::default()), LONG, note("newcomer"));
        drop(inside);
        newcomer.await.unwrap();
        known_to_be_slow.await.unwrap();
        assert_eq!([ordered.recv().unwrap(), ordered.recv().unwrap()], ["newcomer", "slow"]);
        pool.stop();
    }

    #[test]
    fn trust_is_earned_by_swift_calls_and_lost_by_being_late() {
        let pace = known(Duration::ZERO);
        let swift = |calls: i32| (0..calls).for_each(|_| pace.judge(Duration::ZERO, BRISK));
        assert!(!pace.is_slow() && !pace.is_swift());
        swift(TRUSTED);
        assert!(pace.is_swift());
        pace.judge(SWIFT * 2, BRISK);
        swift(1);
        assert!(!pace.is_swift(), "one call that is not swift costs many");
        swift(NOT_SWIFT);
        assert!(pace.is_swift());
        pace.was_late();
        swift(LATE + TRUSTED - 1);
        assert!(!pace.is_swift());
        swift(1);
        assert!(pace.is_swift());
        pace.was_late();
        swift(2 * LATE + TRUSTED - 1);
        assert!(!pace.is_swift(), "to be late again costs twice as much");
        swift(MAX_TRUST);
        assert!(pace.is_swift() && pace.late.load(Ordering::Relaxed) == 1, "one doubling is forgiven");
        for _ in 0..40 {
            pace.was_late();
        }
        assert!(pace.trust.load(Ordering::Relaxed) < -LATE, "it does not overflow");
        pace.forget();
        assert!(pace.is_unknown() && pace.is_slow() && !pace.is_swift());
    }
}
