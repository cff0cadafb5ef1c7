//! A record of `__cluster_metadata` as JSON, for those who look at a log.

use super::records::Change;
use super::{Configs, TopicImage};
use crate::coordinator::StoredRecord;
use crate::model::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The key and the value as JSON, once they are known to be a change of the image; a removal's value is null.
///
/// # Errors
/// Says what of the record is malformed, or which newer version it has.
pub fn describe_record(key: &[u8], value: Option<&[u8]>) -> Result<(Value, Value), String> {
    change(key, value)?;
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| error.to_string());
    Ok((json(key)?, value.map_or(Ok(Value::Null), json)?))
}

/// For a record that makes or changes a topic: its name, and the topic from then on.
pub fn topic_in_record(key: &[u8], value: Option<&[u8]>) -> Option<(Arc<str>, TopicImage)> {
    match change(key, value) {
        Ok(Change::Topic(name, topic)) => Some((name, topic)),
        _ => None,
    }
}

/// For a record of configs that are set at run time: of which broker (no id: of all), and the configs from then on.
pub fn broker_configs_in_record(key: &[u8], value: Option<&[u8]>) -> Option<(Arc<str>, Configs)> {
    match change(key, value) {
        Ok(Change::BrokerConfigs(broker, configs)) => Some((broker, configs)),
        _ => None,
    }
}

fn change(key: &[u8], value: Option<&[u8]>) -> Result<Change, String> {
    Change::from_record(StoredRecord { key, value, timestamp: Timestamp(0), transaction: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_change_of_the_image_is_shown_and_anything_else_refused() {
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let image = TopicImage::new(TopicId(5), 2, configs, false);
        let record = Change::Topic("t".into(), image).to_record();
        let (key, value) = describe_record(&record.key, record.value.as_deref()).unwrap();
        assert_eq!(key, json!({"topic": "t"}));
        assert_eq!(value["partitions"], 2);
        let (name, topic) = topic_in_record(&record.key, record.value.as_deref()).unwrap();
        assert_eq!((&*name, topic.configs["cleanup.policy"].as_str()), ("t", "compact"));
        assert!(topic_in_record(&record.key, None).is_none());
        assert_eq!(describe_record(&record.key, None).unwrap().1, Value::Null);
        assert!(describe_record(b"{\"topic\":3}", None).is_err());
        assert!(describe_record(&record.key, Some(b"{\"version\":2}")).unwrap_err().contains("newer"));
    }
}
