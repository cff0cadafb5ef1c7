//! Which partition a record with a key belongs to, as the two families of Kafka clients compute it: Java's murmur2 and
//! librdkafka's CRC-32. One code for guests, jobs and the broker.
//!
//! Here are only the hashes of keys. What becomes of a record without a key is each client's own choice, so no function
//! here answers for one. librdkafka's default (`consistent_random`) treats an empty key as none; Java does not.

/// Java's partition for a key: murmur2, made positive, modulo the number of partitions
/// (`org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey`).
///
/// # Panics
/// When `partitions` is not positive.
pub fn keyed_murmur2(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// librdkafka's partition for a key: its CRC-32 modulo the number of partitions (`partitioner=consistent`, and
/// `consistent_random` for keys that are not empty).
///
/// # Panics
/// When `partitions` is not positive.
pub fn keyed_crc32(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (crc32(key) % partitions.unsigned_abs()) as i32
}

/// Murmur2 with the seed and the quirks of `org.apache.kafka.common.utils.Utils.murmur2`.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash: u32 = 0x9747_b28c ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// CRC-32 as IEEE 802.3, zlib and librdkafka have it (reflected, polynomial `0xEDB88320`). Not the CRC-32C of batches.
pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut entry = index as u32;
        let mut bit = 0;
        while bit < 8 {
            entry = if entry & 1 == 1 { (entry >> 1) ^ 0xedb8_8320 } else { entry >> 1 };
            bit += 1;
        }
        table[index] = entry;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_tests() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
            (b"", 275646681),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn murmur2_gives_the_values_of_librdkafkas_own_tests() {
        // rdmurmur2.c, unittest_murmur2: what Java gives.
        let cases: [(&[u8], u32); 9] = [
            (b"kafka", 0xd067_cf64),
            (b"giberish123456789", 0x8f55_2b0c),
            (b"1234", 0x9fc9_7b14),
            (b"234", 0xe7c0_09ca),
            (b"34", 0x8739_30da),
            (b"4", 0x5a4b_5ca1),
            (b"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x7842_4f1c),
            (b"reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62_b377),
            (b"eAmbleWillBeRemoved,ThePrePartThatIs", 0xe0e4_e09e),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key), hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn crc32_gives_the_values_of_librdkafkas_own_tests() {
        // The check value of the CRC catalogue, and tests/0048-partitioner.c, which has 17 partitions.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let cases: [(&[u8], u32, u32); 4] = [
            (b"", 0, 0x106e_08d9),
            (b"23456", 0xb1b4_51d7, 0x058d_780f),
            (b"this is another string with more length to it perhaps", 0xb015_0df7, 0x4f77_03da),
            (b"hejsan", 0xd077_037e, 0x5ec1_9395),
        ];
        for (key, crc, murmur) in cases {
            assert_eq!(crc32(key), crc, "{}", key.escape_ascii());
            assert_eq!(keyed_crc32(key, 17), (crc % 17) as i32);
            assert_eq!(keyed_murmur2(key, 17), (murmur % 17) as i32);
        }
    }

    #[test]
    fn every_hash_names_a_partition() {
        assert_eq!(keyed_murmur2(b"21", 6), (-973932308_i32 & 0x7fff_ffff) % 6);
        for n in 0..1000_i32 {
            for partitions in [1, 7, i32::MAX] {
                assert!((0..partitions).contains(&keyed_murmur2(&n.to_be_bytes(), partitions)));
                assert!((0..partitions).contains(&keyed_crc32(&n.to_be_bytes(), partitions)));
            }
        }
    }
}
