//! Waiting until every append is decided and durable.

use super::*;
use crate::event::TransactionReply;

fn settled(bench: &mut Bench, token: u64) -> Option<Offset> {
    match bench.reply(token)? {
        Ok(PartitionReply::Described { watermarks, .. }) => Some(watermarks.log_end),
        other => panic!("it was answered with {other:?}"),
    }
}

fn question(bench: &mut Bench) -> u64 {
    match bench.sent.remove(0).event {
        Event::Ask { reply_to: ReplyTo::Part(_, question), .. } => question,
        other => panic!("no question: {other:?}"),
    }
}

fn answer(bench: &mut Bench, question: u64, answer: Result<TransactionReply, Refusal>) {
    bench.event(Event::Answer { question, reply: Reply::Transaction(answer) });
}

#[test]
fn a_quiet_partition_has_settled() {
    let mut bench = Bench::new();
    bench.ask(1, PartitionRequest::Settle);
    assert_eq!(settled(&mut bench, 1), Some(0));
}

#[test]
fn it_waits_for_what_is_written_to_be_durable() {
    let mut bench = Bench::new();
    bench.produce(1, plain(3), Acks::Leader);
    bench.ask(2, PartitionRequest::Settle);
    bench.flush(2);
    assert_eq!(settled(&mut bench, 2), None);
    bench.flush(3);
    assert_eq!(settled(&mut bench, 2), Some(3));
}

#[test]
fn it_waits_for_appends_whose_transaction_is_in_question() {
    for (verified, end) in [(Ok(TransactionReply::Done), 3), (Err(Refusal::TransactionNotEnlisted), 0)] {
        let mut bench = Bench::new();
        bench.produce(1, transactional(7, 0, 0, 2), Acks::Leader);
        bench.produce(2, transactional(7, 0, 2, 1), Acks::Leader);
        bench.ask(3, PartitionRequest::Settle);
        assert_eq!(settled(&mut bench, 3), None);
        let asked = question(&mut bench);
        answer(&mut bench, asked, verified);
        if end > 0 {
            assert_eq!(settled(&mut bench, 3), None, "written, not durable");
            bench.flush(end);
        }
        assert_eq!(settled(&mut bench, 3), Some(end));
    }
}

#[test]
fn a_second_question_is_waited_for_too() {
    let mut bench = Bench::new();
    bench.produce(1, transactional(7, 0, 0, 1), Acks::Leader);
    bench.produce(2, transactional(7, 1, 0, 1), Acks::Leader);
    bench.ask(3, PartitionRequest::Settle);
    let asked = question(&mut bench);
    answer(&mut bench, asked, Err(Refusal::InvalidProducerEpoch));
    assert_eq!(settled(&mut bench, 3), None, "what waited in another epoch has a question of its own");
    let asked = question(&mut bench);
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    bench.flush(1);
    assert_eq!(settled(&mut bench, 3), Some(1));
}

#[test]
fn nobody_waits_after_a_cancellation_a_failure_or_the_end() {
    let mut bench = Bench::new();
    bench.produce(1, plain(1), Acks::Leader);
    bench.ask(2, PartitionRequest::Settle);
    bench.event(Event::Cancelled(Token(2)));
    bench.ask(3, PartitionRequest::Settle);
    bench.event(Event::StorageFailed { message: "EIO".to_owned() });
    assert!(bench.reply(2).is_none());
    assert_eq!(bench.refusal(3), Refusal::Storage("EIO".to_owned()));
    bench.ask(4, PartitionRequest::Settle);
    assert_eq!(bench.refusal(4), Refusal::Storage("EIO".to_owned()), "its log end may not be there after a restart");

    let mut bench = Bench::new();
    bench.produce(1, plain(1), Acks::Leader);
    bench.ask(2, PartitionRequest::Settle);
    let mut effects = Vec::new();
    bench.partition.close(&mut effects);
    let refused = |effect: &Effect| {
        let refusal = Reply::Partition(Err(Refusal::UnknownTopicOrPartition));
        matches!(effect, Effect::Reply { token: Token(2), reply } if format!("{reply:?}") == format!("{refusal:?}"))
    };
    assert!(effects.iter().any(refused), "{effects:?}");
}

#[test]
fn only_so_many_wait() {
    let mut bench = Bench::new();
    bench.produce(0, plain(1), Acks::Leader);
    for token in 1..=MAX_SETTLING as u64 + 1 {
        bench.ask(token, PartitionRequest::Settle);
    }
    assert_eq!(bench.refusal(MAX_SETTLING as u64 + 1), Refusal::RequestTimedOut);
    bench.flush(1);
    assert_eq!(settled(&mut bench, MAX_SETTLING as u64), Some(1));
}
