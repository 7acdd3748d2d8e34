//! The matrix: every source, read over every transport, held to every law.
//!
//! ```text
//! World (a source, and the truth of what it was given) ── Mount (the server in memory) ── Way (an honest client)
//!      laws · places · pages · resume · cuts · breaks · bare · streams · far · peers · uplink · drain · stats
//! ```
//!
//! Time is paused and connections are in memory, but for `sockets` and `tcp`, where real ports and foreign clients are the point.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod bare;
mod breaks;
mod cuts;
mod drain;
mod far;
mod laws;
mod mount;
mod pages;
mod peers;
mod places;
mod resume;
mod sockets;
mod stats;
mod streams;
mod tcp;
mod uplink;
mod world;
