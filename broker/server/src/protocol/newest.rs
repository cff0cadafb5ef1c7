//! How requests are read and answers written: by the protocol crate, and here where it does not know the newest version.
//!
//! A handler has one type of request and one of answer, whatever the version. [`Wire::PLAIN`] leaves both to the crate; each
//! constant below is an API with a version that the crate (0.18) lacks, of which only the difference is written here. When the
//! crate knows it, the constant and its functions go, and the handler stays as it is. (Fetch writes its answers around files:
//! [`super::fetch_answer`].)
//!
//! Invariant: what is read here was walked by [`super::shape`] before, so no array claims more elements than there are bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use pelton_record::varint;
use std::error::Error;
use uuid::Uuid;

/// What was wrong with a request, or with an answer.
pub type Failed = Box<dyn Error + Send + Sync>;

/// How the requests of one API are read, and its answers written, in every version that is served.
pub struct Wire<Q, R> {
    /// Reads the body of a request of that version.
    pub read: fn(&mut Bytes, i16) -> Result<Q, Failed>,
    /// Writes the body of an answer in that version behind what is there.
    pub write: fn(&R, i16, &mut BytesMut) -> Result<(), Failed>,
}

impl<Q: Decodable, R: Encodable> Wire<Q, R> {
    /// As the crate does it.
    pub const PLAIN: Self = Self { read, write };
}

/// Reads a request as the crate does.
///
/// # Errors
/// When it is not one of that version.
pub fn read<Q: Decodable>(body: &mut Bytes, version: i16) -> Result<Q, Failed> {
    Ok(Q::decode(body, version)?)
}

/// Writes an answer as the crate does, behind what is there.
///
/// # Errors
/// When it has something that the version does not have.
pub fn write<R: Encodable>(answer: &R, version: i16, out: &mut BytesMut) -> Result<(), Failed> {
    out.reserve(answer.compute_size(version)?);
    Ok(answer.encode(out, version)?)
}

/// v11 is written as v10 is: only what timestamps mean has changed.
pub const LIST_OFFSETS: Wire<ListOffsetsRequest, ListOffsetsResponse> = Wire {
    read: |body, version| read(body, version.min(10)),
    write: |answer, version, out| write(answer, version.min(10), out),
};

/// v10 names topics by their ids. The crate writes its answers.
pub const OFFSET_COMMIT: Wire<OffsetCommitRequest, OffsetCommitResponse> = Wire {
    read: |body, version| match version {
        10.. => offset_commit_by_id(body),
        _ => read(body, version),
    },
    write,
};

fn offset_commit_by_id(body: &mut Bytes) -> Result<OffsetCommitRequest, Failed> {
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(body)?))
        .with_generation_id_or_member_epoch(body.try_get_i32()?)
        .with_member_id(text(body)?)
        .with_group_instance_id(nullable_text(body)?)
        .with_topics(elements(body, |body| {
            let topic = OffsetCommitRequestTopic::default()
                .with_topic_id(Uuid::from_u128(body.try_get_u128()?))
                .with_partitions(elements(body, |body| Ok(OffsetCommitRequestPartition::decode(body, 9)?))?);
            skip_tags(body).map(|()| topic)
        })?);
    skip_tags(body).map(|()| request)
}

/// v10 names topics by their ids. The crate writes its answers.
pub const OFFSET_FETCH: Wire<OffsetFetchRequest, OffsetFetchResponse> = Wire {
    read: |body, version| match version {
        10.. => offset_fetch_by_id(body),
        _ => read(body, version),
    },
    write,
};

fn offset_fetch_by_id(body: &mut Bytes) -> Result<OffsetFetchRequest, Failed> {
    let topic = |body: &mut Bytes| {
        let topic = OffsetFetchRequestTopics::default()
            .with_topic_id(Uuid::from_u128(body.try_get_u128()?))
            .with_partition_indexes(elements(body, |body| Ok(body.try_get_i32()?))?);
        skip_tags(body).map(|()| topic)
    };
    let request = OffsetFetchRequest::default()
        .with_groups(elements(body, |body| {
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(body)?))
                .with_member_id(nullable_text(body)?)
                .with_member_epoch(body.try_get_i32()?)
                .with_topics(nullable_elements(body, topic)?);
            skip_tags(body).map(|()| group)
        })?)
        .with_require_stable(body.try_get_u8()? != 0);
    skip_tags(body).map(|()| request)
}

/// One marker of WriteTxnMarkers.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionedMarker {
    /// What v1 has of it.
    pub marker: WritableTxnMarker,
    /// `transaction.version` of the transaction (v2); 0 before, which is Kafka's default.
    pub transaction_version: i8,
}

/// v2 has the version of the transaction with each marker (KIP-1228); its answers are written as those of v1.
pub const WRITE_TXN_MARKERS: Wire<Vec<VersionedMarker>, WriteTxnMarkersResponse> = Wire {
    read: |body, version| match version {
        2.. => versioned_markers(body),
        _ => {
            let request: WriteTxnMarkersRequest = read(body, version)?;
            let unversioned = |marker| VersionedMarker { marker, transaction_version: 0 };
            Ok(request.markers.into_iter().map(unversioned).collect())
        }
    },
    write: |answer, version, out| write(answer, version.min(1), out),
};

fn versioned_markers(body: &mut Bytes) -> Result<Vec<VersionedMarker>, Failed> {
    let markers = elements(body, |body| {
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(body.try_get_i64()?))
            .with_producer_epoch(body.try_get_i16()?)
            .with_transaction_result(body.try_get_u8()? != 0)
            .with_topics(elements(body, |body| Ok(WritableTxnMarkerTopic::decode(body, 1)?))?)
            .with_coordinator_epoch(body.try_get_i32()?);
        let transaction_version = body.try_get_i8()?;
        skip_tags(body).map(|()| VersionedMarker { marker, transaction_version })
    })?;
    skip_tags(body).map(|()| markers)
}

/// v5 says of each directory whether it takes no more partitions (KIP-1066), which none does; for the rest it is as v4.
pub const DESCRIBE_LOG_DIRS: Wire<DescribeLogDirsRequest, DescribeLogDirsResponse> = Wire {
    read: |body, version| read(body, version.min(4)),
    write: |answer, version, out| match version {
        5.. => log_dirs_not_cordoned(answer, out),
        _ => write(answer, version, out),
    },
};

fn log_dirs_not_cordoned(answer: &DescribeLogDirsResponse, out: &mut BytesMut) -> Result<(), Failed> {
    const NOT_CORDONED: u8 = 0;
    const NO_TAGS: u8 = 0;
    out.put_i32(answer.throttle_time_ms);
    out.put_i16(answer.error_code);
    varint::put_u32(u32::try_from(answer.results.len() + 1)?, |byte| out.put_u8(byte));
    for result in &answer.results {
        result.encode(out, 4)?;
        out.truncate(out.len() - 1);
        out.put_slice(&[NOT_CORDONED, NO_TAGS]);
    }
    out.put_u8(NO_TAGS);
    Ok(())
}

fn text(body: &mut Bytes) -> Result<StrBytes, Failed> {
    nullable_text(body)?.ok_or_else(|| "a text is null".into())
}

fn nullable_text(body: &mut Bytes) -> Result<Option<StrBytes>, Failed> {
    let Some(length) = length(body)? else { return Ok(None) };
    Ok(Some(StrBytes::try_from(take(body, length)?)?))
}

fn elements<T>(body: &mut Bytes, each: impl FnMut(&mut Bytes) -> Result<T, Failed>) -> Result<Vec<T>, Failed> {
    nullable_elements(body, each)?.ok_or_else(|| "an array is null".into())
}

fn nullable_elements<T>(
    body: &mut Bytes,
    mut each: impl FnMut(&mut Bytes) -> Result<T, Failed>,
) -> Result<Option<Vec<T>>, Failed> {
    length(body)?.map(|count| (0..count).map(|_| each(body)).collect()).transpose()
}

/// The tagged fields at the end of a structure, none of which these versions know.
fn skip_tags(body: &mut Bytes) -> Result<(), Failed> {
    for _ in 0..unsigned(body)? {
        let (_tag, length) = (unsigned(body)?, unsigned(body)?);
        take(body, length)?;
    }
    Ok(())
}

/// A compact length; none of what is null.
fn length(body: &mut Bytes) -> Result<Option<u32>, Failed> {
    Ok(unsigned(body)?.checked_sub(1))
}

fn take(body: &mut Bytes, length: u32) -> Result<Bytes, Failed> {
    let length = length as usize;
    if length > body.len() {
        return Err("it ends in the middle of a field".into());
    }
    Ok(body.split_to(length))
}

fn unsigned(body: &mut Bytes) -> Result<u32, Failed> {
    let mut rest = &body[..];
    let value = varint::read_u32(&mut rest)?;
    body.advance(body.len() - rest.len());
    Ok(value)
}

#[cfg(test)]
mod tests;
