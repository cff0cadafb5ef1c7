use super::*;
use pelton_core::model::TopicId;
use pelton_log::compaction::CompactionConfig;
use pelton_log::compaction::plan::SealedSegment;
use std::path::PathBuf;

fn dirty(directory: &std::path::Path, topic: &str, len_bytes: u64) -> Candidate {
    let segment =
        SealedSegment { base_offset: 0, end_offset: 10, len_bytes, first_timestamp: Some(0), max_timestamp: 0 };
    Candidate {
        partition: TopicPartition::new(topic, 0),
        topic_id: TopicId(1),
        generation: 1,
        directory: directory.to_owned(),
        log_start: 0,
        stable_end: 10,
        sealed: vec![segment],
        config: CompactionConfig::default(),
        file_delete_delay_ms: 0,
    }
}

#[test]
fn no_two_threads_are_at_one_log_and_one_that_failed_is_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let logs = [dirty(temporary.path(), "t", 100), dirty(temporary.path(), "u", 100)];
    let (mailbox, over) = (ShardMailbox::new(), Arc::new(AtomicBool::new(false)));
    let shard = std::thread::spawn({
        let (mailbox, over, logs) = (mailbox.clone(), over.clone(), logs.clone());
        move || {
            while !over.load(Ordering::Acquire) {
                if let Some(Letter::Cleaner(CleanerLetter::Candidates { answer })) = mailbox.take_first() {
                    answer.send(logs.to_vec()).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let work = Work {
        config: Mutex::default(),
        threads: 2,
        shards: vec![mailbox],
        stopping: AtomicBool::new(false),
        choice: Mutex::default(),
        throttle: Mutex::new(Throttle::new(None)),
        started: Instant::now(),
        metrics: Arc::default(),
        remover: Remover::start().unwrap().0,
    };
    let choose =
        || work.choose(1).map(|chosen| chosen.map(|(log, _)| log.partition)).unwrap_or_else(|Stopping| panic!());
    let (first, second) = (choose().unwrap(), choose().unwrap());
    assert_ne!(first, second);
    assert_eq!(choose(), None, "both are taken");
    work.choice().taken.remove(&second);
    assert_eq!(choose(), Some(second.clone()));
    work.choice().taken.clear();
    let failed = logs.iter().find(|log| log.partition == first).unwrap();
    let io = std::io::Error::other("the disk");
    work.give_up(failed, &LogError::Io { action: "read", path: PathBuf::from("x"), source: io });
    assert_eq!(choose(), Some(second));
    assert_eq!(choose(), None);
    over.store(true, Ordering::Release);
    shard.join().unwrap();
}
