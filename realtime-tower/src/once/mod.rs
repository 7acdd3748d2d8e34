//! A POST with an `Idempotency-Key` has its effect once (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! ```text
//! head ─► operation: who, where, which key; or 400 ─► body ─► what it asks for
//!                                                               │
//!           handler, in a task of its own ◄── new ─────────── window ─► known: its answer again · 409 · 422
//!                └─► its answer ─► remembered, and told                 no room: 503
//! ```
//!
//! From the look at the window to the handler's start nothing is awaited: of a hundred equal requests one runs. The
//! task is the window's and not the connection's, so that the retry of whoever was cut off finds an answer.

mod config;
mod operation;
mod run;
mod window;

pub use config::OnceConfig;
pub use operation::Principal;
pub(crate) use operation::{Content, Operation};
pub(crate) use run::Once;

#[cfg(test)]
mod tests;
