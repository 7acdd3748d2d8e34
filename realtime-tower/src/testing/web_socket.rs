use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BytesMut};
use futures_util::FutureExt;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::response::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use realtime_core::DEFAULT_NAME;
use serde::Serialize;
use sockudo_ws::frame::{Frame, FrameParser, OpCode, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower_service::Service;

use super::message::{Data, Event, Message, Reply};
use super::{BoxError, PINGS_MAX, Unexpected, envelope};
use crate::upgrade::TestUpgrade;

/// The sample of RFC 6455, section 1.3: key and answer.
const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
const ACCEPT: HeaderValue = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

/// Bytes that either end may be behind before the other waits: about what a kernel gives a socket.
const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes one read makes room for.
const READ_BYTES: usize = 4 * 1024;

/// The code that stands for a Close without one (RFC 6455, section 7.1.5).
const NO_STATUS: u16 = 1005;

/// Opens a WebSocket that speaks `realtime.v1` through any service, without a socket. What a handshake needs is put
/// into the request; method, path, query and headers of yours stay.
///
/// The service is called as it is: a mount, a layered service, or an axum `Router`. It has to be within a runtime, for
/// the connection is a task of its own.
///
/// # Errors
/// The answer is a refusal, or no 101 that a client would take.
///
/// ```
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Body, Inbound, builder, testing, uplink_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let shout = uplink_fn(|message: Inbound| async move {
///     message.json::<String>().map(|text| serde_json::json!(text.to_uppercase()))
/// });
/// let (service, _handle) = builder().source(Log::new()).uplink(shout).service();
/// let mut socket = testing::web_socket(service, Request::get("/").body(Body::empty())?).await?;
/// let reply = socket.ask("shout", &"hello").await?;
/// assert_eq!(reply.json::<String>()?, "HELLO");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn web_socket<S, B, R>(service: S, request: Request<B>) -> Result<WebSocket, Unexpected>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body,
    R::Data: Buf,
{
    let mut request = request;
    let protocol = HeaderValue::from_static("realtime.v1");
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    open(service, request).await
}

/// Opens a WebSocket without a subprotocol: payloads and nothing else go over it. As [`web_socket`].
///
/// # Errors
/// As [`web_socket`].
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::testing::{self, Message};
/// use realtime_tower::{Body, Realtime};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let log = Log::new();
/// let request = Request::get("/").body(Body::empty())?;
/// let mut socket = testing::bare_web_socket(Realtime::new(log.clone()), request).await?;
/// let last = log.publish(Event::json("tick", &7)?)?;
/// log.close();
/// assert_eq!(socket.event().await?.text()?, "7");
/// assert_eq!(socket.next().await?, Some(Message::Close { code: 1000, reason: last.to_string() }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn bare_web_socket<S, B, R>(service: S, request: Request<B>) -> Result<WebSocket, Unexpected>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body,
    R::Data: Buf,
{
    let mut request = request;
    request.headers_mut().remove(SEC_WEBSOCKET_PROTOCOL);
    open(service, request).await
}

async fn open<S, B, R>(mut service: S, mut request: Request<B>) -> Result<WebSocket, Unexpected>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body,
    R::Data: Buf,
{
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, KEY);
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    let (io, server) = tokio::io::duplex(BUFFER_BYTES);
    request.extensions_mut().insert(TestUpgrade(Arc::new(Mutex::new(Some(server)))));

    let failed = |error: S::Error| Unexpected::new("the service failed").because(error);
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    let response = service.call(request).await.map_err(failed)?;
    let is_accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT) == Some(&ACCEPT);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !is_accepted {
        return Err(Unexpected::answer("a WebSocket", response).await);
    }
    let (head, _) = response.into_parts();
    let is_bare = !head.headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    Ok(WebSocket {
        head,
        is_bare,
        io,
        parser: FrameParser::new(usize::MAX, false),
        incoming: BytesMut::new(),
        outgoing: BytesMut::new(),
        kept: VecDeque::new(),
        references: 0,
        token: None,
        phase: Phase::Open,
    })
}

/// A client's end of a WebSocket; made by [`web_socket`] or [`bare_web_socket`]. Dropping it is the client going away
/// without a word.
pub struct WebSocket {
    head: Parts,
    is_bare: bool,
    io: DuplexStream,
    parser: FrameParser,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// What came while a reply was waited for.
    kept: VecDeque<Message>,
    references: u64,
    token: Option<String>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our Close has gone out.
    Closing,
    Over,
}

impl WebSocket {
    /// The next message; none once the connection is closed. Pings are answered on the way, and so is a Close.
    ///
    /// # Errors
    /// The connection broke off without a Close, or a message cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Message>, Unexpected> {
        match self.kept.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.receive().await,
        }
    }

    /// The next event; heartbeats, `$open`, `$live` and replies are passed over.
    ///
    /// # Errors
    /// A gap, the end or a Close comes first, or nothing but heartbeats does.
    pub async fn event(&mut self) -> Result<Event, Unexpected> {
        for _ in 0..PINGS_MAX {
            match self.next().await? {
                Some(Message::Event(event)) => return Ok(event),
                Some(Message::Open { .. } | Message::Live(_) | Message::Ping(_) | Message::Reply(_)) => {}
                other => return Err(Unexpected::new(format!("expected an event, got {other:?}"))),
            }
        }
        Err(Unexpected::new("expected an event, got heartbeats only"))
    }

    /// Sends a message of `realtime.v1` and returns the `ref` that its reply will carry.
    ///
    /// # Errors
    /// The connection is gone, or `data` does not turn into JSON.
    pub async fn send<T: Serialize + ?Sized>(&mut self, name: &str, data: &T) -> Result<String, Unexpected> {
        self.references += 1;
        let reference = self.references.to_string();
        let data = serde_json::to_value(data)
            .map_err(|error| Unexpected::new("what is to be sent is no JSON").because(error))?;
        let message = serde_json::json!({ "ref": self.references, "event": name, "data": data });
        self.send_text(message.to_string()).await?;
        Ok(reference)
    }

    /// Sends a message of `realtime.v1` and waits for its reply. What else comes is kept for [`next`](Self::next).
    ///
    /// # Errors
    /// As [`send`](Self::send), or the connection ends before the reply, or nothing but heartbeats comes.
    pub async fn ask<T: Serialize + ?Sized>(&mut self, name: &str, data: &T) -> Result<Reply, Unexpected> {
        let reference = self.send(name, data).await?;
        let mut pings = 0;
        while pings < PINGS_MAX {
            match self.receive().await? {
                Some(Message::Reply(reply)) if reply.reference.as_ref() == Some(&reference) => {
                    return Ok(reply);
                }
                Some(message) => {
                    pings += usize::from(matches!(message, Message::Ping(_)));
                    self.kept.push_back(message);
                }
                None => return Err(Unexpected::new("expected a reply, got the end of the connection")),
            }
        }
        Err(Unexpected::new("expected a reply, got heartbeats only"))
    }

    /// Sends a text message as it is.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_text(&mut self, text: impl AsRef<str>) -> Result<(), Unexpected> {
        self.write(OpCode::Text, text.as_ref().as_bytes()).await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unexpected> {
        self.write(OpCode::Binary, bytes.as_ref()).await
    }

    /// Closes. The server's own Close is the last [`Message`] then.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), Unexpected> {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
            self.write(OpCode::Close, &payload).await?;
        }
        Ok(())
    }

    /// The newest place that has come, as the server wrote it: with a tag, where the mount signs its cursors. In bare mode
    /// only a Close says one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The head of the 101.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    async fn receive(&mut self) -> Result<Option<Message>, Unexpected> {
        loop {
            if self.phase == Phase::Over {
                // The server may have hung up already: it has said all it had to say.
                let _ = self.flush().await;
                return Ok(None);
            }
            let parsed = self.parser.parse(&mut self.incoming);
            if let Some(frame) = parsed.map_err(|error| Unexpected::new("a broken frame").because(error))? {
                if let Some(message) = self.take(frame)? {
                    return Ok(Some(message));
                }
                continue;
            }
            self.flush().await?;
            self.incoming.reserve(READ_BYTES);
            let read = self.io.read_buf(&mut self.incoming).await;
            match read {
                Ok(0) => return Err(Unexpected::new("the connection ended without a Close")),
                Ok(_) => {}
                Err(error) => return Err(Unexpected::new("the connection broke off").because(error)),
            }
        }
    }

    /// A frame is taken and told without a wait between, in which it could be dropped.
    fn take(&mut self, frame: Frame) -> Result<Option<Message>, Unexpected> {
        match frame.header.opcode {
            OpCode::Text | OpCode::Binary if frame.header.fin => {}
            OpCode::Ping => {
                self.put(OpCode::Pong, &frame.payload);
                // In bare mode a ping frame is all there is for a heartbeat.
                return Ok(self.is_bare.then_some(Message::Ping(None)));
            }
            OpCode::Pong => return Ok(None),
            OpCode::Close => return self.closed(&frame).map(Some),
            _ => return Err(Unexpected::new("a fragment: this server never sends any")),
        }
        let text = std::str::from_utf8(&frame.payload);
        let is_text = frame.header.opcode == OpCode::Text;
        match (self.is_bare, is_text, text) {
            (_, true, Err(error)) => Err(Unexpected::new("a text frame is not UTF-8").because(error)),
            (false, true, Ok(text)) => {
                self.token = envelope::token(text).or(self.token.take());
                envelope::message(text).map(Some)
            }
            (false, false, _) => Err(Unexpected::new("a binary frame in realtime.v1")),
            (true, true, Ok(text)) => Ok(Some(bare(Data::Text(text.to_owned())))),
            (true, false, _) => Ok(Some(bare(Data::Binary(frame.payload)))),
        }
    }

    fn closed(&mut self, frame: &Frame) -> Result<Message, Unexpected> {
        let code_sent = frame.payload.get(..2);
        if self.phase == Phase::Open {
            self.put(OpCode::Close, code_sent.unwrap_or_default());
            // What cannot leave now does so when the end is asked for.
            let _ = self.flush().now_or_never();
        }
        self.phase = Phase::Over;
        let code = code_sent.map_or(NO_STATUS, |code| u16::from_be_bytes([code[0], code[1]]));
        let reason = std::str::from_utf8(frame.payload.get(2..).unwrap_or_default())
            .map_err(|error| Unexpected::new("a reason is not UTF-8").because(error))?;
        self.token = Some(reason.to_owned()).filter(|reason| !reason.is_empty()).or(self.token.take());
        Ok(Message::Close { code, reason: reason.to_owned() })
    }

    fn put(&mut self, opcode: OpCode, payload: &[u8]) {
        encode_frame(&mut self.outgoing, opcode, payload, true, Some(fastrand::u32(..).to_be_bytes()));
    }

    async fn write(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Unexpected> {
        self.put(opcode, payload);
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Unexpected> {
        while !self.outgoing.is_empty() {
            let written = self.io.write_buf(&mut self.outgoing).await;
            written.map_err(|error| Unexpected::new("the connection is gone").because(error))?;
        }
        Ok(())
    }
}

fn bare(data: Data) -> Message {
    Message::Event(Event { id: None, name: DEFAULT_NAME.to_owned(), topic: None, key: None, data })
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("head", &self.head)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
