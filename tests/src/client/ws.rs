//! WebSocket, by tokio-tungstenite: a client that shares no line with the server.
//!
//! With `realtime.v1` the place moves by every event's id and every control's cursor. In bare mode nothing says the
//! place but the reason of the Close, and so only that moves it.

use ::http::{Method, Request, Uri, header};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::handshake::client::{Response, generate_key};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::http::AUTHORITY;
use super::whole_head::WholeHead;
use super::{Event, Http, Over, Place, Seen, Target, h2, wire};

/// The code that stands for a Close without one (RFC 6455, 7.1.5).
const NO_STATUS: u16 = 1005;

/// A client on a WebSocket.
#[derive(Debug)]
pub struct Ws {
    place: Place,
    bare: bool,
    socket: Option<Box<WebSocketStream<WholeHead>>>,
    head: Option<Response>,
    refused: Option<Seen>,
    closed: bool,
    over: Option<Over>,
}

impl Ws {
    /// Shakes hands. What went wrong shows in [`next`](Ws::next).
    pub async fn connect(target: &Target, start: Place) -> Self {
        let mut this = Self {
            place: start,
            bare: true,
            socket: None,
            head: None,
            refused: None,
            closed: false,
            over: None,
        };
        match Self::shake(target, &this.place).await {
            Ok((socket, head)) => {
                this.bare = head.headers().get(header::SEC_WEBSOCKET_PROTOCOL).is_none();
                (this.socket, this.head) = (Some(Box::new(socket)), Some(head));
            }
            Err(Error::Http(answer)) => {
                let (head, body) = answer.into_parts();
                let body = Bytes::from(body.unwrap_or_default());
                this.refused = Some(Seen::Refused { status: head.status, headers: head.headers, body });
                this.over = Some(Over::Clean);
            }
            Err(error) => this.over = Some(Over::cut(error)),
        }
        this
    }

    async fn shake(target: &Target, place: &Place) -> Result<(WebSocketStream<WholeHead>, Response), Error> {
        let mut request = target.request(Method::GET, place).header(header::SEC_WEBSOCKET_VERSION, "13");
        if target.http == Http::One {
            request = request
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_KEY, generate_key());
        }
        if let Some(subprotocol) = target.subprotocol {
            request = request.header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        let mut request = request.body(())?;
        if target.http == Http::Two {
            return Self::connect_stream(target, request).await;
        }
        *request.uri_mut() =
            format!("ws://{AUTHORITY}{}", request.uri()).parse::<Uri>().map_err(::http::Error::from)?;
        client_async(request, WholeHead::new(target.dialer.dial().await?)).await
    }

    /// Over HTTP/2 the handshake is HTTP's alone, and tungstenite begins behind it.
    async fn connect_stream(
        target: &Target,
        request: Request<()>,
    ) -> Result<(WebSocketStream<WholeHead>, Response), Error> {
        let cut = |over: Over| Error::Io(std::io::Error::other(format!("{over:?}")));
        let (answer, stream) = h2::connect(&target.dialer, request).await.map_err(cut)?;
        let head = answer.map(|body| Some(body.to_vec()));
        let Some(stream) = stream else { return Err(Error::Http(Box::new(head))) };
        let io = WholeHead::behind(Box::new(stream));
        Ok((WebSocketStream::from_raw_socket(io, Role::Client, None).await, head))
    }

    /// The next thing told; `None` once nothing more comes. Pings are answered on the way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Seen> {
        if let Some(refused) = self.refused.take() {
            return Some(refused);
        }
        loop {
            let socket = self.socket.as_mut()?;
            match socket.next().await {
                Some(Ok(Message::Text(text))) if !self.bare => {
                    let seen = wire::message(&text);
                    self.place.follow(&seen);
                    return Some(seen);
                }
                Some(Ok(Message::Binary(_))) if !self.bare => {
                    return Some(Seen::Broken("a binary message in realtime.v1".to_owned()));
                }
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let (name, binary) = (String::new(), message.is_binary());
                    let data = message.into_data().to_vec();
                    return Some(Seen::Event(Event { id: None, name, topic: None, key: None, data, binary }));
                }
                Some(Ok(Message::Close(frame))) => {
                    self.closed = true;
                    let (code, reason) =
                        frame.map_or((NO_STATUS, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    if self.bare && !reason.is_empty() {
                        self.place = Place::After(reason.clone());
                    }
                    return Some(Seen::Close { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed)) | None => self.end(None),
                Some(Err(error)) => self.end(Some(error)),
            }
        }
    }

    fn end(&mut self, error: Option<Error>) {
        self.socket = None;
        self.over = Some(match error {
            Some(error) if !self.closed => Over::cut(error),
            None if !self.closed => Over::cut("the stream ended without a Close"),
            _ => Over::Clean,
        });
    }

    /// The uplink of `realtime.v1`: `{"ref","event","data"}`, `json` being the data's text.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, reference: &str, event: &str, json: &str) -> Result<(), Over> {
        let (reference, event) = (serde_json::Value::from(reference), serde_json::Value::from(event));
        self.send_message(Message::text(format!(r#"{{"ref":{reference},"event":{event},"data":{json}}}"#)))
            .await
    }

    /// Sends any message: bare uplinks, pings, a Close.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Over> {
        let socket = self.socket.as_mut().ok_or_else(|| Over::cut("there is no connection"))?;
        socket.send(message).await.map_err(Over::cut)
    }

    /// The answer to the handshake, if it was a 101, or over HTTP/2 a 200.
    pub fn head(&self) -> Option<&Response> {
        self.head.as_ref()
    }

    /// The place that it would resume from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it ended, if it did.
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }
}
