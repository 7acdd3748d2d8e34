//! Polling: reads what is there.
//!
//! ```text
//! C: GET /events?offset=C10                        S: HTTP/1.1 200 OK
//!    Accept: application/json                         Content-Type: application/json
//!                                                     Stream-Next-Offset: C12
//!                                                     ETag: W/"j-C10-C12-0"
//!
//!                                                     {"events":[{"id":"C11",..},{"id":"C12",..}],"next":"C12",
//!                                                      "upToDate":true,"closed":false}
//! ```
//!
//! A page is bounded; a gap stands at its head; nothing new and a matching `If-None-Match` is 304. What a page is and
//! how it is written stands in [`page`](crate::page), for long-polls answer with the same.

mod config;
mod reply;
#[cfg(test)]
mod tests;

pub use config::PollConfig;
pub use reply::PollTransport;
