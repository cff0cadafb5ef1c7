//! The answer to a Fetch, v4-18, written around records that need not be in memory.
//!
//! The records of a partition are the last field before its tags, as bytes with their length in front. So an answer
//! is pieces of bytes with stretches of files between them ([`Frame`]). A test compares every version with what the
//! protocol crate writes.

use super::codec::{Frame, Malformed, Part};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::TopicName;
use pelton_core::event::Records;
use pelton_record::varint;
use uuid::Uuid;

/// First version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 12;

/// An answer to a Fetch.
#[derive(Debug, Clone, Default)]
pub struct FetchAnswer {
    /// For how long the client is throttled.
    pub throttle_time_ms: i32,
    /// Error of the request as a whole (v7+).
    pub error_code: i16,
    /// The fetch session, 0 for none (v7+).
    pub session_id: i32,
    /// What is answered, topic by topic.
    pub topics: Vec<AnsweredTopic>,
}

/// One topic of an answer.
#[derive(Debug, Clone)]
pub struct AnsweredTopic {
    /// Its name, up to v12.
    pub name: TopicName,
    /// Its id, from v13 on.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: Vec<AnsweredPartition>,
}

/// One partition of an answer. Offsets that are not known are -1.
#[derive(Debug, Clone)]
pub struct AnsweredPartition {
    /// Which one.
    pub index: i32,
    /// Its error, 0 for none.
    pub error_code: i16,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable: i64,
    /// Log start offset (v5+).
    pub log_start: i64,
    /// For read_committed: producer id and first offset of each aborted transaction; nothing for others.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// Whole batches.
    pub records: Records,
}

impl FetchAnswer {
    /// The answer as it goes out, with its header, in the given version of Fetch.
    ///
    /// # Errors
    /// [`Malformed::Response`] when it would be longer than a frame can be.
    pub fn frame(self, correlation_id: i32, version: i16) -> Result<Frame, Malformed> {
        let mut out = Writer { buffer: BytesMut::with_capacity(256), parts: Vec::new(), version };
        out.buffer.put_i32(0);
        out.buffer.put_i32(correlation_id);
        out.tags();
        out.buffer.put_i32(self.throttle_time_ms);
        if version >= 7 {
            out.buffer.put_i16(self.error_code);
            out.buffer.put_i32(self.session_id);
        }
        out.count(self.topics.len())?;
        for topic in self.topics {
            out.topic(topic)?;
        }
        out.tags();
        out.finish()
    }

    /// How long the answer is with its length and without its header, which is what Kafka charges for it.
    ///
    /// # Errors
    /// As for [`FetchAnswer::frame`].
    pub fn charged_bytes(self, version: i16) -> Result<usize, Malformed> {
        let header = if version >= FLEXIBLE { 5 } else { 4 };
        Ok(self.frame(0, version)?.len() - header)
    }
}

struct Writer {
    buffer: BytesMut,
    parts: Vec<Part>,
    version: i16,
}

impl Writer {
    fn flexible(&self) -> bool {
        self.version >= FLEXIBLE
    }

    fn topic(&mut self, topic: AnsweredTopic) -> Result<(), Malformed> {
        if self.version >= 13 {
            self.buffer.put_slice(topic.id.as_bytes());
        } else {
            let name = topic.name.0.as_str();
            match self.flexible() {
                true => self.varint(name.len() + 1)?,
                false => self.buffer.put_i16(i16::try_from(name.len()).map_err(|_| too_long())?),
            }
            self.buffer.put_slice(name.as_bytes());
        }
        self.count(topic.partitions.len())?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.tags();
        Ok(())
    }

    fn partition(&mut self, partition: AnsweredPartition) -> Result<(), Malformed> {
        self.buffer.put_i32(partition.index);
        self.buffer.put_i16(partition.error_code);
        self.buffer.put_i64(partition.high_watermark);
        self.buffer.put_i64(partition.last_stable);
        if self.version >= 5 {
            self.buffer.put_i64(partition.log_start);
        }
        match partition.aborted {
            Some(aborted) => {
                self.count(aborted.len())?;
                for (producer_id, first_offset) in aborted {
                    self.buffer.put_i64(producer_id);
                    self.buffer.put_i64(first_offset);
                    self.tags();
                }
            }
            None if self.flexible() => self.buffer.put_u8(0),
            None => self.buffer.put_i32(-1),
        }
        if self.version >= 11 {
            self.buffer.put_i32(-1); // preferred_read_replica
        }
        self.count(partition.records.len())?;
        match partition.records {
            Records::Bytes(bytes) if bytes.is_empty() => {}
            Records::Bytes(bytes) => self.insert(Part::Bytes(bytes)),
            Records::Stored(stored) => self.insert(Part::Stored(stored)),
        }
        self.tags();
        Ok(())
    }

    /// A number of elements or of bytes.
    fn count(&mut self, count: usize) -> Result<(), Malformed> {
        if self.flexible() {
            return self.varint(count + 1);
        }
        self.buffer.put_i32(i32::try_from(count).map_err(|_| too_long())?);
        Ok(())
    }

    fn varint(&mut self, value: usize) -> Result<(), Malformed> {
        let value = u32::try_from(value).map_err(|_| too_long())?;
        varint::put_u32(value, |byte| self.buffer.put_u8(byte));
        Ok(())
    }

    /// No tagged fields.
    fn tags(&mut self) {
        if self.flexible() {
            self.buffer.put_u8(0);
        }
    }

    fn insert(&mut self, part: Part) {
        self.parts.push(Part::Bytes(self.buffer.split().freeze()));
        self.parts.push(part);
    }

    fn finish(mut self) -> Result<Frame, Malformed> {
        if !self.buffer.is_empty() {
            self.parts.push(Part::Bytes(self.buffer.freeze()));
        }
        Frame::with_length(self.parts)
    }
}

fn too_long() -> Malformed {
    Malformed::Response("it is longer than a frame can be".to_owned())
}

#[cfg(test)]
mod tests;
