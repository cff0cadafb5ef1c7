//! Hashes of keys, as the two families of Kafka clients compute them.

pub use pelton_record::{crc32, keyed_crc32, keyed_murmur2, murmur2};
