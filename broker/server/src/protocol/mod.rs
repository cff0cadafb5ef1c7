//! Between bytes and requests: versions, error codes, the shape of a frame, the batches of a record set.
//!
//! This folder and `handlers` are the only ones that name the `kafka_protocol` crate. It is trusted to
//! encode and to decode what is well formed; [`shape`] makes sure of that first, because its decoders
//! reserve memory by the counts that a client claims.
//!
//! Invariant: no bytes of a client make a decoder panic, or reserve more than a constant times what was sent.

pub mod answer_fields;
pub mod codec;
pub mod error_code;
pub mod fetch_answer;
pub mod newest;
pub mod records;
pub mod shape;
pub mod shapes;
pub mod text;
