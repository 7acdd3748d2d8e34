//! realtime-axum from outside: the extractor and its gate, other people's layers, and the two servers.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test")]

mod descriptors;
mod extractor;
mod gate;
mod kit;
mod layers;
mod once;
mod serve;
mod signed;
mod stalled;
mod stop;
mod untouched;
