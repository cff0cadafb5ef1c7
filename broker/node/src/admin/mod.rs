//! The admin HTTP: plugins and jobs, for the command line on this machine.
//!
//! It has no passwords yet, so it answers on loopback addresses alone, and only to requests that no web page can
//! have sent: the `Host` must be a loopback name (a page cannot rebind a name to it), and `Origin` must be absent.
//!
//! Every error is JSON: `{"error": "..."}`.

mod routes;

use crate::wiring::jobs::Jobs;
use crate::wiring::plugins::Plugins;
use anyhow::bail;
use pelton_server::Broker;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How many plugin uploads are in memory at once; further ones wait.
const UPLOADS: usize = 2;

/// What the routes work on.
#[derive(Clone)]
struct Shared {
    broker: Broker,
    plugins: Arc<Plugins>,
    jobs: Arc<Jobs>,
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

/// Answers on `listen`.
///
/// # Errors
/// When the address is no loopback address, or cannot be used.
pub async fn start(
    listen: SocketAddr,
    broker: Broker,
    plugins: Arc<Plugins>,
    jobs: Arc<Jobs>,
) -> anyhow::Result<Admin> {
    if !listen.ip().is_loopback() {
        bail!("the admin HTTP refuses to listen on {listen}: whoever reaches it can run code; use 127.0.0.1:PORT");
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
    let app = routes::app(Shared { broker, plugins, jobs, uploads, address });
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the admin HTTP has ended");
        }
    });
    Ok(Admin { address, server })
}
