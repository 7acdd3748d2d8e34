//! What the targets share: how an input is read, and a mount to put it to.
//!
//! ```text
//! bytes ── Input ── lines, then the rest ──► a request, an event, a message ──► a mount in memory, paused time
//!                                                                                  └─► what must hold of the answer
//! ```
//!
//! Inputs are lines of text, so that a seed is written by hand, a crash is read, and a dictionary helps. A target asserts
//! what must hold; that nothing panics is the least of it.

mod input;
mod mount;

pub use input::{Input, cut, request};
pub use mount::{EPOCH, EVENTS, Heard, Mount, at, run};
