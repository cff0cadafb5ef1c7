//! `/v1/status`: what this broker is, and what is wrong with it.

use super::Shared;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

/// What this broker is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// Its version.
    version: &'static str,
    /// Its process.
    pid: u32,
    /// `cluster.id`.
    cluster_id: String,
    /// Where clients connect.
    listeners: Vec<String>,
    /// Where the control listener is, if there is one.
    control_listener: Option<String>,
    /// Where this HTTP answers.
    admin: String,
    /// Topics that clients made.
    topics: usize,
    /// Jobs, stopped ones and those that route included.
    jobs: usize,
    /// Plugins, each version counted.
    plugins: usize,
    /// What is wrong with plugins whose files are damaged.
    damaged_plugins: Vec<String>,
    /// Plugins that are there and that the policy keeps from running, with the reason.
    refused_plugins: Vec<String>,
}

/// What this broker is, and what is wrong with it.
#[utoipa::path(
    get, path = "/v1/status", tag = "broker",
    responses((status = 200, description = "The broker answers", body = Status)),
)]
pub(super) async fn status(State(shared): State<Shared>) -> Json<Status> {
    let platform = shared.platform();
    let image = platform.broker.image();
    // Files are looked at and signatures checked, which is nothing for a thread of the network.
    let plugins = platform.plugins.clone();
    let looked = tokio::task::spawn_blocking(move || (plugins.damaged(), plugins.refused())).await;
    let (damaged_plugins, refused_plugins) = looked.unwrap_or_default();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        cluster_id: platform.broker.cluster_id().to_owned(),
        listeners: platform.broker.addresses().iter().map(ToString::to_string).collect(),
        control_listener: platform.broker.control_address().map(|address| address.to_string()),
        admin: shared.address.to_string(),
        topics: image.topics.values().filter(|topic| !topic.internal).count(),
        jobs: platform.jobs.list().len(),
        plugins: platform.plugins.list().len(),
        damaged_plugins,
        refused_plugins,
    })
}
