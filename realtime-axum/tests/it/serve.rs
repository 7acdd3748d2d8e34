//! What `serve` sets for every connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime_axum::ServeConfig;
use realtime_core::Log;
use realtime_tower::{Handle, Peer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kit::{Client, Doors, app, listener, memory, readers, tick};

const HEAD_WAIT: Duration = Duration::from_secs(30);
const ROOM: usize = 64 * 1024;

/// The server in memory; dropping the guard ends it.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start(router: Router, handle: Handle, config: ServeConfig) -> (Doors, Running) {
    let (listener, doors) = memory();
    let server = realtime_axum::serve(listener, router, handle).config(config);
    (doors, Running(tokio::spawn(async move { _ = server.await })))
}

fn start_with(log: &Log, config: ServeConfig) -> (Doors, Running, Handle) {
    let (router, handle) = app(log);
    let (doors, running) = start(router, handle.clone(), config);
    (doors, running, handle)
}

#[tokio::test(start_paused = true)]
async fn a_lack_of_descriptors_is_outlived_and_service_is_back_within_a_second() {
    let (doors, _running, _) = start_with(&Log::new(), ServeConfig::default());
    let start = Instant::now();
    (0..5).for_each(|_| doors.fail(io::Error::from_raw_os_error(24)));
    let mut client = doors.knock(ROOM);
    client.get("/events", &[]).await;
    client.until("upToDate").await;
    assert!(start.elapsed() >= Duration::from_millis(500), "it does not spin");
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_broke_before_it_was_accepted_holds_up_nobody() {
    let (doors, _running, _) = start_with(&Log::new(), ServeConfig::default());
    let start = Instant::now();
    (0..1_000).for_each(|_| doors.fail(io::ErrorKind::ConnectionAborted.into()));
    let mut client = doors.knock(ROOM);
    client.get("/events", &[]).await;
    client.until("upToDate").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A-03: whatever part of a head it is that does not come.
#[tokio::test(start_paused = true)]
async fn who_sends_no_whole_head_is_closed_in_time() {
    let (doors, _running, _) = start_with(&Log::new(), ServeConfig::default());
    for sent in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "G",
        "GET /events HTTP/1.1\r\nho",
    ] {
        let start = Instant::now();
        let mut client = doors.knock(ROOM);
        client.send(sent).await;
        client.end().await.1.unwrap_or_default();
        let late = start.elapsed();
        assert!(late >= HEAD_WAIT && late <= HEAD_WAIT + Duration::from_secs(1), "{sent:?} {late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_idles_between_two_requests_is_closed_and_a_stream_is_not() {
    let log = Log::new();
    let (doors, _running, handle) = start_with(&log, ServeConfig::default());
    let mut idle = doors.knock(ROOM);
    idle.get("/events", &[]).await;
    idle.until("upToDate").await;
    let start = Instant::now();
    idle.end().await.1.unwrap();
    assert!(start.elapsed() >= HEAD_WAIT && start.elapsed() <= HEAD_WAIT + Duration::from_secs(1));
    let mut stream = doors.knock(ROOM);
    stream.get("/events", &[("accept", "text/event-stream")]).await;
    stream.until("$live").await;
    tokio::time::sleep(HEAD_WAIT * 20).await;
    assert_eq!(readers(&handle.stats()), 1);
    tick(&log, 1);
    stream.until("data: 1").await;
}

#[tokio::test(start_paused = true)]
async fn as_many_connections_as_may_be_and_the_next_when_one_has_gone() {
    let config = ServeConfig { connections_max: 2, ..ServeConfig::default() };
    let log = Log::new();
    let (doors, _running, _) = start_with(&log, config);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = doors.knock(ROOM);
        client.get("/events", &[("accept", "text/event-stream")]).await;
        client.until("$live").await;
        held.push(client);
    }
    let mut third = doors.knock(ROOM);
    third.get("/events", &[]).await;
    let waited = tokio::time::timeout(Duration::from_secs(5), third.until("upToDate")).await;
    assert!(waited.is_err() && third.seen().is_empty());
    drop(held.pop());
    third.until("upToDate").await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_431() {
    let (doors, _running, _) = start_with(&Log::new(), ServeConfig::default());
    let mut client = doors.knock(ROOM * 4);
    client
        .send(&format!("GET /events HTTP/1.1\r\nhost: a.example\r\nx-large: {}", "a".repeat(ROOM + 1)))
        .await;
    assert!(client.end().await.0.starts_with("HTTP/1.1 431"));
    let mut client = doors.knock(ROOM * 4);
    client.get("/events", &[("x-large", &"a".repeat(ROOM / 2))]).await;
    assert!(client.until("upToDate").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn requests_know_their_peer() {
    async fn who(ConnectInfo(addr): ConnectInfo<SocketAddr>, request: Request) -> String {
        let peer = request.extensions().get::<Peer>().unwrap();
        assert_eq!(peer.0, addr);
        format!("you are {addr}.")
    }
    let (doors, _running) =
        start(Router::new().route("/", get(who)), realtime_axum::mount().build().1, ServeConfig::default());
    let mut client = doors.knock(ROOM);
    client.get("/", &[]).await;
    client.until("you are 192.0.2.1:7.").await;
}

/// The settings that the server's HTTP/2 begins with, by their identifiers (RFC 9113, section 6.5.2).
fn settings(bytes: &[u8]) -> Vec<(u16, u32)> {
    let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
    assert_eq!(bytes[3], 4, "a SETTINGS frame comes first");
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    bytes[9..9 + length].chunks(6).map(|set| (number(&set[..2]) as u16, number(&set[2..]))).collect()
}

#[tokio::test(start_paused = true)]
async fn http2_says_its_bounds_and_offers_extended_connect() {
    let (doors, _running, _) = start_with(&Log::new(), ServeConfig::default());
    let start = Instant::now();
    let mut client = doors.knock(ROOM);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    client.end().await.1.unwrap_or_default();
    let settings = settings(client.seen());
    let of = |id| settings.iter().find(|(set, _)| *set == id).map(|(_, value)| *value);
    assert_eq!((of(3), of(4), of(6), of(8)), (Some(100), Some(256 * 1024), Some(16 * 1024), Some(1)));
    // And it ended because no ping was answered, or nothing was asked for.
    assert!(start.elapsed() <= Duration::from_secs(31), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn http2_by_prior_knowledge_carries_streams_side_by_side() {
    let log = Log::new();
    let (doors, _running, handle) = start_with(&log, ServeConfig::default());
    let io = TokioIo::new(doors.knock(ROOM).io);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<&[u8]>>(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let request = http::Request::get("http://a.example/events").header("accept", "text/event-stream");
        streams.push(sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap());
    }
    assert_eq!(readers(&handle.stats()), 3);
    tick(&log, 7);
    for response in &mut streams {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains("data: 7") {
            text.extend_from_slice(&response.frame().await.unwrap().unwrap().into_data().unwrap());
        }
    }
    drop((streams, sender));
    connection.await.unwrap().unwrap();
    assert_eq!(readers(&handle.stats()), 0);
}

#[tokio::test]
async fn a_websocket_gets_the_socket_itself_or_what_stands_for_it() {
    let log = Log::new();
    let (router, handle) = app(&log);
    let (tcp, addr) = listener().await;
    let over_tcp = Running(tokio::spawn(async move { _ = realtime_axum::serve(tcp, router, handle).await }));
    let mut client = Client::connect(addr).await;
    client.upgrade("/events").await;
    client.until("$live").await;
    tick(&log, 1);
    client.until(r#""data":1"#).await;
    drop(over_tcp);
    // The server is gone, the WebSocket is not its any more.
    tick(&log, 2);
    client.until(r#""data":2"#).await;

    let (doors, _running, _) = start_with(&log, ServeConfig::default());
    let mut client = doors.knock(ROOM);
    client.upgrade("/events").await;
    client.until("$live").await;
    tick(&log, 3);
    client.until(r#""data":3"#).await;
}

/// D-16.
#[tokio::test(start_paused = true)]
async fn dropping_the_server_closes_every_connection_and_frees_every_seat() {
    let (doors, running, handle) = start_with(&Log::new(), ServeConfig::default());
    let mut stream = doors.knock(ROOM);
    stream.get("/events", &[("accept", "text/event-stream")]).await;
    stream.until("$live").await;
    let mut waiting = doors.knock(ROOM);
    waiting.get("/events", &[("prefer", "wait=20")]).await;
    crate::kit::until_readers(&handle, 2).await;
    drop(running);
    stream.end().await.1.unwrap_or_default();
    waiting.end().await.1.unwrap_or_default();
    assert_eq!(readers(&handle.stats()), 0);
}
