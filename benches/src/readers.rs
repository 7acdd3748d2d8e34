//! The readers: N connections on one epoll thread, each of which checks what it gets.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::decode::{Decoder, Said};
use crate::kind::Wire;
use crate::payload::payload;

/// How long readers may take to connect, or to get what was published: far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// All readers of one server.
pub(crate) struct Readers {
    poll: Poll,
    events: Events,
    wire: Wire,
    readers: Vec<Reader>,
    buffer: Box<[u8]>,
}

struct Reader {
    tcp: TcpStream,
    decoder: Decoder,
    is_connected: bool,
    /// The newest event it has, all before it too since it connected.
    has: u64,
}

impl Readers {
    pub(crate) fn new(wire: Wire) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            wire,
            readers: Vec::new(),
            buffer: vec![0; 64 * 1024].into(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Connects so many more, which expect what follows event `has`.
    pub(crate) fn connect(&mut self, address: SocketAddr, more: usize, has: u64) -> Outcome {
        for _ in 0..more {
            let tcp = std::net::TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            (&tcp).write_all(request(self.wire, None).as_bytes())?;
            tcp.set_nonblocking(true)?;
            let mut tcp = TcpStream::from_std(tcp);
            let token = Token(self.readers.len());
            self.poll.registry().register(&mut tcp, token, Interest::READABLE)?;
            // A long-poll that waits says nothing: whoever measures lets the server settle.
            let is_connected = self.wire == Wire::LongPoll;
            self.readers.push(Reader { tcp, decoder: Decoder::new(self.wire), is_connected, has });
        }
        let mut missing = self.readers.iter().filter(|reader| !reader.is_connected).count();
        self.run(|before, after| {
            missing -= usize::from(!before.is_connected && after.is_connected);
            missing == 0
        })
        .map_err(|error| format!("connecting {more} readers: {error}").into())
    }

    /// Reads until every reader has the events up to `last`, each of them once and in order.
    pub(crate) fn until(&mut self, last: u64) -> Outcome {
        let mut missing = self.readers.iter().filter(|reader| reader.has < last).count();
        self.run(|before, after| {
            missing -= usize::from(before.has < last && after.has >= last);
            missing == 0
        })
        .map_err(|error| format!("reading up to event {last}: {error}").into())
    }

    /// Reads what comes until `is_done`, which is told of each reader before and after.
    fn run(&mut self, mut is_done: impl FnMut(State, State) -> bool) -> Outcome {
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
                reader.read(&mut self.buffer, self.wire)?;
                done |= is_done(before, reader.state());
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
    fn read(&mut self, buffer: &mut [u8], wire: Wire) -> Outcome {
        loop {
            let read = match self.tcp.read(buffer) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let (mut ask, mut pong) = (false, false);
            let Self { decoder, is_connected, has, .. } = self;
            decoder.feed(&buffer[..read], |said| {
                match said {
                    Said::Head => *is_connected = true,
                    Said::Ping => pong = true,
                    Said::Payload(got) => {
                        if got != payload(*has + 1) {
                            return Err(format!("not event {}: {}", *has + 1, got.escape_ascii()).into());
                        }
                        *has += 1;
                        ask = wire == Wire::LongPoll;
                    }
                }
                Ok(())
            })?;
            if pong {
                // A pong without payload, masked with zeroes.
                self.tcp.write_all(&[0x8a, 0x80, 0, 0, 0, 0])?;
            }
            if ask {
                self.tcp.write_all(request(wire, self.decoder.next.as_deref()).as_bytes())?;
            }
            // Less than was asked for: the socket is empty, and tells of the next byte (epoll(7), edge-triggered).
            if read < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Asks for all events from now on, or after a place.
fn request(wire: Wire, after: Option<&str>) -> String {
    let (line, fields) = (
        "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        match wire {
            Wire::Frames => return String::new(),
            Wire::Sse => "Accept: text/event-stream\r\n",
            // Longer than any visit.
            Wire::LongPoll => "Accept: application/json\r\nPrefer: wait=30\r\n",
            Wire::WebSocket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
        },
    );
    let after = after.map(|after| format!("Last-Event-ID: {after}\r\n")).unwrap_or_default();
    [line, fields, &after, "\r\n"].concat()
}
