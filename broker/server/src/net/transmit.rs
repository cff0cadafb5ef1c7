//! Writes frames to a socket. Bytes that are in memory are written, records that are in a file are sent from there
//! (`sendfile`), so that they never pass through this process.
//!
//! - Records below [`COPY_BELOW`] are read and written together with what is around them: one system call instead of
//!   three. So is everything where `sendfile` is switched off.
//! - While a frame is sent in pieces, Nagle's algorithm holds small pieces back until the next piece is there or the
//!   client has acknowledged the one before; at the end it is switched off again, which lets the rest go.
//! - A file that is shorter than the frame says, or that cannot be read, ends the connection: the length is out, and
//!   the client must not take anything else for the records.
//!
//! Bounds: [`GATHER`] bytes of copies for each connection, and `STRETCH` more where `sendfile` is switched off; `sendfile` gives at most `STRETCH` bytes in one call and then
//! lets other connections have the thread; see [`crate::fetch::cold`] for what is not in memory.

use super::memory::{Progress, Turn, TurnLasts};
use crate::fetch::Stored;
use crate::fetch::cold::{ColdReads, STRETCH};
use crate::protocol::codec::{Frame, Part};
use bytes::{Bytes, BytesMut};
use pelton_core::event::StoredRecords;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

/// Records that are shorter are copied.
const COPY_BELOW: usize = 16 << 10;
/// Bytes that are gathered before they are written; longer pieces are not copied.
const GATHER: usize = 64 << 10;

/// Why a frame could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// The socket refused.
    #[error("it cannot be written to: {0}")]
    Io(#[from] io::Error),
    /// The records could not be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unread {
        /// The segment that they are in.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The client took nothing for too long.
    #[error("the client does not read its answers")]
    Stuck,
}

/// The writing half of a connection.
#[derive(Debug)]
pub struct Transmitter {
    stream: OwnedWriteHalf,
    cold: ColdReads,
    sendfile: bool,
    /// How long the client may take nothing.
    patience: Option<Duration>,
    gathered: BytesMut,
    progress: Arc<Progress>,
    /// The client's turn to take what is sent; nothing while the disk is waited for.
    turn: Option<TurnLasts>,
}

impl Transmitter {
    /// Writes to `stream`.
    pub fn new(
        stream: OwnedWriteHalf,
        cold: ColdReads,
        sendfile: bool,
        patience: Option<Duration>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { stream, cold, sendfile, patience, gathered: BytesMut::new(), progress, turn: None }
    }

    /// Writes a whole frame.
    ///
    /// # Errors
    /// See [`Unsent`]; the connection is of no more use then.
    pub async fn send(&mut self, frame: Frame) -> Result<(), Unsent> {
        self.turn = Some(self.progress.turn(Turn::Take));
        let sent = self.send_parts(frame).await;
        self.turn = None;
        sent
    }

    async fn send_parts(&mut self, frame: Frame) -> Result<(), Unsent> {
        let parts = frame.into_parts();
        let corked = parts.iter().any(|part| matches!(self.way_of(part), Way::Sendfile));
        if corked {
            self.stream.as_ref().set_nodelay(false)?;
        }
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.into_iter().enumerate() {
            match (self.way_of(&part), part) {
                // The only part of most frames.
                (_, Part::Bytes(bytes)) if index == 0 && index == last => self.write(bytes).await?,
                (Way::Copy, Part::Bytes(bytes)) => self.gather(&bytes).await?,
                (_, Part::Bytes(bytes)) => {
                    self.flush().await?;
                    self.write(bytes).await?;
                }
                (Way::Sendfile, Part::Stored(stored)) => {
                    self.flush().await?;
                    self.send_file(&stored).await?;
                }
                (_, Part::Stored(stored)) => self.copy(&stored).await?,
            }
        }
        self.flush().await?;
        if corked {
            self.stream.as_ref().set_nodelay(true)?;
        }
        Ok(())
    }

    fn way_of(&self, part: &Part) -> Way {
        match part {
            Part::Bytes(bytes) if bytes.len() < COPY_BELOW => Way::Copy,
            Part::Stored(stored) if stored.size_bytes() < COPY_BELOW => Way::Copy,
            Part::Stored(stored) if self.sendfile && Stored::of(&**stored).is_some() => Way::Sendfile,
            Part::Bytes(_) | Part::Stored(_) => Way::Write,
        }
    }

    /// Reads records piece by piece, and writes them.
    async fn copy(&mut self, stored: &Arc<dyn StoredRecords>) -> Result<(), Unsent> {
        let (mut at, end) = (0, stored.size_bytes());
        while at < end {
            let next = (at + STRETCH).min(end);
            self.turn = None;
            let bytes = self.cold.copy(stored, at, next).await.map_err(|error| unread(stored, error))?;
            self.turn = Some(self.progress.turn(Turn::Take));
            if bytes.len() < COPY_BELOW {
                self.gather(&bytes).await?;
            } else {
                self.flush().await?;
                self.write(bytes).await?;
            }
            at = next;
        }
        Ok(())
    }

    async fn gather(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        if self.gathered.len() + bytes.len() > GATHER {
            self.flush().await?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Unsent> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let bytes = self.gathered.split().freeze();
        self.write(bytes).await
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), Unsent> {
        while !bytes.is_empty() {
            let written = patiently(self.patience, self.stream.write_buf(&mut bytes)).await??;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.progress.moved(written);
        }
        Ok(())
    }

    async fn send_file(&mut self, stored: &Arc<dyn StoredRecords>) -> Result<(), Unsent> {
        let Some(slice) = Stored::of(&**stored) else { return Ok(()) };
        let (mut at, end) = (slice.position, slice.position + slice.len as u64);
        let mut warm_through = at;
        while at < end {
            if at >= warm_through {
                warm_through = (at + STRETCH as u64).min(end);
                self.turn = None;
                self.cold.warm(stored, at, warm_through).await.map_err(|error| unread(stored, error))?;
                self.turn = Some(self.progress.turn(Turn::Take));
            }
            let socket: &TcpStream = self.stream.as_ref();
            patiently(self.patience, socket.writable()).await??;
            let wanted = (warm_through - at) as usize;
            let sent = socket.try_io(Interest::WRITABLE, || {
                rustix::fs::sendfile(socket, &slice.file, Some(&mut at), wanted).map_err(io::Error::from)
            });
            match sent {
                Ok(0) => {
                    let why = format!("it ends at byte {at}, where its log has more");
                    return Err(unread(stored, io::Error::new(io::ErrorKind::UnexpectedEof, why)));
                }
                Ok(sent) => {
                    self.progress.moved(sent);
                    tokio::task::consume_budget().await;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // Of the two that take part, only the file can say this.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => return Err(unread(stored, error)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn unread(stored: &Arc<dyn StoredRecords>, error: io::Error) -> Unsent {
    match Stored::of(&**stored) {
        Some(slice) => Unsent::Unread { path: slice.path.clone(), error },
        None => Unsent::Io(error),
    }
}

/// How a part leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Copied together with its neighbours, and then written.
    Copy,
    /// Written by itself, from memory.
    Write,
    /// Sent from its file.
    Sendfile,
}

/// What the future gives, if it is ready before patience ends.
async fn patiently<T>(patience: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Unsent> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, future).await.map_err(|_| Unsent::Stuck),
        None => Ok(future.await),
    }
}

#[cfg(test)]
mod tests;
