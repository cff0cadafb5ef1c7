//! Answers of guests, good and bad.

use super::*;

fn wants(bytes: &[u8]) -> Result<Result<Wants, String>, Malformed> {
    answer(bytes, Reader::wants)
}

#[test]
fn an_answer_is_a_value_or_an_error() {
    assert_eq!(answer(&[], |_| Ok(())), Ok(Ok(())));
    assert_eq!(answer(&[0], |_| Ok(())), Ok(Ok(())));
    assert_eq!(answer(&[1, 2, 0, 0, 0, b'n', b'o'], |_| Ok(())), Ok(Err("no".to_owned())));
    assert_eq!(answer(&[1, 1, 0, 0, 0, 0xff], |_| Ok(())), Ok(Err("\u{fffd}".to_owned())));
    for bad in [&[2][..], &[0, 0], &[1], &[1, 9, 0, 0, 0, b'n'], &[1, 1, 0, 0, 0, b'n', b'o']] {
        assert!(answer(bad, |_| Ok(())).is_err(), "{bad:?}");
    }
}

#[test]
fn what_a_plugin_wants_is_read_strictly() {
    let read = wants(&[0, 0b101, 0b10, 0b110, 1, 2]).expect("well-formed").expect("no error");
    assert_eq!(read.hooks, HookSet(0b101));
    assert_eq!(read.reads, Parts { key: false, value: true, headers: false });
    assert_eq!(read.writes, Parts { key: false, value: true, headers: true });
    assert!(read.drops && read.reuse == Reuse::ForPrincipal);
    for bad in [
        &[0, 0x10, 0, 0, 0, 0][..],
        &[0, 1, 8, 0, 0, 0],
        &[0, 1, 0, 8, 0, 0],
        &[0, 1, 0, 0, 2, 0],
        &[0, 1, 0, 0, 0, 3],
        &[0, 1, 0, 0, 0],
        &[0, 1, 0, 0, 0, 0, 0],
        &[],
    ] {
        assert!(wants(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn lengths_and_counts_must_fit_what_is_there() {
    let mut good = vec![0, 1];
    good.extend_from_slice(&2_u32.to_le_bytes());
    good.extend_from_slice(&3_i32.to_le_bytes());
    good.extend_from_slice(&5_i32.to_le_bytes());
    good.extend_from_slice(&1_u32.to_le_bytes());
    good.extend_from_slice(&4_i32.to_le_bytes());
    good.extend_from_slice(&[2, 0, 0, 0, b'n', b'o']);
    let outcome = answer(&good, Reader::outcome).expect("well-formed").expect("no error");
    assert!(matches!(outcome.change, GuestChange::Drop(deltas) if deltas == [3, 5]));
    assert_eq!((outcome.rejected[0].offset_delta, outcome.rejected[0].reason.as_str()), (4, "no"));
    for end in 0..good.len() {
        assert!(answer(&good[..end], Reader::outcome).is_err(), "cut at {end}");
    }
    // A count of four thousand millions must not become an allocation of that size.
    for at in [2, 14, 22] {
        let mut huge = good.clone();
        huge[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(answer(&huge, Reader::outcome).is_err(), "a huge number at {at}");
    }
}
