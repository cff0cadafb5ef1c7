//! Kafka's protocol as the commands speak it: administration, over plain connections of their own.
//!
//! What it does: it finds the broker that a request is for (any one, a leader, the coordinator of a group), asks, and
//! translates: wire types stay in this room, commands see the structs that are defined here. What it does not: records
//! are written and read by librdkafka, in the commands that do so; and nothing is decided here. It speaks to every broker since Apache
//! Kafka 3.0, and asks each request in the highest version that both sides know.

mod assignment;
mod configs;
mod connection;
mod groups;
mod nodes;
mod refused;
mod topics;

pub use configs::{Alteration, Config, Operation, Resource, Source};
pub use groups::{Committed, Group, ListedGroup, Member};
pub use nodes::{Directory, Features, LogSize, Quorum, Voter};
pub use refused::{Kind, Refused};
#[cfg(test)]
pub use topics::Partition;
pub use topics::{Lookup, NewTopic, Topic};

use anyhow::{anyhow, bail};
use connection::{Connection, Unreachable};
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;
use pelton_core::model::TopicPartition;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a coordinator that is loading or has moved is asked again, and how long is waited before that.
const ATTEMPTS: usize = 50;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
/// Groups, as FindCoordinator numbers what has a coordinator.
const GROUP: i8 = 0;

/// What came of a request for each of several things, in their order.
pub type Each<K, T> = Vec<(K, Result<T, Refused>)>;

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Where clients find it.
    pub host: String,
    /// The port there.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

impl Broker {
    /// `HOST:PORT`, an IPv6 address in brackets.
    fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A cluster, by way of its brokers.
pub struct Cluster {
    /// By address. The one that was named first is always among them.
    connections: BTreeMap<String, Connection>,
    seed: String,
    /// What Kafka calls the cluster.
    pub id: Option<String>,
    /// The broker that requests which change the cluster go to.
    pub controller: i32,
    /// The brokers, by their ids.
    pub brokers: Vec<Broker>,
}

impl Cluster {
    /// Connects to the first of `bootstrap` that answers: `HOST:PORT`, several parted by commas.
    ///
    /// # Errors
    /// When none answers, or what answers is no broker.
    pub fn connect(bootstrap: &str) -> anyhow::Result<Self> {
        let mut stranger = None;
        for address in bootstrap.split(',').map(str::trim) {
            match Connection::open(address) {
                Ok(connection) => return Self::through(connection),
                Err(Unreachable::Nobody) => {}
                Err(Unreachable::Stranger(error)) => stranger = stranger.or(Some(error)),
            }
        }
        match stranger {
            Some(error) => Err(error),
            None => bail!("no broker answers at {bootstrap}; is `pelton serve` running?"),
        }
    }

    fn through(mut connection: Connection) -> anyhow::Result<Self> {
        let none = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
        let found = connection.ask(topics::METADATA, &none)?;
        let mut brokers: Vec<Broker> = found
            .brokers
            .iter()
            .map(|broker| Broker {
                id: broker.node_id.0,
                host: broker.host.to_string(),
                port: broker.port,
                rack: broker.rack.as_ref().map(ToString::to_string),
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        let seed = connection.address().to_owned();
        Ok(Self {
            connections: BTreeMap::from([(seed.clone(), connection)]),
            seed,
            id: found.cluster_id.map(|id| id.to_string()),
            controller: found.controller_id.0,
            brokers,
        })
    }

    /// The broker that was named first.
    fn any(&mut self) -> &mut Connection {
        self.connections.get_mut(&self.seed).expect("the first connection is never taken out")
    }

    /// The broker with that id.
    fn broker(&mut self, id: i32) -> anyhow::Result<&mut Connection> {
        let Some(broker) = self.brokers.iter().find(|broker| broker.id == id) else {
            let ids: Vec<String> = self.brokers.iter().map(|broker| broker.id.to_string()).collect();
            bail!("there is no broker {id}; there are {}", ids.join(", "));
        };
        let address = broker.address();
        if !self.connections.contains_key(&address) {
            let connection = Connection::open(&address).map_err(|unreachable| match unreachable {
                Unreachable::Nobody => {
                    anyhow!(
                        "broker {id} does not answer at {address}; is `advertised.listeners` right, and is it running?"
                    )
                }
                Unreachable::Stranger(error) => error,
            })?;
            self.connections.insert(address.clone(), connection);
        }
        Ok(self.connections.get_mut(&address).expect("it was put there"))
    }

    /// The broker that coordinates a group.
    fn coordinator(&mut self, group: &str) -> anyhow::Result<Result<i32, Refused>> {
        let request = FindCoordinatorRequest::default().with_key_type(GROUP).with_coordinator_keys(vec![wire(group)]);
        let answer = self.any().ask(4..=6, &request)?;
        let [found] = &answer.coordinators[..] else {
            return Err(self.odd("FindCoordinator"));
        };
        Ok(Refused::check(found.error_code, found.error_message.as_ref()).map(|()| found.node_id.0))
    }

    /// Asks the coordinator of a group, and asks again while there is none or another one; whatever it refuses else is the
    /// caller's to tell.
    fn coordinated<T>(
        &mut self,
        group: &str,
        mut ask: impl FnMut(&mut Connection, i32) -> anyhow::Result<Result<T, Refused>>,
    ) -> anyhow::Result<Result<T, Refused>> {
        for attempt in 1.. {
            let outcome = match self.coordinator(group)? {
                Ok(id) => ask(self.broker(id)?, id)?,
                Err(refused) => Err(refused),
            };
            match outcome {
                Err(refused) if refused.kind() == Kind::CoordinatorMoved && attempt < ATTEMPTS => {
                    std::thread::sleep(BETWEEN_ATTEMPTS);
                }
                outcome => return Ok(outcome),
            }
        }
        unreachable!("the last attempt returns");
    }

    /// An answer of which a part that must be there is missing.
    fn odd(&self, api: &str) -> anyhow::Error {
        anyhow!("{} gave an answer to {api} that does not fit the question; is it a Kafka broker?", self.seed)
    }
}

/// A text as the wire's.
fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Partitions by their topic.
fn by_topic<'a, T>(
    all: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> impl Iterator<Item = (&'a str, Vec<(i32, T)>)> {
    let mut topics: BTreeMap<&str, Vec<(i32, T)>> = BTreeMap::new();
    for (partition, what) in all {
        topics.entry(&partition.topic).or_default().push((partition.partition, what));
    }
    topics.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::ToSocketAddrs as _;

    #[test]
    fn a_broker_is_found_by_name_and_by_either_kind_of_address() {
        for (host, address) in [("localhost", "localhost:9092"), ("127.0.0.1", "127.0.0.1:9092"), ("::1", "[::1]:9092")]
        {
            let broker = Broker { id: 1, host: host.to_owned(), port: 9092, rack: None };
            assert_eq!(broker.address(), address);
            assert!(broker.address().to_socket_addrs().is_ok(), "{address}");
        }
    }

    #[test]
    fn partitions_are_put_together_by_topic() {
        let partitions = [("b", 1), ("a", 0), ("b", 0)].map(|(topic, index)| TopicPartition::new(topic, index));
        let found: Vec<_> = by_topic(partitions.iter().zip(1..)).collect();
        assert_eq!(found, [("a", vec![(0, 2)]), ("b", vec![(1, 1), (0, 3)])]);
    }
}
