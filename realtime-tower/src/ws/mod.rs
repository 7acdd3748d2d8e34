//! WebSocket: keeps reading, and listens too.
//!
//! A client asks with an `Upgrade` and is answered `101`, or over HTTP/2 by an extended CONNECT (RFC 8441) and is answered
//! `200`; from then on both sides send frames. Down goes one frame an
//! event, encoded once and shared by every reader; up come messages for the uplink. What is said in which mode:
//!
//! ```text
//! C: GET /events HTTP/1.1                          S: HTTP/1.1 101 Switching Protocols
//!    Host: a.example                                  Connection: Upgrade
//!    Connection: keep-alive, Upgrade                  Upgrade: websocket
//!    Upgrade: websocket                               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
//!    Sec-WebSocket-Version: 13                        Sec-WebSocket-Protocol: realtime.v1
//!    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
//!    Sec-WebSocket-Protocol: realtime.v1
//!
//! C: HEADERS :method CONNECT :protocol websocket   S: HEADERS :status 200
//!    :scheme https :authority a.example               sec-websocket-protocol realtime.v1
//!    :path /events sec-websocket-version 13        both: DATA with the frames; END_STREAM is the end of the connection
//!    sec-websocket-protocol realtime.v1
//!
//! realtime.v1   81 .. {"event":"$open","data":{"cursor":...}}      every envelope a text frame, controls included
//! bare          81 0a {"n":1234}                                   the payload alone; a gap closes with 4001
//! close         88 .. 03 e9 <cursor>                               the place to resume from is the reason
//! ```
//!
//! The room, from the outside in; the first four are pure, so that they can be cut at every byte:
//!
//! - `handshake`: is this an upgrade, may it pass, and what is the answer
//! - `inbound`: bytes from the client into whole messages, or into the reason to hang up
//! - `codec`: frames for the client, and the close codes
//! - `deflate`: permessage-deflate, where it is on and was offered
//! - `frames`: events as ready frames
//! - `messages`, `outbox`, `io`: what goes up, what goes down, and the connection between
//! - `session`: the loop that joins them; while it has nothing of its own to say, a driver of the spine's (`ride`) writes for it

pub(crate) mod codec;
mod config;
pub(crate) mod deflate;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod handshake;
pub(crate) mod inbound;
mod io;
mod messages;
mod outbox;
mod reply;
mod session;
#[cfg(test)]
mod tests;

pub use config::{Compression, WebSocketConfig};
pub use reply::WebSocketTransport;
