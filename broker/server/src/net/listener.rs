//! Listens, and gives each connection a task of its own.

use super::connection;
use crate::config::StartError;
use crate::server::{Phase, Server};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How long to wait after the operating system gave no connection, most often because it is out of files.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Sockets that are bound, with their addresses.
pub struct Bound(Vec<(SocketAddr, TcpListener)>);

/// Binds every address.
///
/// # Errors
/// [`StartError::Occupied`] or [`StartError::Unreachable`].
pub async fn bind(addresses: &[SocketAddr]) -> Result<Bound, StartError> {
    let mut bound = Vec::with_capacity(addresses.len());
    for &addr in addresses {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::Occupied { addr },
            _ => StartError::Unreachable { addr, reason: error.to_string() },
        };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        bound.push((listener.local_addr().map_err(failed)?, listener));
    }
    Ok(Bound(bound))
}

/// The listeners of a broker and how many connections it has.
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    connections: Arc<Semaphore>,
    max_connections: usize,
}

/// Listeners that do not accept yet.
pub struct Accepting {
    bound: Bound,
    connections: Arc<Semaphore>,
}

impl Listeners {
    /// Splits what is asked later from what begins to accept.
    pub fn new(bound: Bound, max_connections: usize) -> (Self, Accepting) {
        let max_connections = max_connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let connections = Arc::new(Semaphore::new(max_connections));
        let addresses = bound.0.iter().map(|(address, _)| *address).collect();
        (Self { addresses, connections: connections.clone(), max_connections }, Accepting { bound, connections })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Waits until no connection is left.
    pub async fn drained(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        let _ = self.connections.acquire_many(all).await;
    }
}

impl Accepting {
    /// Begins to accept.
    pub fn start(self, server: &Arc<Server>) {
        for (address, listener) in self.bound.0 {
            tokio::spawn(accept(server.clone(), address, listener, self.connections.clone()));
        }
    }
}

async fn accept(server: Arc<Server>, address: SocketAddr, listener: TcpListener, connections: Arc<Semaphore>) {
    let mut phase = server.phase.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%address, %error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "refused a connection: max.connections is reached");
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            connection::serve(server, stream, peer).await;
            drop(permit);
        });
    }
}
