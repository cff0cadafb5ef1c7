//! The partitioners that need no plugin, in the form of plugins, and the choice among all of them.
//!
//! `murmur2` and `crc32` answer as the clients of Java and of librdkafka do by default, so a topic that verifies with them
//! takes exactly what those clients send. `round-robin` and `sticky` have no right answer for a record; they serve those who
//! place records themselves: jobs' sinks, and `route`.

use crate::library::Library;
use crate::settings::{BuiltIn, PartitionerChoice, Settings};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::interceptor::Parts;
use pelton_api::partitioner::{Partitioner, PartitionerFactory};
use pelton_record::{BatchView, keyed_crc32, keyed_murmur2};
use std::sync::Arc;

/// A partitioner of a topic: its name, which bytes it is (empty when built in), and its code.
pub struct Chosen {
    /// `murmur2`, or `geo@1`.
    pub name: String,
    /// SHA-256 of the plugin's bytes, in hexadecimal; empty for one that is built in.
    pub digest: String,
    /// Makes instances.
    pub factory: Arc<dyn PartitionerFactory>,
    /// What instances are configured with.
    pub config: String,
}

/// The partitioner that the settings name, if they name one.
///
/// # Errors
/// Why the plugin cannot be loaded.
pub fn of(settings: &Settings, library: &dyn Library) -> Result<Option<Chosen>, String> {
    let Some(partitioning) = &settings.partitioner else { return Ok(None) };
    let name = partitioning.choice.to_string();
    Ok(Some(match &partitioning.choice {
        PartitionerChoice::BuiltIn(built_in) => {
            Chosen { name, digest: String::new(), factory: Arc::new(*built_in), config: "{}".into() }
        }
        PartitionerChoice::Plugin(plugin) => {
            let code = library.partitioner(plugin)?;
            let config = settings.plugin(&plugin.name).config().to_owned();
            Chosen { name, digest: code.digest, factory: code.factory, config }
        }
    }))
}

impl PartitionerFactory for BuiltIn {
    fn reads(&self) -> Parts {
        Parts { key: self.verifies(), ..Parts::NONE }
    }

    fn instantiate(&self, _config: &str) -> Result<Box<dyn Partitioner>, Fault> {
        Ok(match self {
            Self::Murmur2 => Box::new(Keyed(|key, partitions| key.map_or(-1, |key| keyed_murmur2(key, partitions)))),
            Self::Crc32 => Box::new(Keyed(|key, partitions| match key {
                // librdkafka's `consistent_random` takes an empty key for none.
                None | Some([]) => -1,
                Some(key) => keyed_crc32(key, partitions),
            })),
            Self::RoundRobin => Box::new(Turns { next: 0, each_record: true }),
            Self::Sticky => Box::new(Turns { next: 0, each_record: false }),
        })
    }
}

fn view<'a>(batch: &'a [u8], partitions: i32) -> Result<BatchView<'a>, Fault> {
    if partitions <= 0 {
        return Err(Fault::Host(format!("a topic cannot have {partitions} partitions")));
    }
    BatchView::parse(batch).map_err(|error| Fault::Refused(error.to_string()))
}

/// One answer for each key; -1 where any will do.
struct Keyed(fn(Option<&[u8]>, i32) -> i32);

impl Partitioner for Keyed {
    fn partition(&mut self, batch: &Bytes, _topic: &str, partitions: i32) -> Result<Vec<i32>, Fault> {
        let refused = |error: pelton_record::BatchError| Fault::Refused(error.to_string());
        let records = view(batch, partitions)?.records().map_err(refused)?;
        records.map(|record| record.map(|record| self.0(record.key, partitions)).map_err(refused)).collect()
    }
}

/// One partition after the other, for each record or for each batch.
struct Turns {
    next: u32,
    each_record: bool,
}

impl Partitioner for Turns {
    fn partition(&mut self, batch: &Bytes, _topic: &str, partitions: i32) -> Result<Vec<i32>, Fault> {
        let count = view(batch, partitions)?.header().record_count.unsigned_abs();
        let first = self.next;
        let step = u32::from(self.each_record);
        self.next = first.wrapping_add(if self.each_record { count } else { 1 });
        let turn = |record: u32| (first.wrapping_add(record * step) % partitions.unsigned_abs()) as i32;
        Ok((0..count).map(turn).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::BatchBuilder;

    fn batch(keys: &[Option<&[u8]>]) -> Bytes {
        let mut batch = BatchBuilder::new(0);
        keys.iter().for_each(|key| batch.push(0, *key, Some(b"v"), &[]));
        batch.into_bytes().into()
    }

    fn ask(partitioner: &mut dyn Partitioner, keys: &[Option<&[u8]>]) -> Vec<i32> {
        partitioner.partition(&batch(keys), "t", 7).unwrap()
    }

    #[test]
    fn keys_are_placed_as_the_clients_place_them() {
        let keys: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"hejsan"), Some(b"23456")];
        let mut java = BuiltIn::Murmur2.instantiate("{}").unwrap();
        assert_eq!(ask(&mut *java, &keys), [-1, 0x106e_08d9 % 7, 0x5ec1_9395 % 7, 0x058d_780f % 7]);
        let mut librdkafka = BuiltIn::Crc32.instantiate("{}").unwrap();
        let placed = |crc: u32| (crc % 7) as i32;
        assert_eq!(ask(&mut *librdkafka, &keys), [-1, -1, placed(0xd077_037e), placed(0xb1b4_51d7)]);
    }

    #[test]
    fn turns_are_taken_for_records_or_for_batches() {
        let mut robin = BuiltIn::RoundRobin.instantiate("{}").unwrap();
        assert_eq!(ask(&mut *robin, &[None; 5]), [0, 1, 2, 3, 4]);
        assert_eq!(ask(&mut *robin, &[Some(&b"k"[..]); 4]), [5, 6, 0, 1]);
        let mut sticky = BuiltIn::Sticky.instantiate("{}").unwrap();
        assert_eq!(ask(&mut *sticky, &[None; 3]), [0, 0, 0]);
        assert_eq!(ask(&mut *sticky, &[None; 2]), [1, 1]);
    }

    #[test]
    fn damaged_bytes_and_impossible_topics_are_errors() {
        for built_in in BuiltIn::ALL {
            let mut partitioner = built_in.instantiate("{}").unwrap();
            assert!(partitioner.partition(&Bytes::from_static(b"no batch"), "t", 7).is_err());
            assert!(partitioner.partition(&batch(&[None]), "t", 0).is_err());
        }
    }
}
