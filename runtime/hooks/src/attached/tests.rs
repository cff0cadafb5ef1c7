use crate::double::{
    Double, House, Row, answer, batch, compressed, emitting, origin, rejecting, rows, values, wants, with_values,
};
use crate::library::Event;
use crate::report::HookReport;
use crate::{Options, breaker::BreakerState};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Acknowledgement, Commit, Consumed, Emission, Sent, TopicHooks};
use pelton_api::interceptor::{Answered, Call, Change, Hook, Parts, Reuse, Wants};
use pelton_record::{BatchHeader, BatchView, Codec};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEND: [Hook; 1] = [Hook::OnSend];
const CONSUME: [Hook; 1] = [Hook::OnConsume];
const BOTH: [Hook; 2] = [Hook::OnSend, Hook::OnConsume];

fn passed(sent: Sent) -> (Option<Bytes>, Vec<Emission>) {
    match sent {
        Sent::Pass { changed, emitted } => (changed, emitted),
        other => panic!("{other:?}"),
    }
}

fn refused(sent: Sent) -> (String, Vec<(i32, String)>) {
    match sent {
        Sent::Refuse { message, records } => (message, records),
        other => panic!("{other:?}"),
    }
}

fn unavailable(sent: &Sent) -> &str {
    match sent {
        Sent::Unavailable { message } => message,
        other => panic!("{other:?}"),
    }
}

fn upper() -> Double {
    let act = |batch: &Bytes| answer(Change::Replace(with_values(batch, |_, value| Some(value.to_ascii_uppercase()))));
    Double::on_batch(wants(&BOTH), act)
}

fn without_first() -> Double {
    Double::on_batch(wants(&BOTH), |batch| answer(Change::Drop(rows(batch)[..1].iter().map(|row| row.0).collect())))
}

fn trap() -> Double {
    Double::on_batch(wants(&BOTH), |_| Err(Fault::Trap("unreachable".into())))
}

/// Refuses records with the value `bad`.
fn strict() -> Double {
    Double::on_batch(wants(&BOTH), |batch| {
        let bad = rows(batch).into_iter().filter(|row| row.3.as_deref() == Some(b"bad")).map(|row| row.0);
        Ok(rejecting(&bad.collect::<Vec<_>>()))
    })
}

fn in_log(batch: &Bytes, base_offset: i64) -> Bytes {
    let mut batch = batch.to_vec();
    pelton_record::patch_offset_and_epoch(&mut batch, base_offset, 4);
    batch.into()
}

fn letter_headers(row: &Row) -> Vec<(String, String)> {
    let text = |value: &Option<Bytes>| String::from_utf8(value.clone().unwrap().into()).unwrap();
    row.4.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

#[test]
fn links_see_what_the_one_before_them_left() {
    let house = House::new();
    house.shelve("upper@1", upper()).shelve("cut@1", without_first());
    let hooks = house.attach(&[("pelton.interceptors", "cut@1,upper@1")]);
    for codec in [Codec::None, Codec::Zstd] {
        let came = compressed(&batch(&["a", "b", "c"]), codec);
        let (changed, emitted) = passed(hooks.on_send(&origin(0), &came));
        let changed = changed.unwrap();
        BatchView::parse(&changed).unwrap().verify_crc().unwrap();
        assert_eq!((values(&changed), emitted), (vec!["B".to_owned(), "C".to_owned()], Vec::new()));
        let (before, after) = (BatchHeader::parse(&came).unwrap(), BatchHeader::parse(&changed).unwrap());
        let (batch_length, crc, record_count) = (after.batch_length, after.crc, 2);
        assert_eq!(after, BatchHeader { batch_length, crc, record_count, ..before });
    }
    let report = house.chains.report("orders").unwrap();
    let cut = report.interceptors[0].hooks.iter().find(|hook| hook.hook == Hook::OnSend).unwrap();
    let HookReport { calls, records, changed, dropped, .. } = *cut;
    assert_eq!((calls, records, changed, dropped), (2, 6, 2, 2));
    assert_eq!(report.interceptors[1].hooks[0].records, 4);
}

#[test]
fn an_observer_costs_no_copy() {
    let house = House::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    house.shelve(
        "see@1",
        Double::on_batch(wants(&BOTH), move |batch| {
            see.lock().unwrap().push(batch.as_ptr() as usize);
            Ok(Answered::default())
        }),
    );
    let hooks = house.attach(&[("pelton.interceptors", "see@1")]);
    let came = batch(&["a"]);
    assert_eq!(hooks.on_send(&origin(0), &came), Sent::Pass { changed: None, emitted: Vec::new() });
    let out = hooks.on_consume(&origin(0), &came).unwrap().records;
    assert_eq!(*seen.lock().unwrap(), [came.as_ptr() as usize; 2]);
    assert_eq!(out.as_ptr(), came.as_ptr());
}

#[test]
fn all_records_may_go_and_the_batch_keeps_its_place() {
    let house = House::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    house.shelve("none@1", Double::on_batch(wants(&SEND), |_| answer(Change::Replace(Bytes::new()))));
    house.shelve(
        "after@1",
        Double::on_batch(wants(&SEND), move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Answered::default())
        }),
    );
    let hooks = house.attach(&[("pelton.interceptors", "none@1,after@1")]);
    let came = compressed(&batch(&["a", "b"]), Codec::Lz4);
    let changed = passed(hooks.on_send(&origin(0), &came)).0.unwrap();
    let header = BatchHeader::parse(&changed).unwrap();
    assert_eq!((header.record_count, header.last_offset_delta, header.base_sequence), (0, 1, 500));
    assert_eq!(calls.load(Ordering::Relaxed), 0, "there is nothing to show to the links after it");
}

#[test]
fn faults_end_as_the_topic_says() {
    let house = House::new();
    house.shelve("trap@1", trap()).shelve("upper@1", upper());
    house.shelve("error@1", Double::on_batch(wants(&SEND), |_| Err(Fault::Refused("not today".into()))));
    house.shelve("liar@1", Double::on_batch(Wants { drops: false, ..wants(&SEND) }, |_| answer(Change::Drop(vec![0]))));
    let came = batch(&["a", "b"]);
    let send = |configs: &[(&str, &str)]| house.attach(configs).on_send(&origin(2), &came);

    let trapped = send(&[("pelton.interceptors", "upper@1,trap@1")]);
    assert!(unavailable(&trapped).starts_with("trap@1 (on-send): the plugin trapped"), "{trapped:?}");
    let (message, records) = refused(send(&[("pelton.interceptors", "error@1")]));
    assert!(message.contains("not today") && records.is_empty());
    assert!(unavailable(&send(&[("pelton.interceptors", "liar@1")])).contains("`drops`"));

    let skip = [("pelton.interceptors", "trap@1,upper@1,liar@1"), ("pelton.interceptors.on.error", "skip")];
    assert_eq!(values(&passed(send(&skip)).0.unwrap()), ["A", "B"]);

    let aside = [("pelton.interceptors", "upper@1,trap@1"), ("pelton.interceptors.on.error", "dead-letter")];
    let (changed, emitted) = passed(send(&aside));
    assert_eq!(BatchHeader::parse(&changed.unwrap()).unwrap().record_count, 0);
    assert_eq!((emitted.len(), &*emitted[0].topic), (1, "orders-dead-letter"));
    let letters = rows(&emitted[0].batch);
    assert_eq!(values(&emitted[0].batch), ["a", "b"], "letters are as the records came");
    assert_eq!((letters[1].1, letters[1].2.clone().unwrap()), (1_001, Bytes::from("k1")));
    let expected = [
        ("h", "1"),
        ("pelton.reason", "the plugin trapped: unreachable"),
        ("pelton.topic", "orders"),
        ("pelton.partition", "2"),
        ("pelton.hook", "on-send"),
        ("pelton.plugin", "trap@1"),
        ("pelton.plugin.digest", "0123456789abcdef"),
        ("pelton.client.id", "app"),
        ("pelton.principal", "User:alice"),
    ];
    assert_eq!(letter_headers(&letters[1]), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn refused_records_end_as_the_topic_says() {
    let house = House::new();
    house.shelve("strict@1", strict()).shelve("cut@1", without_first());
    let came = batch(&["a", "bad", "c"]);
    let chain = ("pelton.interceptors", "cut@1,strict@1");
    let (message, records) = refused(house.attach(&[chain]).on_send(&origin(0), &came));
    assert!(message.contains("strict@1") && records == [(1, "no 1".to_owned())], "{message} {records:?}");

    let skipping = house.attach(&[chain, ("pelton.interceptors.on.error", "skip")]);
    assert_eq!(values(&passed(skipping.on_send(&origin(0), &came)).0.unwrap()), ["bad", "c"]);

    let topic = ("pelton.interceptors.dead.letter.topic", "dlq");
    let aside = house.attach(&[chain, ("pelton.interceptors.on.error", "dead-letter"), topic]);
    let (changed, emitted) = passed(aside.on_send(&origin(0), &came));
    assert_eq!(values(&changed.unwrap()), ["c"]);
    assert_eq!((emitted.len(), &*emitted[0].topic, values(&emitted[0].batch)), (1, "dlq", vec!["bad".to_owned()]));
    let headers = letter_headers(&rows(&emitted[0].batch)[0]);
    assert!(headers.contains(&("pelton.reason".into(), "no 1".into())));
    assert!(house.events().is_empty(), "to refuse a record is no fault");
}

#[test]
fn a_circuit_opens_is_tried_and_closes() {
    let house = House::new();
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let switch = broken.clone();
    house.shelve(
        "p@1",
        Double::on_batch(wants(&BOTH), move |_| match switch.load(Ordering::Relaxed) {
            true => Err(Fault::Trap("x".into())),
            false => Ok(Answered::default()),
        }),
    );
    let breaker = [("pelton.interceptors.breaker.faults", "3"), ("pelton.interceptors.breaker.pause.ms", "100")];
    let hooks = house.attach(&[("pelton.interceptors", "p@1"), breaker[0], breaker[1]]);
    let came = batch(&["a"]);
    for _ in 0..3 {
        hooks.on_send(&origin(0), &came);
    }
    let events = house.events();
    assert_eq!(events.len(), 2, "one fault is told in a second, and the opening: {events:?}");
    assert!(matches!(&events[1], Event::BreakerOpened { faults: 3, pause_ms: 100, .. }));
    assert!(unavailable(&hooks.on_send(&origin(0), &came)).contains("failed too often"));
    // Another hook has a circuit of its own, which one fault does not open.
    assert!(hooks.on_consume(&origin(0), &came).unwrap_err().contains("p@1 (on-consume)"));
    broken.store(false, Ordering::Relaxed);
    house.now_ms.store(100, Ordering::Relaxed);
    passed(hooks.on_send(&origin(0), &came));
    assert!(matches!(&house.events()[..], [Event::BreakerClosed { .. }]));
    let report = &house.chains.report("orders").unwrap().interceptors[0];
    assert_eq!((report.breaker, report.hooks[0].faults, report.hooks[0].bypassed), (BreakerState::Closed, 3, 1));
    assert_eq!(report.last_fault.as_ref().unwrap().hook, Hook::OnConsume);

    // An open circuit that lets by: as if the plugin were not there.
    broken.store(true, Ordering::Relaxed);
    let chain = [("pelton.interceptors", "p@1"), breaker[0], ("pelton.interceptors.breaker.open", "bypass")];
    let hooks = house.attach(&chain);
    let sent: Vec<_> = (0..4).map(|_| hooks.on_send(&origin(0), &came)).collect();
    assert!(sent[..3].iter().all(|sent| matches!(sent, Sent::Unavailable { .. })));
    assert_eq!(sent[3], Sent::Pass { changed: None, emitted: Vec::new() });
}

#[test]
fn who_cannot_wait_gets_an_answer_in_time_or_none_and_nothing_is_held_against_the_plugin() {
    let house = House::new();
    let slow = Arc::new(AtomicBool::new(true));
    let switch = slow.clone();
    let double = Double::on_batch(wants(&SEND), move |_| {
        if switch.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        answer(Change::Drop(vec![0]))
    });
    let made = double.made.clone();
    house.shelve("p@1", double);
    let hooks = house.attach(&[("pelton.interceptors", "p@1"), ("pelton.interceptors.breaker.faults", "1")]);
    let (came, moment) = (batch(&["a", "b"]), Duration::from_millis(1));
    let within = |batch: &Bytes| hooks.on_send_within(moment, &origin(0), batch);
    assert_eq!((within(&came), made.load(Ordering::Relaxed)), (None, 0), "to make an instance takes too long");
    assert_eq!(values(&passed(hooks.on_send(&origin(0), &came)).0.unwrap()), ["b"]);
    assert_eq!(within(&came), None, "it is late");
    let report = &house.chains.report("orders").unwrap().interceptors[0];
    assert_eq!((report.breaker, report.hooks[0].faults), (BreakerState::Closed, 0));
    assert_eq!(values(&passed(hooks.on_send(&origin(0), &came)).0.unwrap()), ["b"], "elsewhere it gets ready");
    assert_eq!(made.load(Ordering::Relaxed), 2, "one that was stopped is not entered again");
    slow.store(false, Ordering::Relaxed);
    let far = |batch: &Bytes| hooks.on_send_within(Duration::from_secs(60), &origin(0), batch);
    assert_eq!(values(&passed(far(&came).unwrap()).0.unwrap()), ["b"]);
    assert_eq!(far(&compressed(&came, Codec::Zstd)), None, "to unpack takes long");
    house.shelve("s@1", upper());
    let shadowed = house.attach(&[("pelton.interceptors", "p@1"), ("pelton.interceptors.shadow", "s@1")]);
    assert_eq!(shadowed.on_send_within(Duration::from_secs(60), &origin(0), &came), None, "a shadow sees it once");
}

#[test]
fn damaged_bytes_open_no_circuit() {
    let house = House::new();
    let read = |batch: &Bytes| match crate::form::well_formed(batch) {
        Ok(()) => Ok(Answered::default()),
        Err(error) => Err(Fault::Trap(error.to_string())),
    };
    house.shelve("p@1", Double::on_batch(wants(&BOTH), read));
    for on_error in ["reject", "skip", "dead-letter"] {
        let hooks = house.attach(&[("pelton.interceptors", "p@1"), ("pelton.interceptors.on.error", on_error)]);
        let mut damaged = batch(&["a", "b"]).to_vec();
        let at = damaged.len() - 1;
        damaged[at] = 0xff;
        damaged[pelton_record::HEADER_LEN] = 0x7f;
        let damaged = Bytes::from(damaged);
        for _ in 0..20 {
            assert!(refused(hooks.on_send(&origin(0), &damaged)).0.contains("cannot be read"));
        }
        let consumed = hooks.on_consume(&origin(0), &damaged);
        match on_error {
            "reject" => assert!(consumed.unwrap_err().contains("cannot be read")),
            "skip" => assert_eq!(consumed.unwrap().records, damaged),
            _ => {
                let Consumed { records, emitted } = consumed.unwrap();
                assert_eq!(BatchHeader::parse(&records).unwrap().record_count, 0);
                assert_eq!(rows(&emitted[0].batch)[0].3.as_ref().unwrap(), &damaged);
            }
        }
        let report = &house.chains.report("orders").unwrap().interceptors[0];
        assert_eq!((report.breaker, report.hooks[0].faults), (BreakerState::Closed, 0));
    }
    assert!(house.events().is_empty());
    let bomb = compressed(&batch(&[&"x".repeat(1 << 20)]), Codec::Zstd);
    let small = House::with(Options { decompressed_bytes: 1 << 16, ..Options::default() });
    small.shelve("p@1", Double::on_batch(wants(&BOTH), |_| panic!("nobody sees a bomb")));
    let hooks = small.attach(&[("pelton.interceptors", "p@1")]);
    assert!(refused(hooks.on_send(&origin(0), &bomb)).0.contains("larger than"));
}

#[test]
fn a_plugin_is_given_what_it_reads() {
    let house = House::new();
    let keys = Wants { reads: Parts { key: true, ..Parts::NONE }, writes: Parts::NONE, ..wants(&SEND) };
    house.shelve(
        "keys@1",
        Double::on_batch(keys, |batch| {
            assert!(rows(batch).iter().all(|row| row.2.is_some() && row.3.is_none() && row.4.is_empty()));
            answer(Change::Replace(batch.clone()))
        }),
    );
    let hooks = house.attach(&[("pelton.interceptors", "keys@1")]);
    let came = batch(&["a", "b"]);
    let changed = passed(hooks.on_send(&origin(0), &came)).0;
    assert!(changed.is_none_or(|changed| rows(&changed) == rows(&came)));
}

#[test]
fn state_stands_for_what_was_appended_and_survives_a_switch() {
    let house = House::new();
    let count = |call: Call<'_>, state: &mut dyn pelton_api::transform::StateAccess| {
        let seen = state.get(0, b"n").unwrap().map_or(0, |n| n[0]);
        if let Call::Send(_, batch) = call {
            state.put(0, b"n", Some(&[seen + 1])).unwrap();
            return answer(Change::Replace(with_values(batch, |_, _| Some(vec![b'0' + seen]))));
        }
        Ok(Answered::default())
    };
    house.shelve("n@1", Double::new(wants(&SEND), count).with_state());
    house.shelve("n@2", Double::new(wants(&SEND), count).with_state()).shelve("trap@1", trap());
    let (came, at) = (batch(&["a"]), origin(3));
    let seen = |hooks: &Arc<dyn TopicHooks>| values(&passed(hooks.on_send(&at, &came)).0.unwrap())[0].clone();
    let first = house.attach(&[("pelton.interceptors", "n@1")]);
    assert!(first.one_by_one());
    assert_eq!(seen(&first), "0");
    first.sent(3, false);
    assert_eq!(seen(&first), "0", "the batch before was not appended");
    first.sent(3, true);
    assert_eq!(seen(&first), "1");
    first.sent(3, true);
    assert_eq!(values(&passed(first.on_send(&origin(4), &came)).0.unwrap()), ["0"], "each partition has its own");
    let second = house.attach(&[("pelton.interceptors", "n@2,trap@1")]);
    drop(first);
    assert!(matches!(second.on_send(&at, &came), Sent::Unavailable { .. }));
    second.sent(3, true);
    let third = house.attach(&[("pelton.interceptors", "n@2")]);
    assert_eq!(seen(&third), "2", "a batch that a later link stopped left nothing behind");
    third.sent(3, true);
    assert!(house.chains.usage().state_bytes > 0);
    drop((second, third));
    assert_eq!(house.chains.usage().state_bytes, 0);
    assert_eq!(seen(&house.attach(&[("pelton.interceptors", "n@1")])), "0", "what is detached is forgotten");
}

#[test]
fn state_that_is_full_is_a_fault() {
    let house = House::with(Options { store_bytes: 1_000, ..Options::default() });
    let fill = |_: Call<'_>, state: &mut dyn pelton_api::transform::StateAccess| {
        // A guest may swallow the error; the call has failed all the same.
        let _ = state.put(0, b"n", Some(&[0; 2_000]));
        Ok(Answered::default())
    };
    house.shelve("n@1", Double::new(wants(&SEND), fill).with_state());
    let sent = house.attach(&[("pelton.interceptors", "n@1")]).on_send(&origin(0), &batch(&["a"]));
    assert!(unavailable(&sent).contains("limit of state"), "{sent:?}");
}

#[test]
fn observers_observe_and_their_faults_change_nothing() {
    let house = House::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let hooks = [Hook::OnAcknowledgement, Hook::OnCommit];
    let act = move |call: Call<'_>, _: &mut dyn pelton_api::transform::StateAccess| {
        tell.lock().unwrap().push(match call {
            Call::Acknowledgement(from, acknowledged) => format!("{} {}", from.partition, acknowledged.base_offset),
            Call::Commit(commit) => format!("{} {:?}", commit.group, commit.offsets),
            _ => panic!("not asked for"),
        });
        Ok(emitting("audit-log"))
    };
    house.shelve("see@1", Double::new(wants(&hooks), act.clone()));
    house.shelve("each@1", Double::new(wants(&hooks), act).with_state());
    house.shelve("trap@1", Double::new(wants(&hooks), |_, _| Err(Fault::Trap("x".into()))));
    house.shelve("drop@1", Double::new(wants(&hooks), |_, _| answer(Change::Drop(vec![0]))));
    let emits = [("pelton.plugin.see.emit", "audit-log"), ("pelton.plugin.each.emit", "audit-log")];
    let attached = house.attach(&[("pelton.interceptors", "trap@1,drop@1,see@1,each@1"), emits[0], emits[1]]);
    assert!(!attached.hooks().has(Hook::OnSend) && attached.hooks().has(Hook::OnCommit) && !attached.one_by_one());
    let acknowledged = Acknowledgement { base_offset: 9, record_count: 2, at_ms: 5, error: None };
    assert_eq!(attached.on_acknowledgement(&origin(1), &acknowledged).len(), 2);
    let commit = Commit {
        principal: "User:alice".into(),
        client_id: "app".into(),
        client_address: "/127.0.0.1".into(),
        group: "g".into(),
        member: "m".into(),
        topic: "orders".into(),
        offsets: vec![(0, 5), (1, 6)],
        transactional: false,
    };
    assert_eq!(attached.on_commit(&commit).len(), 3);
    let expected = ["1 9", "1 9", "g [(0, 5), (1, 6)]", "g [(0, 5)]", "g [(1, 6)]"];
    assert_eq!(*told.lock().unwrap(), expected);
    let report = house.chains.report("orders").unwrap();
    assert_eq!((report.interceptors[0].hooks[0].faults, report.interceptors[1].hooks[1].faults), (1, 1));
}

#[test]
fn emissions_need_a_grant() {
    let house = House::new();
    house.shelve("e@1", Double::on_batch(wants(&SEND), |_| Ok(emitting("audit-log"))));
    let granted = house.attach(&[("pelton.interceptors", "e@1"), ("pelton.plugin.e.emit", "audit-log")]);
    assert_eq!(&*passed(granted.on_send(&origin(0), &batch(&["a"]))).1[0].topic, "audit-log");
    let sent = house.attach(&[("pelton.interceptors", "e@1")]).on_send(&origin(0), &batch(&["a"]));
    assert!(unavailable(&sent).contains("not granted"));
}

#[test]
fn on_the_way_out_batches_keep_their_places() {
    let house = House::new();
    house.shelve("upper@1", upper()).shelve("strict@1", strict());
    let hooks = house.attach(&[("pelton.interceptors", "strict@1,upper@1")]);
    let control = {
        let marker = pelton_record::control_batch(pelton_record::ControlType::Commit, 77, 3, 0, 1_000);
        in_log(&Bytes::from(marker), 12)
    };
    let lots =
        [in_log(&compressed(&batch(&["a", "b"]), Codec::Snappy), 10), control.clone(), in_log(&batch(&["c"]), 13)];
    let all = Bytes::from(lots.concat());
    let out = hooks.on_consume(&origin(0), &all).unwrap().records;
    let batches: Vec<_> = pelton_record::batches(&out).map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.header().base_offset).collect::<Vec<_>>(), [10, 12, 13]);
    assert_eq!(
        (values(batches[0].bytes()), values(batches[2].bytes())),
        (vec!["A".into(), "B".into()], vec!["C".to_owned()])
    );
    assert_eq!(batches[1].bytes(), &control[..]);
    assert!(batches.iter().all(|batch| batch.verify_crc().is_ok() && batch.header().partition_leader_epoch == 4));

    // What comes before a batch that is held back is delivered; then nothing is.
    let held = in_log(&batch(&["ok", "bad"]), 14);
    let both = Bytes::from([&all[..], &held[..]].concat());
    assert_eq!(hooks.on_consume(&origin(0), &both).unwrap().records, out);
    let error = hooks.on_consume(&origin(0), &held).unwrap_err();
    assert!(error.contains("strict@1") && error.contains("offset 15"), "{error}");
    assert!(hooks.on_consume(&origin(0), &all.slice(..all.len() - 1)).is_err());

    let aside = house.attach(&[("pelton.interceptors", "strict@1"), ("pelton.interceptors.on.error", "dead-letter")]);
    let Consumed { records, emitted } = aside.on_consume(&origin(0), &held).unwrap();
    assert_eq!(values(&records), ["ok"]);
    assert!(letter_headers(&rows(&emitted[0].batch)[0]).contains(&("pelton.offset".into(), "15".into())));
}

#[test]
fn results_are_kept_for_those_they_hold_for() {
    let house = House::new();
    for (name, reuse) in [("all@1", Reuse::ForEveryone), ("own@1", Reuse::ForPrincipal), ("no@1", Reuse::Never)] {
        house.shelve(name, Double { wants: Wants { reuse, ..wants(&CONSUME) }, ..upper() });
    }
    let alice = origin(0);
    let bob = pelton_api::hooks::Origin { principal: "User:bob".into(), ..origin(0) };
    let stored = in_log(&compressed(&batch(&["a"]), Codec::Gzip), 5);
    for (chain, calls) in [("all@1", 1), ("own@1", 2), ("no@1", 6), ("all@1,own@1", 2), ("all@1,no@1", 6)] {
        let hooks = house.attach(&[("pelton.interceptors", chain)]);
        for consumer in [&alice, &bob, &alice, &bob, &alice, &bob] {
            let out = hooks.on_consume(consumer, &stored).unwrap().records;
            assert_eq!(values(&out), ["A"], "{chain}");
        }
        let report = house.chains.report("orders").unwrap();
        assert_eq!(report.interceptors[0].hooks[0].calls, calls, "{chain}");
        let never = chain.contains("no@1");
        assert_eq!((report.cache_hits, report.cache_misses), if never { (0, 0) } else { (6 - calls, calls) });
    }
    assert!(house.chains.usage().cache_bytes > 0);
}

#[test]
fn only_whole_answers_are_kept() {
    let house = House::new();
    let reuse = Wants { reuse: Reuse::ForEveryone, ..wants(&CONSUME) };
    house.shelve("trap@1", Double { wants: reuse, ..trap() });
    house.shelve("emit@1", Double::on_batch(reuse, |_| Ok(emitting("audit-log"))));
    let stored = in_log(&batch(&["a"]), 5);
    let skip = house.attach(&[("pelton.interceptors", "trap@1"), ("pelton.interceptors.on.error", "skip")]);
    let emit = house.attach(&[("pelton.interceptors", "emit@1"), ("pelton.plugin.emit.emit", "audit-log")]);
    for _ in 0..3 {
        assert_eq!(skip.on_consume(&origin(0), &stored).unwrap().records, stored);
        assert_eq!(emit.on_consume(&origin(0), &stored).unwrap().emitted.len(), 1);
    }
    assert_eq!(house.chains.usage().cache_bytes, 0);
}

#[test]
fn a_wrong_partition_is_refused_before_any_interceptor_can_hide_it() {
    let house = House::new();
    house.shelve("cut@1", without_first());
    let came = batch(&["a", "b", "c"]);
    let right: Vec<i32> =
        ["k0", "k1", "k2"].iter().map(|key| pelton_record::keyed_murmur2(key.as_bytes(), 6)).collect();
    let chain = [("pelton.interceptors", "cut@1"), ("pelton.partitioner", "murmur2")];
    let skip = ("pelton.interceptors.on.error", "skip");
    for hooks in [house.attach(&chain), house.attach(&[chain[0], chain[1], skip])] {
        let (message, records) = refused(hooks.on_send(&origin(right[0]), &compressed(&came, Codec::Zstd)));
        let wrong: Vec<_> = (0..3)
            .filter(|index| right[*index] != right[0])
            .map(|index| {
                (index as i32, format!("belongs to partition {} of 6 by murmur2, not {}", right[index], right[0]))
            })
            .collect();
        assert!(!wrong.is_empty() && message.contains("murmur2"));
        assert_eq!(records, wrong);
    }
    let everywhere = right.iter().max().unwrap() + 1;
    house.place("mine@1", move |batch, _| Ok(rows(batch).iter().map(|_| everywhere - 1).collect()));
    let hooks = house.attach(&[("pelton.partitioner", "mine@1")]);
    passed(hooks.on_send(&origin(everywhere - 1), &came));
    assert_eq!(refused(hooks.on_send(&origin(everywhere), &came)).1.len(), 3);
    let report = house.chains.report("orders").unwrap().partitioner.unwrap();
    assert_eq!((report.hooks[0].records, report.hooks[0].rejected), (6, 3));
}

#[test]
fn a_partitioner_that_fails_ends_as_the_topic_says() {
    let house = House::new();
    house
        .place("few@1", |_, _| Ok(vec![0]))
        .place("far@1", |_, n| Ok(vec![n, n]))
        .place("any@1", |_, _| Ok(vec![-1, -1]));
    let came = batch(&["a", "b"]);
    let send = |configs: &[(&str, &str)]| house.attach(configs).on_send(&origin(0), &came);
    assert!(unavailable(&send(&[("pelton.partitioner", "few@1")])).contains("1 of 2 records"));
    assert!(unavailable(&send(&[("pelton.partitioner", "far@1")])).contains("partition 6 of 6"));
    passed(send(&[("pelton.partitioner", "any@1")]));
    passed(send(&[("pelton.partitioner", "far@1"), ("pelton.interceptors.on.error", "skip")]));
    let (changed, emitted) =
        passed(send(&[("pelton.partitioner", "far@1"), ("pelton.interceptors.on.error", "dead-letter")]));
    assert_eq!(BatchHeader::parse(&changed.unwrap()).unwrap().record_count, 0);
    assert_eq!(values(&emitted[0].batch), ["a", "b"]);
}
