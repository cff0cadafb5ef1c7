//! Random histories of producers, transactions and compactions, against everything that was appended.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put { producer: i64, transactional: bool, codec: u8, records: Vec<(u8, Option<u8>)> },
    End { producer: i64, commit: bool },
    Compact { slots: usize },
    Wait,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (0_u8..12, proptest::option::weighted(0.75, any::<u8>()));
    let put = (-1_i64..4, any::<bool>(), 0_u8..5, proptest::collection::vec(record, 1..5)).prop_map(
        |(producer, transactional, codec, records)| Step::Put {
            producer,
            transactional: transactional && producer >= 0,
            codec,
            records,
        },
    );
    let end = (0_i64..4, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit });
    let compact = (3_usize..30).prop_map(|slots| Step::Compact { slots });
    let step = prop_oneof![12 => put, 4 => end, 2 => compact, 1 => Just(Step::Wait), 1 => Just(Step::Reopen)];
    proptest::collection::vec(step, 1..100)
}

/// What must hold of the log whatever was compacted.
fn check(fixture: &Fixture) -> Result<(), TestCaseError> {
    let found: Vec<Seen> = batches_of(&fixture.log).iter().flat_map(|batch| records_of(batch)).collect();
    for record in &found {
        let place = fixture.appended.binary_search_by_key(&record.offset, |appended| appended.offset);
        prop_assert_eq!(Some(record), place.ok().map(|place| &fixture.appended[place]));
    }
    let stable = fixture.stable_end();
    let committed: Vec<Seen> = fixture
        .appended
        .iter()
        .filter(|record| record.offset < stable && !fixture.aborted_offsets.contains(&record.offset))
        .cloned()
        .collect();
    let seen: Vec<Seen> = committed_records(&fixture.log).into_iter().filter(|record| record.offset < stable).collect();
    prop_assert_eq!(fold(&seen), fold(&committed));
    Ok(())
}

/// What must hold of the part below `clean` when one compaction after the other has taken in all of it.
fn check_clean(fixture: &Fixture, clean: Offset) -> Result<(), TestCaseError> {
    let mut last = BTreeMap::new();
    for record in fixture.appended.iter().filter(|record| record.offset < clean) {
        if !fixture.aborted_offsets.contains(&record.offset) {
            last.insert(record.key.clone(), record.offset);
        }
    }
    for batch in batches_of(&fixture.log) {
        for record in records_of(&batch).iter().filter(|record| record.offset < clean) {
            prop_assert_eq!(last.get(&record.key), Some(&record.offset), "only the last record of a key is there");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_history_loses_what_compaction_must_keep(steps in steps()) {
        let mut fixture = Fixture::new();
        let mut clean = None;
        for step in steps {
            match step {
                Step::Put { producer, transactional, codec, records } => {
                    // A producer's batches are all of its transaction while one is open.
                    let transactional = transactional || fixture.open_txns.contains_key(&producer);
                    let texts: Vec<(String, Option<String>)> = records
                        .iter()
                        .map(|(key, value)| (format!("k{key}"), value.map(|value| format!("value-{value}"))))
                        .collect();
                    let records: Vec<_> =
                        texts.iter().map(|(key, value)| (Some(key.as_str()), value.as_deref())).collect();
                    fixture.put(producer, transactional, Codec::from_id(codec).unwrap(), &records);
                }
                Step::End { producer, commit } => {
                    fixture.end_txn(producer, if commit { ControlType::Commit } else { ControlType::Abort });
                }
                Step::Compact { slots } => {
                    let sequences = last_sequences(&fixture.log);
                    let end = fixture.compact(clean, slots * 24).unwrap();
                    prop_assert_eq!(last_sequences(&fixture.log), sequences);
                    clean = end.or(clean);
                    if let Some(clean) = clean {
                        check_clean(&fixture, clean)?;
                    }
                }
                Step::Wait => fixture.now_ms += 600,
                Step::Reopen => {
                    let aborted = fixture.log.aborted_in(0, i64::MAX);
                    let (end, sealed) = (fixture.log.log_end(), fixture.log.sealed_segments());
                    fixture.reopen(false);
                    prop_assert_eq!(fixture.log.log_end(), end);
                    prop_assert_eq!(fixture.log.sealed_segments(), sealed);
                    let pairs = |aborted: &[AbortedTxn]| -> Vec<(i64, Offset)> {
                        // Where one begins may be later now: its first batches are gone.
                        let mut pairs: Vec<_> = aborted.iter().map(|txn| (txn.producer_id, txn.last_offset)).collect();
                        pairs.sort_unstable();
                        pairs
                    };
                    // One whose records are all gone may not be found again; that no reader misses it is checked below.
                    let (before, after) = (pairs(&aborted), pairs(&fixture.log.aborted_in(0, i64::MAX)));
                    prop_assert!(after.iter().all(|pair| before.contains(pair)), "{:?} of {:?}", after, before);
                }
            }
            check(&fixture)?;
        }
    }
}
