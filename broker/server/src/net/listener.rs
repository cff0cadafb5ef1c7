//! Listens, and gives each connection a task of its own.

use super::connection;
use super::connection_limits::{ConnectionCounts, ConnectionLimits, Refused};
use super::endpoint::{Listener, SocketConfig};
use crate::config::StartError;
use crate::metrics::ListenerNumbers;
use crate::seldom::Seldom;
use crate::server::{Phase, Server};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// How long to wait after the operating system gave no connection, most often because it is out of files.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// How often a listener says of what kind of connection it refuses or closes, and how many kinds there are at most.
const SAY_SO: (Duration, usize) = (Duration::from_secs(10), 16);

/// A listener as its connections see it.
#[derive(Debug)]
pub struct ListenerFacts {
    /// Host and port that its clients are told, if not where they came.
    pub advertised: Option<(String, u16)>,
    /// Whether it is the control listener.
    pub control: bool,
    /// What is counted of it.
    pub numbers: Arc<ListenerNumbers>,
    /// What is said of its connections: whoever is refused or closed tries again at once.
    pub lines: Seldom<&'static str>,
}

/// A socket that listens, though nobody accepts yet.
pub struct Bound {
    listener: Listener,
    control: bool,
    address: SocketAddr,
    socket: TcpListener,
    threads: Handle,
}

/// Binds the address of a listener, whose connections the `threads` are going to serve.
///
/// # Errors
/// [`StartError::Occupied`] or [`StartError::Unreachable`].
pub fn bind(listener: Listener, config: &SocketConfig, threads: Handle, control: bool) -> Result<Bound, StartError> {
    let addr = listener.address;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::Occupied { addr },
        _ => StartError::Unreachable { addr, reason: error.to_string() },
    };
    // The socket belongs to the threads that it is made among.
    let entered = threads.enter();
    let socket = listen(addr, config).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    drop(entered);
    Ok(Bound { listener, control, address, socket, threads })
}

/// Connections inherit what is set here.
fn listen(addr: SocketAddr, config: &SocketConfig) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Finds clients that have gone without a word, as Kafka's sockets do.
    socket.set_keepalive(true)?;
    if let Some(bytes) = config.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(addr)?;
    socket.listen(config.listen_backlog)
}

/// The connections that there are.
#[derive(Debug)]
pub struct Connections {
    counts: Mutex<ConnectionCounts>,
    fewer: Notify,
}

impl Connections {
    fn new(limits: ConnectionLimits) -> Self {
        Self { counts: Mutex::new(ConnectionCounts::new(limits)), fewer: Notify::new() }
    }

    /// Other limits hold from now on.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.counts().set_limits(limits);
    }

    /// The limits that hold.
    pub fn limits(&self) -> ConnectionLimits {
        self.counts().limits().clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.counts().count()
    }

    fn admit(self: &Arc<Self>, ip: IpAddr, listener: &Arc<ListenerFacts>) -> Result<Place, Refused> {
        self.counts().admit(ip, listener.control)?;
        listener.numbers.opened();
        Ok(Place { connections: self.clone(), ip, listener: listener.clone() })
    }

    /// Waits until no connection is left.
    async fn drained(&self) {
        loop {
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            fewer.await;
        }
    }

    /// Held for as long as it takes to count.
    fn counts(&self) -> MutexGuard<'_, ConnectionCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, which is free again when this is dropped.
struct Place {
    connections: Arc<Connections>,
    ip: IpAddr,
    listener: Arc<ListenerFacts>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.counts().release(self.ip, self.listener.control);
        self.listener.numbers.closed();
        self.connections.fewer.notify_waiters();
    }
}

/// The listeners of a broker and its connections.
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    control: Option<SocketAddr>,
    connections: Arc<Connections>,
}

/// Listeners that do not accept yet.
pub struct Accepting {
    bound: Vec<Bound>,
    connections: Arc<Connections>,
}

impl Listeners {
    /// Splits what is asked later from what begins to accept.
    pub fn new(bound: Vec<Bound>, limits: ConnectionLimits) -> (Self, Accepting) {
        let connections = Arc::new(Connections::new(limits));
        let of_control = |control: bool| bound.iter().filter(move |bound| bound.control == control);
        let listeners = Self {
            addresses: of_control(false).map(|bound| bound.address).collect(),
            control: of_control(true).map(|bound| bound.address).next(),
            connections: connections.clone(),
        };
        (listeners, Accepting { bound, connections })
    }

    /// Where they listen, but for the control listener.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Where the control listener is.
    pub fn control(&self) -> Option<SocketAddr> {
        self.control
    }

    /// The connections.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Waits until no connection is left.
    pub async fn drained(&self) {
        self.connections.drained().await;
    }
}

impl Accepting {
    /// Begins to accept.
    pub fn start(self, server: &Arc<Server>) {
        for Bound { listener, control, address, socket, threads } in self.bound {
            let numbers = server.metrics.listener(&listener.name);
            let lines = Seldom::new(SAY_SO.0, SAY_SO.1);
            let facts = Arc::new(ListenerFacts { advertised: listener.advertised, control, numbers, lines });
            let acceptor = Acceptor { server: server.clone(), address, facts, connections: self.connections.clone() };
            threads.spawn(acceptor.run(socket));
        }
    }
}

struct Acceptor {
    server: Arc<Server>,
    address: SocketAddr,
    facts: Arc<ListenerFacts>,
    connections: Arc<Connections>,
}

impl Acceptor {
    async fn run(self, socket: TcpListener) {
        let mut phase = self.server.phase.clone();
        let stopping = phase.wait_for(|phase| *phase > Phase::Serving);
        tokio::pin!(stopping);
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = &mut stopping => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.not_accepted(&error).await;
                    continue;
                }
            };
            let place = match self.connections.admit(peer.ip(), &self.facts) {
                Ok(place) => place,
                Err(reason) => {
                    self.refused(peer, reason);
                    continue;
                }
            };
            let (server, listener) = (self.server.clone(), self.facts.clone());
            tokio::spawn(async move {
                connection::serve(server, listener, stream, peer).await;
                drop(place);
            });
        }
    }

    fn refused(&self, peer: SocketAddr, reason: Refused) {
        self.facts.numbers.refused(reason);
        if let Some(left_out) = self.facts.lines.may_say(reason.name()) {
            tracing::warn!(address = %self.address, %peer, %reason, left_out, "connections are refused; pelton_connections_refused_total counts them");
        }
    }

    async fn not_accepted(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        // The client has gone again already; the next one may be there.
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        if let Some(left_out) = self.facts.lines.may_say("not accepted") {
            tracing::warn!(address = %self.address, %error, left_out, "connections cannot be accepted; they wait");
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}
