//! What the Autobahn test suite is pointed at by `cargo xtask autobahn`: an echo of ours, and a way to it over HTTP/2.
//!
//! ```text
//! wstest ──HTTP/1.1──────────────────────────► serve ── echo
//!    └─────HTTP/1.1──► bridge ──HTTP/2 CONNECT──►┘
//! ```
//!
//! The suite speaks HTTP/1.1 alone, so the bridge does what a proxy does: it hands the handshake's headers on in an extended
//! CONNECT (RFC 8441), and the bytes of either side to the other. Both URLs are printed; the end of standard input is the
//! program's.

#![allow(clippy::print_stdout, reason = "it tells its caller where it listens")]

use std::error::Error;
use std::io;

use axum::Router;
use axum::response::Response as AxumResponse;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime_axum::{Inbound, Realtime};
use realtime_core::{Log, Payload};
use realtime_tests::client::h2::{OF_CONNECTIONS, settled};
use realtime_tower::{
    Compression, Config, IntoReply, Reply, UplinkError, WebSocketConfig, WebSocketTransport,
};
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// The suite's largest message (cases 9.1.6 and 9.2.6).
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Its smallest pieces: 4 MiB by 64 bytes, and one that is empty (cases 9.3.1 and 9.4.1).
const FRAGMENTS_MAX: u32 = 4 * 1024 * 1024 / 64 + 1;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let config = Config { message_bytes_max: MESSAGE_BYTES_MAX, ..Config::default() };
    let sockets = WebSocketConfig {
        fragments_max: FRAGMENTS_MAX,
        compression: Compression::Deflate,
        ..WebSocketConfig::default()
    };
    let (mount, handle) =
        realtime_axum::mount().transports((WebSocketTransport(sockets),)).config(config).build();
    let app = Router::new().route("/", mount.route(echo));
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let bridge = TcpListener::bind("127.0.0.1:0").await?;
    let behind = server.local_addr()?.to_string();
    println!("HTTP/1.1 ws://{behind}/");
    println!("HTTP/2 ws://{}/", bridge.local_addr()?);
    tokio::spawn(async move { realtime_axum::serve(server, app, handle).await });
    tokio::spawn(bridged(bridge, behind));
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn echo(rt: Realtime<(WebSocketTransport,)>) -> AxumResponse {
    rt.serve(Log::new()).on_message(again).await
}

/// Text as text, bytes as bytes.
async fn again(message: Inbound) -> Result<Reply, UplinkError> {
    match message.payload() {
        Payload::Binary(bytes) => bytes.clone().into_reply(),
        _ => message.as_str().unwrap_or_default().into_reply(),
    }
}

async fn bridged(listener: TcpListener, behind: String) -> io::Result<()> {
    loop {
        let (near, _) = listener.accept().await?;
        near.set_nodelay(true)?;
        let behind = behind.clone();
        let hop = service_fn(move |request| hop(request, behind.clone()));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            connection.serve_connection(TokioIo::new(near), hop).with_upgrades().await
        });
    }
}

/// Asks for the same over HTTP/2, and answers as HTTP/1.1 does.
async fn hop(mut near: Request<Incoming>, behind: String) -> Result<Response<Empty<Bytes>>, Failure> {
    let far = TcpStream::connect(&behind).await?;
    far.set_nodelay(true)?;
    let (mut sender, mut connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await?;
    settled(&mut connection).await.map_err(|over| format!("{over:?}"))?;
    tokio::spawn(connection);

    let mut connect = Request::new(Empty::<Bytes>::new());
    *connect.method_mut() = Method::CONNECT;
    *connect.version_mut() = Version::HTTP_2;
    *connect.uri_mut() = format!("http://{behind}{}", near.uri().path()).parse()?;
    *connect.headers_mut() = near.headers().clone();
    for name in OF_CONNECTIONS.iter().chain([&header::HOST]) {
        connect.headers_mut().remove(name);
    }
    connect.extensions_mut().insert(Protocol::from_static("websocket"));
    let mut far = sender.send_request(connect).await?;

    let mut answer = Response::new(Empty::new());
    *answer.headers_mut() = far.headers().clone();
    if far.status() != StatusCode::OK {
        *answer.status_mut() = far.status();
        return Ok(answer);
    }
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    let far = TokioIo::new(hyper::upgrade::on(&mut far).await?);
    tokio::spawn(async move {
        // The connection lives as long as its one stream.
        let (_sender, mut far) = (sender, far);
        let mut near = TokioIo::new(hyper::upgrade::on(&mut near).await?);
        copy_bidirectional(&mut near, &mut far).await?;
        Ok::<_, Failure>(())
    });
    Ok(answer)
}
