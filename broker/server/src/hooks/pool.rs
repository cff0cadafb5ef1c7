//! The threads that wait for guests, so that those of the network and of the shards never do.
//!
//! Work stands in two queues. The *brisk* one has an elastic number of threads: one more is started when work has
//! waited for [`PATIENCE`] while all are busy, and an idle one ends after a while. Work whose last call took long
//! stands in the *slow* one, which has few threads of its own: so hostile plugins wait for each other, and not their
//! neighbours for them. Every thread takes one piece of work and then the next of whoever has waited longest.
//!
//! Bounds: [`MAX_THREADS`] brisk threads and [`SLOW_THREADS`] slow ones. What waits is bounded where it enters: by the
//! budget of the lanes, and by the requests that are being answered.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Brisk threads that stay when there is nothing to do.
const MIN_THREADS: usize = 2;
/// Brisk threads at most.
const MAX_THREADS: usize = 128;
/// Threads for what is slow.
const SLOW_THREADS: usize = 2;
/// How long work waits before it gets a further thread.
const PATIENCE: Duration = Duration::from_millis(3);
/// How long a thread beyond [`MIN_THREADS`] is idle before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// A call that takes longer than this makes whoever made it slow.
pub const BRISK: Duration = Duration::from_millis(50);
/// How much nicer than the network's and the shards' threads those of guests are.
const NICENESS: i32 = 5;

/// Whether something was slow when it ran last.
#[derive(Debug, Default)]
pub struct Pace(AtomicBool);

impl Pace {
    /// Judges a call by how long it took and how long it may take.
    pub fn judge(&self, took: Duration, allowed: Duration) {
        self.0.store(took > allowed, Ordering::Relaxed);
    }

    /// Whether the last call was slow.
    pub fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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
            if queues.slow_idle < queues.slow.len() && queues.slow_threads < SLOW_THREADS {
                self.start_thread(&mut queues, true);
            }
            return true;
        }
        queues.brisk.push_back((Instant::now(), work));
        if queues.idle > 0 {
            self.shared.brisk.notify_one();
        }
        if queues.idle >= queues.brisk.len() {
            return true;
        }
        if queues.threads < MIN_THREADS {
            self.start_thread(&mut queues, false);
        } else if !queues.watching {
            self.start_watcher(&mut queues);
        } else if queues.watcher_sleeps {
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

    /// Starts a further thread whenever work has waited too long.
    fn watch(&self) {
        let mut queues = self.shared.lock();
        while !queues.stopping {
            let waited = queues.brisk.front().map(|(since, _)| since.elapsed());
            queues = match waited {
                Some(waited) if waited >= PATIENCE && queues.idle == 0 && queues.threads < MAX_THREADS => {
                    self.start_thread(&mut queues, false);
                    wait(&self.shared.watch, queues, PATIENCE).0
                }
                Some(_) => wait(&self.shared.watch, queues, PATIENCE).0,
                None => {
                    queues.watcher_sleeps = true;
                    let mut woken = self.shared.watch.wait(queues).unwrap_or_else(PoisonError::into_inner);
                    woken.watcher_sleeps = false;
                    woken
                }
            };
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
        be_nice();
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
        be_nice();
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

fn be_nice() {
    // On Linux this is the priority of the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
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
        let first: Vec<_> = (0..SLOW_THREADS).map(|_| entered.recv_timeout(LONG).unwrap()).collect();
        // The eight others stand in the queue, and neighbours pass them.
        let brisk = Arc::new(Pace::default());
        for _ in 0..20 {
            assert_eq!(pool.call(&brisk, LONG, || ()).await, Ok(()));
        }
        assert!(entered.try_recv().is_err(), "a third slow call runs");
        drop(first);
        for _ in 0..8 {
            drop(entered.recv_timeout(LONG).unwrap());
        }
        for blocked in blocked {
            assert_eq!(blocked.await, Ok(()));
        }
        assert!(slow.is_slow());
        assert_eq!(pool.call(&slow, LONG, || ()).await, Ok(()));
        assert!(!slow.is_slow(), "one brisk call brings it back");
        pool.stop();
    }
}
