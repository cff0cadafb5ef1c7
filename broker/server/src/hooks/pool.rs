//! The threads that wait for guests, so that those of the network and of the shards never do.
//!
//! Work stands in two queues. The *brisk* one has an elastic number of threads: one more is started when work has
//! waited for [`PATIENCE`] while all are busy, and an idle one ends after a while. Work that took long lately
//! stands in the *slow* one, which has few threads of its own, of the lowest priority: so hostile plugins wait for each
//! other, and not their neighbours for them. Every thread takes one piece of work and then the next of whoever has waited
//! longest.
//!
//! Bounds: [`MAX_THREADS`] brisk threads, and a slow one for two cores ([`slow_threads`]). What waits is bounded where it enters: by the
//! budget of the lanes, and by the requests that are being answered.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
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

/// Whether something was slow lately.
#[derive(Debug, Default)]
pub struct Pace {
    /// Brisk calls that it owes until it counts as brisk.
    owed: AtomicU32,
}

impl Pace {
    /// Judges a call by how long it took and how long it may take.
    pub fn judge(&self, took: Duration, allowed: Duration) {
        let owed = self.owed.load(Ordering::Relaxed);
        // Calls at the same time may lose one of two judgements, which the next one makes good.
        self.owed.store(if took > allowed { PENANCE } else { owed.saturating_sub(1) }, Ordering::Relaxed);
    }

    /// Whether it goes to the slow threads.
    pub fn is_slow(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
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
    pub fn put(&self, work: Arc<dyn Work>, slow: bool) -> bool {
        let mut queues = self.shared.lock();
        if queues.stopping {
            return false;
        }
        if slow {
            queues.slow.push_back(work);
            if queues.slow_idle > 0 {
                self.shared.slow.notify_one();
            }
            if queues.slow_idle < queues.slow.len() && queues.slow_threads < slow_threads() {
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
        let _ = self.put(Arc::new(Errand(Mutex::new(Some(Box::new(run))))), pace.is_slow());
        answered
    }

    /// Ends the threads as soon as their guests let them, and drops what waits.
    pub fn stop(&self) {
        let mut queues = self.shared.lock();
        queues.stopping = true;
        let brisk = std::mem::take(&mut queues.brisk).into_iter().map(|(_, work)| work);
        let waiting: Vec<_> = brisk.chain(std::mem::take(&mut queues.slow)).collect();
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
            if let Some(work) = queues.slow.pop_front() {
                drop(queues);
                perform(work);
                queues = self.lock();
                continue;
            }
            queues.slow_idle += 1;
            let (woken, in_vain) = wait(&self.slow, queues, IDLE);
            queues = woken;
            queues.slow_idle -= 1;
            if in_vain && queues.slow.is_empty() {
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
        let pace = Arc::new(Pace::default());
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
        let slow = Arc::new(Pace::default());
        slow.judge(Duration::from_millis(51), BRISK);
        let (gate, entered) = mpsc::channel();
        let blocked: Vec<_> = (0..10).map(|_| pool.call(&slow, Duration::ZERO, blocker(&gate))).collect();
        let first: Vec<_> = (0..slow_threads()).map(|_| entered.recv_timeout(LONG).unwrap()).collect();
        // The others stand in the queue, and neighbours pass them.
        let brisk = Arc::new(Pace::default());
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
}
