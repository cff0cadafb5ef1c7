//! The admin HTTP: plugins, what is attached to topics, jobs, numbers. `GET /v1/openapi.json` describes all of it.
//!
//! Who may ask ([`access`]): with a token, whoever shows it. Without one it listens on loopback addresses alone, and
//! answers only what no web page can have sent: the `Host` must be a loopback name (a page cannot rebind a name to it),
//! and `Origin` must be absent. Every change, and every one that was refused, is logged with who asked ([`audit`]).
//!
//! It answers from the first moment to the last: `/healthz` and `/readyz` ([`health`]) whoever asks, everything else only
//! while the broker serves.
//!
//! What it does not do: it holds no state and decides nothing about plugins; it asks [`crate::wiring::platform`].
//!
//! Every error is JSON: `{"error": "..."}`.

mod access;
mod audit;
mod document;
mod failure;
mod health;
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
use pelton_server::{Readiness, Stage};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How many plugin uploads are in memory at once; further ones wait.
const UPLOADS: usize = 2;
/// How many times at once the numbers are put together; further readers wait. Every shard is asked for them.
const SCRAPES: usize = 1;

/// What there is once the broker serves.
pub struct Live {
    /// What the routes ask.
    pub platform: Arc<Platform>,
    /// What plugins count.
    pub metrics: Arc<Metrics>,
}

/// What the routes work on.
#[derive(Clone)]
struct Shared {
    live: Arc<OnceLock<Live>>,
    readiness: Arc<Readiness>,
    token: Option<Arc<Secret>>,
    uploads: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    address: SocketAddr,
}

impl Shared {
    /// Whether the routes may be asked.
    fn is_open(&self) -> bool {
        self.live.get().is_some() && self.readiness.stage() == Stage::Serving
    }

    fn live(&self) -> &Live {
        self.live.get().expect("the guard lets nobody in before the broker serves")
    }

    fn platform(&self) -> &Arc<Platform> {
        &self.live().platform
    }
}

/// The address of the admin HTTP, bound.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Secret>,
}

/// The admin HTTP as it runs; it ends when this is dropped.
pub struct Admin {
    address: SocketAddr,
    live: Arc<OnceLock<Live>>,
    server: tokio::task::JoinHandle<()>,
}

impl Admin {
    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker serves: from now on all routes may be asked.
    pub fn open(&self, live: Live) {
        // It is opened once.
        let _ = self.live.set(live);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes the address `listen`, for whoever shows `token`, where there is one.
///
/// # Errors
/// When the address is no loopback address and there is no token, or it cannot be used.
pub async fn bind(listen: SocketAddr, token: Option<Secret>) -> anyhow::Result<Bound> {
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
    Ok(Bound { listener, address, token })
}

impl Bound {
    /// Begins to answer: how far the broker is, and the rest when it is there ([`Admin::open`]).
    pub fn start(self, readiness: Arc<Readiness>) -> Admin {
        let Self { listener, address, token } = self;
        let live = Arc::new(OnceLock::new());
        let (uploads, scrapes) = (Arc::new(Semaphore::new(UPLOADS)), Arc::new(Semaphore::new(SCRAPES)));
        let shared = Shared { live: live.clone(), readiness, token: token.map(Arc::new), uploads, scrapes, address };
        let service = routes::app(shared).into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::error!(%error, "the admin HTTP has ended");
            }
        });
        Admin { address, live, server }
    }
}
