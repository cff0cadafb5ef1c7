//! Sockets: accepts connections, cuts what comes in into frames, and writes the answers in order.
//!
//! Nothing here knows what a frame means; it asks the handlers for the memory that it may take and for its answer.

mod connection;
mod frame;
mod listener;
mod transmit;

pub use listener::{Accepting, Listeners, bind};
