//! The rules of docs/rules.md, put to a real mount over the wire.
//!
//! Every case is recorded under the rule's id, so that `cargo xtask test` prints what ran and fails where a rule has none and
//! does not say why. Whatever is refused has a twin that passes: a server that refuses everything obeys every refusal.

mod attacks;
mod bad_input;
mod cors;
mod cpu;
mod cursor_fuzz;
mod fuzz;
mod gate;
mod h2;
mod http_caching;
mod http_methods;
mod http_safety;
mod http_uplink;
mod injection;
mod limits;
mod mount;
mod once;
mod once_storm;
mod panics;
mod polling;
mod races;
mod raw;
mod session;
mod signed;
mod size;
mod sse;
mod sse_payloads;
mod traps;
mod wire;
mod ws_close;
mod ws_deflate;
mod ws_frames;
mod ws_handshake;
