//! `RealtimeLayer` around a page: what is not for it goes through byte for byte.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use realtime_core::{Event, Log};
use realtime_tower::{Inbound, RealtimeLayer, builder, uplink_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{Client, listener, tick};

/// A page that answers in many ways, and gives its connection to who asks for `shout`.
async fn page(mut request: Request) -> Response {
    let mut response = Response::new(Body::empty());
    match request.headers().get("x-want").and_then(|want| want.to_str().ok()) {
        Some("missing") => *response.status_mut() = StatusCode::NOT_FOUND,
        Some("pieces") => {
            let pieces =
                ["one", "two"].map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes())));
            *response.body_mut() = Body::from_stream(futures_util::stream::iter(pieces));
        }
        Some("shout") => {
            let upgrade = request.extensions_mut().remove::<OnUpgrade>().expect("it is still here");
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 5];
                io.read_exact(&mut word).await.unwrap();
                io.write_all(&word.map(|letter| letter.to_ascii_uppercase())).await.unwrap();
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "shout".parse().unwrap());
        }
        _ => {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let text = format!("{} {} {:?} {:?}", parts.method, parts.uri, parts.headers, body);
            response.headers_mut().insert("x-page", "1".parse().unwrap());
            *response.body_mut() = text.into();
        }
    }
    response
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

async fn answer(addr: SocketAddr, request: &str) -> String {
    let mut client = Client::connect(addr).await;
    client.send(request).await;
    let (text, ended) = client.end().await;
    ended.unwrap();
    // The one line that differs from second to second.
    text.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
}

fn plain(start: &str, more: &str) -> String {
    format!("{start} HTTP/1.1\r\nhost: a.example\r\n{more}connection: close\r\n\r\n")
}

#[tokio::test]
async fn what_is_not_asked_for_reaches_the_page_as_it_was() {
    let log = Log::new();
    let without = serve(Router::new().route("/", any(page))).await;
    let with = serve(Router::new().route("/", any(page).layer(RealtimeLayer::new(log)))).await;
    let post = "POST / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n";
    let requests = [
        plain("GET /", ""),
        plain("GET /?page=2&live", "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"),
        plain("GET /", "accept: application/json\r\nif-none-match: *\r\nrange: bytes=0-1\r\n"),
        plain("GET /", "accept: text/event-stream;q=0, */*\r\nprefer: respond-async\r\n"),
        plain("GET /", "last-event-id:\r\nx-odd: \u{e9}\r\n"),
        plain("GET /", "x-want: missing\r\n"),
        plain("GET /", "x-want: pieces\r\n"),
        plain("HEAD /", ""),
        plain("HEAD /", "x-want: pieces\r\n"),
        plain("OPTIONS /", ""),
        plain("DELETE /", "accept: text/event-stream\r\n"),
        plain("PROPFIND /", ""),
        plain("GET /nosuch", "accept: text/event-stream\r\n"),
        format!("{post}content-type: application/json\r\ncontent-length: 5\r\n\r\n[1,2]"),
        format!("{post}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        "GET / HTTP/1.0\r\nhost: a.example\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nhost: a.example\r\nbroken header\r\n\r\n".into(),
    ];
    for request in requests {
        let (without, with) = (answer(without, &request).await, answer(with, &request).await);
        assert_eq!(without, with, "{request}");
        assert!(without.starts_with("HTTP/1."), "{without}");
    }
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_the_pages() {
    let addr = serve(Router::new().route("/", any(page).layer(RealtimeLayer::new(Log::new())))).await;
    let mut client = Client::connect(addr).await;
    client.get("/", &[("x-want", "shout"), ("upgrade", "shout"), ("connection", "upgrade")]).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.send("hello").await;
    client.until("HELLO").await;
}

#[tokio::test]
async fn what_is_asked_for_plainly_is_taken_and_a_post_only_where_somebody_hears_it() {
    let log = Log::new();
    tick(&log, 1);
    let heard = log.clone();
    let hear = uplink_fn(move |message: Inbound| {
        let log = heard.clone();
        async move { drop(log.publish(Event::text("said", message.as_str().unwrap_or_default()).unwrap())) }
    });
    let (layer, _handle) = builder().source(log.clone()).uplink(hear).layer();
    let addr = serve(Router::new().route("/", any(page).layer(layer))).await;
    for (start, headers) in [
        ("GET /?offset=-1", "accept: application/json\r\n"),
        ("GET /", "last-event-id: -1\r\n"),
        ("GET /?live=poll&offset=-1", ""),
        ("GET /?offset=-1", "prefer: wait=5\r\n"),
    ] {
        let answer = answer(addr, &plain(start, headers)).await;
        assert!(answer.contains("stream-next-offset") && answer.contains(r#""data":1"#), "{answer}");
    }
    let mut stream = Client::connect(addr).await;
    stream.get("/", &[("accept", "text/event-stream")]).await;
    stream.until("$live").await;
    let post =
        "POST / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let answer = answer(addr, &format!("{post}content-length: 7\r\n\r\n\"hello\"")).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    stream.until("hello").await;
    let mut socket = Client::connect(addr).await;
    socket.upgrade("/").await;
    socket.until("$open").await;
}
