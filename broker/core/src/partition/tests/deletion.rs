//! DeleteRecords.

use super::*;

fn filled() -> Bench {
    let mut bench = Bench::new();
    bench.produce(1, plain(5), Acks::All);
    bench.flush(5);
    bench.produce(2, plain(5), Acks::All);
    bench.other.clear();
    bench
}

fn delete(bench: &mut Bench, token: u64, before: Option<Offset>) {
    bench.ask(token, PartitionRequest::DeleteRecords { before });
}

/// Up to where the shell is asked to delete.
fn asked(bench: &mut Bench) -> Vec<Offset> {
    let deletion = |effect: Effect| match effect {
        Effect::DeleteRecords { before, .. } => Some(before),
        _ => None,
    };
    std::mem::take(&mut bench.other).into_iter().filter_map(deletion).collect()
}

#[test]
fn records_below_the_high_watermark_may_be_deleted() {
    let mut bench = filled();
    delete(&mut bench, 3, Some(4));
    delete(&mut bench, 4, None);
    assert_eq!(asked(&mut bench), [4, 5], "nothing stands for the high watermark");
    delete(&mut bench, 5, Some(6));
    assert_eq!(bench.refusal(5), Refusal::OffsetOutOfRange, "it is not committed");
    delete(&mut bench, 6, Some(-2));
    assert_eq!(bench.refusal(6), Refusal::OffsetOutOfRange);
    assert!(asked(&mut bench).is_empty());
}

#[test]
fn what_is_deleted_already_is_answered_at_once() {
    let mut bench = filled();
    bench.event(Event::Trimmed { log_start: 3 });
    for (token, before) in [(3, 0), (4, 3)] {
        delete(&mut bench, token, Some(before));
        let reply = bench.reply(token).unwrap().unwrap();
        assert!(matches!(reply, PartitionReply::RecordsDeleted { low_watermark: 3 }), "{reply:?}");
    }
    assert!(asked(&mut bench).is_empty());
}

#[test]
fn a_policy_without_delete_an_internal_topic_and_a_failed_log_refuse() {
    let mut bench = filled();
    let policy = |value: &str| BTreeMap::from([("cleanup.policy".to_owned(), value.to_owned())]);
    bench.partition.configure(&policy("compact"));
    delete(&mut bench, 3, Some(1));
    assert!(matches!(bench.refusal(3), Refusal::PolicyViolation(_)));
    bench.partition.configure(&policy("compact,delete"));
    delete(&mut bench, 4, Some(1));
    assert_eq!(asked(&mut bench), [1]);
    bench.event(Event::StorageFailed { message: "EIO".to_owned() });
    delete(&mut bench, 5, Some(1));
    assert!(matches!(bench.refusal(5), Refusal::Storage(_)));
    let mut internal = Bench::open("__consumer_offsets", CoreConfig::default(), RecoveredLog::default());
    delete(&mut internal, 6, None);
    assert!(matches!(internal.refusal(6), Refusal::InvalidTopicName(_)));
}
