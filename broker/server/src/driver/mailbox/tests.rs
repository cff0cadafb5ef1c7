use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent: from whom, and its number there; or a wish.
enum Note {
    Number(usize, usize),
    /// Takes long.
    Tedious(usize, usize),
    /// Sleeps, as if the disk let it wait.
    Stall,
    /// Ends when it is told to.
    Held(mpsc::Receiver<()>),
    /// Sets a timer that is due after so many milliseconds.
    Timer(u64),
    Last,
}

/// What a shard did, as others see it.
#[derive(Default)]
struct Seen {
    taken: Mutex<Vec<Vec<usize>>>,
    by_others: AtomicUsize,
    ticks: AtomicUsize,
    settled: AtomicUsize,
    working: AtomicBool,
}

struct Recorder {
    seen: Arc<Seen>,
    home: std::thread::ThreadId,
    timer: Option<Instant>,
}

impl Addressee for Recorder {
    type Letter = Note;

    fn is_brief(letter: &Note) -> bool {
        !matches!(letter, Note::Tedious(..) | Note::Last)
    }

    fn take(&mut self, letter: Note) -> ControlFlow<()> {
        assert!(!self.seen.working.swap(true, Ordering::SeqCst), "a shard has one owner at a time");
        let here = std::thread::current().id() == self.home;
        if !here {
            self.seen.by_others.fetch_add(1, Ordering::SeqCst);
        }
        let mut last = ControlFlow::Continue(());
        match letter {
            Note::Number(from, number) | Note::Tedious(from, number) => {
                self.seen.taken.lock().unwrap()[from].push(number);
            }
            Note::Stall => std::thread::sleep(SWIFT * 2),
            Note::Held(until) => until.recv_timeout(PATIENCE).unwrap(),
            Note::Timer(ms) => self.timer = Some(Instant::now() + Duration::from_millis(ms)),
            Note::Last => {
                assert!(here, "only its thread ends a shard");
                last = ControlFlow::Break(());
            }
        }
        self.seen.working.store(false, Ordering::SeqCst);
        last
    }

    fn tick(&mut self) {
        if self.timer.is_some_and(|timer| timer <= Instant::now()) {
            self.timer = None;
            self.seen.ticks.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn settle(&mut self) {
        self.seen.settled.fetch_add(1, Ordering::SeqCst);
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timer
    }
}

/// A mailbox with its thread, which ends with the test.
struct Office {
    mailbox: Mailbox<Recorder>,
    seen: Arc<Seen>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Office {
    fn open(senders: usize) -> Self {
        let (mailbox, seen) = (Mailbox::new(), Arc::new(Seen::default()));
        *seen.taken.lock().unwrap() = vec![Vec::new(); senders];
        let thread = std::thread::spawn({
            let (mailbox, seen): (Mailbox<Recorder>, _) = (mailbox.clone(), seen.clone());
            move || mailbox.run(Recorder { seen, home: std::thread::current().id(), timer: None })
        });
        let office = Self { mailbox, seen, thread: Some(thread) };
        office.until("its thread sleeps", || office.mailbox.letters().asleep_until.is_some());
        office
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = self.mailbox.send(Note::Last);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn letters_of_many_senders_are_all_taken_and_in_order() {
    const SENDERS: usize = 6;
    const LETTERS: usize = 5_000;
    let office = Office::open(SENDERS);
    std::thread::scope(|scope| {
        for from in 0..SENDERS {
            let mailbox = &office.mailbox;
            scope.spawn(move || {
                for number in 0..LETTERS {
                    match (from + number) % 7 {
                        0 => mailbox.send(Note::Tedious(from, number)).unwrap(),
                        1 => mailbox.send_here(Note::Tedious(from, number)).unwrap(),
                        2 => mailbox.send(Note::Number(from, number)).unwrap(),
                        _ => mailbox.send_here(Note::Number(from, number)).unwrap(),
                    }
                    if number % 100 == 0 {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                }
            });
        }
    });
    let all = || office.seen.taken.lock().unwrap().iter().all(|taken| taken.len() == LETTERS);
    office.until("all letters are taken", all);
    for taken in office.seen.taken.lock().unwrap().iter() {
        assert!(taken.iter().copied().eq(0..LETTERS), "in the order in which they were sent");
    }
}

#[test]
fn who_brings_a_letter_to_a_shard_that_nobody_has_deals_with_it() {
    let office = Office::open(1);
    office.mailbox.send_here(Note::Number(0, 0)).unwrap();
    assert_eq!(*office.seen.taken.lock().unwrap(), [[0]], "when this returns it is done");
    assert_eq!(office.seen.by_others.load(Ordering::SeqCst), 1);
    assert!(office.seen.settled.load(Ordering::SeqCst) > 0, "what it wrote is handed over");
}

#[test]
fn what_came_in_while_somebody_had_the_shard_is_not_forgotten() {
    let office = Office::open(1);
    let (release, held) = mpsc::channel();
    std::thread::scope(|scope| {
        let mailbox = &office.mailbox;
        scope.spawn(move || mailbox.send_here(Note::Held(held)).unwrap());
        office.until("somebody has the shard", || office.seen.working.load(Ordering::SeqCst));
        // More than who has it takes in one go; none of these waits.
        for number in 0..2 * BRIEF {
            mailbox.send_here(Note::Number(0, number)).unwrap();
        }
        release.send(()).unwrap();
    });
    office.until("all are taken", || office.seen.taken.lock().unwrap()[0].len() == 2 * BRIEF);
}

#[test]
fn a_timer_that_somebody_else_sets_wakes_the_thread_in_time() {
    let office = Office::open(0);
    office.mailbox.send_here(Note::Timer(20)).unwrap();
    assert_eq!(office.seen.by_others.load(Ordering::SeqCst), 1);
    // Without being woken it would sleep for a minute.
    office.until("the timer is due", || office.seen.ticks.load(Ordering::SeqCst) == 1);
}

#[test]
fn after_a_stall_the_thread_does_everything_for_a_while() {
    let office = Office::open(1);
    let begun = Instant::now();
    office.mailbox.send_here(Note::Stall).unwrap();
    for number in 0..20 {
        office.mailbox.send_here(Note::Number(0, number)).unwrap();
    }
    let soon = begun.elapsed() < PENANCE;
    office.until("the thread has taken them", || office.seen.taken.lock().unwrap()[0].len() == 20);
    // On a machine that was busy with other things the while may be over.
    assert!(!soon || office.seen.by_others.load(Ordering::SeqCst) == 1, "the stall alone was somebody else's");
}

#[test]
fn a_shard_that_has_ended_takes_nothing() {
    let mut office = Office::open(1);
    office.mailbox.send(Note::Last).unwrap();
    office.thread.take().unwrap().join().unwrap();
    assert_eq!(office.mailbox.send(Note::Number(0, 0)), Err(Ended));
    assert_eq!(office.mailbox.send_here(Note::Number(0, 0)), Err(Ended));
}
