//! Long-polling: reads, and waits for the first new event.
//!
//! ```text
//! C: GET /events?offset=C12                        S: (up to 20 s later)
//!    Prefer: wait=20                                  HTTP/1.1 200 OK
//!                                                     Preference-Applied: wait=20
//!                                                     {"events":[{"id":"C13",..}],"next":"C13",..}
//!
//!                                                  S: (or, when nothing came)
//!                                                     HTTP/1.1 204 No Content
//!                                                     Stream-Next-Offset: C12
//! ```
//!
//! News, a gap, the end and a drain answer at once. The server keeps no place: an answer that was lost on the way is
//! given again to who repeats the old cursor.
//!
//! **Time-outs around it.** tower-http's `TimeoutLayer` cuts every wait that is longer than it, with a 408 and without
//! a cursor: give it more than [`LongPollConfig::wait_max`], or keep it off this route. A proxy's read time-out is to
//! be longer too; the default wait of 25 s is below the 30 s that many of them have.

mod config;
mod reply;
#[cfg(test)]
mod tests;

pub use config::LongPollConfig;
pub use reply::LongPollTransport;
