//! `Realtime` in a handler, behind one's own extractors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;
use http::request::Parts;
use realtime_axum::{FromMount, Mount, Realtime};
use realtime_core::{Log, Topic};
use realtime_tower::{Handle, Inbound, PollTransport, SseTransport};

use crate::kit::{JSON, Lines, SSE, app, ask, events, get, open, publish, readers, tick};

#[derive(Clone, Default)]
pub struct Rooms {
    pub log: Log,
    /// How often somebody was asked for; how often a source was made.
    pub asked: Arc<AtomicUsize>,
    pub made: Arc<AtomicUsize>,
}

impl Rooms {
    pub fn counts(&self) -> (usize, usize) {
        (self.asked.load(Ordering::SeqCst), self.made.load(Ordering::SeqCst))
    }

    pub fn app(&self) -> (Router, Handle) {
        let (mount, handle) = realtime_axum::mount().build();
        let app = Router::new()
            .route("/rooms/{room}", mount.route(room))
            .route("/quiet/{room}", mount.route(quiet))
            .with_state(self.clone());
        (app, handle)
    }
}

/// Who asks: only who says so.
struct User(String);

impl FromRequestParts<Rooms> for User {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, rooms: &Rooms) -> Result<Self, StatusCode> {
        rooms.asked.fetch_add(1, Ordering::SeqCst);
        let user = parts.headers.get("authorization").and_then(|user| user.to_str().ok());
        user.map(|user| Self(user.to_owned())).ok_or(StatusCode::UNAUTHORIZED)
    }
}

async fn room(Path(room): Path<String>, user: User, State(rooms): State<Rooms>, rt: Realtime) -> Response {
    rooms.made.fetch_add(1, Ordering::SeqCst);
    let said = move |message: Inbound| {
        let reply = format!("{}: {}", user.0, message.as_str().unwrap_or_default());
        async move { reply }
    };
    rt.serve(rooms.log.topic(room)).on_message(said).await
}

async fn quiet(Path(room): Path<String>, State(rooms): State<Rooms>, rt: Realtime) -> Response {
    rooms.made.fetch_add(1, Ordering::SeqCst);
    rt.serve(rooms.log.topic(room)).await
}

const ANN: (&str, &str) = ("authorization", "ann");

#[tokio::test(start_paused = true)]
async fn a_path_chooses_the_topic_and_no_other_is_read() {
    let rooms = Rooms::default();
    let (app, _) = rooms.app();
    publish(&rooms.log, "lobby", 1);
    publish(&rooms.log, "cellar", 2);
    publish(&rooms.log, "lobby", 3);
    let answer = get(&app, "/rooms/lobby?offset=-1", &[ANN]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(r#""data":1"#) && answer.text().contains(r#""data":3"#));
    assert!(!answer.text().contains(r#""data":2"#), "{}", answer.text());
    let mut stream = open(&app, "/rooms/cellar?offset=-1", &[ANN, SSE]).await;
    assert!(stream.until("data: 2").await.contains("event: tick"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_topic_may_have_is_400_on_every_transport() {
    let rooms = Rooms::default();
    let (app, handle) = rooms.app();
    let long = format!("/rooms/{}", "a".repeat(2_000));
    for uri in ["/rooms/a%09b", "/rooms/%0d%0aset-cookie:x", "/rooms/%e2%80%8b", &long] {
        for headers in [&[ANN][..], &[ANN, SSE], &[ANN, ("prefer", "wait=20")]] {
            let answer = get(&app, uri, headers).await;
            assert_eq!(answer.status, 400, "{uri} {headers:?} {}", answer.text());
            assert!(!answer.text().contains("set-cookie"));
        }
    }
    assert_eq!(readers(&handle.stats()), 0);
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_refuses_comes_before_the_source() {
    let rooms = Rooms::default();
    let (app, handle) = rooms.app();
    for (method, headers) in [
        ("GET", &[][..]),
        ("GET", &[SSE]),
        ("GET", &[("prefer", "wait=20")]),
        ("HEAD", &[]),
        ("POST", &[JSON]),
    ] {
        let answer = ask(&app, method, "/rooms/lobby", headers, "1").await;
        assert_eq!(answer.status, 401, "{method} {headers:?}");
    }
    assert_eq!(rooms.counts(), (5, 0));
    // D-12: coming back is asked again, and what was refused has left no seat.
    let after = format!("/rooms/lobby?offset={}", rooms.log.tail());
    assert_eq!(get(&app, &after, &[]).await.status, 401);
    assert_eq!(get(&app, &after, &[ANN]).await.status, 200);
    assert_eq!((rooms.counts(), readers(&handle.stats())), ((7, 1), 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_gate_it_is_500_and_the_log_and_the_answer_say_why() {
    let lines = Lines::new();
    let app: Router = Router::new().route("/bare", any(events)).with_state(Log::new());
    let answer = get(&app, "/bare", &[]).await;
    let advice = "make it by realtime_axum::route(handler) or Mount::route(handler), not by get(handler)";
    assert_eq!((answer.status.as_u16(), answer.text().contains(advice)), (500, true), "{}", answer.text());
    assert!(lines.contain(advice));
    // Nor does a gate of other transports do.
    async fn narrow(State(log): State<Log>, rt: Realtime<(SseTransport,)>) -> Response {
        rt.serve(log).await
    }
    let app: Router = Router::new().route("/wide", realtime_axum::route(narrow)).with_state(Log::new());
    assert_eq!(get(&app, "/wide", &[SSE]).await.status, 500);
    let (mount, _) = realtime_axum::mount().transports((SseTransport::default(),)).build();
    let app: Router = Router::new().route("/narrow", mount.route(narrow)).with_state(Log::new());
    assert_eq!(open(&app, "/narrow", &[SSE]).await.status, 200);
    assert_eq!(get(&app, "/narrow", &[("accept", "application/json")]).await.status, 406);
}

#[derive(Clone)]
struct Whole {
    log: Log,
    mount: Mount<(SseTransport, PollTransport)>,
}

impl FromRef<Whole> for Mount<(SseTransport, PollTransport)> {
    fn from_ref(whole: &Whole) -> Self {
        whole.mount.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn from_mount_goes_through_the_mount_of_the_state_on_any_route() {
    async fn events(
        State(whole): State<Whole>,
        FromMount(rt): FromMount<(SseTransport, PollTransport)>,
    ) -> Response {
        rt.serve(whole.log).await
    }
    let transports = (SseTransport::default(), PollTransport::default());
    let (mount, handle) = realtime_axum::mount().transports(transports).build();
    let whole = Whole { log: Log::new(), mount };
    let app: Router = Router::new().route("/any", any(events)).with_state(whole.clone());
    tick(&whole.log, 1);
    assert!(get(&app, "/any?offset=-1", &[]).await.text().contains(r#""data":1"#));
    let mut stream = open(&app, "/any?offset=-1", &[SSE]).await;
    stream.until("data: 1").await;
    assert_eq!(readers(&handle.stats()), 1);
    drop(stream);
    assert_eq!(readers(&handle.stats()), 0);
    let refused = ask(&app, "DELETE", "/any", &[], "").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow").is_some()), (405, true));
    assert_eq!(get(&app, "/any?offset=rubbish", &[]).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_post_reaches_the_handler_of_messages_and_its_reply_comes_back() {
    let rooms = Rooms::default();
    let (app, _) = rooms.app();
    let answer = ask(&app, "POST", "/rooms/lobby", &[ANN, JSON], r#""hello""#).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"ann: "hello""#));
    for (headers, body, status) in [
        (&[ANN, ("content-type", "text/plain")][..], "1", 415),
        (&[ANN], "1", 415),
        (&[ANN, JSON], "{", 400),
        (&[ANN, JSON, ("origin", "https://evil.example")], "1", 403),
        (&[ANN, JSON, ("origin", "http://a.example")], "1", 200),
        (&[ANN, JSON, ("content-length", "65537")], "1", 413),
    ] {
        let answer = ask(&app, "POST", "/rooms/lobby", headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.text());
    }
    let large = format!("\"{}\"", "a".repeat(65_536));
    assert_eq!(ask(&app, "POST", "/rooms/lobby", &[ANN, JSON], &large).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_nobody_hears_is_405_and_says_what_would_do() {
    let rooms = Rooms::default();
    let (app, _) = rooms.app();
    let answer = ask(&app, "POST", "/quiet/lobby", &[JSON], "1").await;
    assert_eq!(answer.status, 405);
    let allow = answer.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("HEAD") && !allow.contains("POST"), "{allow}");
    let answer = ask(&app, "PUT", "/quiet/lobby", &[], "").await;
    assert!(answer.status == 405 && answer.header("allow").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_one_transport_goes_on_another() {
    let log = Log::new();
    let (app, _) = app(&log);
    tick(&log, 1);
    let first = get(&app, "/events?offset=-1", &[]).await;
    let next = first.header("stream-next-offset").unwrap().to_owned();
    assert!(first.text().contains(&next), "the body has it too");
    tick(&log, 2);
    let mut stream = open(&app, "/events", &[SSE, ("last-event-id", &next)]).await;
    assert!(!stream.until("data: 2").await.contains("data: 1"));
    let waited = get(&app, "/events", &[("prefer", "wait=20"), ("last-event-id", &next)]).await;
    assert!(waited.text().contains(r#""data":2"#) && !waited.text().contains(r#""data":1"#));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_frees_its_seat_and_its_subscription() {
    let rooms = Rooms::default();
    let (app, handle) = rooms.app();
    let lobby = Topic::new("lobby").unwrap();
    let mut stream = open(&app, "/quiet/lobby", &[SSE]).await;
    stream.until("$live").await;
    assert_eq!((readers(&handle.stats()), rooms.log.readers(&lobby)), (1, 1));
    drop(stream);
    assert_eq!((readers(&handle.stats()), rooms.log.readers(&lobby)), (0, 0));
}
