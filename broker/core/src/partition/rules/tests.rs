//! Each config of appending: what it lets in, what it refuses, and in which words.

use super::*;
use pelton_record::BatchBuilder;

const NOW: Timestamp = Timestamp(1_000_000);

fn rules(configs: &[(&str, &str)]) -> AppendRules {
    rules_under(&CoreConfig::default(), configs)
}

fn rules_under(config: &CoreConfig, configs: &[(&str, &str)]) -> AppendRules {
    AppendRules::of(config, &map(configs))
}

fn map(configs: &[(&str, &str)]) -> BTreeMap<String, String> {
    configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A batch of records with these keys and timestamps.
fn batch(records: &[(Option<&str>, i64)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(records.first().map_or(0, |(_, timestamp)| *timestamp));
    for (key, timestamp) in records {
        builder.push(*timestamp, key.map(str::as_bytes), Some(b"value"), &[]);
    }
    builder.into_bytes_with_crc()
}

fn check(rules: &AppendRules, records: &[(Option<&str>, i64)]) -> Result<i64, RecordErrors> {
    let bytes = batch(records);
    rules.check_records(&TopicPartition::new("orders", 3), &BatchView::parse(&bytes).unwrap(), NOW)
}

fn header(change: impl FnOnce(&mut BatchHeader)) -> BatchHeader {
    let mut header = BatchHeader::parse(&batch(&[(None, NOW.0)])).unwrap();
    change(&mut header);
    header
}

#[test]
fn a_topics_configs_go_before_the_brokers() {
    let config = CoreConfig {
        message_max_bytes: 7,
        message_timestamp_type: TimestampType::LogAppend,
        message_timestamp_before_max_ms: 8,
        message_timestamp_after_max_ms: 9,
        compression: Some(Codec::Lz4),
        ..CoreConfig::default()
    };
    let own = [
        ("max.message.bytes", "70"),
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.before.max.ms", "80"),
        ("message.timestamp.after.max.ms", "90"),
        ("compression.type", "producer"),
        ("cleanup.policy", "delete, compact"),
    ];
    let of = |rules: AppendRules| {
        let times = (rules.timestamp_type, rules.timestamp_before_max_ms, rules.timestamp_after_max_ms);
        (rules.max_message_bytes, times, rules.compression, rules.compacted)
    };
    let brokers = (7, (TimestampType::LogAppend, 8, 9), Some(Codec::Lz4), false);
    assert_eq!(of(rules_under(&config, &[])), brokers);
    assert_eq!(of(rules_under(&config, &own)), (70, (TimestampType::Create, 80, 90), None, true));
}

#[test]
fn max_message_bytes_is_the_largest_size() {
    let rules = rules(&[("max.message.bytes", "100")]);
    assert_eq!(rules.check_size(100), Ok(()));
    assert_eq!(rules.check_size(101), Err(Refusal::RecordTooLarge));
}

#[test]
fn a_compacted_topic_wants_keys_and_names_the_records_without() {
    let records = [(Some("a"), NOW.0), (None, NOW.0), (Some(""), NOW.0), (None, NOW.0)];
    assert_eq!(check(&rules(&[]), &records), Ok(NOW.0));
    let errors = check(&rules(&[("cleanup.policy", "compact")]), &records).unwrap_err();
    let why = "Compacted topic cannot accept message without key in topic partition orders-3.";
    assert_eq!(errors.records, [(1, why.to_owned()), (3, why.to_owned())]);
    let Refusal::InvalidRecord(message) = errors.refusal else { panic!("{:?}", errors.refusal) };
    assert!(message.starts_with("One or more records have been rejected due to 2 record errors in total"), "{message}");
}

#[test]
fn timestamps_lie_within_before_and_after() {
    let rules = rules(&[("message.timestamp.before.max.ms", "10"), ("message.timestamp.after.max.ms", "20")]);
    for timestamp in [NOW.0 - 10, NOW.0, NOW.0 + 20, NO_TIMESTAMP] {
        assert!(check(&rules, &[(None, timestamp)]).is_ok(), "{timestamp}");
    }
    let errors = check(&rules, &[(None, NOW.0 - 11), (None, NOW.0), (None, NOW.0 + 21)]).unwrap_err();
    let message = "One or more records have been rejected due to invalid timestamp".to_owned();
    assert_eq!(errors.refusal, Refusal::InvalidTimestamp(message));
    let range = "is out of range. The timestamp should be within [999990, 1000020]";
    let expected = [
        (0, format!("Timestamp 999989 of message with offset 0 {range}")),
        (2, format!("Timestamp 1000021 of message with offset 2 {range}")),
    ];
    assert_eq!(errors.records, expected);
    assert!(check(&rules, &[(None, i64::MAX)]).is_err() && check(&rules, &[(None, i64::MIN)]).is_err());
}

#[test]
fn an_hour_ahead_is_the_default_limit_and_the_past_has_none() {
    assert!(check(&rules(&[]), &[(None, 0)]).is_ok());
    assert!(check(&rules(&[]), &[(None, NOW.0 + 3_600_000)]).is_ok());
    assert!(check(&rules(&[]), &[(None, NOW.0 + 3_600_001)]).is_err());
}

#[test]
fn what_the_broker_stamps_may_say_what_it_likes_but_not_that_it_was_stamped() {
    let stamping = rules(&[("message.timestamp.type", "LogAppendTime"), ("message.timestamp.before.max.ms", "0")]);
    assert!(check(&stamping, &[(None, 5), (None, i64::MAX / 2)]).is_ok());
    let claimed = header(|header| {
        header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppend);
    });
    assert!(matches!(stamping.check_timestamp_type(&claimed), Err(Refusal::InvalidTimestamp(_))));
    assert_eq!(stamping.check_timestamp_type(&header(|_| {})), Ok(()));
}

#[test]
fn the_largest_timestamp_is_found_wherever_it_stands() {
    assert_eq!(check(&rules(&[]), &[(None, 5), (None, 9), (None, 7)]), Ok(9));
    assert_eq!(check(&rules(&[]), &[]), Ok(NO_TIMESTAMP));
}

#[test]
fn the_level_is_that_of_the_codec_which_is_kept() {
    let levels = [("compression.gzip.level", "9"), ("compression.zstd.level", "-5"), ("compression.lz4.level", "17")];
    let level = |codec| {
        let set = [&levels[..], &[("compression.type", codec)]].concat();
        rules(&set).compression_level
    };
    assert_eq!((level("gzip"), level("zstd"), level("lz4"), level("producer")), (Some(9), Some(-5), None, None));
    assert_eq!(rules(&[("compression.type", "gzip"), ("compression.gzip.level", "-1")]).compression_level, None);
    let broker = CoreConfig { gzip_level: Some(2), zstd_level: 7, ..CoreConfig::default() };
    let inherited = |codec| AppendRules::of(&broker, &map(&[("compression.type", codec)])).compression_level;
    assert_eq!((inherited("gzip"), inherited("zstd")), (Some(2), Some(7)));
}

#[test]
fn compression_type_recodes_only_what_has_another_codec() {
    let with = |codec| header(|header| header.attributes = header.attributes.with_codec(codec));
    let names = [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ];
    for (name, codec) in names {
        let rules = rules(&[("compression.type", name)]);
        assert_eq!(rules.kept_codec(&with(codec)), None, "{name}");
        let other = if codec == Codec::Zstd { Codec::Gzip } else { Codec::Zstd };
        assert_eq!(rules.kept_codec(&with(other)), Some(codec), "{name}");
        let empty = BatchHeader { record_count: 0, ..with(other) };
        assert_eq!(rules.kept_codec(&empty), None, "there is nothing to compress");
    }
    assert_eq!(rules(&[("compression.type", "producer")]).kept_codec(&with(Codec::Gzip)), None);
}

#[test]
fn compressed_records_are_opened_only_where_the_header_is_not_enough() {
    let usual = header(|header| header.attributes = header.attributes.with_codec(Codec::Zstd));
    assert!(!rules(&[]).need_records(&usual, NOW));
    assert!(rules(&[("cleanup.policy", "compact")]).need_records(&usual, NOW));
    assert!(rules(&[("message.timestamp.before.max.ms", "5")]).need_records(&usual, NOW));
    assert!(rules(&[("compression.type", "gzip")]).need_records(&usual, NOW));
    assert!(!rules(&[("compression.type", "zstd")]).need_records(&usual, NOW));
    let early = BatchHeader { max_timestamp: NOW.0 + 3_600_001, ..usual };
    assert!(rules(&[]).need_records(&early, NOW));
    assert!(!rules(&[("message.timestamp.type", "LogAppendTime")]).need_records(&early, NOW));
}

#[test]
fn a_refusal_names_a_bounded_number_of_records_and_counts_them_all() {
    let records = vec![(None, NOW.0); MAX_RECORD_ERRORS + 5];
    let errors = check(&rules(&[("cleanup.policy", "compact")]), &records).unwrap_err();
    assert_eq!(errors.records.len(), MAX_RECORD_ERRORS);
    assert!(errors.refusal.to_string().contains("due to 1005 record errors"), "{}", errors.refusal);
}

#[test]
fn durability_is_the_topics_then_the_brokers_and_of_internal_topics_always_fsync() {
    let replicated = CoreConfig { fsync: false, ..CoreConfig::default() };
    let synced = |config: &CoreConfig, configs: &[(&str, &str)], internal| {
        DurabilityRules::of(config, &map(configs), internal).synced
    };
    assert!(synced(&CoreConfig::default(), &[], false) && !synced(&replicated, &[], false));
    assert!(!synced(&CoreConfig::default(), &[("durability", "replicated")], false));
    assert!(synced(&replicated, &[("durability", "fsync")], false));
    assert!(synced(&replicated, &[("durability", "replicated")], true));
}

#[test]
fn flush_configs_are_the_topics_then_the_brokers() {
    let config = CoreConfig { flush_interval_messages: 7, flush_interval_ms: Some(8), ..CoreConfig::default() };
    let of = |configs: &[(&str, &str)]| {
        let rules = DurabilityRules::of(&config, &map(configs), false);
        (rules.flush_messages, rules.flush_ms)
    };
    assert_eq!(of(&[]), (7, Some(8)));
    assert_eq!(of(&[("flush.messages", "70"), ("flush.ms", "80")]), (70, Some(80)));
    assert_eq!(of(&[("flush.ms", "9223372036854775807")]), (7, None));
    let default = DurabilityRules::of(&CoreConfig::default(), &map(&[]), false);
    assert_eq!((default.flush_messages, default.flush_ms), (i64::MAX, None));
}
