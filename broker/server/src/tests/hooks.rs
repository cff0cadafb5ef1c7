//! Plugins on the way of records, over real sockets; the plugins are native doubles.

mod appending;
mod double;
mod reading;
mod switching;
