//! The error codes of an answer, wherever in it they stand, so that no handler has to count them.

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

/// What is done with the codes of one API.
macro_rules! table {
    ($key:ident, $answer:ident, $tell:ident: $($api:ident => $of:ident { $($path:tt),+ })*) => {
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

/// Counts the error codes of an answer to that API. Of an API that has none, or is not listed here, nothing is counted.
pub fn count(metrics: &Metrics, key: ApiKey, answer: &dyn Any) {
    let tell = |code: i16| {
        if code != 0 {
            metrics.error(key as i16, code);
        }
    };
    table! { key, answer, tell:
        Produce => ProduceResponse { (responses.partition_responses[error_code]) }
        Fetch => FetchAnswer { (error_code), (topics.partitions[error_code]) }
        ListOffsets => ListOffsetsResponse { (topics.partitions[error_code]) }
        Metadata => MetadataResponse { (topics[error_code]), (topics.partitions[error_code]) }
        OffsetCommit => OffsetCommitResponse { (topics.partitions[error_code]) }
        OffsetFetch => OffsetFetchResponse {
            (error_code), (topics.partitions[error_code]), (groups[error_code]), (groups.topics.partitions[error_code])
        }
        FindCoordinator => FindCoordinatorResponse { (error_code), (coordinators[error_code]) }
        JoinGroup => JoinGroupResponse { (error_code) }
        Heartbeat => HeartbeatResponse { (error_code) }
        LeaveGroup => LeaveGroupResponse { (error_code), (members[error_code]) }
        SyncGroup => SyncGroupResponse { (error_code) }
        DescribeGroups => DescribeGroupsResponse { (groups[error_code]) }
        ListGroups => ListGroupsResponse { (error_code) }
        SaslHandshake => SaslHandshakeResponse { (error_code) }
        ApiVersions => ApiVersionsResponse { (error_code) }
        CreateTopics => CreateTopicsResponse { (topics[error_code]) }
        DeleteTopics => DeleteTopicsResponse { (responses[error_code]) }
        DeleteRecords => DeleteRecordsResponse { (topics.partitions[error_code]) }
        InitProducerId => InitProducerIdResponse { (error_code) }
        OffsetForLeaderEpoch => OffsetForLeaderEpochResponse { (topics.partitions[error_code]) }
        AddPartitionsToTxn => AddPartitionsToTxnResponse {
            (error_code), (results_by_topic_v3_and_below.results_by_partition[partition_error_code])
        }
        AddOffsetsToTxn => AddOffsetsToTxnResponse { (error_code) }
        EndTxn => EndTxnResponse { (error_code) }
        WriteTxnMarkers => WriteTxnMarkersResponse { (markers.topics.partitions[error_code]) }
        TxnOffsetCommit => TxnOffsetCommitResponse { (topics.partitions[error_code]) }
        DescribeAcls => DescribeAclsResponse { (error_code) }
        CreateAcls => CreateAclsResponse { (results[error_code]) }
        DeleteAcls => DeleteAclsResponse { (filter_results[error_code]) }
        DescribeConfigs => DescribeConfigsResponse { (results[error_code]) }
        AlterConfigs => AlterConfigsResponse { (responses[error_code]) }
        AlterReplicaLogDirs => AlterReplicaLogDirsResponse { (results.partitions[error_code]) }
        DescribeLogDirs => DescribeLogDirsResponse { (error_code), (results[error_code]) }
        SaslAuthenticate => SaslAuthenticateResponse { (error_code) }
        CreatePartitions => CreatePartitionsResponse { (results[error_code]) }
        DeleteGroups => DeleteGroupsResponse { (results[error_code]) }
        ElectLeaders => ElectLeadersResponse {
            (error_code), (replica_election_results.partition_result[error_code])
        }
        IncrementalAlterConfigs => IncrementalAlterConfigsResponse { (responses[error_code]) }
        AlterPartitionReassignments => AlterPartitionReassignmentsResponse {
            (error_code), (responses.partitions[error_code])
        }
        ListPartitionReassignments => ListPartitionReassignmentsResponse { (error_code) }
        OffsetDelete => OffsetDeleteResponse { (error_code), (topics.partitions[error_code]) }
        DescribeClientQuotas => DescribeClientQuotasResponse { (error_code) }
        AlterClientQuotas => AlterClientQuotasResponse { (entries[error_code]) }
        DescribeUserScramCredentials => DescribeUserScramCredentialsResponse { (error_code), (results[error_code]) }
        AlterUserScramCredentials => AlterUserScramCredentialsResponse { (results[error_code]) }
        DescribeQuorum => DescribeQuorumResponse { (error_code), (topics.partitions[error_code]) }
        UpdateFeatures => UpdateFeaturesResponse { (error_code), (results[error_code]) }
        DescribeCluster => DescribeClusterResponse { (error_code) }
        DescribeProducers => DescribeProducersResponse { (topics.partitions[error_code]) }
        UnregisterBroker => UnregisterBrokerResponse { (error_code) }
        DescribeTransactions => DescribeTransactionsResponse { (transaction_states[error_code]) }
        ListTransactions => ListTransactionsResponse { (error_code) }
        ListConfigResources => ListConfigResourcesResponse { (error_code) }
        DescribeTopicPartitions => DescribeTopicPartitionsResponse { (topics[error_code]) }
    }
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
    use kafka_protocol::messages::offset_fetch_response::*;

    #[test]
    fn codes_are_found_wherever_they_stand() {
        let metrics = Metrics::default();
        let partition = OffsetFetchResponsePartitions::default().with_error_code(7);
        let topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition.clone(), partition]);
        let group = OffsetFetchResponseGroup::default().with_error_code(15).with_topics(vec![topic]);
        let answer = OffsetFetchResponse::default().with_groups(vec![group]);
        count(&metrics, ApiKey::OffsetFetch, &answer);
        count(&metrics, ApiKey::Heartbeat, &HeartbeatResponse::default());
        count(&metrics, ApiKey::Heartbeat, &HeartbeatResponse::default().with_error_code(-1));
        let found: Vec<(i16, i16, u64)> = metrics.error_codes().collect();
        assert_eq!(found, [(9, 7, 2), (9, 15, 1), (12, -1, 1)]);
    }

    #[test]
    fn errors_have_kafkas_names() {
        assert_eq!(name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(name(6), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!((name(0), name(9_999)), ("NONE".to_owned(), "9999".to_owned()));
    }
}
