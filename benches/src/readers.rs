//! The readers: N connections on one epoll thread, each of which checks what it gets.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::decode::{Decoder, Said};
use crate::kind::Wire;
use crate::latency::Latency;
use crate::payload::Expected;
use crate::streams::Streams;

/// The readers of one server: a connection each, or streams of a few.
pub(crate) enum Crowd {
    Connections(Readers),
    Streams(Streams),
}

impl Crowd {
    pub(crate) fn new(wire: Wire, payload_bytes: usize) -> Outcome<Self> {
        Ok(if wire.is_stream() {
            Self::Streams(Streams::new(wire, payload_bytes)?)
        } else {
            Self::Connections(Readers::new(wire, payload_bytes)?)
        })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Connections(readers) => readers.readers.len(),
            Self::Streams(streams) => streams.len(),
        }
    }

    /// Connects so many more, which expect what follows event `has`.
    pub(crate) fn connect(&mut self, address: SocketAddr, more: usize, has: u64) -> Outcome {
        match self {
            Self::Connections(readers) => readers.connect(address, more, has),
            Self::Streams(streams) => streams.connect(address, more, has),
        }
        .map_err(|error| format!("connecting {more} readers: {error}").into())
    }

    /// Lets every reader ask, where that is what brings an answer.
    pub(crate) fn ask(&mut self) -> Outcome {
        match self {
            Self::Connections(readers) => readers.ask(),
            Self::Streams(_) => Ok(()),
        }
    }

    /// Reads until every reader has the events up to `last`, each of them once and in order.
    pub(crate) fn until(&mut self, last: u64, latency: &mut Latency) -> Outcome {
        match self {
            Self::Connections(readers) => readers.until(last, latency),
            Self::Streams(streams) => streams.until(last, latency),
        }
        .map_err(|error| format!("reading up to event {last}: {error}").into())
    }
}

/// How long readers may take to connect, or to get what was published: far more than a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Readers with a connection each.
pub(crate) struct Readers {
    poll: Poll,
    events: Events,
    wire: Wire,
    payload_bytes: usize,
    expected: Expected,
    readers: Vec<Reader>,
    buffer: Box<[u8]>,
}

struct Reader {
    tcp: TcpStream,
    decoder: Decoder,
    is_connected: bool,
    /// Whether a poll has asked a second time.
    asked: bool,
    /// The newest event it has, all before it too since it connected.
    has: u64,
}

impl Readers {
    fn new(wire: Wire, payload_bytes: usize) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            wire,
            payload_bytes,
            expected: Expected::new(payload_bytes),
            readers: Vec::new(),
            buffer: vec![0; 64 * 1024].into(),
        })
    }

    fn connect(&mut self, address: SocketAddr, more: usize, has: u64) -> Outcome {
        for _ in 0..more {
            let tcp = std::net::TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            (&tcp).write_all(request(self.wire, None, None).as_bytes())?;
            tcp.set_nonblocking(true)?;
            let mut tcp = TcpStream::from_std(tcp);
            let token = Token(self.readers.len());
            self.poll.registry().register(&mut tcp, token, Interest::READABLE)?;
            // A long-poll that waits says nothing: whoever measures lets the server settle.
            let is_connected = self.wire == Wire::LongPoll;
            let decoder = Decoder::new(self.wire, self.payload_bytes);
            self.readers.push(Reader { tcp, decoder, is_connected, asked: false, has });
        }
        // Those before are.
        let new = &self.readers[self.readers.len() - more..];
        let mut missing = new.iter().filter(|reader| !reader.is_connected).count();
        self.run(&mut Latency::none(), |before, after| {
            missing -= usize::from(!before.is_connected && after.is_connected);
            missing == 0
        })
    }

    fn ask(&mut self) -> Outcome {
        for reader in &mut self.readers {
            let (next, etag) = (reader.decoder.next.as_deref(), reader.decoder.etag.as_deref());
            reader.tcp.write_all(request(self.wire, next, etag).as_bytes())?;
        }
        Ok(())
    }

    fn until(&mut self, last: u64, latency: &mut Latency) -> Outcome {
        let mut missing = self.readers.iter().filter(|reader| reader.has < last).count();
        self.run(latency, |before, after| {
            missing -= usize::from(before.has < last && after.has >= last);
            missing == 0
        })
    }

    /// Reads what comes until `is_done`, which is told of each reader before and after.
    fn run(&mut self, latency: &mut Latency, mut is_done: impl FnMut(State, State) -> bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let idle = State { is_connected: true, has: u64::MAX };
        if is_done(idle, idle) {
            return Ok(());
        }
        loop {
            let left =
                deadline.checked_duration_since(Instant::now()).ok_or("the server does not deliver")?;
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let mut done = false;
            for event in &self.events {
                let reader = &mut self.readers[event.token().0];
                let before = reader.state();
                reader.read(&mut self.buffer, self.wire, &mut self.expected)?;
                let after = reader.state();
                latency.received(after.has - before.has);
                done |= is_done(before, after);
            }
            if done {
                return Ok(());
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    is_connected: bool,
    has: u64,
}

impl Reader {
    fn state(&self) -> State {
        State { is_connected: self.is_connected, has: self.has }
    }

    /// Reads all there is.
    fn read(&mut self, buffer: &mut [u8], wire: Wire, expected: &mut Expected) -> Outcome {
        loop {
            let read = match self.tcp.read(buffer) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut asks = false;
            let Self { decoder, is_connected, has, tcp, .. } = self;
            decoder.feed(&buffer[..read], |said| {
                match said {
                    Said::Head => *is_connected = true,
                    Said::Wants(bytes) => tcp.write_all(bytes)?,
                    Said::Answer if *is_connected => *has += 1,
                    // The first answer tells where it stands, the second what is there.
                    Said::Answer => asks = true,
                    Said::Payload(got) => {
                        if !expected.is(*has + 1, got) {
                            return Err(format!("not event {}: {}", *has + 1, got.escape_ascii()).into());
                        }
                        *has += 1;
                        asks = wire == Wire::LongPoll;
                    }
                }
                Ok(())
            })?;
            if asks && wire.is_asked() && self.asked {
                self.is_connected = true;
                self.decoder.opened();
            } else if asks {
                self.asked = true;
                let (next, etag) = (self.decoder.next.as_deref(), None);
                self.tcp.write_all(request(wire, next, etag).as_bytes())?;
            }
            // Less than was asked for: the socket is empty, and tells of the next byte (epoll(7), edge-triggered).
            if read < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Asks for all events from now on, or after a place.
fn request(wire: Wire, after: Option<&str>, etag: Option<&str>) -> String {
    const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                           client_no_context_takeover\r\n";
    let path = if wire == Wire::SocketIo { "/socket.io/?EIO=4&transport=websocket" } else { "/events" };
    let fields = match wire {
        Wire::Frames | Wire::StreamWebSocket | Wire::StreamSse => return String::new(),
        Wire::Sse => "Accept: text/event-stream\r\n",
        // Longer than any visit.
        Wire::LongPoll => "Accept: application/json\r\nPrefer: wait=30\r\n",
        Wire::Poll | Wire::NotModified => "Accept: application/json\r\n",
        Wire::WebSocket | Wire::SocketIo => UPGRADE,
        Wire::Deflate => &[UPGRADE, DEFLATE].concat(),
    };
    let after = after.map(|after| format!("Last-Event-ID: {after}\r\n")).unwrap_or_default();
    let etag = etag.filter(|_| wire == Wire::NotModified);
    let etag = etag.map(|etag| format!("If-None-Match: {etag}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}{after}{etag}\r\n")
}
