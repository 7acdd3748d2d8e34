//! Under other people's layers: what they change of an answer, and what they must not.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use realtime_axum::Realtime;
use realtime_core::Log;
use realtime_tower::Inbound;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::decompression::DecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::kit::{JSON, Lines, SSE, app, ask, get, open, readers, tick};

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test(start_paused = true)]
async fn compression_leaves_a_stream_alone() {
    let log = Log::new();
    let (app, _) = app(&log);
    let app = app.layer(CompressionLayer::new());
    let mut stream = open(&app, "/events", &[SSE, GZIP]).await;
    assert_eq!(stream.headers.get("content-encoding"), None);
    stream.until("$live").await;
    for n in 1..5 {
        tick(&log, n);
        stream.until(&format!("data: {n}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn compression_of_a_page_keeps_its_cursor_and_its_tag() {
    let log = Log::new();
    (1..100).for_each(|n| tick(&log, n));
    let (bare, _) = app(&log);
    let app = bare.clone().layer(CompressionLayer::new());
    for (uri, headers) in [
        ("/events?offset=-1", &[GZIP][..]),
        ("/events?offset=-1", &[GZIP, ("prefer", "wait=20")]),
        ("/events?offset=-1", &[GZIP, ("accept", "application/x-ndjson")]),
    ] {
        let (plain, packed) = (get(&bare, uri, headers).await, get(&app, uri, headers).await);
        assert_eq!((packed.status, packed.header("content-encoding")), (plain.status, Some("gzip")));
        assert!(packed.bytes.starts_with(&[0x1f, 0x8b]) && packed.bytes.len() < plain.bytes.len());
        for name in ["stream-next-offset", "stream-up-to-date", "etag", "cache-control"] {
            assert_eq!(packed.headers.get(name), plain.headers.get(name), "{name}");
        }
        let vary: Vec<_> = packed.headers.get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect();
        assert!(vary.join(",").contains("accept-encoding"), "{vary:?}");
        let unpacked = get(&app.clone().layer(DecompressionLayer::new()), uri, headers).await;
        assert_eq!(unpacked.text(), plain.text());
        assert!(plain.text().contains(plain.header("stream-next-offset").unwrap()), "in the body too");
        // The tag is weak: it stands for either coding.
        assert!(plain.header("etag").unwrap().starts_with("W/"));
    }
    let (next, etag) = {
        let tail = get(&app, &format!("/events?offset={}", log.tail()), &[GZIP]).await;
        (tail.header("stream-next-offset").unwrap().to_owned(), tail.header("etag").unwrap().to_owned())
    };
    let again = get(&app, &format!("/events?offset={next}"), &[GZIP, ("if-none-match", &etag)]).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!((again.header("etag"), again.header("content-encoding")), (Some(&*etag), None));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_cuts_the_wait_that_is_longer_and_no_other() {
    let log = Log::new();
    let (app, handle) = app(&log);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10));
    let app = app.layer(timeout);
    // As the docs of long-polling say: 408, and no place.
    let cut = get(&app, "/events", &[("prefer", "wait=20")]).await;
    assert_eq!((cut.status.as_u16(), cut.header("stream-next-offset")), (408, None));
    assert_eq!(readers(&handle.stats()), 0, "the seat is free");
    let waited = get(&app, "/events", &[("prefer", "wait=5")]).await;
    assert_eq!(waited.status, 204);
    assert_eq!(waited.header("stream-next-offset"), Some(&*log.tail().to_string()));
    let mut stream = open(&app, "/events", &[SSE]).await;
    stream.until("$live").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    tick(&log, 1);
    stream.until("data: 1").await;
}

#[tokio::test(start_paused = true)]
async fn a_trace_sees_each_answer_and_changes_none() {
    let lines = Lines::new();
    let log = Log::new();
    let (bare, _) = app(&log);
    let app = bare.clone().layer(TraceLayer::new_for_http());
    let (plain, traced) = (get(&bare, "/events", &[]).await, get(&app, "/events", &[]).await);
    assert_eq!((plain.status, plain.headers, plain.bytes), (traced.status, traced.headers, traced.bytes));
    let mut stream = open(&app, "/events", &[SSE]).await;
    stream.until("$live").await;
    log.close();
    stream.until("$end").await;
    assert!(stream.is_over().await && lines.contain("finished processing request"));
}

async fn fragile(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log)
        .on_message(|message: Inbound| async move {
            assert_ne!(message.as_str(), Some("0"), "a bug in a handler");
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_handler_costs_one_answer_and_no_seat() {
    let log = Log::new();
    let (mount, handle) = realtime_axum::mount().build();
    async fn broken(_: Realtime) -> Response {
        panic!("a bug before the source");
    }
    let app: Router = Router::new()
        .route("/fragile", mount.route(fragile))
        .route("/broken", mount.route(broken))
        .with_state(log.clone())
        .layer(CatchPanicLayer::new());
    assert_eq!(get(&app, "/broken", &[SSE]).await.status, 500);
    assert_eq!(ask(&app, "POST", "/fragile", &[JSON], "0").await.status, 500);
    assert_eq!(readers(&handle.stats()), 0);
    assert_eq!(ask(&app, "POST", "/fragile", &[JSON], "1").await.status, 204);
    open(&app, "/fragile", &[SSE]).await.until("$live").await;
}

const PAGE: (&str, &str) = ("origin", "https://app.example");

#[tokio::test(start_paused = true)]
async fn every_answer_carries_what_a_page_of_another_origin_needs() {
    let (bare, _) = app(&Log::new());
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://app.example"))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([HeaderName::from_static("last-event-id"), HeaderName::from_static("prefer")]);
    let app = bare.clone().layer(cors.clone());
    for (method, uri, headers, status) in [
        ("GET", "/events", &[PAGE][..], 200),
        ("GET", "/events", &[PAGE, ("prefer", "wait=1")], 204),
        ("GET", "/events?offset=rubbish", &[PAGE], 400),
        ("GET", "/events", &[PAGE, ("accept", "image/png")], 406),
        ("DELETE", "/events", &[PAGE], 405),
        // Reading is what CORS allows; sending is the mount's own to allow.
        ("POST", "/events", &[PAGE, JSON], 403),
    ] {
        let answer = ask(&app, method, uri, headers, "1").await;
        assert_eq!(answer.status, status, "{method} {uri}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("stream-next-offset") && exposed.contains("retry-after"), "{status}");
    }
    let stream = open(&app, "/events", &[PAGE, SSE]).await;
    assert_eq!(stream.headers["access-control-allow-origin"], "https://app.example");
    let preflight = [PAGE, ("access-control-request-method", "GET")];
    let answer = ask(&app, "OPTIONS", "/events", &preflight, "").await;
    assert_eq!(answer.header("access-control-allow-headers"), Some("last-event-id,prefer"));
    // A layer that exposes headers of its own is to name ours as well: it puts its list in the place of ours.
    let app = bare.layer(cors.expose_headers([HeaderName::from_static("x-own")]));
    let answer = get(&app, "/events", &[PAGE]).await;
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-own"));
}

#[tokio::test(start_paused = true)]
async fn a_guard_against_forged_requests_stops_messages_and_no_reads() {
    let log = Log::new();
    let app: Router =
        Router::new().route("/events", realtime_axum::route(fragile)).with_state(log).layer(CsrfLayer::new());
    let foreign = ("sec-fetch-site", "cross-site");
    let own = ("sec-fetch-site", "same-origin");
    assert_eq!(ask(&app, "POST", "/events", &[JSON, foreign], "1").await.status, 403);
    assert_eq!(ask(&app, "POST", "/events", &[JSON, own], "1").await.status, 204);
    assert_eq!(get(&app, "/events", &[foreign]).await.status, 200);
    open(&app, "/events", &[SSE, foreign]).await.until("$live").await;
}
