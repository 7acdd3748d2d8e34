//! Bare hyper: what its own part costs. Bodies and answers share their bytes, and nothing is negotiated or resumed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::{Service, service_fn};

use super::Publish;
use crate::payload;

/// Accepts, and serves each connection by a task.
pub(super) fn spawn<S, B>(data: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    tokio::spawn(async move {
        while let Ok((tcp, _)) = data.accept().await {
            // Without it the visit is slow, and still right.
            let _ = tcp.set_nodelay(true);
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
}

/// Everything that was published, and who waits for more. It only grows: a visit is short.
#[derive(Default)]
struct Shared {
    events: Vec<Bytes>,
    parked: Vec<Waker>,
}

/// What is there beyond `at`.
pub(super) struct SharedBody {
    shared: Arc<Mutex<Shared>>,
    at: usize,
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let at = self.at;
        let mut shared = lock(&self.shared);
        let Some(event) = shared.events.get(at).cloned() else {
            shared.parked.push(cx.waker().clone());
            return Poll::Pending;
        };
        drop(shared);
        self.at += 1;
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn sse(data: TcpListener, bytes: usize) -> Publish {
    let (answer, publish) = shared_sse(bytes);
    spawn(data, service_fn(move |_| std::future::ready(Ok(answer()))));
    publish
}

/// The least that an SSE is: an answer whose body shares its bytes, whoever hosts it.
pub(super) fn shared_sse(bytes: usize) -> (impl Fn() -> Response<SharedBody> + Clone + Send + Sync, Publish) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let answer = {
        let shared = shared.clone();
        move || {
            let at = lock(&shared).events.len();
            let mut response = Response::new(SharedBody { shared: shared.clone(), at });
            let content_type = header::HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
    };
    let publish = Box::new(move |events: std::ops::Range<u64>| {
        let mut shared = lock(&shared);
        shared.events.extend(events.map(|n| Bytes::from(format!("data: {}\n\n", payload::text(n, bytes)))));
        let parked = std::mem::take(&mut shared.parked);
        drop(shared);
        parked.into_iter().for_each(Waker::wake);
    });
    (answer, publish)
}

pub(super) fn long_poll(data: TcpListener, bytes: usize) -> Publish {
    let shared = Arc::new((Notify::new(), Mutex::new(Bytes::new())));
    let answer = {
        let shared = shared.clone();
        move || {
            let shared = shared.clone();
            async move {
                shared.0.notified().await;
                let body = shared.1.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(Response::new(Full::new(body)))
            }
        }
    };
    spawn(data, service_fn(move |_| answer()));
    Box::new(move |events| {
        for n in events {
            *shared.1.lock().unwrap_or_else(PoisonError::into_inner) = payload::text(n, bytes).into();
            shared.0.notify_waiters();
        }
    })
}

/// Answers what our poll answers, byte for byte: it was asked once, before anybody came.
pub(super) fn same_answers(data: TcpListener) -> Publish {
    let answers = Arc::new(tokio::sync::OnceCell::new());
    let answer = move |request: Request<Incoming>| {
        let answers = answers.clone();
        async move {
            let (page, not_modified) = answers.get_or_init(ours_once).await;
            let is_known = request.headers().contains_key(header::IF_NONE_MATCH);
            let (parts, body) = if is_known { not_modified } else { page };
            Ok(Response::from_parts(parts.clone(), Full::new(body.clone())))
        }
    };
    spawn(data, service_fn(answer));
    Box::new(|_| ())
}

type Answer = (http::response::Parts, Bytes);

/// Our page without news, and our 304.
async fn ours_once() -> (Answer, Answer) {
    const NEXT: &str = "stream-next-offset";
    let service = realtime_tower::Realtime::new(realtime_core::Log::new());
    let ask = async |fields: &[(&str, &header::HeaderValue)]| -> Answer {
        let mut request = Request::get("/events").header(header::ACCEPT, "application/json");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::new())).expect("a plain request");
        let response = tower::ServiceExt::oneshot(service.clone(), request).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let body = http_body_util::BodyExt::collect(body).await.expect("a page is there at once").to_bytes();
        (parts, body)
    };
    let (fresh, _) = ask(&[]).await;
    let place = fresh.headers.get(NEXT).expect("a page says where to go on");
    let page = ask(&[("last-event-id", place)]).await;
    let etag = page.0.headers.get(header::ETAG).expect("a page without news has an ETag");
    let not_modified = ask(&[("last-event-id", place), ("if-none-match", etag)]).await;
    (page, not_modified)
}
