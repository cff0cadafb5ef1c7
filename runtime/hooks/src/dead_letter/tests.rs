use super::*;
use crate::double::{batch, origin, rows};

fn about<'a>(to: &'a Arc<str>, origin: &'a Origin, hook: Hook) -> Circumstances<'a> {
    Circumstances { to, hook, plugin: "mask@1", digest: "00ff", origin }
}

fn header(row: &crate::double::Row, name: &str) -> Option<Bytes> {
    row.4.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone())
}

#[test]
fn letters_of_a_batch_share_emissions_where_they_fit() {
    let (to, from) = ("dlq".into(), origin(1));
    let half = "x".repeat(400_000);
    let plain = batch(&["a", &half, &half, &half, "b"]);
    let emissions = letters(&about(&to, &from, Hook::OnSend), &plain, |delta| (delta != 0).then_some("why"));
    let counts: Vec<_> = emissions.iter().map(|emission| rows(&emission.batch).len()).collect();
    assert_eq!(counts, [2, 2]);
    assert!(emissions.iter().all(|emission| emission.batch.len() <= MAX_BATCH_BYTES && emission.topic == to));
    assert!(letters(&about(&to, &from, Hook::OnSend), &plain, |_| None).is_empty());
}

#[test]
fn a_letter_always_fits_and_says_what_is_missing() {
    let (to, mut from) = ("dlq".into(), origin(1));
    from.client_id = "c".repeat(30_000).into();
    let reason = "ä".repeat(10_000);
    for (key, value, own, kept) in [
        (10, 100, 10, (true, true)),
        (10, 2_000_000, 10, (true, true)),
        (10, 100, 2_000_000, (true, false)),
        (2_000_000, 100, 10, (false, true)),
        (2_000_000, 2_000_000, 2_000_000, (false, false)),
    ] {
        let part = |len: usize| vec![7; len];
        let mut came = BatchBuilder::new(5);
        came.push(5, Some(&part(key)), Some(&part(value)), &[Header { key: "own", value: Some(&part(own)) }]);
        let emissions = letters(&about(&to, &from, Hook::OnSend), &came.into_bytes(), |_| Some(&reason));
        assert!(emissions.len() == 1 && emissions[0].batch.len() <= MAX_BATCH_BYTES);
        let letter = &rows(&emissions[0].batch)[0];
        assert_eq!((letter.2.is_some(), header(letter, "own").is_some()), kept);
        let whole = letter.3.as_ref().unwrap().len() == value && kept == (true, true);
        assert_eq!(header(letter, TRUNCATED), (!whole).then(|| value.to_string().into()));
        assert_eq!(header(letter, "pelton.reason").unwrap().len(), 4_096);
        assert_eq!(header(letter, "pelton.client.id").unwrap().len(), 256);
    }
}

#[test]
fn many_letters_stay_in_proportion_to_the_batch() {
    let (to, from) = ("dlq".into(), origin(1));
    let plain = batch(&["v"; 2_000]);
    let reason = "r".repeat(10_000);
    let emissions = letters(&about(&to, &from, Hook::OnSend), &plain, |_| Some(&reason));
    let total: usize = emissions.iter().map(|emission| emission.batch.len()).sum();
    assert!(total < plain.len() * 50, "{total} of {}", plain.len());
    assert_eq!(emissions.iter().map(|emission| rows(&emission.batch).len()).sum::<usize>(), 2_000);
}

#[test]
fn a_batch_that_cannot_be_read_is_set_aside_whole() {
    let (to, from) = ("dlq".into(), origin(1));
    let mut damaged = batch(&["a", "b"]).to_vec();
    damaged[HEADER_LEN] = 0x7f;
    let emissions = letters(&about(&to, &from, Hook::OnConsume), &damaged, |_| Some("why"));
    let letter = &rows(&emissions[0].batch)[0];
    assert_eq!(letter.3.as_ref().unwrap(), &damaged);
    assert_eq!(header(letter, "pelton.offset").unwrap(), "0");
    assert_eq!(header(letter, "pelton.plugin").unwrap(), "mask@1");
}
