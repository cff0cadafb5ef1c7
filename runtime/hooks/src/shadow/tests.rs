use super::*;
use crate::double::{Double, House, answer, batch, origin, rejecting, values, wants, with_values};
use crate::report::TopicReport;
use pelton_api::fault::Fault;
use pelton_api::hooks::Sent;
use pelton_api::interceptor::{Answered, Call, Change};
use std::sync::Barrier;
use std::time::{Duration, Instant};

const BOTH: [Hook; 2] = [Hook::OnSend, Hook::OnConsume];

fn quiet() -> Double {
    Double::on_batch(wants(&BOTH), |_| Ok(Answered::default()))
}

fn upper() -> Double {
    Double::on_batch(wants(&BOTH), |batch| {
        answer(Change::Replace(with_values(batch, |_, value| Some(value.to_ascii_uppercase()))))
    })
}

/// The report, once the shadow has seen so many batches.
fn after(house: &House, batches: u64) -> TopicReport {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let report = house.chains.report("orders").unwrap();
        if report.shadow.as_ref().unwrap().batches >= batches {
            return report;
        }
        assert!(Instant::now() < deadline, "the shadow did not get on: {report:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn differences_are_named_and_the_live_chain_alone_decides() {
    let house = House::new();
    house.shelve("live@1", quiet()).shelve("new@2", upper());
    let hooks = house.attach(&[("pelton.interceptors", "live@1"), ("pelton.interceptors.shadow", "new@2")]);
    assert!(hooks.identity().starts_with("live@1") && !hooks.identity().contains("new@2"));
    let came = batch(&["A", "b"]);
    assert_eq!(hooks.on_send(&origin(2), &came), Sent::Pass { changed: None, emitted: Vec::new() });
    assert_eq!(hooks.on_consume(&origin(2), &batch(&["C"])).unwrap().records, batch(&["C"]));
    let shadow = after(&house, 2).shadow.unwrap();
    assert_eq!((shadow.batches, shadow.records, shadow.differing_batches, shadow.skipped), (2, 3, 1, 0));
    let Difference { hook, partition, offset_delta, what, .. } = &shadow.differences[0];
    assert_eq!((*hook, *partition, *offset_delta), (Hook::OnSend, 2, Some(1)));
    assert_eq!(what, "value: live `b` (1 bytes), shadow `B` (1 bytes)");
    let events = house.events();
    assert!(matches!(&events[..], [Event::ShadowDiffers { shadow, .. }] if &**shadow == "new@2"), "{events:?}");
}

#[test]
fn every_kind_of_difference_is_found() {
    let plain = batch(&["a", "b", "c"]);
    let passed = |changed: Option<Bytes>, rejected: &[i32], faults: &[&str]| -> Outcome {
        Ok(Passed {
            changed,
            emitted: Vec::new(),
            rejected: rejected.to_vec(),
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            whole: true,
        })
    };
    let refused = |deltas: &[i32]| -> Outcome {
        let records = deltas.iter().map(|delta| (*delta, "no".to_owned())).collect();
        Err(Stopped::Refused { message: "p@1 refused".into(), records })
    };
    let cut = |gone: i32| Some(with_values(&plain, |delta, value| (delta != gone).then(|| value.to_vec())));
    let same = passed(None, &[], &[]);
    let cases = [
        (&same, &same, None),
        (&same, &passed(Some(batch(&["a", "b", "c"])), &[], &[]), None),
        (&same, &passed(cut(2), &[], &[]), Some((Some(2), "the shadow takes"))),
        (&passed(cut(0), &[], &[]), &same, Some((Some(0), "the live chain takes"))),
        (&passed(cut(0), &[], &[]), &passed(cut(1), &[], &[]), Some((Some(0), "the live chain takes"))),
        (&same, &passed(None, &[1], &[]), Some((Some(1), "the shadow refuses"))),
        (&same, &passed(None, &[], &["trap"]), Some((None, "trap"))),
        (&same, &refused(&[1]), Some((None, "first: 1"))),
        (&refused(&[1]), &refused(&[1]), None),
        (&refused(&[1, 2]), &refused(&[1]), Some((Some(2), "the live chain refuses"))),
        (&Err(Stopped::Unavailable("x".into())), &same, Some((None, "live: x; shadow: passed"))),
    ];
    for (live, shadow, expected) in cases {
        let found = difference(&plain, live, shadow);
        match (&found, expected) {
            (None, None) => {}
            (Some((delta, what)), Some((at, text))) => assert!(*delta == at && what.contains(text), "{found:?}"),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn the_live_chain_never_waits_for_the_shadow() {
    let house = House::new();
    let gate = Arc::new(Barrier::new(2));
    let held = gate.clone();
    let first = AtomicBool::new(true);
    let slow = Double::on_batch(wants(&BOTH), move |_| {
        if first.swap(false, Ordering::Relaxed) {
            held.wait();
        }
        Ok(Answered::default())
    });
    house.shelve("live@1", quiet()).shelve("slow@1", slow);
    let hooks = house.attach(&[("pelton.interceptors", "live@1"), ("pelton.interceptors.shadow", "slow@1")]);
    let came = batch(&["a"]);
    // The shadow is stuck in its first batch: the queue fills up, and what it has no room for is skipped.
    for _ in 0..MAX_WAITING + 50 {
        assert!(matches!(hooks.on_send(&origin(0), &came), Sent::Pass { .. }));
    }
    let skipped = house.chains.report("orders").unwrap().shadow.unwrap().skipped;
    assert!((49..=50).contains(&skipped), "{skipped}");
    gate.wait();
    let shadow = after(&house, MAX_WAITING as u64 + 50 - skipped).shadow.unwrap();
    assert_eq!(shadow.differing_batches, 0);
}

#[test]
fn a_shadow_has_faults_and_state_of_its_own() {
    let house = House::new();
    let count = |call: Call<'_>, state: &mut dyn pelton_api::transform::StateAccess| {
        let seen = state.get(0, b"n").unwrap().map_or(0, |n| n[0]);
        state.put(0, b"n", Some(&[seen + 1])).unwrap();
        let Call::Send(_, batch) = call else { return Ok(Answered::default()) };
        answer(Change::Replace(with_values(batch, |_, _| Some(vec![b'0' + seen]))))
    };
    house.shelve("n@1", Double::new(wants(&[Hook::OnSend]), count).with_state());
    house.shelve("n@2", Double::new(wants(&[Hook::OnSend]), count).with_state());
    let configs = [("pelton.interceptors", "n@1"), ("pelton.interceptors.shadow", "n@2")];
    let hooks = house.attach(&configs);
    let came = batch(&["a"]);
    for (appended, expected) in [(true, "0"), (false, "1"), (true, "1"), (true, "2")] {
        let Sent::Pass { changed, .. } = hooks.on_send(&origin(0), &came) else { panic!("it passes") };
        assert_eq!(values(&changed.unwrap()), [expected]);
        hooks.sent(0, appended);
    }
    let report = after(&house, 4);
    assert_eq!(report.shadow.unwrap().differing_batches, 0, "both have counted the same batches");

    house.shelve("trap@1", Double::on_batch(wants(&BOTH), |_| Err(Fault::Trap("x".into()))));
    house.shelve("picky@1", Double::on_batch(wants(&BOTH), |_| Ok(rejecting(&[0])))).shelve("live@1", quiet());
    let hooks = house.attach(&[("pelton.interceptors", "live@1"), ("pelton.interceptors.shadow", "trap@1,picky@1")]);
    for _ in 0..30 {
        assert!(matches!(hooks.on_send(&origin(0), &came), Sent::Pass { changed: None, .. }));
    }
    let shadow = after(&house, 30).shadow.unwrap();
    assert_eq!((shadow.differing_batches, shadow.differences.len()), (30, MAX_DIFFERENCES));
    assert_eq!(shadow.interceptors[0].hooks[0].faults, 30, "a shadow is watched, not taken out of the way");
    assert!(house.events().iter().all(|event| matches!(event, Event::ShadowDiffers { .. })));
}
