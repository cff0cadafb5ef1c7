//! Chains of doubles that answer anything at all: what leaves never breaks the rules, whatever the topic's policy.

use crate::double::{Double, House, Row, batch, compressed, origin, rows, wants, with_values};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Emission, Sent};
use pelton_api::interceptor::{Answered, Change, Hook, Parts, Wants};
use pelton_api::transform::Rejection;
use pelton_record::{BatchHeader, BatchView, Codec};
use proptest::prelude::*;

/// What a link does with whatever it is given.
#[derive(Debug, Clone)]
enum Nature {
    Quiet,
    Upper,
    Drops(Vec<i32>),
    Replaces(Bytes),
    Refuses(Vec<i32>),
    RefusesAndDrops(Vec<i32>),
    Emits,
    Faults(Fault),
}

impl Nature {
    fn answer(&self, batch: &Bytes) -> Result<Answered, Fault> {
        let refuse = |deltas: &[i32]| {
            let reason = || "no".to_owned();
            deltas.iter().map(|delta| Rejection { offset_delta: *delta, reason: reason() }).collect()
        };
        let mut answered = Answered::default();
        match self {
            Self::Quiet => {}
            Self::Upper => {
                answered.change = Change::Replace(with_values(batch, |_, value| Some(value.to_ascii_uppercase())));
            }
            Self::Drops(deltas) => answered.change = Change::Drop(deltas.clone()),
            Self::Replaces(bytes) => answered.change = Change::Replace(bytes.clone()),
            Self::Refuses(deltas) => answered.rejected = refuse(deltas),
            Self::RefusesAndDrops(deltas) => {
                answered.rejected = refuse(deltas);
                answered.change = Change::Drop(deltas.clone());
            }
            Self::Emits => answered.emitted.push(Emission { topic: "log".into(), batch: batch.clone() }),
            Self::Faults(fault) => return Err(fault.clone()),
        }
        Ok(answered)
    }
}

fn natures() -> impl Strategy<Value = Vec<(Nature, Wants)>> {
    let deltas = || prop::collection::btree_set(-1..7_i32, 0..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let nature = prop_oneof![
        Just(Nature::Quiet),
        Just(Nature::Upper),
        deltas().prop_map(Nature::Drops),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| Nature::Replaces(bytes.into())),
        (0..7_usize).prop_map(|count| Nature::Replaces(batch(&vec!["new"; count]))),
        deltas().prop_map(Nature::Refuses),
        deltas().prop_map(Nature::RefusesAndDrops),
        Just(Nature::Emits),
        Just(Nature::Faults(Fault::Trap("trap".into()))),
        Just(Nature::Faults(Fault::Refused("error".into()))),
    ];
    let parts = || any::<(bool, bool, bool)>().prop_map(|(key, value, headers)| Parts { key, value, headers });
    let wants = (parts(), parts(), any::<bool>()).prop_map(|(reads, writes, drops)| Wants {
        reads,
        writes,
        drops,
        ..wants(&[Hook::OnSend, Hook::OnConsume])
    });
    prop::collection::vec((nature, wants), 1..4)
}

fn attach(
    house: &House,
    links: &[(Nature, Wants)],
    on_error: &str,
) -> std::sync::Arc<dyn pelton_api::hooks::TopicHooks> {
    let mut names = Vec::new();
    let mut configs = vec![("pelton.interceptors.on.error".to_owned(), on_error.to_owned())];
    for (index, (nature, wants)) in links.iter().enumerate() {
        let nature = nature.clone();
        house.shelve(&format!("p{index}@1"), Double::on_batch(*wants, move |batch| nature.answer(batch)));
        names.push(format!("p{index}@1"));
        configs.push((format!("pelton.plugin.p{index}.emit"), "log".to_owned()));
    }
    configs.push(("pelton.interceptors".to_owned(), names.join(",")));
    let configs: Vec<(&str, &str)> = configs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    house.attach(&configs)
}

/// Checks a batch that left against the one that came.
fn obeys(came: &Bytes, left: &Bytes, links: &[(Nature, Wants)]) -> Result<(), TestCaseError> {
    if left == came {
        return Ok(());
    }
    BatchView::parse(left).unwrap().verify_crc().unwrap();
    let (before, after) = (BatchHeader::parse(came).unwrap(), BatchHeader::parse(left).unwrap());
    let (batch_length, crc, record_count) = (after.batch_length, after.crc, after.record_count);
    let codec = if record_count == 0 { Codec::None } else { before.attributes.codec().unwrap() };
    let attributes = before.attributes.with_codec(codec);
    prop_assert_eq!(after, BatchHeader { batch_length, crc, record_count, attributes, ..before });
    let may = |part: fn(&Parts) -> bool| links.iter().any(|(_, wants)| part(&wants.writes));
    let was = rows(came);
    for row in rows(left) {
        let old = was.iter().find(|old| old.0 == row.0).expect("no record is added");
        prop_assert_eq!(row.1, old.1);
        prop_assert!(may(|parts| parts.key) || row.2 == old.2);
        prop_assert!(may(|parts| parts.value) || row.3 == old.3);
        prop_assert!(may(|parts| parts.headers) || row.4 == old.4);
    }
    Ok(())
}

fn letters(emitted: &[Emission]) -> Vec<Row> {
    emitted
        .iter()
        .filter(|emission| &*emission.topic == "orders-dead-letter")
        .flat_map(|one| rows(&one.batch))
        .collect()
}

/// With dead letters, every record leaves, lies among the letters as it came, or was taken away by a link that may: once.
fn conserves(came: &Bytes, left: &Bytes, emitted: &[Emission], links: &[(Nature, Wants)]) -> Result<(), TestCaseError> {
    let (left, letters) = (rows(left), letters(emitted));
    let dropping = links.iter().any(|(_, wants)| wants.drops);
    for row in rows(came) {
        let stays = usize::from(left.iter().any(|there| there.0 == row.0));
        let set_aside = letters.iter().filter(|letter| letter.1 == row.1 && letter.2 == row.2 && letter.3 == row.3);
        let times = stays + set_aside.count();
        prop_assert!(times == 1 || (dropping && times == 0), "{} times", times);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_chain_breaks_the_rules(
        links in natures(),
        on_error in prop::sample::select(&["reject", "skip", "dead-letter"][..]),
        count in 0..6_usize,
        codec in prop::sample::select(&[Codec::None, Codec::Lz4, Codec::Zstd][..]),
    ) {
        let house = House::new();
        let hooks = attach(&house, &links, on_error);
        let texts = ["a", "b", "c", "d", "e", "f"];
        let came = compressed(&batch(&texts[..count]), codec);
        match hooks.on_send(&origin(0), &came) {
            Sent::Pass { changed, emitted } => {
                let left = changed.unwrap_or_else(|| came.clone());
                obeys(&came, &left, &links)?;
                if on_error == "dead-letter" {
                    conserves(&came, &left, &emitted, &links)?;
                } else {
                    prop_assert!(letters(&emitted).is_empty());
                }
            }
            Sent::Refuse { records, .. } => {
                prop_assert_eq!(on_error, "reject");
                prop_assert!(records.iter().all(|(index, _)| (0..count as i32).contains(index)));
            }
            Sent::Unavailable { .. } => prop_assert_eq!(on_error, "reject"),
        }
        match hooks.on_consume(&origin(0), &came) {
            Ok(consumed) => {
                obeys(&came, &consumed.records, &links)?;
                if on_error == "dead-letter" {
                    conserves(&came, &consumed.records, &consumed.emitted, &links)?;
                }
            }
            Err(_) => prop_assert_eq!(on_error, "reject"),
        }
    }

    #[test]
    fn damaged_batches_never_panic(
        links in natures(),
        on_error in prop::sample::select(&["reject", "skip", "dead-letter"][..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        codec in prop::sample::select(&[Codec::None, Codec::Snappy, Codec::Gzip][..]),
    ) {
        let house = House::new();
        // A double that reads its batch as the tests do would panic over a damaged one, as no guest can.
        let links: Vec<_> = links.into_iter().filter(|(nature, _)| !matches!(nature, Nature::Upper)).collect();
        if links.is_empty() {
            return Ok(());
        }
        let hooks = attach(&house, &links, on_error);
        let mut bytes = compressed(&batch(&["a", "b", "c"]), codec).to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let came = Bytes::from(bytes);
        let _ = hooks.on_send(&origin(0), &came);
        let _ = hooks.on_consume(&origin(0), &came);
    }
}

#[test]
fn what_a_producer_is_told_is_bounded() {
    let house = House::new();
    let refuse = |batch: &Bytes| {
        let count = BatchHeader::parse(batch).unwrap().record_count;
        let rejected = (0..count).map(|offset_delta| Rejection { offset_delta, reason: "ü".repeat(1_000) }).collect();
        Ok(Answered { rejected, ..Answered::default() })
    };
    house.shelve("no@1", Double::on_batch(wants(&[Hook::OnSend]), refuse));
    let hooks = house.attach(&[("pelton.interceptors", "no@1")]);
    let Sent::Refuse { message, records } = hooks.on_send(&origin(0), &batch(&["x"; 3_000])) else { panic!("refused") };
    assert!(message.contains("3000"));
    assert_eq!((records.len(), records[0].1.len()), (1_000, 256));
}
