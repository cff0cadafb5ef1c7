//! One connection: a reader that begins requests in order, and a writer that ends them in order.
//!
//! Each request is polled once as soon as it has been read, which sends what it asks of the parts; the writer
//! then waits for one after the other. So a client may have many requests under way, they reach the parts in its
//! order, and its answers come back in its order. A client that goes away takes its waiting requests with it.
//!
//! Bounds: [`IN_FLIGHT`] requests of a connection, and for all connections together the memory that their
//! requests are admitted to before they are read ([`super::memory`]). Answers that are ready and in memory while their client
//! does not take them: [`READY_BYTES`] of a connection, and one more; it begins nothing further until some have left.

use super::frame::{FrameError, FrameReader, Front};
use super::listener::ListenerFacts;
use super::memory::{self, Held, Progress, Turn};
use super::mute::Mute;
use super::transmit::{Transmitter, Unsent};
use crate::fetch::FetchState;
use crate::handlers::{self, Answer, Answering, ConnectionFacts};
use crate::metrics::{Ended, Stages};
use crate::protocol::codec::{Malformed, Prelude};
use crate::server::{Phase, Server};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Requests of one connection that may be under way.
const IN_FLIGHT: usize = 64;
/// How long nothing may come of a request whose length is known, since memory is kept for it meanwhile.
const SILENCE: Duration = Duration::from_secs(120);
/// Bytes of answers that may be ready before they can leave.
const READY_BYTES: usize = 1 << 20;
/// Smaller answers are not counted: [`IN_FLIGHT`] of them are no more than [`READY_BYTES`].
const SMALL_BYTES: usize = READY_BYTES / IN_FLIGHT;

/// A request that has begun, and the memory that it was admitted to.
struct InFlight {
    answering: Result<Option<Answer>, Answering>,
    begun: Begun,
    /// Nothing, where the request waits for other clients.
    _held: Option<Held>,
    _owed: Owed,
    /// What its answer takes of [`READY_BYTES`], where it was ready at once.
    _ready: Option<OwnedSemaphorePermit>,
}

/// What is measured of a request.
struct Begun {
    prelude: Prelude,
    bytes: usize,
    /// How long it waited for memory.
    queued: Duration,
    /// When it had been read.
    at: Instant,
    /// When what it asks of the parts had been sent.
    asked: Instant,
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
    #[error("nothing more of a request came for two minutes")]
    Slow,
    #[error("others wait for the memory that it holds, and its client sends or takes less than 64 KiB in a second")]
    InTheWay,
    #[error(transparent)]
    Unsent(#[from] Unsent),
    #[error("the broker stops")]
    Stopping,
}

impl End {
    fn counted(&self) -> Ended {
        match self {
            Self::Frame(FrameError::Closed | FrameError::Io(_)) | Self::Unsent(Unsent::Io(_)) => Ended::ByClient,
            Self::Malformed(Malformed::Unacknowledged(_)) => Ended::Unacknowledged,
            Self::Malformed(Malformed::Response(_)) | Self::Unsent(Unsent::Unread { .. }) => Ended::Unanswerable,
            Self::Frame(FrameError::BadLength(..) | FrameError::Truncated) | Self::Malformed(_) => Ended::Malformed,
            Self::Idle => Ended::Idle,
            Self::Slow | Self::InTheWay | Self::Unsent(Unsent::Stuck) => Ended::Slow,
            Self::Stopping => Ended::Stopping,
        }
    }
}

/// Serves one connection to its end.
pub async fn serve(server: Arc<Server>, listener: Arc<ListenerFacts>, stream: TcpStream, peer: SocketAddr) {
    let local = match stream.local_addr() {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection was gone before it was served");
            return listener.numbers.ended(Ended::ByClient);
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection keeps Nagle's algorithm");
    }
    let facts = Arc::new(ConnectionFacts::new(listener.advertised.clone(), local, peer, listener.control));
    let progress = Arc::new(Progress::default());
    let (reading, writing) = stream.into_split();
    let frames = FrameReader::new(reading, server.request_max_bytes);
    let (begun, to_write) = mpsc::channel(IN_FLIGHT);
    let mut phase = server.phase.clone();
    let end = {
        let FetchState { cold, config, .. } = &server.fetching;
        let transmitter = Transmitter::new(writing, cold.clone(), config.sendfile, server.max_idle, progress.clone());
        let writer = write(&server, to_write, transmitter, progress.clone());
        tokio::pin!(writer);
        let read_end = tokio::select! {
            end = read(&server, &facts, frames, begun, &progress) => end,
            end = &mut writer => end,
            () = memory::watch(server.request_memory.crowd(), progress.clone()) => End::InTheWay,
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
    let counted = end.counted();
    listener.numbers.ended(counted);
    match end {
        End::Unsent(Unsent::Unread { path, error }) => {
            server.directories.note_unread_at(&path, &error);
            server.driver.worker().suspect_holder(&path);
        }
        end if !matches!(counted, Ended::ByClient | Ended::Idle | Ended::Stopping) => {
            if let Some(left_out) = listener.lines.may_say(counted.name()) {
                tracing::warn!(%peer, reason = %end, left_out, "closed a connection; left_out counts others that were closed since the last such line");
            }
        }
        end => tracing::debug!(%peer, reason = %end, "a connection ended"),
    }
}

async fn read(
    server: &Arc<Server>,
    facts: &Arc<ConnectionFacts>,
    mut frames: FrameReader<tokio::net::tcp::OwnedReadHalf>,
    begun: mpsc::Sender<InFlight>,
    progress: &Arc<Progress>,
) -> End {
    let mut phase = server.phase.clone();
    let stopping = phase.wait_for(|phase| *phase > Phase::Serving);
    tokio::pin!(stopping);
    let (owed, room) = (Owed::default(), Arc::new(Semaphore::new(READY_BYTES)));
    loop {
        let next = async {
            let Ok(slot) = begun.reserve().await else { return Err(End::Stopping) };
            let front = next_front(server.max_idle, &mut frames, progress, &owed, &facts.mute).await?;
            let (class, cost) = handlers::admission(front.key, front.length, facts.control)?;
            let Some((admitted, queued)) = server.request_memory.admit(class, cost).await else {
                return Err(End::Stopping);
            };
            let held = progress.holding(admitted);
            let frame = match frames.whole(front) {
                Some(frame) => frame,
                None => rest(&mut frames, front, progress).await?,
            };
            Ok((slot, frame, held, queued))
        };
        let next = tokio::select! {
            next = next => next,
            _ = &mut stopping => Err(End::Stopping),
        };
        let (slot, frame, held, queued) = match next {
            Ok(next) => next,
            Err(end) => return end,
        };
        let (at, bytes) = (Instant::now(), frame.len());
        let started = Prelude::peek(&frame).and_then(|prelude| Ok((prelude, handlers::begin(server, facts, frame)?)));
        let (prelude, mut answering) = match started {
            Ok(started) => started,
            Err(malformed) => return malformed.into(),
        };
        // Sends what the request asks of the parts; the writer polls again with a waker that wakes it.
        let (answering, ends) = match answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer)) => (Ok(answer), false),
            Poll::Ready(Err(malformed)) => (Err(Box::pin(async { Err(malformed) }) as Answering), true),
            Poll::Pending => (Err(answering), false),
        };
        let measured = Begun { prelude, bytes, queued, at, asked: Instant::now() };
        let ready = match &answering {
            Ok(Some(answer)) => place_of(&room, answer.frame.in_memory_bytes()).await,
            _ => None,
        };
        // Members wait for each other: if what they hold meanwhile kept others out, nobody would ever come.
        let parked = answering.is_err() && handlers::waits_for_clients(prelude.key);
        let held = (!parked).then_some(held);
        slot.send(InFlight { answering, begun: measured, _held: held, _owed: owed.clone(), _ready: ready });
        if ends {
            // The writer ends the connection, after the answers that are owed before it.
            return std::future::pending().await;
        }
    }
}

/// The front of the next request, once the client is throttled no more; the end, when it was silent for too long and is owed
/// nothing.
async fn next_front<R: AsyncRead + Unpin>(
    max_idle: Option<Duration>,
    frames: &mut FrameReader<R>,
    progress: &Progress,
    owed: &Owed,
    mute: &Mute,
) -> Result<Front, End> {
    loop {
        mute.over().await;
        let moved = progress.bytes();
        match idle(max_idle, frames.front()).await {
            Some(front) => {
                let front = front?;
                // An earlier request may have come to its end, and over its quota, meanwhile.
                mute.over().await;
                return Ok(front);
            }
            // Waiting for an answer is not being idle; neither is having been given one a moment ago, or not being heard.
            None if owed.none() && progress.bytes() == moved && !muted_within(max_idle, mute) => return Err(End::Idle),
            None => {}
        }
    }
}

/// Whether the client could not be heard for a part of that time.
fn muted_within(time: Option<Duration>, mute: &Mute) -> bool {
    time.is_some_and(|time| mute.was_on_in_the_last(time))
}

/// The rest of a request, however slowly it comes, as long as it comes.
async fn rest<R: AsyncRead + Unpin>(
    frames: &mut FrameReader<R>,
    front: Front,
    progress: &Arc<Progress>,
) -> Result<Bytes, End> {
    let _turn = progress.turn(Turn::Send);
    loop {
        let there = frames.buffered();
        match idle(Some(SILENCE), frames.body(front, |bytes| progress.moved(bytes))).await {
            Some(frame) => return Ok(frame?),
            None if frames.buffered() == there => return Err(End::Slow),
            None => {}
        }
    }
}

/// Waits until an answer of so many bytes may be ready; those before it leave meanwhile.
async fn place_of(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    if bytes < SMALL_BYTES {
        return None;
    }
    // The semaphore is never closed.
    room.clone().acquire_many_owned(bytes.min(READY_BYTES) as u32).await.ok()
}

async fn write(
    server: &Server,
    mut begun: mpsc::Receiver<InFlight>,
    mut transmitter: Transmitter,
    progress: Arc<Progress>,
) -> End {
    while let Some(InFlight { answering, begun, _held, _owed, _ready }) = begun.recv().await {
        let answer = match answering {
            Ok(answer) => answer,
            Err(answering) => match answering.await {
                Ok(answer) => answer,
                Err(malformed) => return malformed.into(),
            },
        };
        let ready = Instant::now();
        let mut bytes_out = 0;
        if let Some(Answer { frame, admitted }) = answer {
            bytes_out = frame.len();
            let _held = admitted.map(|admitted| progress.holding(admitted));
            if let Err(unsent) = transmitter.send(frame).await {
                return unsent.into();
            }
        }
        let Begun { prelude, bytes, queued, at, asked } = begun;
        let sent = Instant::now();
        let stages =
            Stages { request_queue: queued, local: asked - at, remote: ready - asked, response_send: sent - ready };
        server.metrics.request(prelude.key, prelude.version, bytes, bytes_out, &stages);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn an_answer_that_left_a_moment_ago_is_no_idleness() {
        const LIMIT: Duration = Duration::from_millis(20);
        let (_client, stream) = tokio::io::duplex(64);
        let (mut frames, progress, owed) = (FrameReader::new(stream, 1024), Progress::default(), Owed::default());
        let (begun, mute) = (Instant::now(), Mute::default());
        let (end, ()) = tokio::join!(next_front(Some(LIMIT), &mut frames, &progress, &owed, &mute), async {
            progress.moved(100);
        });
        assert!(matches!(end, Err(End::Idle)));
        assert!(begun.elapsed() >= 2 * LIMIT, "it is idle from the answer on");
    }

    #[tokio::test]
    async fn a_throttled_connection_is_not_read_and_not_idle() {
        const LIMIT: Duration = Duration::from_millis(20);
        let (mut client, stream) = tokio::io::duplex(64);
        let (mut frames, progress, owed) = (FrameReader::new(stream, 1024), Progress::default(), Owed::default());
        let (begun, mute) = (Instant::now(), Mute::default());
        // It is waited for when the mute begins, and sends before the mute ends.
        let (front, ()) = tokio::join!(next_front(Some(LIMIT), &mut frames, &progress, &owed, &mute), async {
            mute.extend(4 * LIMIT);
            tokio::time::sleep(2 * LIMIT).await;
            client.write_all(&[0, 0, 0, 3, 0, 18, 9]).await.unwrap();
        });
        assert_eq!(front.unwrap(), Front { length: 3, key: 18 });
        assert!(begun.elapsed() >= 4 * LIMIT, "nothing is begun before the mute is over");
        mute.extend(2 * LIMIT);
        frames.body(Front { length: 3, key: 18 }, |_| {}).await.unwrap();
        let begun = Instant::now();
        assert!(matches!(next_front(Some(LIMIT), &mut frames, &progress, &owed, &mute).await, Err(End::Idle)));
        assert!(begun.elapsed() >= 3 * LIMIT, "it is idle from the end of the mute on");
    }

    #[tokio::test]
    async fn answers_that_are_not_taken_keep_further_requests_from_beginning() {
        let room = Arc::new(Semaphore::new(READY_BYTES));
        assert!(place_of(&room, SMALL_BYTES - 1).await.is_none(), "there cannot be too many of these");
        let first = place_of(&room, READY_BYTES - 1).await;
        let mut second = Box::pin(place_of(&room, 10 * READY_BYTES));
        let mut look = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut look).is_pending());
        drop(first);
        assert!(second.await.is_some(), "one larger than all of it has it for itself");
    }
}
