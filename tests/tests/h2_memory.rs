//! what one peer makes the server hold that opens every stream it may over one HTTP/2 connection, and reads nothing.
//!
//! A test of its own, and alone in its process: it counts every byte that is allocated.

use std::alloc::System;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use realtime_core::{Event, Keep, Log, TopicSet};
use realtime_tests::rules::case_async;
use realtime_tower::builder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::duplex;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// More than `serve` allows, twice over: what hyper allows by itself.
const STREAMS: usize = 200;

/// What one peer may hold.
const BYTES_MAX: isize = 8 * 1024 * 1024;

/// Events whose bytes are far more than anybody may hold, half of them larger than a whole send buffer.
const EVENTS: usize = 200;

fn log() -> Log {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(EVENTS)).build();
    for n in 0..EVENTS {
        let bytes = if n % 2 == 0 { 100 } else { 100_000 };
        let event = Event::text("tick", "x".repeat(bytes)).expect("an event");
        log.publish(event).expect("open");
    }
    log
}

/// A server with the bounds of `realtime_axum::serve`, but for the streams, of which it allows as many as are asked for.
fn host() -> auto::Builder<TokioExecutor> {
    let config = realtime_axum::ServeConfig::default();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS as u32)
        .max_send_buf_size(config.h2_send_bytes_max);
    builder
}

/// What a peer grants, and whether it reads its socket at all.
#[derive(Clone, Copy)]
struct Peer {
    stream_window: u32,
    connection_window: u32,
    reads: bool,
}

const GENEROUS: u32 = 1 << 30;

/// What is asked for on the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Half WebSockets and half event streams.
    Streams,
    /// Polls of all that is kept, each as large as a page may be. No reader is counted behind them.
    Pages,
}

/// Bytes that the server holds for so many streams, whose peer grants this and nothing more.
async fn held(log: &Log, asked: Asked, streams: usize, peer: Peer) -> isize {
    let (ours, theirs) = duplex(64 * 1024);
    let (service, handle) = builder().source(log.clone()).service();
    let service = TowerToHyperService::new(service);
    let server = tokio::spawn(async move {
        let _ = host().serve_connection_with_upgrades(TokioIo::new(theirs), service).await;
    });
    let mut client = ::h2::client::Builder::new();
    client.initial_window_size(peer.stream_window).initial_connection_window_size(peer.connection_window);
    let (sender, mut connection) = client.handshake::<_, Bytes>(ours).await.expect("HTTP/2");
    // Driven by hand: it reads no more when it is not polled.
    tokio::select! {
        _ = &mut connection => panic!("it goes on"),
        () = async {
            while !sender.is_extended_connect_protocol_enabled() {
                sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    let mut kept = Vec::new();
    let region = Region::new(ALLOCATOR);
    for n in 0..streams {
        let is_get = asked == Asked::Pages || n % 2 == 0;
        let request = if is_get {
            let accept = if asked == Asked::Pages { "application/json" } else { "text/event-stream" };
            Request::get("https://realtime.test/?offset=-1").header("accept", accept)
        } else {
            Request::builder()
                .method(Method::CONNECT)
                .version(Version::HTTP_2)
                .uri("https://realtime.test/?offset=-1")
                .extension(::h2::ext::Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .header("sec-websocket-protocol", "realtime.v1")
        };
        let mut sender = sender.clone();
        kept.push(sender.send_request(request.body(()).expect("a request"), is_get).expect("sent"));
    }
    // The requests leave; what comes is taken from the socket or not, and never from a stream.
    assert!(futures_util::poll!(&mut connection).is_pending());
    let passing = sleep(Duration::from_secs(5));
    if peer.reads {
        tokio::select! {
            _ = &mut connection => panic!("it goes on"),
            () = passing => {}
        }
    } else {
        passing.await;
    }
    let readers: u64 = handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum();
    if asked == Asked::Streams {
        assert_eq!(readers, streams as u64, "every stream is there");
    } else {
        let pages = handle.stats().of("poll").expect("a poll").requests;
        assert_eq!(pages, streams as u64, "every page is asked for");
    }
    let change = region.change();
    let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    server.abort();
    let _ = server.await;
    drop((kept, connection));
    held
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_on_two_hundred_streams_holds_less_than_its_bound() {
    let log = log();
    // Every encoding is there before anything is counted: those are the log's, whoever reads.
    let generous = Peer { stream_window: GENEROUS, connection_window: GENEROUS, reads: false };
    held(&log, Asked::Streams, 2, generous).await;
    held(&log, Asked::Pages, 2, generous).await;
    for (what, peer) in [
        ("no window at all", Peer { stream_window: 0, ..generous }),
        (
            "windows of 1 GiB, in a connection that has 64 KiB and is given no more",
            Peer { connection_window: 65_535, reads: true, ..generous },
        ),
        ("windows of 1 GiB, and a socket that is not read", generous),
    ] {
        for (rule, asked) in [("P-H2-06", Asked::Streams), ("A-05", Asked::Streams), ("A-05", Asked::Pages)] {
            case_async(rule, &format!("200 stalled {asked:?} by {what} hold at most 8 MiB"), async {
                let held = held(&log, asked, STREAMS, peer).await;
                assert!((1..=BYTES_MAX).contains(&held), "{asked:?}, {what}: {held} bytes");
            })
            .await;
        }
    }
}
