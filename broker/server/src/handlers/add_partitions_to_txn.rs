//! AddPartitionsToTxn (key 24), v0-5: enlists partitions in a transaction before they are written.
//!
//! All or none: when one partition does not exist, the others are answered OPERATION_NOT_ATTEMPTED. v2 answers
//! PRODUCER_FENCED where older versions answered INVALID_PRODUCER_EPOCH.
//!
//! v4 and v5 are for brokers (KIP-890): several transactions at once, each with its own results, and `verify_only`, which
//! enlists nothing and tells of each partition whether it is enlisted (TRANSACTION_ABORTABLE where it is not). They
//! take the right of a broker (ClusterAction), and none to ids and topics; without it the request as a whole is
//! refused. Here partitions ask their coordinators in the same process, so it is other programs that send them.
//! Kafka never answers a request without a transaction; here its answer has none.
//!
//! Left out: that v5 makes a transaction one of version 2, of which there are none. Memory: 64 times the request, for the
//! partitions and what comes of each, and for a question for each 14 bytes that name a transaction.

use super::Scope;
use super::of_each_partition::ByTopic;
use super::scope::{partition_of, resolve, transaction_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::driver::Pending;
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TopicName, TransactionalId};
use pelton_core::cluster::TopicImage;
use pelton_core::event::{TransactionReply, TransactionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;
use std::sync::Arc;
use uuid::Uuid;

/// What was begun for one transaction.
struct Begun {
    transactional_id: TransactionalId,
    /// Of each topic its partitions, with the code of those that are refused.
    topics: ByTopic<(i32, Option<i16>)>,
    /// The question to the coordinator about all of them; none where one is refused.
    asked: Option<Pending>,
}

/// Enlists the partitions, or verifies that they are; the answer comes when what it says is durable.
pub async fn handle(scope: Scope, request: AddPartitionsToTxnRequest) -> Option<AddPartitionsToTxnResponse> {
    let operation = operation(scope.version);
    let image = scope.image();
    if scope.version >= 4 {
        if let Err(refusal) = scope.require(AclOperation::ClusterAction, Resource::Cluster) {
            return Some(AddPartitionsToTxnResponse::default().with_error_code(code(Operation::Admin, &refusal)));
        }
        // All of them are asked before the first answer is waited for.
        let begun: Vec<_> = request
            .transactions
            .into_iter()
            .map(|transaction| begin(&scope, transaction, |name| resolve(&image, false, name, Uuid::nil())))
            .collect();
        let mut results = Vec::with_capacity(begun.len());
        for begun in begun {
            results.push(answer(operation, begun).await);
        }
        return Some(AddPartitionsToTxnResponse::default().with_results_by_transaction(results));
    }
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(request.v3_and_below_transactional_id)
        .with_producer_id(request.v3_and_below_producer_id)
        .with_producer_epoch(request.v3_and_below_producer_epoch)
        .with_topics(request.v3_and_below_topics);
    let allowed = scope.require(AclOperation::Write, Resource::TransactionalId(&transaction.transactional_id));
    let find = |name: &TopicName| allowed.clone().and_then(|()| scope.topic(AclOperation::Write, &image, name));
    let result = answer(operation, begin(&scope, transaction, find)).await;
    Some(AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(result.topic_results))
}

fn operation(version: i16) -> Operation {
    Operation::Transaction { knows_fenced: version >= 2 }
}

/// Looks the partitions up, by `find` where the client may, and asks the coordinator when all of them are there.
fn begin<'i>(
    scope: &Scope,
    transaction: AddPartitionsToTxnTransaction,
    find: impl Fn(&TopicName) -> Result<(&'i Arc<str>, &'i TopicImage), Refusal>,
) -> Begun {
    let operation = operation(scope.version);
    let (mut topics, mut partitions, mut refused) = (Vec::with_capacity(transaction.topics.len()), Vec::new(), false);
    for topic in transaction.topics {
        let found = find(&topic.name);
        let mut checked = Vec::with_capacity(topic.partitions.len());
        for index in topic.partitions {
            let target = found.clone().and_then(|(name, described)| partition_of(name, described, index));
            refused |= target.is_err();
            checked.push((index, target.as_ref().err().map(|refusal| code(operation, refusal))));
            partitions.extend(target.ok());
        }
        topics.push((topic.name, checked));
    }
    let asked = (!refused).then(|| {
        let transactional_id: Arc<str> = transaction.transactional_id.as_str().into();
        let coordinator = scope.transaction_coordinator_of(&transactional_id);
        let producer_id = ProducerId(transaction.producer_id.0);
        let producer_epoch = ProducerEpoch(transaction.producer_epoch);
        let request = match transaction.verify_only {
            true => TransactionRequest::VerifyAll { transactional_id, producer_id, producer_epoch, partitions },
            false => TransactionRequest::AddPartitions { transactional_id, producer_id, producer_epoch, partitions },
        };
        scope.ask_transaction_coordinator(coordinator, request)
    });
    Begun { transactional_id: transaction.transactional_id, topics, asked }
}

async fn answer(operation: Operation, begun: Begun) -> AddPartitionsToTxnResult {
    let (whole, enlisted) = match begun.asked {
        None => (ResponseError::OperationNotAttempted.code(), Vec::new()),
        Some(pending) => match transaction_answer(pending.await) {
            Ok(TransactionReply::Done) => (NONE, Vec::new()),
            Ok(TransactionReply::Verified(enlisted)) => (NONE, enlisted),
            Ok(other) => (code(operation, &unexpected(&other)), Vec::new()),
            Err(refusal) => (code(operation, &refusal), Vec::new()),
        },
    };
    // What was verified is told in the order of the question, which is that of the request.
    let mut enlisted = enlisted.into_iter();
    let mut error_code = |refused: Option<i16>| match enlisted.next() {
        Some(false) => ResponseError::TransactionAbortable.code(),
        _ => refused.unwrap_or(whole),
    };
    let mut results = Vec::with_capacity(begun.topics.len());
    for (name, partitions) in begun.topics {
        let partitions = partitions.into_iter().map(|(index, refused)| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(error_code(refused))
        });
        results.push(
            AddPartitionsToTxnTopicResult::default().with_name(name).with_results_by_partition(partitions.collect()),
        );
    }
    AddPartitionsToTxnResult::default().with_transactional_id(begun.transactional_id).with_topic_results(results)
}
