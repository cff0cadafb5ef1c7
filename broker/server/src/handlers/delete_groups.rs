//! DeleteGroups (key 42), v0-2: removes groups that have no members, with their offsets (KIP-229).
//!
//! A group with members is NON_EMPTY_GROUP, one that is not there GROUP_ID_NOT_FOUND. The answer leaves when the
//! tombstones are durable. v1 added nothing that is seen here, v2 the flexible encoding.
//!
//! Left out: v3 (Kafka 4.4: error messages), which the protocol crate does not have. Memory: 64 times the request, for
//! the ids and what comes of each.

use super::{Scope, of_each_group};
use crate::auth::AclOperation;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use pelton_core::event::{GroupReply, GroupRequest};
use pelton_core::refusal::Refusal;

/// Deletes the groups that can be deleted.
pub async fn handle(scope: Scope, request: DeleteGroupsRequest) -> Option<DeleteGroupsResponse> {
    let answers = |reply| match reply {
        GroupReply::Deleted(results) => {
            let outcome = |refusal: Option<Refusal>| refusal.map_or(Ok(()), Err);
            Ok(results.into_iter().map(outcome).collect())
        }
        other => Err(other),
    };
    let delete = |groups| GroupRequest::Delete { groups };
    let deleted = of_each_group::ask(&scope, AclOperation::Delete, &request.groups_names, delete, answers).await;
    let results = deleted.into_iter().map(|(id, deleted)| {
        DeletableGroupResult::default()
            .with_group_id(GroupId(text::wire(&id)))
            .with_error_code(deleted.err().map_or(NONE, |refusal| code(Operation::Group, &refusal)))
    });
    Some(DeleteGroupsResponse::default().with_results(results.collect()))
}
