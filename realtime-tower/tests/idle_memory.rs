//! What a reader costs while nothing happens, and what an event costs per reader: counted by the allocator, over real
//! sockets, beside a bare hyper that does the same in the same run.
//!
//! One test, for the allocator counts everything that the process does. The clients are blocking sockets, which take
//! nothing from the heap.

#![expect(clippy::print_stdout, reason = "a measurement that is not shown is half of one")]

use std::alloc::System;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use realtime_core::{Event, Log, Start};
use realtime_tower::{Body, CursorKeys, builder};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Notify;
use tower::service_fn;
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const CLIENTS: usize = 200;

/// Bytes of heap that an idle WebSocket may take, all told: the task, the socket, what the log and the mount know.
const WEB_SOCKET_BYTES_MAX: usize = 2_560;

/// Allocations that the id of a signed event may cost its reader.
const SIGNED_MAX: f64 = 2.0;

/// Bytes of heap that a parked long-poll may take beyond hyper's own connection and a service that parks.
/// Mostly it is some 1 KB; under load the host's own buffers are not the same from one crowd to the next.
const LONG_POLL_BYTES_MAX: usize = 4 * 1024;

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Serves on a port of its own. The runtime has one worker, so that nothing is counted twice.
fn serve<S, B>(runtime: &tokio::runtime::Runtime, service: S) -> Result<SocketAddr>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    Ok(address)
}

/// A client that has sent its request.
fn client(address: SocketAddr, headers: &str) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(client, "GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")?;
    Ok(client)
}

/// Reads up to the next `end`, with room that the caller lends, so that reading counts for nothing.
fn read_until(client: &mut TcpStream, end: &str, read: &mut Vec<u8>) -> Result {
    read.clear();
    let mut byte = [0; 1];
    while !read.ends_with(end.as_bytes()) {
        client
            .read_exact(&mut byte)
            .map_err(|error| format!("{error} after {}", String::from_utf8_lossy(read)))?;
        read.push(byte[0]);
    }
    Ok(())
}

/// Bytes per client once all of them have been opened and nothing moves any more.
fn per_client(mut open: impl FnMut() -> Result<TcpStream>) -> Result<usize> {
    // What grows once, for whoever comes first, is not theirs.
    let mut clients: Vec<_> = (0..CLIENTS / 4).map(|_| open()).collect::<Result<_>>()?;
    clients.reserve(CLIENTS);
    settle();
    let before = heap_bytes();
    for _ in 0..CLIENTS {
        clients.push(open()?);
    }
    settle();
    Ok(heap_bytes().saturating_sub(before) / CLIENTS)
}

/// Waits until the allocator has been quiet for a while.
fn settle() {
    let mut last = allocations();
    loop {
        std::thread::sleep(Duration::from_millis(100));
        match allocations() {
            now if now == last => return,
            now => last = now,
        }
    }
}

const WEB_SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: realtime.v1\r\n";
const SSE: &str = "Accept: text/event-stream\r\n";
const LONG_POLL: &str = "Prefer: wait=30\r\n";

/// What stands at the end of every event here, and in nothing else.
const LAST: &str = "the last word";

/// A service that hands the same bytes to whoever reads: a body under hyper with nothing of ours around it.
#[derive(Clone, Default)]
struct Bare(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    number: u64,
    bytes: Bytes,
    readers: Vec<Arc<AtomicWaker>>,
}

struct BareBody {
    bare: Bare,
    waker: Arc<AtomicWaker>,
    seen: u64,
}

impl Bare {
    fn publish(&self, bytes: Bytes) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.number += 1;
        shared.bytes = bytes;
        shared.readers.iter().for_each(|reader| reader.wake());
    }

    fn body(&self) -> BareBody {
        let waker = Arc::new(AtomicWaker::new());
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.readers.push(waker.clone());
        BareBody { bare: self.clone(), waker, seen: shared.number }
    }
}

impl http_body::Body for BareBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.waker.register(cx.waker());
        let shared = self.bare.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, bytes) = (shared.number, shared.bytes.clone());
        drop(shared);
        if number == self.seen {
            return Poll::Pending;
        }
        self.seen = number;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// Allocations per event and reader: what more readers cost beyond few, so that what an event costs by itself is not
/// counted.
fn per_delivery(
    mut open: impl FnMut() -> Result<TcpStream>,
    mut publish: impl FnMut() -> Result,
) -> Result<f64> {
    const EVENTS: usize = 30;
    let mut counted = Vec::new();
    let mut clients = Vec::new();
    for readers in [10, 60] {
        while clients.len() < readers {
            clients.push(open()?);
        }
        settle();
        let mut read = Vec::with_capacity(4096);
        let mut allocated = 0;
        // The first events of a connection may make room that is kept.
        for event in 0..EVENTS + 10 {
            let before = allocations();
            publish()?;
            for client in &mut clients {
                read_until(client, LAST, &mut read)?;
            }
            // The server may be a step behind what its clients have read.
            std::thread::sleep(Duration::from_millis(2));
            allocated += if event < 10 { 0 } else { allocations() - before };
        }
        counted.push(allocated as f64 / EVENTS as f64);
    }
    Ok((counted[1] - counted[0]) / 50.0)
}

#[test]
fn an_idle_reader_is_small_and_an_event_costs_a_reader_no_allocation() -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let log = Log::new();
    let (service, _handle) = builder().source(log.clone()).default_start(Start::Live).service();
    let ours = serve(&runtime, service)?;
    let keys = CursorKeys::new([7; 32])?;
    let (service, _handle) = builder().source(log.clone()).cursor_keys(keys).service();
    let signs = serve(&runtime, service)?;
    let never = Arc::new(Notify::new());
    let parks = service_fn(move |_: Request<Incoming>| {
        let never = never.clone();
        async move {
            never.notified().await;
            Ok(Response::new(Body::empty()))
        }
    });
    let parks = serve(&runtime, parks)?;
    let bare = Bare::default();
    let sends = bare.clone();
    let sends = serve(
        &runtime,
        service_fn(move |_: Request<Incoming>| {
            let response = Response::new(sends.body());
            async move { Ok(response) }
        }),
    )?;
    let opened = |address: SocketAddr, headers: &'static str, end: &'static str| {
        let mut read = Vec::with_capacity(4096);
        move || {
            let mut client = client(address, headers)?;
            read_until(&mut client, end, &mut read)?;
            Ok(client)
        }
    };
    let web_socket = |address| opened(address, WEB_SOCKET, "\"$live\",\"data\":{\"cursor\":\"");
    let sse = |address| opened(address, SSE, "event: $live\ndata: {\"cursor\":\"");

    let of_web_socket = per_client(web_socket(ours))?;
    let of_sse = per_client(sse(ours))?;
    let of_long_poll = per_client(|| client(ours, LONG_POLL))?;
    let of_parks = per_client(|| client(parks, LONG_POLL))?;
    println!(
        "heap of an idle reader in bytes: WebSocket {of_web_socket}, SSE {of_sse}, long-poll {of_long_poll}; hyper \
         with a service that parks {of_parks}"
    );
    assert!(of_web_socket <= WEB_SOCKET_BYTES_MAX, "{of_web_socket} bytes");
    assert!(of_long_poll <= of_parks + LONG_POLL_BYTES_MAX, "{of_long_poll} bytes, bare {of_parks}");

    let mut publish = || Ok(log.publish(Event::text("tick", LAST)?).map(drop)?);
    let by_web_socket = per_delivery(web_socket(ours), &mut publish)?;
    let by_sse = per_delivery(sse(ours), &mut publish)?;
    let by_signed_web_socket = per_delivery(web_socket(signs), &mut publish)?;
    let by_signed_sse = per_delivery(sse(signs), &mut publish)?;
    let by_bare = per_delivery(
        || {
            let mut client = client(sends, SSE)?;
            read_until(&mut client, "\r\n\r\n", &mut Vec::with_capacity(4096))?;
            Ok(client)
        },
        || {
            bare.publish(Bytes::from_static(
                b"id: 0000000000000000.0000000000000000\ndata: the last word\n\n",
            ));
            Ok(())
        },
    )?;
    println!(
        "allocations per event and reader: WebSocket {by_web_socket}, SSE {by_sse}, bare hyper {by_bare}; signed: \
         WebSocket {by_signed_web_socket}, SSE {by_signed_sse}"
    );
    assert!(by_web_socket < 0.05, "{by_web_socket} per delivery");
    // The id, and the queue for two pieces of one frame.
    assert!(by_signed_web_socket < SIGNED_MAX + 0.05, "{by_signed_web_socket} per signed delivery");
    assert!(by_signed_sse < by_bare + SIGNED_MAX + 0.05, "{by_signed_sse} per signed delivery");
    assert!(by_sse < by_bare + 0.05, "{by_sse} per delivery, bare hyper {by_bare}");
    Ok(())
}
