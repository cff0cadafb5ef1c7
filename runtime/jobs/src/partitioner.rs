//! Which partition a record goes to: what Kafka's Java client does, so that a topic that a job writes is
//! partitioned as if a Java producer had written it.

/// The partition for a record with this key: murmur2, made positive, modulo the partition count.
///
/// # Panics
/// When `partitions` is not positive.
pub fn keyed(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
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

/// Partitions for records without a key: one for a whole batch, the next one for the next batch (KIP-480).
#[derive(Debug, Clone, Default)]
pub struct Sticky {
    batches: u32,
}

impl Sticky {
    /// The partition for the keyless records of one more batch.
    ///
    /// # Panics
    /// When `partitions` is not positive.
    pub fn next_batch(&mut self, partitions: i32) -> i32 {
        assert!(partitions > 0, "a topic has at least one partition");
        let partition = self.batches % partitions.unsigned_abs();
        self.batches = self.batches.wrapping_add(1);
        partition as i32
    }
}

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
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        assert_eq!(keyed(b"21", 6), (-973932308i32 & 0x7fff_ffff) % 6);
        assert!((0..1000i32).all(|n| (0..7).contains(&keyed(&n.to_be_bytes(), 7))));
    }

    #[test]
    fn keyless_records_stay_together_for_a_batch_and_then_move_on() {
        let mut sticky = Sticky::default();
        let partitions: Vec<i32> = (0..5).map(|_| sticky.next_batch(3)).collect();
        assert_eq!(partitions, [0, 1, 2, 0, 1]);
    }
}
