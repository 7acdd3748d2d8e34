//! axum's own, over `tokio::sync::broadcast`, as its examples have it. It does less than ours: no ids, no resume, and
//! who falls behind loses events.

use std::convert::Infallible;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response, Sse, sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

use super::Publish;
use crate::payload;

/// Events that a reader may be behind: more than any burst.
const CAPACITY: usize = 256;

/// Serves a router as everybody does, but with `TCP_NODELAY`: every kind here has it, or the peer's delayed
/// acknowledgements would be what is measured.
pub(super) fn spawn(data: TcpListener, app: Router) {
    let data = data.tap_io(|tcp| {
        // Without it the visit is slow, and still right.
        let _ = tcp.set_nodelay(true);
    });
    tokio::spawn(async move { axum::serve(data, app).await });
}

pub(super) fn web_socket(data: TcpListener, bytes: usize, buffer_bytes: Option<usize>) -> Publish {
    let (sender, _) = broadcast::channel::<Utf8Bytes>(CAPACITY);
    let subscribe = sender.clone();
    let handler = async move |upgrade: WebSocketUpgrade| {
        let receiver = subscribe.subscribe();
        let upgrade = match buffer_bytes {
            Some(size) => upgrade.read_buffer_size(size).write_buffer_size(size),
            None => upgrade,
        };
        upgrade.on_upgrade(|socket| push(socket, receiver))
    };
    spawn(data, Router::new().route("/events", get(handler)));
    Box::new(move |events| {
        for n in events {
            // Nobody listening is no error.
            let _ = sender.send(payload::text(n, bytes).into());
        }
    })
}

async fn push(mut socket: WebSocket, mut receiver: broadcast::Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            event = receiver.recv() => {
                let Ok(text) = event else { return };
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => {
                if !matches!(message, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}

pub(super) fn sse(data: TcpListener, bytes: usize) -> Publish {
    let (sender, _) = broadcast::channel::<Utf8Bytes>(CAPACITY);
    let subscribe = sender.clone();
    let handler = async move || Sse::new(stream(subscribe.subscribe())).keep_alive(sse::KeepAlive::default());
    spawn(data, Router::new().route("/events", get(handler)));
    Box::new(move |events| {
        for n in events {
            let _ = sender.send(payload::text(n, bytes).into());
        }
    })
}

fn stream(receiver: broadcast::Receiver<Utf8Bytes>) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    BroadcastStream::new(receiver)
        .filter_map(async |text| Some(Ok(sse::Event::default().data(text.ok()?.as_str()))))
}

/// The body of [`hyper::sse`](super::hyper::sse), where a `Router` answers.
pub(super) fn shared_sse(data: TcpListener, bytes: usize) -> Publish {
    let (answer, publish) = super::hyper::shared_sse(bytes);
    let handler = async move || answer().map(axum::body::Body::new);
    spawn(data, Router::new().route("/events", get(handler)));
    publish
}

/// Waits for the next value of a `watch`, which is all a handler without a log can do.
pub(super) fn long_poll(data: TcpListener, bytes: usize) -> Publish {
    let (sender, receiver) = watch::channel(Bytes::new());
    async fn wait(State(mut receiver): State<watch::Receiver<Bytes>>) -> Response {
        receiver.mark_unchanged();
        match receiver.changed().await {
            Ok(()) => {
                let body = receiver.borrow_and_update().clone();
                ([("content-type", "application/json")], body).into_response()
            }
            Err(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }
    spawn(data, Router::new().route("/events", get(wait)).with_state(receiver));
    Box::new(move |events| {
        for n in events {
            // The last of a burst is all that is seen: bursts are not asked of a long-poll.
            sender.send_replace(payload::text(n, bytes).into());
        }
    })
}
