//! A record of `__consumer_offsets` as JSON, for those who look at a log: the field names are those of Kafka's schemas.

use super::{GroupMetadataValue, OffsetCommitValue, RecordKey};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The key and the value as JSON, in the shape of Kafka's own `kafka-dump-log --offsets-decoder`; a tombstone's value is null.
///
/// # Errors
/// Says what of the record is malformed.
pub fn describe_record(key: &[u8], value: Option<&[u8]>) -> Result<(Value, Value), String> {
    let parsed = RecordKey::parse(key).map_err(|error| format!("key: {error}"))?;
    let version = |bytes: &[u8]| bytes.first_chunk::<2>().map_or(-1, |bytes| i16::from_be_bytes(*bytes)).to_string();
    let data = match &parsed {
        RecordKey::OffsetCommit(key) => {
            json!({ "group": *key.group, "topic": *key.partition.topic, "partition": key.partition.partition })
        }
        RecordKey::GroupMetadata(key) => json!({ "group": *key.group }),
        RecordKey::Unknown(_) => json!({ "hex": hexadecimal(key.get(2..).unwrap_or_default()) }),
    };
    let key = json!({ "type": version(key), "data": data });
    let Some(bytes) = value else { return Ok((key, Value::Null)) };
    let data = match parsed {
        RecordKey::OffsetCommit(_) => OffsetCommitValue::parse(bytes).map(|value| offset_commit(&value)),
        RecordKey::GroupMetadata(_) => GroupMetadataValue::parse(bytes).map(|value| group_metadata(&value)),
        RecordKey::Unknown(_) => Ok(json!({ "hex": hexadecimal(bytes.get(2..).unwrap_or_default()) })),
    };
    let data = data.map_err(|error| format!("value: {error}"))?;
    Ok((key, json!({ "version": version(bytes), "data": data })))
}

fn offset_commit(value: &OffsetCommitValue) -> Value {
    if let Some(expires_at) = value.expires_at {
        return json!({
            "offset": value.offset,
            "metadata": *value.metadata,
            "commitTimestamp": value.committed_at.0,
            "expireTimestamp": expires_at.0,
        });
    }
    json!({
        "offset": value.offset,
        "leaderEpoch": value.leader_epoch.map_or(-1, |epoch| epoch.0),
        "metadata": *value.metadata,
        "commitTimestamp": value.committed_at.0,
    })
}

fn group_metadata(value: &GroupMetadataValue) -> Value {
    let members = value.members.iter().map(|member| {
        json!({
            "memberId": *member.member,
            "groupInstanceId": member.instance.as_deref(),
            "clientId": *member.client_id,
            "clientHost": *member.client_host,
            "rebalanceTimeout": member.rebalance_timeout_ms,
            "sessionTimeout": member.session_timeout_ms,
            "subscription": hexadecimal(&member.subscription),
            "assignment": hexadecimal(&member.assignment),
        })
    });
    json!({
        "protocolType": *value.protocol_type,
        "generation": value.generation,
        "protocol": value.protocol.as_deref(),
        "leader": value.leader.as_deref(),
        "currentStateTimestamp": value.state_since.map_or(-1, |at| at.0),
        "members": members.collect::<Vec<_>>(),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::super::{GroupMetadataKey, MemberMetadata, OffsetCommitKey};
    use super::*;
    use crate::model::{LeaderEpoch, Timestamp, TopicPartition};
    use bytes::Bytes;

    #[test]
    fn a_committed_offset_reads_as_in_kafka() {
        let key = OffsetCommitKey { group: "g".into(), partition: TopicPartition::new("t", 3) }.encode();
        let value = OffsetCommitValue {
            offset: 42,
            leader_epoch: Some(LeaderEpoch(1)),
            metadata: "m".into(),
            committed_at: Timestamp(9),
            expires_at: None,
        };
        let (key_json, value_json) = describe_record(&key, Some(&value.encode())).unwrap();
        assert_eq!(key_json, json!({"type": "1", "data": {"group": "g", "topic": "t", "partition": 3}}));
        let data = json!({"offset": 42, "leaderEpoch": 1, "metadata": "m", "commitTimestamp": 9});
        assert_eq!(value_json, json!({"version": "3", "data": data}));
        assert_eq!(describe_record(&key, None).unwrap().1, Value::Null);
        let expiring = OffsetCommitValue { leader_epoch: None, expires_at: Some(Timestamp(11)), ..value };
        let data = json!({"offset": 42, "metadata": "m", "commitTimestamp": 9, "expireTimestamp": 11});
        assert_eq!(describe_record(&key, Some(&expiring.encode())).unwrap().1, json!({"version": "1", "data": data}));
    }

    #[test]
    fn a_group_shows_its_members_and_a_later_type_its_bytes() {
        let key = GroupMetadataKey { group: "g".into() }.encode();
        let member = MemberMetadata {
            member: "m-1".into(),
            instance: None,
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 1,
            session_timeout_ms: 2,
            subscription: Bytes::from_static(b"\x00\xff"),
            assignment: Bytes::new(),
        };
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 7,
            protocol: Some("range".into()),
            leader: Some("m-1".into()),
            state_since: None,
            members: vec![member],
        };
        let (_, shown) = describe_record(&key, Some(&value.encode())).unwrap();
        assert_eq!(shown["data"]["generation"], 7);
        assert_eq!(shown["data"]["members"][0]["subscription"], "00ff");
        let (key, _) = describe_record(&[0, 9, 0xab], Some(&[0, 0])).unwrap();
        assert_eq!(key, json!({"type": "9", "data": {"hex": "ab"}}));
        assert!(describe_record(&[], None).is_err());
        assert!(describe_record(&[0, 1, 0, 9], None).unwrap_err().starts_with("key: "));
    }
}
