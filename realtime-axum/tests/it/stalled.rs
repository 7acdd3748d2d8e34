//! Peers that read nothing, peers that have gone, and what they cost the others.

use std::net::SocketAddr;
use std::time::Duration;

use realtime_axum::ServeConfig;
use realtime_core::{Event, Log};
use realtime_tower::Handle;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kit::{Client, app, listener, memory, readers, until_readers};

const SSE: [(&str, &str); 1] = [("accept", "text/event-stream")];

/// A client whose kernel takes next to nothing, and which itself takes nothing.
async fn deaf(addr: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_304).unwrap();
    Client::on(socket.connect(addr).await.unwrap())
}

/// More than the kernel holds for one that does not read: what is left waits in hyper, or in the log.
fn flood(log: &Log) {
    let large = "a".repeat(32 * 1024);
    (0..64).for_each(|_| _ = log.publish(Event::json("large", &large).unwrap()).unwrap());
}

async fn ours(log: &Log, config: ServeConfig) -> (SocketAddr, Handle, JoinHandle<()>) {
    let (router, handle) = app(log);
    let (listener, addr) = listener().await;
    let server = realtime_axum::serve(listener, router, handle.clone()).config(config);
    (addr, handle, tokio::spawn(async move { _ = server.await }))
}

async fn axums(log: &Log) -> (SocketAddr, Handle, JoinHandle<()>) {
    let (router, handle) = app(log);
    let (listener, addr) = listener().await;
    (addr, handle, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

fn evictions(handle: &Handle) -> u64 {
    handle.stats().of("sse").unwrap().evictions
}

#[tokio::test(start_paused = true)]
async fn a_stalled_reader_goes_at_the_write_deadline_and_counts_as_an_eviction() {
    let log = Log::new();
    let (router, handle) = app(&log);
    let (listener, doors) = memory();
    let server = realtime_axum::serve(listener, router, handle.clone());
    let server = tokio::spawn(async move { _ = server.await });
    // Room for the answer's beginning, and for no event.
    let mut stalled = doors.knock(2_048);
    stalled.get("/events", &SSE).await;
    stalled.until("$live").await;
    let mut poll = doors.knock(2_048);
    flood(&log);
    let start = Instant::now();
    poll.get("/events?offset=-1", &[]).await;
    until_readers(&handle, 0).await;
    let late = start.elapsed();
    assert!(late >= Duration::from_secs(10) && late < Duration::from_secs(11), "{late:?}");
    assert_eq!(evictions(&handle), 1);
    let (text, _) = poll.end().await;
    assert!(text.starts_with("HTTP/1.1 200"), "what had been taken is there");
    server.abort();
}

/// A-04, in small.
#[tokio::test]
async fn a_deaf_peer_is_evicted_from_our_server_and_the_others_lose_nothing() {
    let log = Log::new();
    let config = ServeConfig {
        write_wait: Duration::from_millis(500),
        send_buffer_bytes: Some(16 * 1024),
        ..ServeConfig::default()
    };
    let (addr, handle, server) = ours(&log, config).await;
    let mut healthy = Client::connect(addr).await;
    healthy.get("/events", &SSE).await;
    healthy.until("$live").await;
    let mut stalled = deaf(addr).await;
    stalled.get("/events", &SSE).await;
    until_readers(&handle, 2).await;
    flood(&log);
    let start = Instant::now();
    let last = Event::json("last", &"the last").unwrap();
    log.publish(last).unwrap();
    healthy.until("the last").await;
    until_readers(&handle, 1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(evictions(&handle), 1);
    assert_eq!(healthy.text().matches("event: large").count(), 64);
    server.abort();
}

#[tokio::test]
async fn a_deaf_peer_of_axums_server_is_reported_as_left() {
    let log = Log::new();
    let (addr, handle, server) = axums(&log).await;
    let mut stalled = deaf(addr).await;
    stalled.get("/events", &SSE).await;
    let mut healthy = Client::connect(addr).await;
    healthy.get("/events", &SSE).await;
    until_readers(&handle, 2).await;
    // Without a bound the kernel takes megabytes for a reader that does not.
    for _ in 0..4 {
        flood(&log);
    }
    healthy.until("event: large").await;
    let reading = tokio::spawn(async move { healthy.until("$end").await });
    let drained = handle.drain(Duration::from_secs(2)).await;
    assert_eq!((drained.told, drained.left), (2, 1));
    assert!(reading.await.unwrap().contains(r#""reason":"drain""#));
    drop(stalled);
    until_readers(&handle, 0).await;
    server.abort();
}

/// A peer that goes, or says that it will send nothing more, frees its seat at once; both servers.
#[tokio::test]
async fn who_has_gone_frees_the_seat() {
    let log = Log::new();
    for (addr, handle, server) in [ours(&log, ServeConfig::default()).await, axums(&log).await] {
        for headers in [&SSE[..], &[("prefer", "wait=30")]] {
            for is_half in [false, true] {
                let mut client = Client::connect(addr).await;
                client.get("/events", headers).await;
                until_readers(&handle, 1).await;
                let start = Instant::now();
                let left: Option<TcpStream> = if is_half {
                    client.io.shutdown().await.unwrap();
                    Some(client.io)
                } else {
                    drop(client);
                    None
                };
                until_readers(&handle, 0).await;
                assert!(start.elapsed() < Duration::from_secs(5), "{headers:?} {is_half}");
                drop(left);
            }
        }
        assert_eq!(evictions(&handle), 0, "they went by themselves");
        let mut socket = Client::connect(addr).await;
        socket.upgrade("/events").await;
        socket.until("$live").await;
        assert_eq!(readers(&handle.stats()), 1);
        drop(socket);
        until_readers(&handle, 0).await;
        server.abort();
    }
}
