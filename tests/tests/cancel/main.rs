//! G-26, D-16: every public future, body and stream, dropped after each number of polls that it can be dropped after.
//!
//! ```text
//! limit ── polls a future k times and drops it ── for k = 0, 1, .. until it ends by itself
//!    feeds   what sources are read through           pumps   what fills a log
//!    answers every transport, before its head        bodies  every transport, behind it
//!    posts   messages, with a key and without        sockets WebSocket tasks, with their runtime
//!    drains  the owner's grip                        servers serve, and a connection's deadline
//!    clients the clients for users' tests
//! ```
//!
//! Afterwards there is no reader, seat, permit or handler left, what was written is whole up to the cut, and whoever comes back
//! to the same place loses nothing. One that was never in the middle of anything fails as vacuous.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod answers;
mod bodies;
mod clients;
mod drains;
mod feeds;
mod limit;
mod posts;
mod pumps;
mod servers;
mod sockets;
mod world;
