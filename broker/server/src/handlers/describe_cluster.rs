//! DescribeCluster (key 60), v0-2: the brokers and the controller (KIP-700).
//!
//! v1 added the endpoint type: brokers (1) are described, controllers (2) have no endpoint of their own here.
//! v2 added fenced brokers, of which there are none.
//!
//! What the client may do to the cluster stands in the answer where it asked for that (KIP-430).
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use crate::auth::Resource;
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

/// Endpoints of brokers, as v1 numbers them.
const BROKERS: i8 = 1;

/// Answers with this node.
pub async fn handle(scope: Scope, request: DescribeClusterRequest) -> Option<DescribeClusterResponse> {
    if request.endpoint_type != BROKERS {
        return Some(
            DescribeClusterResponse::default()
                .with_endpoint_type(request.endpoint_type)
                .with_error_code(ResponseError::UnsupportedEndpointType.code())
                .with_error_message(Some(text::wire("this listener describes brokers, not controllers"))),
        );
    }
    let (host, port) = &scope.connection.endpoint;
    let node = BrokerId(scope.server.core.node_id);
    let broker =
        DescribeClusterBroker::default().with_broker_id(node).with_host(text::wire(host)).with_port(i32::from(*port));
    Some(
        DescribeClusterResponse::default()
            .with_cluster_id(text::wire(&scope.server.cluster_id))
            .with_controller_id(node)
            .with_cluster_authorized_operations(
                scope.authorized_operations(request.include_cluster_authorized_operations, Resource::Cluster),
            )
            .with_brokers(vec![broker]),
    )
}
