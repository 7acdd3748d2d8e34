//! One request on a connection of its own: what all but the WebSocket client stand on.

use ::http::request::Builder;
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::{Carry, Http, Over, Place, Target, h2};

/// The authority that in-memory requests name.
pub const AUTHORITY: &str = "realtime.test";

/// An answer whose body is still to be read. Dropping it drops the connection.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    driver: Driver,
}

/// What drives a connection; dropping it drops the connection.
#[derive(Debug)]
pub(super) struct Driver(JoinHandle<()>);

impl Driver {
    pub(super) fn of<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        Self(tokio::spawn(async move { drop(connection.await) }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its proper end.
    ///
    /// # Errors
    /// The connection was lost inside the body.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Over> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Over::cut(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection was lost inside the body.
    pub async fn whole(self) -> Result<Bytes, Over> {
        let Self { body, driver, .. } = self;
        let whole = body.collect().await.map_err(Over::cut)?.to_bytes();
        drop(driver);
        Ok(whole)
    }

    /// A header as text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Target {
    /// Begins a request with everything that every transport sends: path, host, headers, place.
    pub fn request(&self, method: Method, place: &Place) -> Builder {
        let mut path = self.path.clone();
        let by_header = self.carry == Carry::Header && place.cursor().is_some();
        if let (Some(text), false) = (place.text(), by_header) {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("offset=");
            path.push_str(&text);
        }
        let mut builder = Request::builder().method(method).uri(path).header(header::HOST, AUTHORITY);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        match place.cursor() {
            Some(cursor) if by_header => builder.header("last-event-id", cursor),
            _ => builder,
        }
    }

    /// Sends one request on a new connection and waits for the head of the answer.
    ///
    /// # Errors
    /// No connection, or it was lost before the head was there.
    ///
    /// # Panics
    /// The test wrote a request that is none.
    pub async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Result<Answer, Over> {
        let request = request.body(Full::new(body.into())).expect("the test writes requests that are valid");
        let (head, body, driver) = match self.http {
            Http::One => {
                let io = TokioIo::new(self.dialer.dial().await.map_err(Over::cut)?);
                let (mut sender, connection) = http1::handshake(io).await.map_err(Over::cut)?;
                let driver = Driver::of(connection);
                let (head, body) = sender.send_request(request).await.map_err(Over::cut)?.into_parts();
                (head, body, driver)
            }
            Http::Two => {
                let (mut sender, driver) = h2::open(&self.dialer).await?;
                let request = h2::translated(request);
                let (head, body) = sender.send_request(request).await.map_err(Over::cut)?.into_parts();
                (head, body, driver)
            }
        };
        Ok(Answer { status: head.status, headers: head.headers, body, driver })
    }

    /// The uplink of every transport but the WebSocket: POSTs JSON, named by `?event=` where there is a name.
    ///
    /// # Errors
    /// As [`send`](Target::send).
    pub async fn post(&self, event: Option<&str>, json: impl Into<Bytes>) -> Result<Answer, Over> {
        let mut target = self.clone();
        if let Some(event) = event {
            target.path.push(if target.path.contains('?') { '&' } else { '?' });
            target.path.push_str("event=");
            target.path.push_str(event);
        }
        let json_type = HeaderValue::from_static("application/json");
        let request = target.request(Method::POST, &Place::Default).header(header::CONTENT_TYPE, json_type);
        target.send(request, json).await
    }
}
