//! What is measured: which system does which work, and how durable its answers are.

use crate::load::{DROPPED_FIRST, REDACTED_FIELD, Tally};
use crate::streams::Guarantee;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// An older binary of Pelton.
    Older,
    /// Pelton, with or without fdatasync before the answer.
    Pelton(Durability),
    /// Apache Kafka alone.
    Kafka,
    /// Apache Kafka, and Kafka Streams beside it.
    Streams(Guarantee),
}

/// `durability` of Pelton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The default: an answer waits for the disk.
    Fsync,
    /// As Kafka's default: an answer waits for the replicas' memory.
    Replicated,
}

/// What is done to the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    None,
    /// Nothing, while another topic of the broker has the identity.
    Beside,
    /// They are seen, and stay as they are.
    Identity,
    /// One of ten is taken away, by its first byte.
    Filter,
    /// One member of each JSON value gets another value.
    Redact,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Who.
    pub system: System,
    /// What.
    pub work: Work,
}

/// An interceptor on a topic.
#[derive(Debug)]
pub struct Attached {
    /// Its name, which is that of its file.
    pub guest: &'static str,
    /// Its configuration.
    pub config: String,
}

/// All rows, in the order of the table.
pub fn all(older: bool, kafka: bool) -> Vec<Variant> {
    use Durability::{Fsync, Replicated};
    let row = |system, work| Variant { system, work };
    let replicated = System::Pelton(Replicated);
    let mut rows = Vec::new();
    if older {
        rows.push(row(System::Older, Work::None));
    }
    rows.extend(
        [Work::None, Work::Beside, Work::Identity, Work::Filter, Work::Redact].map(|work| row(replicated, work)),
    );
    rows.extend([Work::None, Work::Identity].map(|work| row(System::Pelton(Fsync), work)));
    if kafka {
        rows.push(row(System::Kafka, Work::None));
        let streams = System::Streams(Guarantee::AtLeastOnce);
        rows.extend([Work::Identity, Work::Filter, Work::Redact].map(|work| row(streams, work)));
        rows.push(row(System::Streams(Guarantee::ExactlyOnce), Work::Identity));
    }
    rows
}

impl Variant {
    /// The system, for the table.
    pub fn system_name(self) -> &'static str {
        match self.system {
            System::Older => "Pelton, older binary",
            System::Pelton(_) => "Pelton",
            System::Kafka => "Kafka",
            System::Streams(Guarantee::AtLeastOnce) => "Kafka + Streams",
            System::Streams(Guarantee::ExactlyOnce) => "Kafka + Streams, exactly once",
        }
    }

    /// When an answer is given, for the table.
    pub fn mode(self) -> &'static str {
        match self.system {
            System::Pelton(Durability::Fsync) => "fsync",
            System::Older | System::Pelton(Durability::Replicated) => "replicated",
            System::Kafka | System::Streams(_) => "page cache",
        }
    }

    /// The work, for the table.
    pub fn work_name(self) -> &'static str {
        match self.work {
            Work::None => "none",
            Work::Beside => "none, another topic hooked",
            Work::Identity => "identity",
            Work::Filter => "filter",
            Work::Redact => "redact",
        }
    }

    /// All of its names, for progress and for choosing rows.
    pub fn name(self) -> String {
        format!("{} / {} / {}", self.system_name(), self.mode(), self.work_name())
    }

    /// Whether its processes are JVMs, which have to warm up.
    pub fn is_jvm(self) -> bool {
        matches!(self.system, System::Kafka | System::Streams(_))
    }

    /// The row of the same broker in which nothing is done.
    pub fn without_work(self) -> Self {
        let system = match self.system {
            System::Older => System::Pelton(Durability::Replicated),
            System::Streams(_) => System::Kafka,
            same => same,
        };
        Self { system, work: Work::None }
    }

    /// The row of Kafka that does the same work.
    pub fn of_kafka(self) -> Self {
        match self.work {
            Work::None | Work::Beside => Self { system: System::Kafka, work: Work::None },
            work => Self { system: System::Streams(Guarantee::AtLeastOnce), work },
        }
    }

    /// What Pelton attaches.
    pub fn attached(self) -> Option<Attached> {
        let (guest, config) = match self.work {
            Work::None => return None,
            Work::Beside | Work::Identity => ("identity", "{}".to_owned()),
            Work::Filter => ("filter", format!(r#"{{"first":"{DROPPED_FIRST}"}}"#)),
            Work::Redact => ("redact", format!(r#"{{"field":"{REDACTED_FIELD}"}}"#)),
        };
        Some(Attached { guest, config })
    }

    /// What the program of Kafka Streams is told to do.
    pub fn streams_work(self) -> String {
        match self.work {
            Work::None | Work::Beside | Work::Identity => "identity".to_owned(),
            Work::Filter => format!("filter={DROPPED_FIRST}"),
            Work::Redact => format!("redact={REDACTED_FIELD}"),
        }
    }

    /// What must be read in the end, of what was sent.
    pub fn expected(self, sent: Tally) -> Tally {
        match self.work {
            Work::None | Work::Beside | Work::Identity => sent,
            Work::Filter => Tally::filtered(sent.records),
            Work::Redact => Tally { redacted: sent.records, ..sent },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_compared_with_rows_that_are_measured() {
        let rows = all(true, true);
        for row in &rows {
            assert!(rows.contains(&row.without_work()), "{}", row.name());
            assert!(rows.contains(&row.of_kafka()), "{}", row.name());
        }
        assert!(all(false, false).iter().all(|row| !row.is_jvm() && row.system != System::Older));
    }

    #[test]
    fn names_tell_rows_apart() {
        let mut names: Vec<String> = all(true, true).into_iter().map(Variant::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
