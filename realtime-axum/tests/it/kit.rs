//! What the tests ask with: a router in memory, a socket byte by byte, and a log to look into.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use realtime_axum::{Listen, Realtime};
use realtime_core::{Event, Log, Topic};
use realtime_tower::{Handle, Stats};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::ServiceExt;

/// Longer than anything here takes; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const SSE: (&str, &str) = ("accept", "text/event-stream");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                           sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: realtime.v1\r\n";

pub async fn events(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log).await
}

/// `/events`, with the grip on it.
pub fn app(log: &Log) -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount().build();
    (Router::new().route("/events", mount.route(events)).with_state(log.clone()), handle)
}

pub fn publish(log: &Log, topic: &str, n: u64) {
    log.publish(Event::json("tick", &n).unwrap().with_topic(Topic::new(topic).unwrap())).unwrap();
}

pub fn tick(log: &Log, n: u64) {
    log.publish(Event::json("tick", &n).unwrap()).unwrap();
}

/// Readers connected or waiting, over all transports.
pub fn readers(stats: &Stats) -> u64 {
    stats.transports.iter().map(|(_, stats)| stats.connections).sum()
}

/// Waits till so many readers are there: what a client does reaches the server when the network pleases.
pub async fn until_readers(handle: &Handle, n: u64) {
    until(|| readers(&handle.stats()) == n).await;
}

pub async fn until(is_so: impl Fn() -> bool) {
    let looked = timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    looked.await.expect("it should have become so");
}

// ---- in memory

pub fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri).header("host", "a.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub async fn ask(app: &Router, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let response = app.clone().oneshot(request(method, uri, headers, body)).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, bytes }
}

pub async fn get(app: &Router, uri: &str, headers: &[(&str, &str)]) -> Answer {
    ask(app, "GET", uri, headers, "").await
}

/// An answer whose body goes on.
pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Body,
    text: String,
}

pub async fn open(app: &Router, uri: &str, headers: &[(&str, &str)]) -> Stream {
    let response = app.clone().oneshot(request("GET", uri, headers, "")).await.unwrap();
    let (parts, body) = response.into_parts();
    Stream { status: parts.status, headers: parts.headers, body, text: String::new() }
}

impl Stream {
    /// Reads on until this has come, and returns all that has.
    pub async fn until(&mut self, needle: &str) -> &str {
        while !self.text.contains(needle) {
            // Under paused time heartbeats come for ever.
            assert!(self.text.len() < 16 * 1024, "no {needle:?} in {:.1000}", self.text);
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        &self.text
    }

    /// Whether it has ended, once all has been read.
    pub async fn is_over(&mut self) -> bool {
        while let Some(frame) = self.body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    }
}

// ---- over a connection

/// A client that sees each byte.
pub struct Client<I = TcpStream> {
    pub io: I,
    seen: Vec<u8>,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::on(TcpStream::connect(addr).await.unwrap())
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Client<I> {
    pub fn on(io: I) -> Self {
        Self { io, seen: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn get(&mut self, uri: &str, headers: &[(&str, &str)]) {
        let mut head = format!("GET {uri} HTTP/1.1\r\nhost: a.example\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        self.send(&head).await;
    }

    pub async fn upgrade(&mut self, uri: &str) {
        self.send(&format!("GET {uri} HTTP/1.1\r\nhost: a.example\r\n{UPGRADE}\r\n")).await;
        self.until("\r\n\r\n").await;
    }

    /// Reads on until this has come.
    pub async fn until(&mut self, needle: &str) -> String {
        let reading = timeout(PATIENCE, async {
            while !self.text().contains(needle) {
                if self.io.read_buf(&mut self.seen).await.unwrap() == 0 {
                    panic!("over before {needle:?}: {:?}", self.text());
                }
            }
        });
        if reading.await.is_err() {
            panic!("no {needle:?} in {:?}", self.text());
        }
        self.text()
    }

    /// Reads to the end of the connection; an error is one too.
    pub async fn end(&mut self) -> (String, io::Result<()>) {
        let reading = async {
            loop {
                match self.io.read_buf(&mut self.seen).await {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        };
        let ended = timeout(PATIENCE, reading).await.expect("the connection should have ended");
        (self.text(), ended)
    }

    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

/// A listener on a free port, and where it is.
pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Connections in memory, and failures to accept, in the order they are put in.
pub struct Memory(mpsc::UnboundedReceiver<io::Result<DuplexStream>>);

#[derive(Clone)]
pub struct Doors(mpsc::UnboundedSender<io::Result<DuplexStream>>);

pub fn memory() -> (Memory, Doors) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Memory(receiver), Doors(sender))
}

impl Doors {
    /// A connection whose server may write so many bytes ahead of its reader.
    pub fn knock(&self, ahead: usize) -> Client<DuplexStream> {
        let (ours, theirs) = duplex(ahead);
        drop(self.0.send(Ok(theirs)));
        Client::on(ours)
    }

    pub fn fail(&self, error: io::Error) {
        drop(self.0.send(Err(error)));
    }
}

impl Listen for Memory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(accepted) => Ok((accepted?, ([192, 0, 2, 1], 7).into())),
            None => std::future::pending().await,
        }
    }
}

// ---- what was logged

/// The log lines of this thread, while it is held.
pub struct Lines {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Lines {
    pub fn new() -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let sink = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || Sink(sink.clone()))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub fn contain(&self, needle: &str) -> bool {
        String::from_utf8_lossy(&self.text.lock().unwrap()).contains(needle)
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
