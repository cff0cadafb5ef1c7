//! A record of `__transaction_state` as JSON, for those who look at a log: the field names are those of Kafka's schemas.

use super::records::{decode_key, decode_value};
use super::state::Transaction;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The key and the value as JSON, in the shape of Kafka's own `kafka-dump-log --transaction-log-decoder`; a tombstone's value is
/// null.
///
/// # Errors
/// Says what of the record is malformed.
pub fn describe_record(key: &[u8], value: Option<&[u8]>) -> Result<(Value, Value), String> {
    let id = decode_key(key)?;
    let key = json!({ "type": "0", "data": { "transactionalId": *id } });
    let Some(bytes) = value else { return Ok((key, Value::Null)) };
    let data = match decode_value(bytes)? {
        None => json!({ "transactionStatus": "Dead" }),
        Some(transaction) => described(&transaction),
    };
    Ok((key, json!({ "version": "0", "data": data })))
}

fn described(transaction: &Transaction) -> Value {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &transaction.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topics = topics.into_iter().map(|(topic, ids)| json!({ "topic": topic, "partitionIds": ids }));
    json!({
        "producerId": transaction.producer_id.0,
        "producerEpoch": transaction.producer_epoch.0,
        "transactionTimeoutMs": transaction.timeout_ms,
        "transactionStatus": format!("{:?}", transaction.status),
        "transactionPartitions": topics.collect::<Vec<_>>(),
        "transactionLastUpdateTimestampMs": transaction.updated.0,
        "transactionStartTimestampMs": transaction.started.map_or(-1, |at| at.0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::records::{state_record, tombstone};
    use super::super::state::Status;
    use super::*;
    use crate::model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};

    #[test]
    fn a_transaction_reads_as_in_kafka() {
        let transaction = Transaction {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(2),
            timeout_ms: 60_000,
            status: Status::PrepareCommit,
            partitions: [("b", 1), ("a", 2), ("a", 0)].map(|(topic, index)| TopicPartition::new(topic, index)).into(),
            updated: Timestamp(11),
            started: None,
        };
        let record = state_record("tx", &transaction);
        let (key, value) = describe_record(&record.key, record.value.as_deref()).unwrap();
        assert_eq!(key, json!({"type": "0", "data": {"transactionalId": "tx"}}));
        assert_eq!(value["data"]["transactionStatus"], "PrepareCommit");
        let partitions = json!([{"topic": "a", "partitionIds": [0, 2]}, {"topic": "b", "partitionIds": [1]}]);
        assert_eq!(value["data"]["transactionPartitions"], partitions);
        assert_eq!(value["data"]["transactionStartTimestampMs"], -1);
        let gone = tombstone("tx");
        assert_eq!(describe_record(&gone.key, None).unwrap().1, Value::Null);
        assert!(describe_record(&gone.key, Some(&[])).is_err());
    }
}
