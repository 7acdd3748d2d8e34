//! Many readers of one view, written to by one task: read once, encoded once, and one write a reader.
//!
//! A session that has said all there is, and whose socket is its own, hands its writing over and *rides*: its feed is gone,
//! its task sleeps until something is to be done that is not the news.
//!
//! ```text
//!            log ─► feed ─► run, the frames of a batch in one piece
//!                            │   driver: one task a view and format
//!     ┌───────┬───────┬──────┴┬───────┐
//!   rider   rider   rider   rider   rider      a writer each, held here while it rides: nobody else can write
//!     ▲                       │
//!     │ boards: place, writer │ alights: place, writer, the rest of a frame that has begun
//!   session ◄─────────────────┘ reads on from there by itself
//! ```
//!
//! Whatever is out of the ordinary is the session's: a message that needs an answer, a ping, a Close, a drain, the end of a
//! session, a socket that takes no more, a gap, the end of the source. It alights, by itself or because it was put off, and
//! goes on where it was left. So there is nothing that a driver has to know but how to write what everybody gets.
//!
//! - `run`: the frames of a batch, and what of them a reader had; pure
//! - `riders`: who rides, and who has been served; plain data without a lock
//! - `driver`: the lock; with its `task`, and what a session holds of it (`boarding`)
//! - `views`: which drivers a mount has

mod driver;
mod riders;
mod run;
mod views;

pub(crate) use driver::{Boarding, Ride};
pub(crate) use riders::{Alighted, Leash};
pub(crate) use run::Wire;
pub(crate) use views::{Key, Views};

#[cfg(test)]
mod tests;
