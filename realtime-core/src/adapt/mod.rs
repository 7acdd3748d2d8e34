//! Streams, channels and other sources, as a [`Log`](crate::Log).
//!
//! Each of these makes a log and a pump: a future that moves events into it. The caller spawns the pump, for this
//! crate spawns nothing. It ends when its input does, and closes the log then. A pump that is dropped before leaves
//! the log open, as it stands.
//!
//! What is lost on the way is said: a broadcast receiver that lagged, a gap of a source underneath, and an event that
//! the log did not take are all a gap in the log.

mod channel;
mod filter;
mod merge;
mod pump;
mod stream;

pub use channel::{broadcast, watch};
pub use filter::{Filter, FilterFeed};
pub use merge::{map, merge};
pub use pump::{PumpError, PumpErrorKind};
pub use stream::{iter, stream};

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests;
