//! Records on their way in.

use super::super::client::*;
use super::double::*;
use crate::hooks::Client as From;
use kafka_protocol::messages::*;
use pelton_api::hooks::Sent;
use pelton_core::event::{Acks, IncomingBatch};
use pelton_core::model::TopicPartition;
use pelton_record::BatchHeader;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const NOT_ENOUGH_REPLICAS: i16 = 19;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
const INVALID_RECORD: i16 = 87;

async fn producer_id(client: &mut Client) -> (i64, i16) {
    let given = client.call(4, &idempotent()).await;
    (given.producer_id.0, given.producer_epoch)
}

#[tokio::test]
async fn records_are_changed_and_taken_away_and_sequences_go_on() {
    let temporary = tempfile::tempdir().unwrap();
    let filter = Double::new("filter").on_send(|from, batch| {
        assert_eq!((&*from.principal, &*from.client_id, &*from.topic), ("User:ANONYMOUS", "test", "t"));
        assert_eq!(&*from.client_address, "/127.0.0.1");
        pass(Some(rewritten(batch, |value| (!value.starts_with('x')).then(|| value.to_uppercase()))))
    });
    let (broker, mut client) = hooked(temporary.path(), filter).await;
    let producer = producer_id(&mut client).await;
    let first = client.produce("t", 0, producer_batch(&["a", "x", "b"], producer, 0, false)).await;
    assert_eq!((first.error_code, first.base_offset), (0, 0));
    let all_gone = client.produce("t", 0, producer_batch(&["x", "x"], producer, 3, false)).await;
    assert_eq!((all_gone.error_code, all_gone.base_offset), (0, 3));
    let after = client.produce("t", 0, producer_batch(&["c"], producer, 5, false)).await;
    assert_eq!((after.error_code, after.base_offset), (0, 5));
    let again = client.produce("t", 0, producer_batch(&["x", "x"], producer, 3, false)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 3), "a repetition is known as one");
    let fetched = client.fetch("t", 0, 0, 0).await;
    assert_eq!(values(&fetched.records), ["A", "B", "C"]);
    assert_eq!(fetched.high_watermark, 6);
    // Another partition and another topic are not disturbed.
    client.create("plain", 1).await;
    client.produce("plain", 0, batch(&["x"])).await;
    assert_eq!(values(&client.fetch("plain", 0, 0, 0).await.records), ["x"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_refusal_names_the_records_and_nothing_is_appended() {
    let temporary = tempfile::tempdir().unwrap();
    let strict = Double::new("strict").on_send(|_, _| Sent::Refuse {
        message: "strict@1: 1 record is not valid".to_owned(),
        records: vec![(1, "no name".to_owned())],
    });
    let (broker, mut client) = hooked(temporary.path(), strict).await;
    let refused = client.produce("t", 0, batch(&["a", "b"])).await;
    assert_eq!((refused.error_code, refused.base_offset), (INVALID_RECORD, -1));
    assert!(refused.error_message.unwrap().contains("strict@1"));
    assert_eq!(refused.record_errors.len(), 1);
    assert_eq!(refused.record_errors[0].batch_index, 1);
    assert_eq!(refused.record_errors[0].batch_index_error_message, Some(text("no name")));
    let old = client.call(7, &produce("t", 0, batch(&["a"]), None)).await;
    let old = &old.responses[0].partition_responses[0];
    assert_eq!((old.error_code, old.record_errors.len()), (INVALID_RECORD, 0));
    assert_eq!(client.fetch("t", 0, 0, 0).await.high_watermark, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_plugin_that_fails_makes_the_producer_send_again() {
    let temporary = tempfile::tempdir().unwrap();
    let tries = AtomicI32::new(0);
    let flaky = Double::new("flaky").on_send(move |_, _| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => Sent::Unavailable { message: "flaky@1 trapped".to_owned() },
        1 => panic!("on purpose"),
        _ => pass(None),
    });
    let (broker, mut client) = hooked(temporary.path(), flaky).await;
    let failed = client.produce("t", 0, batch(&["a"])).await;
    assert_eq!(failed.error_code, NOT_ENOUGH_REPLICAS);
    assert!(failed.error_message.unwrap().contains("flaky@1"));
    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, NOT_ENOUGH_REPLICAS, "a panic");
    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, 0);
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_plugin_cannot_take_a_batch_away_from_its_producer() {
    let temporary = tempfile::tempdir().unwrap();
    let thief = Double::new("thief").on_send(|_, _| pass(Some(producer_batch(&["mine"], (99, 0), 0, false))));
    let (broker, mut client) = hooked(temporary.path(), thief).await;
    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, NOT_ENOUGH_REPLICAS);
    assert_eq!(client.fetch("t", 0, 0, 0).await.high_watermark, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_clients_own_batch_keeps_the_rules_before_any_plugin_sees_it() {
    let temporary = tempfile::tempdir().unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let seen = called.clone();
    let plugin = Double::new("p").on_send(move |_, batch| {
        seen.store(true, Ordering::Relaxed);
        pass(Some(rewritten(batch, |value| Some(value.to_owned()))))
    });
    let (broker, mut client) = hooked(temporary.path(), plugin).await;
    let gap = rewritten(&batch(&["a", "b"]), |value| (value == "a").then(|| value.to_owned()));
    assert_eq!(client.produce("t", 0, gap).await.error_code, INVALID_RECORD);
    assert!(!called.load(Ordering::Relaxed));
    let long = "x".repeat(2_000_000);
    assert_eq!(client.produce("t", 0, batch(&[&long])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    broker.stop().await;
}

#[tokio::test]
async fn what_a_plugin_makes_too_large_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let swell = Double::new("swell").on_send(|_, batch| pass(Some(rewritten(batch, |_| Some("x".repeat(2_000_000))))));
    let (broker, mut client) = hooked(temporary.path(), swell).await;
    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    broker.stop().await;
}

#[tokio::test]
async fn batches_go_one_by_one_where_a_plugin_keeps_state() {
    let temporary = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let (sends, outcomes) = (events.clone(), events.clone());
    let stateful = Double::new("stateful")
        .on_send(move |_, batch| {
            let header = BatchHeader::parse(batch).unwrap();
            sends.lock().unwrap().push(format!("send {}", header.base_sequence));
            match header.base_sequence {
                2 => Sent::Unavailable { message: "stateful@1 trapped".to_owned() },
                _ => pass(None),
            }
        })
        .sent(move |partition, appended| outcomes.lock().unwrap().push(format!("sent {partition} {appended}")));
    let (broker, mut client) = hooked(temporary.path(), stateful).await;
    let producer = producer_id(&mut client).await;
    // In flight together: 0, 1, 1 again, and 2, which fails.
    let mut ids = Vec::new();
    for sequence in [0, 1, 1, 2] {
        let batch = producer_batch(&["v"], producer, sequence, false);
        ids.push(client.send(9, &produce("t", 1, batch, None)).await);
    }
    let mut answers = Vec::new();
    for id in ids {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        let answer = &answer.responses[0].partition_responses[0];
        answers.push((answer.error_code, answer.base_offset));
    }
    assert_eq!(answers, [(0, 0), (0, 1), (0, 1), (NOT_ENOUGH_REPLICAS, -1)]);
    let expected =
        ["send 0", "sent 1 true", "send 1", "sent 1 true", "send 1", "sent 1 false", "send 2", "sent 1 false"];
    assert_eq!(*events.lock().unwrap(), expected, "a repetition was not appended");
    broker.stop().await;
}

#[tokio::test]
async fn the_answer_waits_for_what_plugins_emit() {
    let temporary = tempfile::tempdir().unwrap();
    let audit = Double::new("audit")
        .on_send(|from, _| Sent::Pass {
            changed: None,
            emitted: vec![emission("sent-audit", &format!("{} sent", from.client_id))],
        })
        .on_acknowledgement(|_, acknowledged| {
            let told =
                format!("{} {} {}", acknowledged.base_offset, acknowledged.record_count, acknowledged.error.is_some());
            vec![emission("ack-audit", &told)]
        });
    let (broker, mut client) = hooked(temporary.path(), audit).await;
    let failed = client.produce("t", 1, batch(&["a", "b"])).await;
    assert_eq!(failed.error_code, NOT_ENOUGH_REPLICAS);
    assert!(failed.error_message.unwrap().contains("sent-audit"));
    assert_eq!(client.fetch("t", 1, 0, 0).await.high_watermark, 0, "nothing was appended");
    client.create("sent-audit", 1).await;
    let failed = client.produce("t", 1, batch(&["a", "b"])).await;
    assert_eq!(failed.error_code, NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_eq!(client.fetch("t", 1, 0, 0).await.high_watermark, 2);
    client.create("ack-audit", 3).await;
    assert_eq!(client.produce("t", 1, batch(&["c"])).await.error_code, 0);
    assert_eq!(values(&client.fetch("sent-audit", 0, 0, 0).await.records), ["test sent", "test sent"]);
    assert_eq!(values(&client.fetch("ack-audit", 1, 0, 0).await.records), ["2 1 false"], "the origin's partition");
    let refused = client.produce("t", 1, batch(&[&"x".repeat(2_000_000)])).await;
    assert_eq!(refused.error_code, 10, "MESSAGE_TOO_LARGE");
    assert_eq!(values(&client.fetch("ack-audit", 1, 0, 0).await.records), ["2 1 false", "-1 1 true"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_plugin_that_only_hears_of_acknowledgements_is_told_of_all_of_them() {
    let temporary = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let listener = Double::new("listener").on_acknowledgement(move |_, acknowledged| {
        hears.lock().unwrap().push(acknowledged.base_offset);
        Vec::new()
    });
    let (broker, mut client) = hooked(temporary.path(), listener).await;
    for offset in 0..5 {
        assert_eq!(client.produce("t", 0, batch(&["v"])).await.base_offset, offset);
    }
    assert_eq!(*heard.lock().unwrap(), [0, 1, 2, 3, 4]);
    broker.stop().await;
}

#[tokio::test]
async fn batches_without_acknowledgement_keep_their_order() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, mut client) = hooked(temporary.path(), marker("m")).await;
    for number in 0..20 {
        let request = produce("t", 0, batch(&[&number.to_string()]), None).with_acks(-i16::from(number % 2 == 1));
        let id = client.send(9, &request).await;
        if number % 2 == 1 {
            let answer = client.receive::<ProduceRequest>(9, id).await;
            assert_eq!(answer.responses[0].partition_responses[0].base_offset, number);
        }
    }
    let expected: Vec<String> = (0..20).map(|number| format!("{number}:m")).collect();
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), expected);
    broker.stop().await;
}

#[tokio::test]
async fn a_refused_batch_without_acknowledgement_costs_the_connection() {
    let temporary = tempfile::tempdir().unwrap();
    let strict =
        Double::new("strict").on_send(|_, _| Sent::Refuse { message: "never".to_owned(), records: Vec::new() });
    let (broker, mut client) = hooked(temporary.path(), strict).await;
    client.send(9, &produce("t", 0, batch(&["v"]), None).with_acks(0)).await;
    assert!(client.frame().await.is_none());
    broker.stop().await;
}

#[tokio::test]
async fn the_broker_stamps_what_the_plugins_have_changed() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("m")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    let made = client.create_with("t", 1, &[("message.timestamp.type", "LogAppendTime"), (CHAIN, "m")]).await;
    assert_eq!(made.error_code, 0);
    let stored = client.produce("t", 0, batch(&["v"])).await;
    assert_eq!(stored.error_code, 0);
    let records = client.fetch("t", 0, 0, 0).await.records;
    assert_eq!(values(&records), ["v:m"]);
    let header = BatchHeader::parse(&records.unwrap()).unwrap();
    assert_eq!(header.max_timestamp, stored.log_append_time_ms);
    let [switch] = &broker.switches("t")[..] else { panic!("one switch, at the topic's creation") };
    assert_eq!((switch.offsets.as_slice(), switch.identity.as_str()), (&[0][..], "m"));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_plugin_does_not_delay_another_topic() {
    let temporary = tempfile::tempdir().unwrap();
    let (slow, entered) = blocked("slow");
    let doubles = Doubles::of([slow, marker("m")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("slow", 8).await;
    client.create("brisk", 1).await;
    attach(&broker, "slow", Some("slow")).await;
    attach(&broker, "brisk", Some("m")).await;
    // Whoever lives here already is known to be brisk.
    assert_eq!(client.produce("brisk", 0, batch(&["v"])).await.base_offset, 0);
    let mut ids = Vec::new();
    for partition in 0..8 {
        ids.push(client.send(9, &produce("slow", partition, batch(&["v"]), None)).await);
    }
    let inside = entered.recv_timeout(LONG).unwrap();
    // A guest hangs, and more wait for it; the neighbour is served, more than once.
    let mut neighbour = Client::connect(&broker).await;
    for offset in 1..6 {
        assert_eq!(neighbour.produce("brisk", 0, batch(&["v"])).await.base_offset, offset);
    }
    drop(inside);
    let letting_go = let_all_go(entered);
    for id in ids {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    broker.stop().await;
    drop((client, neighbour, broker, doubles));
    letting_go.join().unwrap();
}

/// What is swift for long runs on the thread that brings it; what does not get ready there runs on a guest thread, once, in
/// its place in the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_swift_plugin_runs_where_the_batch_is_until_it_is_late() {
    let temporary = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, counted_elsewhere) = (here.clone(), elsewhere.clone());
    let plugin = Double::new("p")
        .on_send(move |_, batch| {
            counted_elsewhere.fetch_add(1, Ordering::Relaxed);
            pass(Some(rewritten(batch, |value| Some(format!("{value}!")))))
        })
        .on_send_within(move |batch| {
            let late = values(&Some(batch.clone()))[0] == "late";
            counted.fetch_add(usize::from(!late), Ordering::Relaxed);
            (!late).then(|| pass(Some(rewritten(batch, |value| Some(format!("{value}."))))))
        });
    let (broker, mut client) = hooked(temporary.path(), plugin).await;
    let mut sent = 0;
    // A thread that the machine kept waiting is not trusted any more, whatever the plugin did; so this may need another try.
    for _ in 0..100 {
        let trusted = here.load(Ordering::Relaxed) + 3;
        while here.load(Ordering::Relaxed) < trusted {
            assert!(sent < 10_000, "it was never trusted");
            client.produce("t", 0, batch(&["v"])).await;
            sent += 1;
        }
        assert_eq!(elsewhere.load(Ordering::Relaxed) + here.load(Ordering::Relaxed), sent, "each batch was seen once");
        // All at once: what follows the late one must not overtake it.
        let mut ids = Vec::new();
        for value in ["first", "late", "next", "last"] {
            ids.push(client.send(9, &produce("t", 0, batch(&[value]), None)).await);
        }
        for id in ids {
            let answer = client.receive::<ProduceRequest>(9, id).await;
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        }
        let read = values(&client.fetch("t", 0, sent as i64, 0).await.records);
        sent += 4;
        let order: Vec<&str> = read.iter().map(|value| &value[..value.len() - 1]).collect();
        assert_eq!(order, ["first", "late", "next", "last"]);
        if read[0] == "first." {
            assert_eq!(read[1..], ["late!", "next!", "last!"], "once late, it is not trusted for a while");
            return broker.stop().await;
        }
    }
    panic!("it was never trusted for two batches in a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_no_lane_stuck() {
    let temporary = tempfile::tempdir().unwrap();
    let (slow, entered) = blocked("slow");
    let (broker, mut gone) = hooked(temporary.path(), slow).await;
    gone.send(9, &produce("t", 0, batch(&["first"]), None)).await;
    let inside = entered.recv_timeout(LONG).unwrap();
    gone.send(9, &produce("t", 0, batch(&["perhaps"]), None)).await;
    drop(gone);
    let mut client = Client::connect(&broker).await;
    let id = client.send(9, &produce("t", 0, batch(&["last"]), None)).await;
    drop(inside);
    let letting_go = let_all_go(entered);
    let answer = client.receive::<ProduceRequest>(9, id).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    // Whether the broker has read the second batch before it saw the client go is nobody's promise.
    let read = values(&client.fetch("t", 0, 0, 0).await.records);
    assert!(read[0] == "first" && read.contains(&"last".to_owned()), "{read:?}");
    broker.stop().await;
    drop((client, broker));
    letting_go.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_not_done_in_time_is_answered_and_appended_later() {
    let temporary = tempfile::tempdir().unwrap();
    let (slow, entered) = blocked("slow");
    let (broker, mut client) = hooked(temporary.path(), slow).await;
    let late = client.call(9, &produce("t", 0, batch(&["late"]), None).with_timeout_ms(1)).await;
    assert_eq!(late.responses[0].partition_responses[0].error_code, 7, "REQUEST_TIMED_OUT");
    drop(entered.recv_timeout(LONG).unwrap());
    let id = client.send(9, &produce("t", 0, batch(&["next"]), None)).await;
    drop(entered.recv_timeout(LONG).unwrap());
    client.receive::<ProduceRequest>(9, id).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["late", "next"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_job_of_this_process_passes_the_same_hooks_in_the_order_of_its_calls() {
    let temporary = tempfile::tempdir().unwrap();
    let (broker, mut client) = hooked(temporary.path(), marker("m")).await;
    let append = |value: &str| {
        let bytes = batch(&[value]);
        let batch = IncomingBatch { header: BatchHeader::parse(&bytes).unwrap(), bytes };
        let from =
            From { principal: "Job:count".into(), client_id: "count".into(), client_address: "/127.0.0.1".into() };
        broker.append(from, TopicPartition::new("t", 0), batch, Acks::All, None)
    };
    let (first, second) = (append("first"), append("second"));
    assert_eq!(second.await.unwrap().base_offset, 1);
    assert_eq!(first.await.unwrap().base_offset, 0);
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["first:m", "second:m"]);
    broker.stop().await;
}
