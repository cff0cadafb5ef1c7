//! Which batches belong to aborted transactions, and which markers still decide something. Pure.
//!
//! Kafka's `CleanedTransactionMetadata`: the batches of a log are shown in their order, from its first one on.

use crate::Offset;
use crate::index::AbortedTxn;
use pelton_record::{BatchHeader, ControlType};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is known of the transactions around the batch that was shown last.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Those whose first record was not passed yet, by their first offset.
    coming: VecDeque<AbortedTxn>,
    /// Aborted ones that are open here, by producer, and whether a batch of theirs was seen.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    /// Producers with an open transaction that will be committed and of which a batch was seen.
    committed: BTreeSet<i64>,
}

/// What a marker decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkerUse {
    /// Whether a batch was seen that it decides; then it must stay.
    pub decides: bool,
    /// The aborted transaction that it ends, if batches of it were seen.
    pub aborted: Option<AbortedTxn>,
    /// It aborts batches that nobody said were aborted: they were taken for committed ones.
    pub contradicts: bool,
}

impl Transactions {
    /// `aborted` are the aborted transactions that overlap the batches to come.
    pub fn new(mut aborted: Vec<AbortedTxn>) -> Self {
        aborted.sort_by_key(|txn| txn.first_offset);
        Self { coming: aborted.into(), aborted: BTreeMap::new(), committed: BTreeSet::new() }
    }

    /// Says whether a batch of records belongs to an aborted transaction.
    pub fn on_data(&mut self, header: &BatchHeader) -> bool {
        self.advance_to(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((txn, seen)) if header.last_offset() < txn.last_offset => {
                *seen = true;
                true
            }
            // One whose marker was passed unseen has nothing to do with this batch.
            _ => {
                self.aborted.remove(&header.producer_id);
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Says what a marker decides. One that cannot be read decides nothing that is known of.
    pub fn on_marker(&mut self, header: &BatchHeader, control: Option<ControlType>) -> MarkerUse {
        self.advance_to(header.last_offset());
        let producer_id = header.producer_id;
        match control {
            Some(ControlType::Abort) => {
                let aborted = self.aborted.remove(&producer_id).filter(|(_, seen)| *seen).map(|(txn, _)| txn);
                let contradicts = self.committed.remove(&producer_id);
                MarkerUse { decides: aborted.is_some() || contradicts, aborted, contradicts }
            }
            Some(ControlType::Commit) => {
                MarkerUse { decides: self.committed.remove(&producer_id), aborted: None, contradicts: false }
            }
            None => MarkerUse { decides: false, aborted: None, contradicts: false },
        }
    }

    fn advance_to(&mut self, offset: Offset) {
        while let Some(txn) = self.coming.pop_front_if(|txn| txn.first_offset <= offset) {
            let known = self.aborted.entry(txn.producer_id).or_insert((txn, false));
            if known.0.last_offset < txn.first_offset {
                *known = (txn, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::Attributes;

    fn header(producer_id: i64, offset: Offset, control: bool) -> BatchHeader {
        BatchHeader {
            base_offset: offset,
            batch_length: 49,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(0).with_transactional(true).with_control(control),
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: -1,
            record_count: 1,
        }
    }

    fn txn(producer_id: i64, first_offset: Offset, last_offset: Offset) -> AbortedTxn {
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    #[test]
    fn records_of_an_aborted_transaction_are_known_and_its_marker_is_of_use_while_they_are_there() {
        let mut transactions = Transactions::new(vec![txn(1, 0, 3), txn(1, 7, 9)]);
        assert!(transactions.on_data(&header(1, 0, false)));
        assert!(!transactions.on_data(&header(2, 1, false)));
        let used = transactions.on_marker(&header(1, 3, true), Some(ControlType::Abort));
        assert_eq!(used, MarkerUse { decides: true, aborted: Some(txn(1, 0, 3)), contradicts: false });
        assert!(transactions.on_marker(&header(2, 4, true), Some(ControlType::Commit)).decides);
        assert!(!transactions.on_data(&header(1, 5, false)), "it lies between two aborted transactions");
        assert!(transactions.on_marker(&header(1, 6, true), Some(ControlType::Commit)).decides);
        let unused = transactions.on_marker(&header(1, 9, true), Some(ControlType::Abort));
        assert_eq!(unused, MarkerUse { decides: false, aborted: None, contradicts: false }, "its records are gone");
    }

    #[test]
    fn a_transaction_that_ended_before_the_first_batch_shown_aborts_nothing() {
        let mut transactions = Transactions::new(vec![txn(1, 0, 3), txn(1, 12, 14)]);
        assert!(!transactions.on_data(&header(1, 5, false)));
        assert!(transactions.on_marker(&header(1, 6, true), Some(ControlType::Commit)).decides);
        assert!(transactions.on_data(&header(1, 12, false)));
    }

    #[test]
    fn an_abort_that_the_index_does_not_know_is_noticed() {
        let mut transactions = Transactions::new(Vec::new());
        assert!(!transactions.on_data(&header(1, 0, false)));
        assert!(transactions.on_marker(&header(1, 1, true), Some(ControlType::Abort)).contradicts);
    }

    #[test]
    fn a_commit_marker_whose_records_are_gone_decides_nothing() {
        let mut transactions = Transactions::new(Vec::new());
        assert!(!transactions.on_marker(&header(1, 3, true), Some(ControlType::Commit)).decides);
        assert!(!transactions.on_marker(&header(1, 4, true), None).decides);
    }
}
