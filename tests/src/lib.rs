//! The test kit: real HTTP without a network, one tiny honest client per transport, faults on demand, and one judge.
//!
//! ```text
//!  service ── host ──(in-memory or TCP)── fault ── client ── Seen ── checker
//!            Host      Dialer              Plan     Reader            Checker against Truth
//! ```
//!
//! The kit knows only the wire (`docs/wire.md`) and `tower::Service`, none of the crates that it tests: a mistake that
//! the server makes cannot be shared by the client that looks for it. The one exception stands on the other side of the
//! server: [`remote`], a source that behaves as a broker far away does. All of it runs under paused time, but for
//! [`proxy`]: real programs between the two, over TCP.

pub mod checker;
pub mod client;
pub mod dial;
pub mod fault;
pub mod host;
pub mod proxy;
pub mod remote;
/// Which rules the run has proved.
pub mod rules;
#[cfg(test)]
mod tiny;
