//! What HTTP/2 does its own way: requests without `Host`, and a WebSocket that is a stream of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderName, Method, Request, Response, StatusCode, Uri, header, uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Over;
use super::http::{AUTHORITY, Driver};
use crate::dial::{Conn, Dialer};

/// What HTTP/2 has none of (RFC 9113, section 8.2.2).
pub const OF_CONNECTIONS: [HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, HeaderName::from_static("keep-alive")];

/// How often it is looked whether the server's SETTINGS are here.
const LOOK: Duration = Duration::from_millis(1);

type Sender = SendRequest<Full<Bytes>>;

/// Opens a connection, and what drives it.
pub(super) async fn open(dialer: &Dialer) -> Result<(Sender, Driver), Over> {
    let (sender, connection) = begun(dialer).await?;
    Ok((sender, Driver::of(connection)))
}

type Begun = (Sender, Connection<TokioIo<Conn>, Full<Bytes>, TokioExecutor>);

async fn begun(dialer: &Dialer) -> Result<Begun, Over> {
    let io = TokioIo::new(dialer.dial().await.map_err(Over::cut)?);
    http2::handshake(TokioExecutor::new(), io).await.map_err(Over::cut)
}

/// A request of HTTP/1.1 as one of HTTP/2: the host is the authority.
pub(super) fn translated<B>(mut request: Request<B>) -> Request<B> {
    request.headers_mut().remove(header::HOST);
    for name in OF_CONNECTIONS {
        request.headers_mut().remove(name);
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme.get_or_insert(uri::Scheme::HTTP);
    parts.authority.get_or_insert(uri::Authority::from_static(AUTHORITY));
    *request.uri_mut() = Uri::from_parts(parts).expect("a path and an authority make a URI");
    request
}

/// Asks for a WebSocket by extended CONNECT: the answer, and the stream if it was 200.
///
/// # Errors
/// The connection was cut before there was an answer.
pub async fn connect(
    dialer: &Dialer,
    request: Request<()>,
) -> Result<(Response<Bytes>, Option<Stream>), Over> {
    let (mut sender, mut connection) = begun(dialer).await?;
    settled(&mut connection).await?;
    let driver = Driver::of(connection);
    let mut request = translated(request).map(|()| Full::default());
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let mut answer = sender.send_request(request).await.map_err(Over::cut)?;
    if answer.status() != StatusCode::OK {
        let (head, body) = answer.into_parts();
        let body = Incoming::collect(body).await.map_err(Over::cut)?.to_bytes();
        return Ok((Response::from_parts(head, body), None));
    }
    let upgraded = hyper::upgrade::on(&mut answer).await.map_err(Over::cut)?;
    let stream = Stream { io: TokioIo::new(upgraded), _sender: sender, _driver: driver };
    Ok((answer.map(|_| Bytes::new()), Some(stream)))
}

/// Waits for the server's SETTINGS, which say whether an extended CONNECT may be sent (RFC 8441, section 3).
///
/// # Errors
/// The connection ended before.
pub async fn settled<T, B>(connection: &mut Connection<T, B, TokioExecutor>) -> Result<(), Over>
where
    T: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // hyper reads on a task of its own, which wakes nobody here.
    while !connection.is_extended_connect_protocol_enabled() {
        if let Ok(ended) = tokio::time::timeout(LOOK, &mut *connection).await {
            return Err(Over::cut(format!("over before its SETTINGS: {ended:?}")));
        }
    }
    Ok(())
}

/// A WebSocket's stream, with the connection that it is a part of.
#[derive(Debug)]
pub struct Stream {
    io: TokioIo<Upgraded>,
    _sender: Sender,
    _driver: Driver,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
