//! Peers that ask for a stream and never read it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::dial::Dial;
use super::tally::Counters;

const SSE: &str = "GET /events HTTP/1.1\r\nHost: realtime.test\r\nAccept: text/event-stream\r\n\r\n";
const WEB_SOCKET: &str = "GET /events HTTP/1.1\r\nHost: realtime.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: realtime.v1\r\n\r\n";

/// One that sleeps until it is dropped.
#[derive(Debug)]
pub(super) struct Sleeper {
    _io: TcpStream,
    counters: Arc<Counters>,
}

impl Sleeper {
    /// Asks by the one transport or the other, and falls asleep.
    ///
    /// # Errors
    /// The site does not accept it.
    pub(super) async fn new(
        dial: Dial,
        nth: usize,
        receive_bytes: u32,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let mut io = dial.open(Some(receive_bytes)).await?;
        io.write_all(if nth.is_multiple_of(2) { SSE } else { WEB_SOCKET }.as_bytes()).await?;
        counters.asleep.fetch_add(1, Relaxed);
        Ok(Self { _io: io, counters })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.counters.asleep.fetch_sub(1, Relaxed);
    }
}
