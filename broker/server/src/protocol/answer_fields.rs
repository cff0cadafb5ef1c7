//! What answers have in common, wherever in them it stands: their error codes, so that no handler has to count them, and the
//! time for which their client is throttled, so that none has to tell it.

use crate::metrics::Metrics;
use crate::protocol::fetch_answer::FetchAnswer;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::*;
use std::any::Any;

/// Where the codes of an answer stand: `field`, or `list[field]`, or `list.list[field]`, one more list at most.
macro_rules! codes {
    ($answer:ident, $tell:ident, $of:ty, $code:ident) => {
        if let Some(answer) = $answer.downcast_ref::<$of>() {
            $tell(answer.$code);
        }
    };
    ($answer:ident, $tell:ident, $of:ty, $list:ident [$code:ident]) => {
        if let Some(answer) = $answer.downcast_ref::<$of>() {
            answer.$list.iter().for_each(|one| $tell(one.$code));
        }
    };
    ($answer:ident, $tell:ident, $of:ty, $list:ident.$inner:ident [$code:ident]) => {
        if let Some(answer) = $answer.downcast_ref::<$of>() {
            answer.$list.iter().flat_map(|one| one.$inner.iter()).for_each(|one| $tell(one.$code));
        }
    };
    ($answer:ident, $tell:ident, $of:ty, $list:ident.$inner:ident.$last:ident [$code:ident]) => {
        if let Some(answer) = $answer.downcast_ref::<$of>() {
            let inner = answer.$list.iter().flat_map(|one| one.$inner.iter());
            inner.flat_map(|one| one.$last.iter()).for_each(|one| $tell(one.$code));
        }
    };
}

/// Every API with its answer, whether that has a field `throttle_time_ms`, and the places of its error codes.
macro_rules! of_every_api {
    ($then:ident: $($with:ident),*) => {
        $then! { $($with),*:
            Produce => ProduceResponse timed { (responses.partition_responses[error_code]) }
            Fetch => FetchAnswer timed { (error_code), (topics.partitions[error_code]) }
            ListOffsets => ListOffsetsResponse timed { (topics.partitions[error_code]) }
            Metadata => MetadataResponse timed { (topics[error_code]), (topics.partitions[error_code]) }
            OffsetCommit => OffsetCommitResponse timed { (topics.partitions[error_code]) }
            OffsetFetch => OffsetFetchResponse timed {
                (error_code), (topics.partitions[error_code]), (groups[error_code]), (groups.topics.partitions[error_code])
            }
            FindCoordinator => FindCoordinatorResponse timed { (error_code), (coordinators[error_code]) }
            JoinGroup => JoinGroupResponse timed { (error_code) }
            Heartbeat => HeartbeatResponse timed { (error_code) }
            LeaveGroup => LeaveGroupResponse timed { (error_code), (members[error_code]) }
            SyncGroup => SyncGroupResponse timed { (error_code) }
            DescribeGroups => DescribeGroupsResponse timed { (groups[error_code]) }
            ListGroups => ListGroupsResponse timed { (error_code) }
            SaslHandshake => SaslHandshakeResponse untimed { (error_code) }
            ApiVersions => ApiVersionsResponse timed { (error_code) }
            CreateTopics => CreateTopicsResponse timed { (topics[error_code]) }
            DeleteTopics => DeleteTopicsResponse timed { (responses[error_code]) }
            DeleteRecords => DeleteRecordsResponse timed { (topics.partitions[error_code]) }
            InitProducerId => InitProducerIdResponse timed { (error_code) }
            OffsetForLeaderEpoch => OffsetForLeaderEpochResponse timed { (topics.partitions[error_code]) }
            AddPartitionsToTxn => AddPartitionsToTxnResponse timed {
                (error_code), (results_by_topic_v3_and_below.results_by_partition[partition_error_code]),
                (results_by_transaction.topic_results.results_by_partition[partition_error_code])
            }
            AddOffsetsToTxn => AddOffsetsToTxnResponse timed { (error_code) }
            EndTxn => EndTxnResponse timed { (error_code) }
            WriteTxnMarkers => WriteTxnMarkersResponse untimed { (markers.topics.partitions[error_code]) }
            TxnOffsetCommit => TxnOffsetCommitResponse timed { (topics.partitions[error_code]) }
            DescribeAcls => DescribeAclsResponse timed { (error_code) }
            CreateAcls => CreateAclsResponse timed { (results[error_code]) }
            DeleteAcls => DeleteAclsResponse timed { (filter_results[error_code]) }
            DescribeConfigs => DescribeConfigsResponse timed { (results[error_code]) }
            AlterConfigs => AlterConfigsResponse timed { (responses[error_code]) }
            AlterReplicaLogDirs => AlterReplicaLogDirsResponse timed { (results.partitions[error_code]) }
            DescribeLogDirs => DescribeLogDirsResponse timed { (error_code), (results[error_code]) }
            SaslAuthenticate => SaslAuthenticateResponse untimed { (error_code) }
            CreatePartitions => CreatePartitionsResponse timed { (results[error_code]) }
            DeleteGroups => DeleteGroupsResponse timed { (results[error_code]) }
            ElectLeaders => ElectLeadersResponse timed {
                (error_code), (replica_election_results.partition_result[error_code])
            }
            IncrementalAlterConfigs => IncrementalAlterConfigsResponse timed { (responses[error_code]) }
            AlterPartitionReassignments => AlterPartitionReassignmentsResponse timed {
                (error_code), (responses.partitions[error_code])
            }
            ListPartitionReassignments => ListPartitionReassignmentsResponse timed { (error_code) }
            OffsetDelete => OffsetDeleteResponse timed { (error_code), (topics.partitions[error_code]) }
            DescribeClientQuotas => DescribeClientQuotasResponse timed { (error_code) }
            AlterClientQuotas => AlterClientQuotasResponse timed { (entries[error_code]) }
            DescribeUserScramCredentials => DescribeUserScramCredentialsResponse timed { (error_code), (results[error_code]) }
            AlterUserScramCredentials => AlterUserScramCredentialsResponse timed { (results[error_code]) }
            DescribeQuorum => DescribeQuorumResponse untimed { (error_code), (topics.partitions[error_code]) }
            UpdateFeatures => UpdateFeaturesResponse timed { (error_code), (results[error_code]) }
            DescribeCluster => DescribeClusterResponse timed { (error_code) }
            DescribeProducers => DescribeProducersResponse timed { (topics.partitions[error_code]) }
            UnregisterBroker => UnregisterBrokerResponse timed { (error_code) }
            DescribeTransactions => DescribeTransactionsResponse timed { (transaction_states[error_code]) }
            ListTransactions => ListTransactionsResponse timed { (error_code) }
            ListConfigResources => ListConfigResourcesResponse timed { (error_code) }
            DescribeTopicPartitions => DescribeTopicPartitionsResponse timed { (topics[error_code]) }
        }
    };
}

/// What is done with the codes of an API.
macro_rules! codes_of_its_answer {
    ($key:ident, $answer:ident, $tell:ident: $($api:ident => $of:ident $timed:ident { $($path:tt),+ })*) => {
        match $key {
            $(ApiKey::$api => { $(codes_of!($answer, $tell, $of, $path);)+ })*
            _ => {}
        }
    };
}

/// Unwraps a path.
macro_rules! codes_of {
    ($answer:ident, $tell:ident, $of:ident, ($($path:tt)+)) => {
        codes!($answer, $tell, $of, $($path)+)
    };
}

/// What is done with the throttle time of an API.
macro_rules! time_of_its_answer {
    ($key:ident, $answer:ident, $time:ident: $($api:ident => $of:ident $timed:ident { $($path:tt),+ })*) => {
        match $key {
            $(ApiKey::$api => time_of!($answer, $time, $of, $timed),)*
            _ => {}
        }
    };
}

/// Writes the time where the answer has a field for it.
macro_rules! time_of {
    ($answer:ident, $time:ident, $of:ident, timed) => {
        if let Some(answer) = $answer.downcast_mut::<$of>() {
            answer.throttle_time_ms = $time;
        }
    };
    ($answer:ident, $time:ident, $of:ident, untimed) => {{}};
}

/// Counts the error codes of an answer to that API. Of an API that has none, or is not listed here, nothing is counted.
pub fn count_errors(metrics: &Metrics, key: ApiKey, answer: &dyn Any) {
    let tell = |code: i16| {
        if code != 0 {
            metrics.error(key as i16, code);
        }
    };
    of_every_api! { codes_of_its_answer: key, answer, tell }
}

/// Tells the client of that API's answer for how long it is throttled. Nothing is told where the answer has no field for it;
/// versions that have none leave it out when they are written.
pub fn set_throttle_time(key: ApiKey, answer: &mut dyn Any, throttle_time_ms: i32) {
    of_every_api! { time_of_its_answer: key, answer, throttle_time_ms }
}

/// Kafka's name of an error code: `NOT_LEADER_OR_FOLLOWER`; the code itself where it has none.
pub fn name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None => "NONE".to_owned(),
        Some(ResponseError::Unknown(code)) => code.to_string(),
        Some(error) => screaming(&format!("{error:?}")),
    }
}

fn screaming(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::APIS;
    use kafka_protocol::messages::offset_fetch_response::*;

    #[test]
    fn codes_are_found_wherever_they_stand() {
        let metrics = Metrics::default();
        let partition = OffsetFetchResponsePartitions::default().with_error_code(7);
        let topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition.clone(), partition]);
        let group = OffsetFetchResponseGroup::default().with_error_code(15).with_topics(vec![topic]);
        let answer = OffsetFetchResponse::default().with_groups(vec![group]);
        count_errors(&metrics, ApiKey::OffsetFetch, &answer);
        count_errors(&metrics, ApiKey::Heartbeat, &HeartbeatResponse::default());
        count_errors(&metrics, ApiKey::Heartbeat, &HeartbeatResponse::default().with_error_code(-1));
        let found: Vec<(i16, i16, u64)> = metrics.error_codes().collect();
        assert_eq!(found, [(9, 7, 2), (9, 15, 1), (12, -1, 1)]);
    }

    /// What the table says of an API, and what its answer has.
    macro_rules! facts_of_its_answer {
        ($key:ident: $($api:ident => $of:ident $timed:ident { $($path:tt),+ })*) => {
            match $key {
                $(ApiKey::$api => Some((stringify!($timed) == "timed", format!("{:?}", <$of>::default()))),)*
                _ => None,
            }
        };
    }

    #[test]
    fn every_api_stands_in_the_table_and_its_throttle_time_is_told() {
        for api in APIS {
            let key = api.key;
            let (timed, answer) = of_every_api! { facts_of_its_answer: key }
                .unwrap_or_else(|| panic!("{} is not in the table", api.name));
            assert_eq!(timed, answer.contains("throttle_time_ms"), "{}: {answer}", api.name);
        }
    }

    #[test]
    fn errors_have_kafkas_names() {
        assert_eq!(name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(name(6), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!((name(0), name(9_999)), ("NONE".to_owned(), "9999".to_owned()));
    }
}
