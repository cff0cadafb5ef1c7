//! The rules. Each says what it keeps, and its failure says what to do.

mod documents;
mod edges;
mod handlers;
mod purity;
mod sizes;
