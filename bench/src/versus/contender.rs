//! Who is measured, and what its answers promise.

/// A system in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// Pelton's default: an answer waits for the disk.
    Fsync,
    /// Pelton with `durability=replicated`: an answer waits for the replicas' memory.
    Replicated,
    /// Apache Kafka as it is by default, which promises the same.
    Kafka,
    /// Apache Kafka with `flush.messages=1`, which promises what Pelton's default does.
    KafkaFlushed,
}

use Contender::{Fsync, Kafka, KafkaFlushed, Replicated};

impl Contender {
    /// The system, for the tables.
    pub fn system(self) -> &'static str {
        match self {
            Fsync | Replicated => "Pelton",
            Kafka | KafkaFlushed => "Kafka",
        }
    }

    /// When an answer is given, for the tables.
    pub fn answers_after(self) -> &'static str {
        match self {
            Fsync => "fsync",
            Replicated => "replicated",
            Kafka => "page cache",
            KafkaFlushed => "flush.messages=1",
        }
    }

    /// Both.
    pub fn name(self) -> String {
        format!("{} / {}", self.system(), self.answers_after())
    }

    /// Whether it is a JVM.
    pub fn is_jvm(self) -> bool {
        matches!(self, Kafka | KafkaFlushed)
    }

    /// Configs of its topics.
    pub fn topic_configs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            KafkaFlushed => &[("flush.messages", "1")],
            _ => &[],
        }
    }

    /// The one of `all` that a contender is compared with: Kafka with the same promise if it is there.
    pub fn rival(self, all: &[Self]) -> Option<Self> {
        let wanted = if self == Fsync && all.contains(&KafkaFlushed) { KafkaFlushed } else { Kafka };
        (!self.is_jvm() && all.contains(&wanted)).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_promise_is_compared_where_it_can_be() {
        assert_eq!(Fsync.rival(&[Fsync, Kafka]), Some(Kafka));
        assert_eq!(Fsync.rival(&[Fsync, Kafka, KafkaFlushed]), Some(KafkaFlushed));
        assert_eq!(Replicated.rival(&[Replicated, Kafka, KafkaFlushed]), Some(Kafka));
        assert_eq!(Kafka.rival(&[Kafka, KafkaFlushed]), None);
        assert_eq!(Fsync.rival(&[Fsync]), None);
    }
}
