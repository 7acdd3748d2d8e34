//! What reading costs, as the server counts it: the mounts' own figures, and the HTTP heads around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use realtime_tower::Handle;
use serde::Serialize;

/// A mount of its own for each pane of the page: what is counted by mount is then counted by pane. Tabs share them.
pub(crate) struct Pane {
    pub(crate) name: &'static str,
    pub(crate) handle: Handle,
    pub(crate) heads: Arc<Heads>,
}

/// All of them.
pub(crate) struct Panes<const N: usize>(pub(crate) Arc<[Pane; N]>);

impl<const N: usize> Clone for Panes<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What one transport has done for one pane.
#[derive(Debug, Serialize)]
struct Cost {
    connections: u64,
    requests: u64,
    /// Answers without an event: 204, 304, empty pages.
    empties: u64,
    events: u64,
    /// Bytes of bodies and frames.
    body_bytes: u64,
    /// Bytes of the heads of requests and answers.
    head_bytes: u64,
    resumes: u64,
    gaps: u64,
}

impl<const N: usize> Panes<N> {
    /// The grip on every mount.
    pub(crate) fn handles(&self) -> [Handle; N] {
        self.0.each_ref().map(|pane| pane.handle.clone())
    }

    /// By pane and transport, since the server was started.
    pub(crate) fn costs(&self) -> impl Serialize + use<N> {
        self.0.iter().map(|pane| (pane.name, pane.costs())).collect::<BTreeMap<_, _>>()
    }
}

impl Pane {
    fn costs(&self) -> BTreeMap<&'static str, Cost> {
        let cost = |(name, stats): (&'static str, realtime_tower::TransportStats)| {
            let cost = Cost {
                connections: stats.connections,
                requests: stats.requests,
                empties: stats.empties,
                events: stats.deliveries,
                body_bytes: stats.bytes,
                head_bytes: self.heads.of(name).map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
                resumes: stats.resumes,
                gaps: stats.gaps,
            };
            (name, cost)
        };
        self.handle.stats().transports.into_iter().map(cost).collect()
    }
}

/// Bytes of HTTP heads, which the mounts do not see: with polling they are most of what is sent.
#[derive(Debug, Default)]
pub(crate) struct Heads([AtomicU64; TRANSPORTS.len()]);

const TRANSPORTS: [&str; 4] = ["poll", "long-poll", "sse", "websocket"];

impl Heads {
    fn of(&self, transport: &str) -> Option<&AtomicU64> {
        self.0.get(TRANSPORTS.iter().position(|name| *name == transport)?)
    }
}

/// Counts the heads of a request and its answer.
pub(crate) async fn count_heads(State(heads): State<Arc<Heads>>, request: Request, next: Next) -> Response {
    let transport = transport(&request);
    let asked = request_head_bytes(&request);
    let response = next.run(request).await;
    if let Some(bytes) = heads.of(transport) {
        bytes.fetch_add(asked + response_head_bytes(&response), Ordering::Relaxed);
    }
    response
}

/// Which transport will answer, by the signs that the page gives. A message is none.
fn transport(request: &Request) -> &'static str {
    let headers = request.headers();
    let accepts_sse = || {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/event-stream"))
    };
    match () {
        () if request.method() == Method::POST => "uplink",
        () if headers.contains_key(header::UPGRADE) => "websocket",
        () if accepts_sse() => "sse",
        () if headers.contains_key("prefer") => "long-poll",
        () => "poll",
    }
}

/// `GET /events HTTP/1.1`, the headers, and the blank line.
fn request_head_bytes(request: &Request) -> u64 {
    let path = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    (request.method().as_str().len() + path + " ".len() * 2 + "HTTP/1.1\r\n".len()) as u64
        + header_bytes(request.headers())
}

/// `HTTP/1.1 200 OK`, the headers, the `date` that the host adds, and the blank line.
fn response_head_bytes(response: &Response) -> u64 {
    let reason = response.status().canonical_reason().map_or(0, str::len);
    let line = "HTTP/1.1 200 \r\n".len() + reason;
    let date = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".len();
    (line + date) as u64 + header_bytes(response.headers())
}

fn header_bytes(headers: &HeaderMap) -> u64 {
    let line =
        |(name, value): (&header::HeaderName, &header::HeaderValue)| name.as_str().len() + value.len() + 4;
    (headers.iter().map(line).sum::<usize>() + "\r\n".len()) as u64
}
