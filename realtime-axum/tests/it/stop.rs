//! A graceful stop: each reader is told, on each transport, by our server and by axum's.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use realtime_axum::{ServeConfig, Stopped};
use realtime_core::{Event, Log};
use realtime_tower::Handle;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::kit::{Client, app, listener, memory, readers, until_readers};

const SSE: [(&str, &str); 1] = [("accept", "text/event-stream")];

/// One of each, all at the tail.
struct Clients<I> {
    sse: Client<I>,
    long_poll: Client<I>,
    socket: Client<I>,
    idle: Client<I>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Clients<I> {
    async fn new(mut connections: [Client<I>; 4], handle: &Handle) -> Self {
        let [sse, long_poll, socket, idle] = &mut connections;
        idle.get("/events", &[]).await;
        idle.until("upToDate").await;
        sse.get("/events", &SSE).await;
        sse.until("$live").await;
        long_poll.get("/events", &[("prefer", "wait=30")]).await;
        socket.upgrade("/events").await;
        socket.until("$live").await;
        until_readers(handle, 3).await;
        let [sse, long_poll, socket, idle] = connections;
        Self { sse, long_poll, socket, idle }
    }

    /// Each is told why, where it is, and when to come back; then its connection ends.
    async fn are_told(mut self, log: &Log) {
        let place = log.tail().to_string();
        let (sse, ended) = self.sse.end().await;
        ended.unwrap();
        let end = &sse[sse.find("event: $end").expect("an end")..];
        assert!(end.contains(r#""reason":"drain""#) && end.contains(r#""retry":"#), "{end}");
        assert!(sse.contains(&place) && sse.contains("retry: "));

        let (waited, ended) = self.long_poll.end().await;
        ended.unwrap();
        assert!(waited.starts_with("HTTP/1.1 204"), "{waited}");
        assert!(waited.contains(&format!("stream-next-offset: {place}")), "{waited}");

        // 1001, the place being the reason.
        let close = [&[0x88, 2 + place.len() as u8, 0x03, 0xe9], place.as_bytes()].concat();
        let until_close = self.socket.until(r#""reason":"drain""#).await;
        assert!(until_close.contains("$end"));
        self.socket.until(&format!("\u{fffd}{place}")).await;
        assert!(self.socket.seen().ends_with(&close), "{:?}", self.socket.text());
        self.socket.io.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await.unwrap();
        self.socket.end().await.1.unwrap();

        self.idle.end().await.1.unwrap();
    }
}

fn stopper() -> (oneshot::Sender<()>, impl Future<Output = ()> + Send + 'static) {
    let (stop, stopped) = oneshot::channel();
    (stop, async move { drop(stopped.await) })
}

#[tokio::test(start_paused = true)]
async fn our_server_tells_everybody_and_returns_when_all_have_gone() {
    let log = Log::new();
    let (router, handle) = app(&log);
    let ((listener, doors), (stop, signal)) = (memory(), stopper());
    let server = realtime_axum::serve(listener, router, handle.clone()).with_graceful_shutdown(signal);
    let server = tokio::spawn(server.into_future());
    let clients = Clients::new([(); 4].map(|()| doors.knock(64 * 1024)), &handle).await;
    let start = Instant::now();
    stop.send(()).unwrap();
    clients.are_told(&log).await;
    let stopped = server.await.unwrap();
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (3, 0, 0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(readers(&handle.stats()), 0);
}

async fn four(addr: SocketAddr) -> [Client<TcpStream>; 4] {
    let connect = || Client::connect(addr);
    [connect().await, connect().await, connect().await, connect().await]
}

#[tokio::test]
async fn over_real_sockets_both_servers_tell_everybody_and_listen_no_more() {
    let log = Log::new();
    let (router, handle) = app(&log);
    let ((tcp, addr), (stop, signal)) = (listener().await, stopper());
    let server = realtime_axum::serve(tcp, router, handle.clone()).with_graceful_shutdown(signal);
    let server = tokio::spawn(async move { assert_eq!(server.await.told, 3) });
    stopped_well(&log, addr, &handle, stop).await;
    server.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());

    let (router, handle) = app(&log);
    let ((tcp, addr), (stop, signal)) = (listener().await, stopper());
    let draining = handle.clone().drain_on(signal, Duration::from_secs(10));
    let server = axum::serve(tcp, router).with_graceful_shutdown(draining);
    let server = tokio::spawn(async move { server.await.unwrap() });
    stopped_well(&log, addr, &handle, stop).await;
    server.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

async fn stopped_well(log: &Log, addr: SocketAddr, handle: &Handle, stop: oneshot::Sender<()>) {
    let clients = Clients::new(four(addr).await, handle).await;
    stop.send(()).unwrap();
    clients.are_told(log).await;
}

/// A stalled SSE reader, and a stop.
async fn stalled_stop(config: ServeConfig) -> (Stopped, Duration, u64, u64) {
    let log = Log::new();
    let (router, handle) = app(&log);
    let ((listener, doors), (stop, signal)) = (memory(), stopper());
    let server = realtime_axum::serve(listener, router, handle.clone());
    let server = tokio::spawn(server.config(config).with_graceful_shutdown(signal).into_future());
    let mut stalled = doors.knock(2_048);
    stalled.get("/events", &SSE).await;
    stalled.until("$live").await;
    let large = "a".repeat(64 * 1024);
    (0..8).for_each(|_| _ = log.publish(Event::json("large", &large).unwrap()).unwrap());
    let start = Instant::now();
    stop.send(()).unwrap();
    let stopped = server.await.unwrap();
    let stats = handle.stats();
    (stopped, start.elapsed(), readers(&stats), stats.of("sse").unwrap().evictions)
}

#[tokio::test(start_paused = true)]
async fn a_stalled_peer_is_evicted_within_a_stop_that_waits_long_enough() {
    let (stopped, late, readers, evictions) = stalled_stop(ServeConfig::default()).await;
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (1, 0, 0));
    assert!(late >= Duration::from_secs(10) && late < Duration::from_secs(11), "{late:?}");
    assert_eq!((readers, evictions), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_deadline_is_said_and_closed() {
    let config = ServeConfig { stop_wait: Duration::from_secs(4), ..ServeConfig::default() };
    let (stopped, late, readers, evictions) = stalled_stop(config).await;
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (1, 1, 1));
    assert!(late >= Duration::from_secs(4) && late < Duration::from_secs(5), "{late:?}");
    assert_eq!((readers, evictions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_knob_that_means_never_breaks_nothing() {
    let log = Log::new();
    let (router, handle) = app(&log);
    let ((listener, doors), (stop, signal)) = (memory(), stopper());
    let never = Duration::MAX;
    let config = ServeConfig {
        head_wait: never,
        write_wait: never,
        h2_ping: never,
        h2_pong_wait: never,
        stop_wait: never,
        ..ServeConfig::default()
    };
    let server = realtime_axum::serve(listener, router, handle.clone());
    let server = tokio::spawn(server.config(config).with_graceful_shutdown(signal).into_future());
    let clients = Clients::new([(); 4].map(|()| doors.knock(64 * 1024)), &handle).await;
    stop.send(()).unwrap();
    clients.are_told(&log).await;
    assert_eq!(server.await.unwrap().told, 3);
}

#[tokio::test(start_paused = true)]
async fn every_mount_that_was_named_is_told_and_one_that_was_not_holds_up_the_stop() {
    let (one, two, log) = (Log::new(), Log::new(), Log::new());
    let ((first, handle), (second, other)) = (app(&one), app(&two));
    let router =
        Router::new().nest("/one", first).nest("/two", second).route("/unnamed", realtime_axum::source(log));
    let ((listener, doors), (stop, signal)) = (memory(), stopper());
    let server = realtime_axum::serve(listener, router, handle).and(other).with_graceful_shutdown(signal);
    let server = tokio::spawn(server.into_future());
    let mut clients = Vec::new();
    for uri in ["/one/events", "/two/events", "/unnamed"] {
        let mut client = doors.knock(64 * 1024);
        client.get(uri, &SSE).await;
        client.until("$live").await;
        clients.push(client);
    }
    let start = Instant::now();
    stop.send(()).unwrap();
    for client in &mut clients[..2] {
        assert!(client.end().await.0.contains("drain"));
    }
    let stopped = server.await.unwrap();
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (2, 0, 1));
    assert!(start.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_being_made_is_finished() {
    use axum::routing::get;
    let slow = || async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        "made at leisure"
    };
    let router = Router::new().route("/slow", get(slow));
    let ((listener, doors), (stop, signal)) = (memory(), stopper());
    let handle = realtime_axum::mount().build().1;
    let server = realtime_axum::serve(listener, router, handle).with_graceful_shutdown(signal);
    let server = tokio::spawn(server.into_future());
    let mut client = doors.knock(64 * 1024);
    client.get("/slow", &[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    let (text, ended) = client.end().await;
    assert!(
        ended.is_ok() && text.contains("made at leisure") && text.contains("connection: close"),
        "{text}"
    );
    assert_eq!(server.await.unwrap(), Stopped::default());
}

/// The signal may be there from the start.
#[tokio::test]
async fn a_server_that_is_stopped_before_it_began_accepts_nobody() {
    let (router, handle) = app(&Log::new());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = realtime_axum::serve(tcp, router, handle).with_graceful_shutdown(std::future::ready(()));
    assert_eq!(server.await, Stopped::default());
}
