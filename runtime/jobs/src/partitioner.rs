//! Where records without a key go: what Kafka's Java client does. Its hash of keys is [`pelton_record::keyed_murmur2`].

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
    fn keyless_records_stay_together_for_a_batch_and_then_move_on() {
        let mut sticky = Sticky::default();
        let partitions: Vec<i32> = (0..5).map(|_| sticky.next_batch(3)).collect();
        assert_eq!(partitions, [0, 1, 2, 0, 1]);
    }
}
