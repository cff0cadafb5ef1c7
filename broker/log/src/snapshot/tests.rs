use super::*;
use crate::SimDisk;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

fn producers() -> Vec<ProducerEntry> {
    let batch =
        |last_sequence, last_offset| ProducerBatch { last_sequence, last_offset, offset_delta: 2, timestamp: 1_000 };
    vec![
        ProducerEntry {
            producer_id: 7,
            producer_epoch: 3,
            coordinator_epoch: None,
            last_timestamp: 1_000,
            open_since: Some(40),
            batches: vec![batch(2, 12), batch(5, 42)],
        },
        ProducerEntry {
            producer_id: 9,
            producer_epoch: 0,
            coordinator_epoch: Some(4),
            last_timestamp: 77,
            open_since: None,
            batches: Vec::new(),
        },
    ]
}

/// What Kafka's `ProducerStateManager` writes for the same producers, the part behind its entries left out.
const KAFKA: &str = "0001 \
    CRCCRCCR 00000002 \
    0000000000000007 0003 00000005 000000000000002a 00000002 00000000000003e8 ffffffff 0000000000000028 \
    0000000000000009 0000 ffffffff ffffffffffffffff 00000000 000000000000004d 00000004 ffffffffffffffff";

fn frozen() -> Vec<u8> {
    let digits: String = KAFKA.replace("CRCCRCCR", "00000000").split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let mut bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[2..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_snapshot_is_kafkas_and_what_is_ours_comes_behind_it() {
    let bytes = encode(&producers());
    let kafkas = frozen();
    assert_eq!((&bytes[..2], &bytes[CRC_FROM..kafkas.len()]), (&kafkas[..2], &kafkas[CRC_FROM..]));
    let ours = "504c5431 01 00000002 000000000000000c 00000002 00000000000003e8 00".replace(' ', "");
    let rest: String = bytes[kafkas.len()..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(rest, ours);
    assert_eq!(decode(&bytes).unwrap(), producers());
    let mut without = producers();
    without[0].batches.remove(0);
    assert_eq!(decode(&kafkas).unwrap(), without, "a snapshot that Kafka wrote is read");
    assert_eq!(encode(&without), kafkas, "with nothing to add it is Kafka's to the byte");
    assert_eq!(encode(&[]), [&[0, 1][..], &crc32c::crc32c(&[0; 4]).to_be_bytes(), &[0; 4]].concat());
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = encode(&producers());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_damaged_file_is_no_snapshot_and_no_error() {
    let disk = SimDisk::new();
    let dir = Path::new("/t-0");
    disk.create_dir_all(dir).unwrap();
    write(&disk, dir, 43, &producers()).unwrap();
    assert_eq!(read(&disk, dir, 43).unwrap(), Some(producers()));
    disk.corrupt(&dir.join("00000000000000000043.snapshot"), |bytes| bytes[20] ^= 1).unwrap();
    assert_eq!(read(&disk, dir, 43).unwrap(), None);
    assert!(matches!(read(&disk, dir, 44), Err(LogError::Io { .. })));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes in vec_of(any::<u8>(), 0..400), count: u32) {
        let _ = decode(&bytes);
        if bytes.len() >= HEAD_BYTES {
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[6..10].copy_from_slice(&count.to_be_bytes());
            let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            let _ = decode(&bytes);
        }
    }
}
