//! A graceful stop, under axum's own server and under ours: every stream is told, and then the server ends.

use std::time::Duration;

use realtime_core::Log;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::kit::{Client, PATIENCE, SSE, app, listener, tick, until_readers};

/// Three readers on three transports, and what each was told.
async fn told(
    addr: std::net::SocketAddr,
    handle: &realtime_tower::Handle,
    log: &Log,
    stop: oneshot::Sender<()>,
) {
    tick(log, 1);
    let (mut sse, mut socket, mut waiting) =
        (Client::connect(addr).await, Client::connect(addr).await, Client::connect(addr).await);
    sse.get("/events?offset=-1", &[SSE]).await;
    sse.until("event: $live").await;
    socket.upgrade("/events?offset=-1").await;
    socket.until("$live").await;
    waiting.get("/events?offset=now", &[("prefer", "wait=20")]).await;
    until_readers(handle, 3).await;
    stop.send(()).unwrap();

    let (text, ended) = sse.end().await;
    ended.unwrap();
    assert!(text.contains(r#"{"reason":"drain","retry":"#), "{text}");
    let text = socket.until("$end").await;
    assert!(text.contains(r#"{"reason":"drain","retry":"#), "{text}");
    let text = waiting.until("\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 204") && text.contains(&log.tail().to_string()), "{text}");
    drop((socket, waiting));
}

#[tokio::test]
async fn axums_own_server_ends_once_every_stream_was_told() {
    let log = Log::new();
    let (app, handle) = app(&log);
    let (listener, addr) = listener().await;
    let (stop, stopped) = oneshot::channel();
    let drain = handle.clone().drain_on(async { stopped.await.unwrap() }, Duration::from_secs(4));
    let server = tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(drain).await });
    told(addr, &handle, &log, stop).await;
    timeout(PATIENCE, server).await.expect("the server ends").unwrap().unwrap();
    until_readers(&handle, 0).await;
}

#[tokio::test]
async fn our_server_ends_once_every_stream_was_told() {
    let log = Log::new();
    let (app, handle) = app(&log);
    let (listener, addr) = listener().await;
    let (stop, stopped) = oneshot::channel();
    let server = realtime_axum::serve(listener, app, handle.clone());
    let server = tokio::spawn(server.with_graceful_shutdown(async { stopped.await.unwrap() }).into_future());
    told(addr, &handle, &log, stop).await;
    timeout(PATIENCE, server).await.expect("the server ends").unwrap();
    until_readers(&handle, 0).await;
}
