//! The gate before a handler: what is answered without its extractors, and where a route may stand.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Method;
use realtime_axum::Realtime;
use realtime_core::{Log, Topic};
use realtime_tower::{Config, Peer};
use tower::ServiceExt;

use crate::extractor::Rooms;
use crate::kit::{JSON, SSE, app, ask, events, get, open, readers, request, tick};

const UPGRADE: [(&str, &str); 4] = [
    ("upgrade", "websocket"),
    ("connection", "keep-alive, Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Each would be 401 if the user's extractor ran first.
#[tokio::test(start_paused = true)]
async fn what_needs_no_handler_is_answered_before_its_extractors() {
    let rooms = Rooms::default();
    let (app, handle) = rooms.app();
    let [upgrade, connection, version, key] = UPGRADE;
    let evil = ("origin", "https://evil.example");
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let cases: &[Case<'_>] = &[
        ("OPTIONS", "", &[], 204),
        ("OPTIONS", "?offset=rubbish", &[("accept", "image/png")], 204),
        ("DELETE", "", &[("accept", "image/png")], 405),
        ("PROPFIND", "", &[], 405),
        ("GET", "?offset=rubbish", &[("accept", "image/png")], 406),
        ("GET", "?live=carrier-pigeon", &[], 406),
        ("GET", "?live=sse", &[("accept", "application/json")], 406),
        ("GET", "?offset=rubbish", &[], 400),
        ("GET", "?offset=", &[], 400),
        ("GET", "?offset=now&offset=now", &[SSE], 400),
        ("GET", "", &[("last-event-id", "1"), ("last-event-id", "1")], 400),
        ("HEAD", "?offset=rubbish", &[], 400),
        ("GET", "?offset=rubbish", &[upgrade, connection, version, key, evil], 400),
        ("GET", "", &[upgrade, connection, version, key, evil], 403),
        ("GET", "", &[upgrade, connection, version, key, ("cookie", "session=1")], 403),
        ("GET", "", &[upgrade, connection, version], 400),
        ("GET", "", &[upgrade, connection, ("sec-websocket-version", "8"), key], 426),
        ("POST", "", &[JSON, evil], 403),
        ("POST", "", &[("content-type", "text/plain")], 415),
    ];
    for (method, query, headers, status) in cases {
        let answer = ask(&app, method, &format!("/rooms/lobby{query}"), headers, "1").await;
        assert_eq!(answer.status, *status, "{method} {query} {headers:?} {}", answer.text());
        let has_allow = answer.header("allow").is_some();
        assert_eq!(has_allow, matches!(status, 204 | 405), "{method} {query}");
        assert!(!answer.text().contains("rubbish"), "no echo");
    }
    assert_eq!((rooms.counts(), readers(&handle.stats())), ((0, 0), 0));
    // The twin that passes the gate meets the extractor.
    assert_eq!(get(&app, "/rooms/lobby?offset=now", &[]).await.status, 401);
    assert_eq!(rooms.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_mount_sends_away_before_the_extractors_and_keeps_no_place() {
    let log = Log::new();
    let (mount, handle) =
        realtime_axum::mount().config(Config { readers_max: 1, ..Config::default() }).build();
    let app: Router = Router::new().route("/events", mount.route(events)).with_state(log);
    let held = open(&app, "/events", &[SSE]).await;
    let poll = get(&app, "/events", &[]).await;
    assert_eq!(poll.status, 503);
    assert!(poll.header("retry-after").is_some());
    // A browser never comes back from a 503.
    let sse = get(&app, "/events", &[SSE]).await;
    assert_eq!(sse.status, 200);
    assert!(sse.text().contains("retry:") && sse.text().contains("$end"), "{}", sse.text());
    drop(held);
    assert_eq!((get(&app, "/events", &[]).await.status.as_u16(), readers(&handle.stats())), (200, 0));
}

/// As a layer finds out behind something whose own address is everybody's.
#[tokio::test(start_paused = true)]
async fn a_peer_that_a_layer_has_put_in_is_whom_readers_are_counted_by() {
    let per_address = Config { readers_per_address_max: Some(1), ..Config::default() };
    let (mount, _handle) = realtime_axum::mount().config(per_address).build();
    let app: Router = Router::new().route("/events", mount.route(events)).with_state(Log::new());
    let asked = |found: Option<u8>| {
        let mut request = request("GET", "/events", &[SSE], "");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 40_000))));
        if let Some(last) = found {
            request.extensions_mut().insert(Peer(SocketAddr::from(([203, 0, 113, last], 40_000))));
        }
        app.clone().oneshot(request)
    };
    let mut held = Vec::new();
    for (found, is_let_in) in
        [(Some(1), true), (Some(2), true), (Some(1), false), (None, true), (None, false), (Some(3), true)]
    {
        let response = asked(found).await.unwrap();
        assert_eq!(response.headers().contains_key("stream-next-offset"), is_let_in, "{found:?}");
        held.push(response);
    }
}

#[tokio::test(start_paused = true)]
async fn head_runs_the_handler_but_subscribes_nothing_and_takes_no_seat() {
    let rooms = Rooms::default();
    let (mount, handle) =
        realtime_axum::mount().config(Config { readers_max: 0, ..Config::default() }).build();
    let made = rooms.made.clone();
    let handler = move |axum::extract::State(log): axum::extract::State<Log>, rt: Realtime| {
        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move { rt.serve(log.topic("lobby")).await }
    };
    let app: Router = Router::new().route("/events", mount.route(handler)).with_state(rooms.log.clone());
    let lobby = Topic::new("lobby").unwrap();
    for (headers, media) in [
        (&[SSE][..], "text/event-stream"),
        (&[], "application/json"),
        (&[("prefer", "wait=20")], "application/json"),
        (&[("accept", "application/x-ndjson")], "application/x-ndjson"),
    ] {
        let answer = ask(&app, "HEAD", "/events", headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(media)));
        assert_eq!(answer.header("content-length"), None, "GET's is not known: {media}");
        assert!(answer.header("stream-next-offset").is_none() && answer.header("vary").is_some());
        assert!(answer.bytes.is_empty());
    }
    assert_eq!((rooms.counts(), rooms.log.readers(&lobby)), ((0, 4), 0));
    let stats = handle.stats();
    assert_eq!((readers(&stats), stats.of("poll").unwrap().requests), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn options_says_every_method_the_route_may_take() {
    let (app, _) = app(&Log::new());
    let answer = ask(&app, "OPTIONS", "/events", &[], "").await;
    let allow = answer.header("allow").unwrap();
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST] {
        assert!(allow.contains(method.as_str()), "{allow}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_nests_and_merges_beside_other_routes() {
    use axum::routing::get as page;
    let log = Log::new();
    tick(&log, 1);
    let (inner, handle) = app(&log);
    let app: Router = Router::new()
        .route("/events", page(|| async { "a page" }))
        .nest("/api/v1", inner)
        .merge(Router::new().route("/fixed", realtime_axum::source(log.clone())))
        .nest_service("/nested", realtime_tower::Realtime::new(log.clone()))
        .fallback(|| async { (http::StatusCode::NOT_FOUND, "none here") });
    assert_eq!(get(&app, "/events", &[SSE]).await.text(), "a page");
    for uri in ["/api/v1/events", "/fixed", "/nested", "/nested/any/where"] {
        let answer = get(&app, &format!("{uri}?offset=-1"), &[]).await;
        assert!(answer.text().contains(r#""data":1"#), "{uri} {}", answer.text());
        open(&app, &format!("{uri}?offset=-1"), &[SSE]).await.until("data: 1").await;
    }
    assert_eq!(get(&app, "/nosuch", &[SSE]).await.text(), "none here");
    assert_eq!(readers(&handle.stats()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_in_the_handler_gives_its_seat_back() {
    let (mount, handle) = realtime_axum::mount().build();
    async fn stuck(rt: Realtime) -> axum::response::Response {
        std::future::pending::<()>().await;
        rt.serve(Log::new()).await
    }
    let app: Router = Router::new().route("/events", mount.route(stuck));
    let asked = app.oneshot(request("GET", "/events", &[], ""));
    let waited = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await;
    assert!(waited.is_err());
    assert_eq!(readers(&handle.stats()), 0);
}
