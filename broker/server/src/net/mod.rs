//! Sockets: accepts connections, cuts what comes in into frames, and writes the answers in order.
//!
//! Nothing here knows what a frame means; it asks the handlers for the memory that it may take and for its answer.
//!
//! No client holds up another. A slow one has at most [`connection`]'s requests in flight, its answers leave from files or
//! wait in memory that it was admitted to, and where others wait for that memory it is closed ([`memory`]); a cold read
//! waits on a thread of its own ([`crate::fetch::cold`]); one that has gone without a word is closed when it has been
//! silent for `connections.max.idle.ms`, or when the operating system's keep-alive finds it gone. An idle connection costs a
//! task, room for its requests and a buffer: some 13 KiB.

mod connection;
pub mod connection_limits;
mod control;
mod endpoint;
pub mod frame;
mod listener;
pub mod memory;
pub mod mute;
mod transmit;

pub use control::ControlThreads;
pub use endpoint::{Listener, NoListener, PLAINTEXT, SocketConfig};
pub use listener::{Accepting, Bound, Connections, Listeners, bind};
