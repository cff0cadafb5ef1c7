//! The admin HTTP: plugins, what is attached to topics, jobs, numbers. `GET /v1/openapi.json` describes all of it.
//!
//! Who may ask ([`access`]): with a token, whoever shows it. Without one it listens on loopback addresses alone, and
//! answers only what no web page can have sent: the `Host` must be a loopback name (a page cannot rebind a name to it),
//! and `Origin` must be absent. Every change, and every one that was refused, is logged with who asked ([`audit`]).
//!
//! What it does not do: it holds no state and decides nothing about plugins; it asks [`crate::wiring::platform`].
//!
//! Every error is JSON: `{"error": "..."}`.

mod access;
mod audit;
mod document;
mod failure;
mod jobs;
mod metrics;
mod plugins;
mod routes;
mod shapes;
mod status;
mod topics;

use crate::config::Secret;
use crate::wiring::platform::Platform;
use anyhow::bail;
use pelton_engine::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How many plugin uploads are in memory at once; further ones wait.
const UPLOADS: usize = 2;

/// What the routes work on.
#[derive(Clone)]
struct Shared {
    platform: Arc<Platform>,
    metrics: Arc<Metrics>,
    token: Option<Arc<Secret>>,
    uploads: Arc<Semaphore>,
    address: SocketAddr,
}

/// The admin HTTP as it runs.
pub struct Admin {
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Admin {
    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further requests.
    pub fn stop(&self) {
        self.server.abort();
    }
}

/// Answers on `listen`; whoever shows `token`, where there is one.
///
/// # Errors
/// When the address is no loopback address and there is no token, or it cannot be used.
pub async fn start(
    listen: SocketAddr,
    token: Option<Secret>,
    platform: Arc<Platform>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Admin> {
    match (listen.ip().is_loopback(), &token) {
        (true, _) => {}
        (false, None) => bail!(
            "the admin HTTP refuses to listen on {listen} without a token: whoever reaches it can run code; use \
             127.0.0.1:PORT, or set pelton.admin.token.file"
        ),
        (false, Some(_)) => tracing::warn!(
            "the admin HTTP listens on {listen}; it speaks no TLS, so the token can be read on the way: keep it on a network \
             that you trust, or behind a proxy"
        ),
    }
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("the admin address {listen} is occupied; stop what listens there, or give another with --admin")
        }
        Err(e) => bail!("cannot listen on the admin address {listen}: {e}"),
    };
    let address = listener.local_addr()?;
    let uploads = Arc::new(Semaphore::new(UPLOADS));
    let app = routes::app(Shared { platform, metrics, token: token.map(Arc::new), uploads, address });
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the admin HTTP has ended");
        }
    });
    Ok(Admin { address, server })
}
