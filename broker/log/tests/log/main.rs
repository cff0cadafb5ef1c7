//! What the log promises, tried from outside on a medium that crashes, refuses and lies: everything that was
//! acknowledged comes back byte for byte, and what was damaged is never served as something else.

mod faults;
mod flips;
mod ledger;
mod model;
mod partition;
mod tails;
