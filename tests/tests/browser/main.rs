//! Everything that needs a real browser: Rust brings up the server, a script in `browser/` drives Chromium.
//!
//! ```text
//!  showcase.rs ── the showcase's binary ── showcase.mjs
//!  native.rs  ─┐                         ┌ native.mjs   EventSource, WebSocket and fetch as they are
//!              ├── server::Stage ── HTTP ┤
//!  client.rs  ─┤   (worlds, faults)      ├ client.mjs   realtime-js
//!  through.rs ─┘ nginx, haproxy, varnish  └ proxies.mjs  realtime-js through real proxies
//! ```
//!
//! They need Node, playwright-core and Chromium, nginx, haproxy and Varnish, which `cargo xtask test` finds or installs and
//! names in the environment; without them they fail.
//!
//! Tests begin in the order of their names, as many at a time as there are cores: the short ones are to be the last.

mod client;
mod driver;
mod native;
mod payloads;
mod server;
mod showcase;
mod through;
