//! The four transports through the real nginx, haproxy and Varnish, with the configs that users are given
//! (`examples/proxies/`).
//!
//! ```text
//!  kit's clients ──TCP── nginx | haproxy | varnishd ──TCP── realtime_axum::serve
//!   client.rs            realtime_tests::proxy               app.rs
//! ```
//!
//! Time is real here, so no law is a matter of speed: what is not held back is shown by order, and every bound is there
//! only for a run that fails. The programs are named by the environment; `cargo xtask test` finds or installs them.

#![allow(clippy::unwrap_used, reason = "in tests a panic is a failure")]
#![allow(clippy::print_stdout, reason = "what was measured is shown to whoever reads the run")]

mod app;
mod client;
mod configs;
mod down;
mod end;
mod gzip;
mod idle;
mod live;
mod origin;
mod reload;
mod transports;

use realtime_tests::proxy;
