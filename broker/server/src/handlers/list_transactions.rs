//! ListTransactions (key 66), v0-2: the transactional ids and how they stand (KIP-664, KIP-994, KIP-1152).
//!
//! Every coordinator is asked; filters by state and producer, from v1 on by how long a transaction has been open, and from
//! v2 on by a regular expression for the whole id, must all pass. States that Kafka does not know are named in the answer
//! and match nothing. While a coordinator is still reading its log the whole is COORDINATOR_LOAD_IN_PROGRESS. Ids that the
//! client may not see are left out.
//!
//! Expressions have the syntax of RE2 as far as both know it, and like it no backtracking: time grows with the length of
//! an id alone. One that is not valid, or too large, is INVALID_REGULAR_EXPRESSION; Kafka has no limit to its size.
//!
//! Memory: 64 times the request, for the filters, and some 60 bytes of answer for each transactional id, of which each
//! coordinator has a bounded number.

use super::Scope;
use super::scope::{transaction_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState as WireState;
use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId as WireProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use pelton_core::event::{
    ListedTransaction, TransactionFilter, TransactionReply, TransactionRequest, TransactionState,
};
use pelton_core::model::{ProducerId, TRANSACTIONS_TOPIC};
use pelton_core::refusal::Refusal;
use regex::{Regex, RegexBuilder};
use std::sync::Arc;

/// States of Kafka's in which no transactional id is here.
const OTHER_STATES: [&str; 2] = ["Dead", "PrepareEpochFence"];
/// The longest expression, in bytes. It is compiled on a thread of the network.
const MAX_PATTERN_BYTES: usize = 4 << 10;
/// The most bytes that an expression may come to: few characters make a large one (`(a{99}){99}`).
const MAX_COMPILED_BYTES: usize = 256 << 10;

/// Lists the ids that pass the filters.
pub async fn handle(scope: Scope, request: ListTransactionsRequest) -> Option<ListTransactionsResponse> {
    let known = |name: &str| TransactionState::named(name).is_some() || OTHER_STATES.contains(&name);
    let unknown = request.state_filters.iter().filter(|name| !known(name)).cloned().collect();
    let filter = TransactionFilter {
        states: request.state_filters.iter().filter_map(|name| TransactionState::named(name)).collect(),
        producer_ids: request.producer_id_filters.iter().map(|id| ProducerId(id.0)).collect(),
        longer_than_ms: (request.duration_filter >= 0).then_some(request.duration_filter),
    };
    let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    let pattern = match pattern(request.transactional_id_pattern.as_ref()) {
        Ok(pattern) => pattern,
        Err(error) => return Some(response.with_error_code(error.code())),
    };
    // Only states that no id is in were asked for.
    let nothing = !request.state_filters.is_empty() && filter.states.is_empty();
    if nothing || scope.image().topic(TRANSACTIONS_TOPIC).is_none() {
        return Some(response);
    }
    let is_wanted = |listed: &ListedTransaction| {
        let id = &*listed.transactional_id;
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
            && scope.authorize(AclOperation::Describe, Resource::TransactionalId(id))
    };
    Some(match list(&scope, filter).await {
        Ok(listed) => response.with_transaction_states(listed.into_iter().filter(is_wanted).map(state).collect()),
        Err(refusal) => response.with_error_code(code(Operation::Transaction { knows_fenced: true }, &refusal)),
    })
}

/// The expression, so that it matches whole ids; none where there is none or it is empty.
fn pattern(text: Option<&StrBytes>) -> Result<Option<Regex>, ResponseError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_PATTERN_BYTES {
        return Err(ResponseError::InvalidRegularExpression);
    }
    let compile = |text: &str| {
        let built = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).build();
        built.map_err(|_| ResponseError::InvalidRegularExpression)
    };
    // By itself first: `a)|(b` is an expression only between the parentheses that are put around it.
    compile(text)?;
    compile(&format!(r"\A(?:{})\z", text.as_str())).map(Some)
}

async fn list(scope: &Scope, filter: TransactionFilter) -> Result<Vec<ListedTransaction>, Refusal> {
    let filter = Arc::new(filter);
    let ask = |index| scope.ask_transaction_coordinator(index, TransactionRequest::List(filter.clone()));
    let pending: Vec<_> = (0..scope.server.core.transaction_topic_partitions).map(ask).collect();
    let mut all = Vec::new();
    for pending in pending {
        match transaction_answer(pending.await)? {
            TransactionReply::Listed(listed) => all.extend(listed),
            other => return Err(unexpected(&other)),
        }
    }
    Ok(all)
}

fn state(listed: ListedTransaction) -> WireState {
    WireState::default()
        .with_transactional_id(TransactionalId(text::wire(&listed.transactional_id)))
        .with_producer_id(WireProducerId(listed.producer_id.0))
        .with_transaction_state(text::wire(listed.state.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<Option<Regex>, i16> {
        pattern(Some(&text::wire(text))).map_err(|error| error.code())
    }

    #[test]
    fn an_expression_is_for_the_whole_id() {
        let orders = compiled("orders-[0-9]+|audit").unwrap().unwrap();
        let matching = ["orders-7", "audit", "orders-", "my-orders-7", "audit-2"].map(|id| orders.is_match(id));
        assert_eq!(matching, [true, true, false, false, false]);
        assert!(compiled(r"(?i)ÄRGER\pL*").unwrap().unwrap().is_match("ärgerlich"));
        assert!(compiled("").unwrap().is_none() && pattern(None).unwrap().is_none());
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        let wrong = ["a)|(b", "[", "*a", r"(a)\1", "(?=a)", "(?x) a #", r"(\pL{100}){100}", "((a{99}){99}){99}"];
        for text in wrong {
            assert_eq!(compiled(text).unwrap_err(), 128, "INVALID_REGULAR_EXPRESSION for {text}");
        }
        assert!(compiled(&"a".repeat(MAX_PATTERN_BYTES)).is_ok());
        assert_eq!(compiled(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err(), 128);
    }
}
