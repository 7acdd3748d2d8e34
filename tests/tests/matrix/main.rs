//! The matrix: every source, read over every transport, held to every law.
//!
//! ```text
//! World (a source, and the truth of what it was given) ── Mount (the server in memory) ── Way (an honest client)
//!                                        laws · resume · cuts · streams
//! ```
//!
//! Time is paused and connections are in memory, but for `sockets`, where real ports and foreign clients are the point.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod bare;
mod cuts;
mod laws;
mod mount;
mod peers;
mod resume;
mod sockets;
mod streams;
mod uplink;
mod world;
