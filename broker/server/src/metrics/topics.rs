//! The numbers of topics, and how whoever has a topic at hand finds them without a lock.
//!
//! A log keeps the handle of its topic for as long as it is open. Handlers look it up by the topic's id in a table of their
//! thread, and only what is not there yet is looked for in the table of all.
//!
//! Bounds: the table of a thread is emptied when it has [`CACHED`] topics; the table of all is told which topics there
//! still are each time the numbers are read, and keeps of the others those that a thread or an open log remembers.

use super::Counter;
use pelton_core::model::TopicId;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Topics that a thread remembers.
const CACHED: usize = 4_096;

/// What is counted of a topic.
#[derive(Debug)]
pub struct TopicNumbers {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes of the batches that were appended, as they are stored.
    pub bytes_in: Counter,
    /// Records that were appended.
    pub messages_in: Counter,
    /// Bytes of records that left in answers to fetches.
    pub bytes_out: Counter,
    /// Bytes of the batches that were refused.
    pub bytes_rejected: Counter,
    /// Partitions of produce requests.
    pub produce_requests: Counter,
    /// Those that were refused.
    pub failed_produce_requests: Counter,
    /// Partitions of fetch requests.
    pub fetch_requests: Counter,
    /// Those that were refused.
    pub failed_fetch_requests: Counter,
}

/// All topics.
#[derive(Debug)]
pub struct Topics {
    /// Tells this table from those of other brokers in the same process.
    table: u64,
    all: Mutex<BTreeMap<TopicId, Arc<TopicNumbers>>>,
}

impl Default for Topics {
    fn default() -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        Self { table: TABLES.fetch_add(1, Ordering::Relaxed), all: Mutex::default() }
    }
}

thread_local! {
    static CACHE: RefCell<HashMap<(u64, TopicId), Arc<TopicNumbers>>> = RefCell::new(HashMap::new());
}

impl Topics {
    /// The numbers of a topic.
    pub fn of(&self, id: TopicId, name: &Arc<str>) -> Arc<TopicNumbers> {
        CACHE.with_borrow_mut(|cache| {
            if let Some(known) = cache.get(&(self.table, id)) {
                return known.clone();
            }
            if cache.len() >= CACHED {
                cache.clear();
            }
            let numbers = self.looked_up(id, name);
            cache.insert((self.table, id), numbers.clone());
            numbers
        })
    }

    fn looked_up(&self, id: TopicId, name: &Arc<str>) -> Arc<TopicNumbers> {
        let fresh = || {
            Arc::new(TopicNumbers {
                name: name.clone(),
                bytes_in: Counter::default(),
                messages_in: Counter::default(),
                bytes_out: Counter::default(),
                bytes_rejected: Counter::default(),
                produce_requests: Counter::default(),
                failed_produce_requests: Counter::default(),
                fetch_requests: Counter::default(),
                failed_fetch_requests: Counter::default(),
            })
        };
        self.all().entry(id).or_insert_with(fresh).clone()
    }

    /// The topics that exist, in the order of their names. Others are forgotten once nobody has their handle: a log may be
    /// open, and count, a moment before whoever asks here sees its topic.
    pub fn retain(&self, exists: impl Fn(TopicId) -> bool) -> Vec<Arc<TopicNumbers>> {
        let mut all = self.all();
        all.retain(|id, numbers| exists(*id) || Arc::strong_count(numbers) > 1);
        let there = all.iter().filter(|(id, _)| exists(**id));
        let mut found: Vec<Arc<TopicNumbers>> = there.map(|(_, numbers)| numbers.clone()).collect();
        drop(all);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// Held for as long as a topic is looked up.
    fn all(&self) -> MutexGuard<'_, BTreeMap<TopicId, Arc<TopicNumbers>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_one_set_of_numbers_whoever_asks_until_it_is_gone() {
        let topics = Topics::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        topics.of(TopicId(2), &a).bytes_in.add(3);
        topics.of(TopicId(3), &b).bytes_in.add(5);
        let elsewhere = std::thread::scope(|scope| {
            let asked = scope.spawn(|| topics.of(TopicId(2), &a).bytes_in.get());
            asked.join().unwrap()
        });
        assert_eq!(elsewhere, 3);
        assert_eq!(Topics::default().of(TopicId(2), &a).bytes_in.get(), 0, "another broker's are others");
        let left = topics.retain(|id| id == TopicId(3));
        assert_eq!(left.iter().map(|numbers| (&*numbers.name, numbers.bytes_in.get())).collect::<Vec<_>>(), [("b", 5)]);
        topics.of(TopicId(2), &a).bytes_in.add(1);
        let both = topics.retain(|_| true);
        assert_eq!(both[0].bytes_in.get(), 4, "who has the handle of a topic that is not seen yet counts on the same");
        drop((left, both));
        CACHE.with_borrow_mut(HashMap::clear);
        assert_eq!((topics.retain(|_| false).len(), topics.all().len()), (0, 0), "nobody has a handle");
    }

    #[test]
    fn what_a_thread_remembers_is_bounded() {
        let topics = Topics::default();
        let name: Arc<str> = "t".into();
        for id in 0..2 * CACHED as u128 + 10 {
            topics.of(TopicId(id), &name);
        }
        CACHE.with_borrow(|cache| assert!(cache.len() <= CACHED));
        assert_eq!(topics.retain(|_| true).len(), 2 * CACHED + 10);
    }
}
