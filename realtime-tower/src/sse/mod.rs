//! Server-Sent Events: keeps reading (WHATWG HTML, section 9.2).
//!
//! ```text
//! C: GET /events                                   S: HTTP/1.1 200 OK
//!    Accept: text/event-stream                        Content-Type: text/event-stream
//!    Last-Event-ID: C11
//!                                                     retry: 2000
//!                                                     id: C11
//!                                                     event: $open
//!                                                     data: {"cursor":"C11","outcome":"resumed","heartbeatMs":15000}
//!
//!                                                     id: C12
//!                                                     event: tick
//!                                                     data: {"n":12}
//! ```
//!
//! One id per event: a browser's exactly-once rests on it. A block that was cut off is dropped whole, its id too. What
//! keeps a reader away is 200 with `retry:` and an end, for a browser never comes back from any other status.

mod codec;
mod config;
mod reply;
#[cfg(test)]
mod tests;

pub use config::{Data, Pings, SseConfig};
pub use reply::SseTransport;
