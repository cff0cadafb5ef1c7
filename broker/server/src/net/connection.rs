//! One connection: a reader that begins requests in order, and a writer that ends them in order.
//!
//! Each request is polled once as soon as it has been read, which sends what it asks of the parts; the writer
//! then waits for one after the other. So a client may have many requests under way, they reach the parts in its
//! order, and its answers come back in its order. A client that goes away takes its waiting requests with it.
//!
//! Bounds: [`IN_FLIGHT`] requests of a connection, and for all connections together the memory that their
//! requests are admitted to before they are read.

use super::frame::{FrameError, FrameReader};
use super::transmit::{Transmitter, Unsent};
use crate::fetch::FetchState;
use crate::handlers::{self, Answer, Answering, ConnectionFacts};
use crate::protocol::codec::Malformed;
use crate::server::{MEMORY_KIB, Phase, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Requests of one connection that may be under way.
const IN_FLIGHT: usize = 64;
/// How long a request may take to arrive once its length is known, since memory is kept for it meanwhile.
const BODY: Duration = Duration::from_secs(120);
/// Bytes of one permit of the memory for requests.
const PERMIT_BYTES: usize = 1024;

/// A request that has begun, and the memory that it was admitted to.
struct InFlight {
    answering: Result<Option<Answer>, Answering>,
    _admitted: OwnedSemaphorePermit,
    _owed: Owed,
}

/// Answers that a connection still owes its client: as many as there are clones, but for the first.
#[derive(Clone, Default)]
struct Owed(Arc<()>);

impl Owed {
    fn none(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it was idle")]
    Idle,
    #[error("a request took more than two minutes to arrive")]
    Slow,
    #[error(transparent)]
    Unsent(#[from] Unsent),
    #[error("the broker stops")]
    Stopping,
}

/// Serves one connection to its end.
pub async fn serve(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection keeps Nagle's algorithm");
    }
    let facts = Arc::new(server.facts(local, peer));
    let (reading, writing) = stream.into_split();
    let frames = FrameReader::new(reading, server.request_max_bytes);
    let (begun, to_write) = mpsc::channel(IN_FLIGHT);
    let mut phase = server.phase.clone();
    let end = {
        let FetchState { cold, config, .. } = &server.fetching;
        let transmitter = Transmitter::new(writing, cold.clone(), config.sendfile, server.max_idle);
        let writer = write(to_write, transmitter);
        tokio::pin!(writer);
        let read_end = tokio::select! {
            end = read(&server, &facts, frames, begun) => end,
            end = &mut writer => end,
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => End::Stopping,
        };
        // A broker that stops still gives the answers that it owes.
        if matches!(read_end, End::Stopping) {
            tokio::select! {
                _ = &mut writer => {}
                _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
            }
        }
        read_end
    };
    match end {
        End::Malformed(_)
        | End::Slow
        | End::Unsent(Unsent::Stuck)
        | End::Frame(FrameError::BadLength(..) | FrameError::Truncated) => {
            tracing::warn!(%peer, reason = %end, "closed a connection");
        }
        End::Unsent(Unsent::Unread { path, error }) => {
            tracing::error!(%peer, path = %path.display(), %error, "closed a connection: its records cannot be read");
            server.driver.worker().suspect_holder(&path);
        }
        end => tracing::debug!(%peer, reason = %end, "a connection ended"),
    }
}

async fn read(
    server: &Arc<Server>,
    facts: &Arc<ConnectionFacts>,
    mut frames: FrameReader<tokio::net::tcp::OwnedReadHalf>,
    begun: mpsc::Sender<InFlight>,
) -> End {
    let mut phase = server.phase.clone();
    let owed = Owed::default();
    loop {
        let next = async {
            let Ok(slot) = begun.reserve().await else { return Err(End::Stopping) };
            let front = loop {
                match idle(server.max_idle, frames.front()).await {
                    // Waiting for an answer is not being idle.
                    None if owed.none() => return Err(End::Idle),
                    None => {}
                    Some(front) => break front?,
                }
            };
            let cost = handlers::memory_estimate(front.key, front.length).div_ceil(PERMIT_BYTES);
            let permits = cost.min(MEMORY_KIB) as u32;
            let admitted = server.request_memory.clone().acquire_many_owned(permits).await;
            let Ok(admitted) = admitted else { return Err(End::Stopping) };
            let Some(frame) = idle(Some(BODY), frames.body(front)).await else { return Err(End::Slow) };
            Ok((slot, frame?, admitted))
        };
        let next = tokio::select! {
            next = next => next,
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => Err(End::Stopping),
        };
        let (slot, frame, admitted) = match next {
            Ok(next) => next,
            Err(end) => return end,
        };
        let mut answering = match handlers::begin(server, facts, frame) {
            Ok(answering) => answering,
            Err(malformed) => return malformed.into(),
        };
        // Sends what the request asks of the parts; the writer polls again with a waker that wakes it.
        let (answering, ends) = match answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer)) => (Ok(answer), false),
            Poll::Ready(Err(malformed)) => (Err(Box::pin(async { Err(malformed) }) as Answering), true),
            Poll::Pending => (Err(answering), false),
        };
        slot.send(InFlight { answering, _admitted: admitted, _owed: owed.clone() });
        if ends {
            // The writer ends the connection, after the answers that are owed before it.
            return std::future::pending().await;
        }
    }
}

async fn write(mut begun: mpsc::Receiver<InFlight>, mut transmitter: Transmitter) -> End {
    while let Some(InFlight { answering, _admitted, _owed }) = begun.recv().await {
        let answer = match answering {
            Ok(answer) => answer,
            Err(answering) => match answering.await {
                Ok(answer) => answer,
                Err(malformed) => return malformed.into(),
            },
        };
        let Some(Answer { frame, admitted }) = answer else { continue };
        if let Err(unsent) = transmitter.send(frame).await {
            return unsent.into();
        }
        drop(admitted);
    }
    End::Stopping
}

/// What the future gives, or nothing when it takes longer than a connection may be idle.
async fn idle<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
