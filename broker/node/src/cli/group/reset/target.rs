//! Where the committed offset of a partition goes. Pure: it knows what was asked for and what there is, and decides.
//!
//! The rules are those of Kafka's own tool: an offset outside of what a partition holds becomes the nearest one inside, a time
//! after the last record becomes the end, and what has no committed offset cannot be shifted.

use super::Offsets;
use anyhow::anyhow;
use pelton_core::model::TopicPartition;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The first offset.
    Start,
    /// The end.
    End,
    /// Where the group is.
    Current,
    /// One offset for all.
    Offset(i64),
    /// On or back by so many.
    Shift(i64),
    /// The first record of a time, in milliseconds since the Unix epoch, or a later one.
    At(i64),
    /// An offset for each.
    Each(Offsets),
}

/// What there is.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What the group has committed.
    pub committed: Option<i64>,
    /// The first offset.
    pub start: i64,
    /// The end.
    pub end: i64,
    /// The first record of the time that was asked for, where there is one.
    pub found: Option<i64>,
}

/// What becomes of a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where it was.
    pub from: Option<i64>,
    /// Where it goes.
    pub to: i64,
    /// Why it goes elsewhere than was asked for.
    pub note: Option<&'static str>,
}

impl Target {
    /// Where the partition goes.
    ///
    /// # Errors
    /// When there is nothing to go by.
    pub fn decide(&self, partition: &TopicPartition, known: Known) -> anyhow::Result<Move> {
        let Known { committed, start, end, found } = known;
        let (wanted, reason) = match self {
            Self::Start => (start, None),
            Self::End => (end, None),
            Self::Current => match committed {
                Some(committed) => (committed, None),
                None => (end, Some("nothing was committed; the end is taken")),
            },
            Self::Offset(offset) => (*offset, None),
            Self::Shift(by) => {
                let committed = committed.ok_or_else(|| {
                    anyhow!(
                        "{partition} has no committed offset to shift; leave it out, or name an offset by --to-offset"
                    )
                })?;
                (committed.saturating_add(*by), None)
            }
            Self::At(_) => match found {
                Some(offset) => (offset, None),
                None => (end, Some("no record is that late; the end is taken")),
            },
            Self::Each(offsets) => {
                let offset = offsets.get(partition).ok_or_else(|| anyhow!("the file has no offset of {partition}"))?;
                (*offset, None)
            }
        };
        let note = match wanted {
            before if before < start => Some("that is gone; the first offset is taken"),
            after if after > end => Some("that is not there yet; the end is taken"),
            _ => reason,
        };
        // A partition that was deleted and made anew may begin behind the end that was told an instant earlier.
        Ok(Move { from: committed, to: wanted.max(start).min(end.max(start)), note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(target: &Target, committed: Option<i64>, found: Option<i64>) -> anyhow::Result<(i64, bool)> {
        let known = Known { committed, start: 10, end: 20, found };
        let step = target.decide(&TopicPartition::new("orders", 0), known)?;
        assert_eq!(step.from, committed);
        Ok((step.to, step.note.is_some()))
    }

    #[test]
    fn every_target_goes_where_kafkas_tool_goes() {
        for (target, committed, found, to, noted) in [
            (Target::Start, Some(15), None, 10, false),
            (Target::End, None, None, 20, false),
            (Target::Current, Some(15), None, 15, false),
            (Target::Current, Some(3), None, 10, true),
            (Target::Current, None, None, 20, true),
            (Target::Offset(12), None, None, 12, false),
            (Target::Offset(20), None, None, 20, false),
            (Target::Offset(2), None, None, 10, true),
            (Target::Offset(200), None, None, 20, true),
            (Target::Shift(-3), Some(15), None, 12, false),
            (Target::Shift(-30), Some(15), None, 10, true),
            (Target::Shift(i64::MAX), Some(15), None, 20, true),
            (Target::At(7), Some(15), Some(13), 13, false),
            (Target::At(7), Some(15), None, 20, true),
            (Target::Each(Offsets::from([(TopicPartition::new("orders", 0), 18)])), None, None, 18, false),
        ] {
            assert_eq!(decided(&target, committed, found).unwrap(), (to, noted), "{target:?} from {committed:?}");
        }
    }

    #[test]
    fn what_has_nothing_to_go_by_is_refused() {
        assert!(decided(&Target::Shift(1), None, None).unwrap_err().to_string().contains("no committed offset"));
        assert!(decided(&Target::Each(Offsets::new()), Some(1), None).is_err());
    }
}
