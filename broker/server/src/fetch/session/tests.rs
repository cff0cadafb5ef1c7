use super::*;
use pelton_log::disk::Dice;
use std::collections::VecDeque;

const LIMITS: Limits = Limits { slots: 2, partitions: 100 };

fn key(partition: i32) -> PartitionKey {
    PartitionKey { topic: TopicKey::Name("t".into()), partition }
}

fn asked(offset: i64) -> Asked {
    Asked { offset, leader_epoch: -1, max_bytes: 1 << 20 }
}

fn named(partitions: impl IntoIterator<Item = i32>) -> Vec<(PartitionKey, Asked)> {
    partitions.into_iter().map(|partition| (key(partition), asked(0))).collect()
}

fn request(id: i32, epoch: i32) -> SessionRequest {
    SessionRequest { id, epoch, by_id: false, privileged: false }
}

const QUIET: Told = Told { high_watermark: 5, log_start: 0, failed: false, records: false };

/// Begins a session of so many partitions; says its id.
fn begin(sessions: &mut Sessions, now_ms: u64, privileged: bool, count: i32, id: i32) -> i32 {
    let request = SessionRequest { privileged, ..request(0, 0) };
    let fetching = sessions.begin(now_ms, request, named(0..count), &[]).unwrap();
    assert_eq!(fetching.partitions.len(), count as usize);
    let told = vec![QUIET; count as usize];
    let finished = sessions.finish(now_ms, &fetching, &told, || id).unwrap();
    assert_eq!(finished.said, vec![true; count as usize], "a full fetch is answered in full");
    sessions.check();
    finished.session_id
}

/// One incremental fetch.
fn go_on(
    sessions: &mut Sessions,
    request: SessionRequest,
    named: Vec<(PartitionKey, Asked)>,
    forgotten: &[PartitionKey],
    answer: impl Fn(i32) -> Told,
) -> Result<(Vec<i32>, Vec<i32>), SessionError> {
    let fetching = sessions.begin(1, request, named, forgotten)?;
    sessions.check();
    let read: Vec<i32> = fetching.partitions.iter().map(|(key, _)| key.partition).collect();
    let told: Vec<Told> = read.iter().map(|partition| answer(*partition)).collect();
    let (would_say, standing) = (sessions.would_say(&fetching, &told), sessions.finish_untold(&fetching));
    sessions.check();
    let finished = sessions.finish(1, &fetching, &told, || unreachable!("no new session"))?;
    assert_eq!((would_say, standing), (finished.said.clone(), Ok(finished.session_id)), "asking changes nothing");
    sessions.check();
    let said = read.iter().zip(&finished.said).filter(|(_, said)| **said).map(|(partition, _)| *partition);
    let said = said.collect();
    Ok((read, said))
}

#[test]
fn only_what_is_new_is_said() {
    let mut sessions = Sessions::new(LIMITS);
    let id = begin(&mut sessions, 0, false, 4, 7);
    assert_eq!(id, 7);
    let (read, said) = go_on(&mut sessions, request(id, 1), Vec::new(), &[], |_| QUIET).unwrap();
    assert_eq!((read, said), (vec![0, 1, 2, 3], vec![]));
    // Records, a higher watermark, a higher log start, an error: each is news.
    let news = |partition| match partition {
        0 => Told { records: true, ..QUIET },
        1 => Told { high_watermark: 6, ..QUIET },
        2 => Told { log_start: 1, ..QUIET },
        _ => Told { high_watermark: -1, log_start: -1, failed: true, records: false },
    };
    let (_, said) = go_on(&mut sessions, request(id, 2), Vec::new(), &[], news).unwrap();
    assert_eq!(said, [0, 1, 2, 3]);
    // Who got records is read last from then on. An error is said each time; what was told is not said again.
    let still = |partition| if partition == 0 { QUIET } else { news(partition) };
    let (read, said) = go_on(&mut sessions, request(id, 3), Vec::new(), &[], still).unwrap();
    assert_eq!((read, said), (vec![1, 2, 3, 0], vec![3]));
    // When the error is gone, the partition is said, though it stands where it stood before.
    let (_, said) =
        go_on(&mut sessions, request(id, 4), Vec::new(), &[], |p| if p == 3 { QUIET } else { still(p) }).unwrap();
    assert_eq!(said, [3]);
}

#[test]
fn what_is_named_is_changed_added_and_forgotten() {
    let mut sessions = Sessions::new(LIMITS);
    let id = begin(&mut sessions, 0, false, 3, 7);
    let changed = vec![(key(1), asked(40)), (key(9), asked(90))];
    let fetching = sessions.begin(1, request(id, 1), changed, &[key(0), key(77)]).unwrap();
    let expected = [(key(1), asked(40)), (key(2), asked(0)), (key(9), asked(90))];
    assert_eq!(fetching.partitions, expected);
    let finished = sessions.finish(1, &fetching, &[QUIET; 3], || unreachable!()).unwrap();
    assert_eq!(finished, Finished { session_id: id, said: vec![false, false, true] }, "the new one was never told");
    // A session without partitions is none.
    let forgotten = [key(1), key(2), key(9)];
    let fetching = sessions.begin(2, request(id, 2), Vec::new(), &forgotten).unwrap();
    assert!(fetching.partitions.is_empty() && sessions.is_empty());
    assert_eq!(sessions.finish(2, &fetching, &[], || 1).unwrap().session_id, NO_SESSION);
    sessions.check();
}

#[test]
fn a_fetch_that_does_not_fit_its_session_is_refused() {
    let mut sessions = Sessions::new(LIMITS);
    let id = begin(&mut sessions, 0, false, 3, 7);
    for (wrong, error) in [
        (request(8, 1), SessionError::NotFound),
        (request(0, 1), SessionError::NotFound),
        (request(id, 2), SessionError::InvalidEpoch),
        (request(id, -5), SessionError::InvalidEpoch),
        (request(id, i32::MIN), SessionError::InvalidEpoch),
        (SessionRequest { by_id: true, ..request(id, 1) }, SessionError::TopicIds),
    ] {
        assert_eq!(sessions.begin(0, wrong, named([50]), &[key(0)]).unwrap_err(), error);
        assert_eq!(sessions.partitions(), 3, "what is refused changes nothing");
    }
    // The answer to a fetch that was overtaken by the next one is none.
    let first = sessions.begin(0, request(id, 1), Vec::new(), &[]).unwrap();
    let second = sessions.begin(0, request(id, 2), Vec::new(), &[]).unwrap();
    assert_eq!(sessions.finish(0, &first, &[QUIET; 3], || 1).unwrap_err(), SessionError::InvalidEpoch);
    assert_eq!(sessions.finish_untold(&first).unwrap_err(), SessionError::InvalidEpoch);
    assert_eq!(sessions.finish(0, &second, &[QUIET; 3], || 1).unwrap().session_id, id);
    // A full fetch that names a session ends it; with the last epoch no new one begins.
    let fetching = sessions.begin(0, request(id, -1), named([1]), &[]).unwrap();
    assert!(sessions.is_empty());
    assert_eq!(sessions.finish(0, &fetching, &[QUIET], || 1).unwrap().session_id, NO_SESSION);
    assert!(sessions.is_empty());
    sessions.check();
}

#[test]
fn epochs_begin_again_after_the_largest() {
    assert_eq!((next_epoch(0), next_epoch(1), next_epoch(i32::MAX), next_epoch(-1)), (1, 2, 1, -1));
}

#[test]
fn ids_are_positive_and_of_nobody_else() {
    let mut sessions = Sessions::new(LIMITS);
    begin(&mut sessions, 0, false, 1, 7);
    let mut ids = VecDeque::from([0, 7, i32::MIN, -1]);
    let fetching = sessions.begin(0, request(0, 0), named([1]), &[]).unwrap();
    let finished = sessions.finish(0, &fetching, &[QUIET], || ids.pop_front().unwrap()).unwrap();
    assert_eq!(finished.session_id, i32::MAX, "the sign is dropped, and what is left of the smallest number is 0");
}

#[test]
fn slots_go_to_larger_sessions_once_the_smaller_are_old_enough() {
    let mut sessions = Sessions::new(LIMITS);
    assert_eq!(begin(&mut sessions, 0, false, 3, 1), 1);
    assert_eq!(begin(&mut sessions, 0, false, 5, 2), 2);
    assert_eq!(begin(&mut sessions, 10, false, 50, 3), NO_SESSION, "young sessions are safe from consumers");
    // Only a session that is used is looked at anew, as in Kafka.
    let later = EVICTION_MS + 1;
    for id in [1, 2] {
        let fetching = sessions.begin(later, request(id, 1), Vec::new(), &[]).unwrap();
        let told = vec![QUIET; fetching.partitions.len()];
        sessions.finish(later, &fetching, &told, || unreachable!()).unwrap();
        sessions.check();
    }
    assert_eq!(begin(&mut sessions, later, false, 3, 4), NO_SESSION, "an equal does not displace");
    assert_eq!(begin(&mut sessions, later, false, 4, 4), 4);
    assert_eq!(sessions.begin(later, request(1, 2), Vec::new(), &[]).unwrap_err(), SessionError::NotFound);
    // Nobody has used these for long: the one that waits longest goes, whatever its size.
    assert_eq!(begin(&mut sessions, 2 * later + 1, false, 1, 5), 5);
    assert_eq!(sessions.len(), 2);
}

#[test]
fn followers_displace_consumers_and_not_the_other_way_round() {
    let mut sessions = Sessions::new(LIMITS);
    begin(&mut sessions, 0, false, 30, 1);
    begin(&mut sessions, 0, true, 1, 2);
    assert_eq!(begin(&mut sessions, 1, true, 1, 3), 3, "a consumer's session is worth less than any follower's");
    assert_eq!(begin(&mut sessions, 1, true, 50, 4), NO_SESSION, "young sessions of followers are safe from them");
    assert_eq!(begin(&mut sessions, 1, false, 50, 4), NO_SESSION);
}

#[test]
fn partitions_are_bounded_over_all_sessions() {
    let mut sessions = Sessions::new(LIMITS);
    let id = begin(&mut sessions, 0, false, 60, 1);
    assert_eq!(begin(&mut sessions, 0, false, 41, 2), NO_SESSION);
    assert_eq!(begin(&mut sessions, 0, false, 40, 2), 2);
    // One too many: the session ends, and the client begins anew.
    assert_eq!(sessions.begin(0, request(id, 1), named([1_000]), &[]).unwrap_err(), SessionError::NotFound);
    assert_eq!((sessions.len(), sessions.partitions()), (1, 40));
    let mut none = Sessions::new(Limits { slots: 0, partitions: 10 });
    assert_eq!(begin(&mut none, 0, false, 1, 1), NO_SESSION);
}

/// A client that keeps what it was told by a session, beside the truth, under random changes.
#[test]
fn what_a_client_knows_by_a_session_is_the_truth() {
    let mut dice = Dice::new(7);
    let mut random = |below: u64| dice.below(below);
    for _ in 0..200 {
        let mut sessions = Sessions::new(LIMITS);
        let mut truth: BTreeMap<i32, Told> = (0..8).map(|partition| (partition, QUIET)).collect();
        let mut wanted: BTreeSet<i32> = (0..1 + random(7) as i32).collect();
        let fetching = sessions.begin(0, request(0, 0), named(wanted.iter().copied()), &[]).unwrap();
        let told: Vec<Told> = fetching.partitions.iter().map(|(key, _)| truth[&key.partition]).collect();
        let id = sessions.finish(0, &fetching, &told, || 1).unwrap().session_id;
        let mut known: BTreeMap<i32, Told> = wanted.iter().map(|partition| (*partition, QUIET)).collect();
        for epoch in 1..40 {
            let changed = truth.get_mut(&(random(8) as i32)).unwrap();
            match random(4) {
                0 => changed.high_watermark += 1,
                1 => changed.log_start += 1,
                2 => *changed = Told { high_watermark: -1, log_start: -1, failed: true, records: false },
                _ => *changed = QUIET,
            }
            let (other, mut new, mut gone) = (random(8) as i32, Vec::new(), Vec::new());
            match random(3) {
                0 if wanted.len() > 1 && wanted.remove(&other) => gone.push(key(other)),
                1 if wanted.insert(other) => new.push((key(other), asked(0))),
                _ => {}
            }
            known.retain(|partition, _| wanted.contains(partition));
            let fetching = sessions.begin(1, request(id, epoch), new, &gone).unwrap();
            let read: BTreeSet<i32> = fetching.partitions.iter().map(|(key, _)| key.partition).collect();
            assert_eq!(read, wanted);
            let told: Vec<Told> = fetching.partitions.iter().map(|(key, _)| truth[&key.partition]).collect();
            let finished = sessions.finish(1, &fetching, &told, || unreachable!()).unwrap();
            sessions.check();
            for (((key, _), told), said) in fetching.partitions.iter().zip(told).zip(finished.said) {
                if said {
                    known.insert(key.partition, told);
                }
            }
            for partition in &wanted {
                assert_eq!(known[partition], truth[partition]);
            }
        }
    }
}
