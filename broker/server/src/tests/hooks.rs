//! Plugins on the way of records, over real sockets; the plugins are native doubles.

mod appending;
mod double;
mod growing;
mod reading;
mod switching;
