//! What stands between a page and the mount: who may, what is broken on purpose, and a record of what was asked.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

/// What requests of a transport meet, and how many of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// `websocket`, `sse`, `long-poll`, `poll` or `post`.
    on: String,
    how: How,
    /// So many requests, then it is over; without it, all.
    times: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    /// Never answered: a proxy that waits for the whole answer.
    Hold,
    /// The head alone comes, and nothing after it: a proxy that buffers the body.
    HoldBody,
    /// A stream that ends where it begins.
    End,
    /// A stream as it should be, cut off after its `$open`.
    Cut,
    /// A page of somebody else's, as a captive portal answers.
    Foreign,
    /// Sent away with `Retry-After: 1`.
    Unavailable,
    /// As for a token that is not good any more.
    Unauthorized,
    /// Reaches the mount, and has its effect; the answer is lost.
    LoseAnswer,
    /// Reaches the mount after 300 ms.
    Slow,
}

/// The state of one world's ways.
pub(super) struct Ways {
    token: Mutex<Option<String>>,
    cookie: Option<String>,
    faults: Mutex<Vec<Fault>>,
    asked: Mutex<Vec<Value>>,
    since: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ways {
    pub(super) fn new(token: Option<String>, cookie: Option<String>) -> Self {
        let (faults, asked) = (Mutex::default(), Mutex::default());
        Self { token: Mutex::new(token), cookie, faults, asked, since: Instant::now() }
    }

    pub(super) fn fault(&self, fault: Fault) {
        locked(&self.faults).push(fault);
    }

    pub(super) fn heal(&self) {
        locked(&self.faults).clear();
    }

    pub(super) fn set_token(&self, token: String) {
        *locked(&self.token) = Some(token);
    }

    /// Every request so far: `{transport, cursor, token, cookie, key, status, at_ms}`.
    pub(super) fn asked(&self) -> Value {
        locked(&self.asked).clone().into()
    }

    /// A request's way to the mount, and the answer's way back.
    pub(super) async fn pass(&self, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let asked = Asked::read(&parts);
        let at = self.write_down(&asked);
        let response = match self.fault_on(asked.transport) {
            _ if !self.may(&asked) => StatusCode::UNAUTHORIZED.into_response(),
            None => next.run(Request::from_parts(parts, body)).await,
            Some(How::Hold) => pending().await,
            Some(How::HoldBody) => {
                event_stream(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()))
            }
            Some(How::End) => event_stream(Body::from("retry: 50\n\n")),
            Some(How::Cut) => event_stream(Body::from(OPEN)),
            Some(How::Foreign) => Html("<h1>Please log in to the network</h1>").into_response(),
            Some(How::Unavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response()
            }
            Some(How::Unauthorized) => StatusCode::UNAUTHORIZED.into_response(),
            Some(How::LoseAnswer) => {
                next.run(Request::from_parts(parts, body)).await;
                // A body that fails before its first byte closes the connection.
                let lost = stream::once(async { Err::<Bytes, _>(std::io::Error::other("lost")) });
                Body::from_stream(lost).into_response()
            }
            Some(How::Slow) => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                next.run(Request::from_parts(parts, body)).await
            }
        };
        locked(&self.asked)[at]["status"] = response.status().as_u16().into();
        response
    }

    fn write_down(&self, asked: &Asked) -> usize {
        let mut all = locked(&self.asked);
        let at_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        all.push(json!({
            "transport": asked.transport, "cursor": asked.cursor, "token": asked.token, "cookie": asked.cookie,
            "key": asked.key, "at_ms": at_ms, "status": null,
        }));
        all.len() - 1
    }

    fn may(&self, asked: &Asked) -> bool {
        let token = locked(&self.token).clone();
        (token.is_none() || token == asked.token) && (self.cookie.is_none() || self.cookie == asked.cookie)
    }

    fn fault_on(&self, transport: &str) -> Option<How> {
        let mut faults = locked(&self.faults);
        let fault = faults.iter_mut().find(|fault| fault.on == transport && fault.times != Some(0))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.how)
    }
}

const OPEN: &str = "retry: 50\nevent: $open\n\
    data: {\"event\":\"$open\",\"data\":{\"cursor\":\"-1\",\"outcome\":\"gap\",\"heartbeatMs\":1000}}\n\n";

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// What a request says, read without the crates that are tested.
struct Asked {
    transport: &'static str,
    cursor: Option<String>,
    token: Option<String>,
    cookie: Option<String>,
    key: Option<String>,
}

impl Asked {
    fn read(parts: &Parts) -> Self {
        let header =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query = |name: &str| {
            let pairs =
                parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        let live = query("live");
        let transport = if parts.method == "POST" {
            "post"
        } else if header("upgrade").is_some() {
            "websocket"
        } else if header("accept").is_some_and(|accept| accept.contains("text/event-stream"))
            || live.as_deref() == Some("sse")
        {
            "sse"
        } else if header("prefer").is_some() || live.as_deref() == Some("long-poll") {
            "long-poll"
        } else {
            "poll"
        };
        let bearer =
            header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
        let cookies = header("cookie").unwrap_or_default();
        let cookie = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="));
        Self {
            transport,
            cursor: header("last-event-id").or(query("offset")),
            token: bearer.or(query("token")),
            cookie: cookie.map(str::to_owned),
            key: header("idempotency-key"),
        }
    }
}
