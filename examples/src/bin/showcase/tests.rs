//! The routes in process; what a browser makes of them is tested in a browser.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use realtime_core::{Event, Log};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tower::ServiceExt as _;

use crate::app::{self, Shared};
use crate::assets;
use crate::figures::{self, FIGURES, Pace};
use crate::restart::Restartable;

const PANES: [&str; 5] = ["1", "2", "3", "4", "5"];

/// The app and its log, with one event in it.
fn showcase() -> (Router, Log, Arc<Pace>) {
    let (figures, pace) = (Restartable::new(), Arc::new(Pace::default()));
    let log = figures.log();
    log.publish(Event::json(FIGURES, &json!({ "seq": 1 })).unwrap()).unwrap();
    (app::app(Shared { figures, pace: pace.clone(), said: Log::new() }).0, log, pace)
}

async fn ask(app: &Router, request: axum::http::request::Builder, body: &str) -> Response {
    let request = request.header(header::HOST, "localhost");
    app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

async fn stats(app: &Router) -> Value {
    json_of(ask(app, Request::get("/stats"), "").await).await
}

#[tokio::test]
async fn every_file_is_served_as_what_it_is_and_names_no_other_host() {
    let (app, ..) = showcase();
    for (path, content_type) in assets::served() {
        let response = ask(&app, Request::get(path), "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type, "{path}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = text(response).await;
        for foreign in ["src=\"http", "from \"http", "rel=\"stylesheet\" href=\"http", "url(http"] {
            assert!(!text.contains(foreign), "{path} loads from elsewhere: {foreign}");
        }
    }
}

#[tokio::test]
async fn every_script_that_is_named_is_served() {
    let (app, ..) = showcase();
    let served: Vec<_> = assets::served().map(|(path, _)| path).collect();
    for path in &served {
        let text = text(ask(&app, Request::get(*path), "").await).await;
        let named = text.replace('\'', "\"");
        let named = named.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next());
        for name in named.filter(|_| path.ends_with(".js")) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            assert!(served.contains(&format!("{folder}/{name}").as_str()), "{path} wants {name}");
        }
        let linked = text.split("=\"/").skip(1).filter_map(|rest| rest.split('"').next());
        for name in linked.filter(|_| *path == "/") {
            assert!(served.contains(&format!("/{name}").as_str()), "{path} wants /{name}");
        }
    }
}

#[tokio::test]
async fn every_pane_reads_the_log_by_polling_and_long_polling_and_pays_for_itself() {
    let (app, ..) = showcase();
    for pane in PANES {
        for (ask_for, transport) in [("wait=0", "poll"), ("wait=5", "long-poll")] {
            let request = Request::get(format!("/events/{pane}?offset=-1")).header("prefer", ask_for);
            let page = json_of(ask(&app, request, "").await).await;
            assert_eq!(page["events"][0]["event"], FIGURES);
            assert_eq!(page["events"][0]["data"], json!({ "seq": 1 }));
            let cost = &stats(&app).await[pane][transport];
            assert_eq!((&cost["requests"], &cost["events"]), (&json!(1), &json!(1)), "{pane} {transport}");
            assert_eq!(cost["body_bytes"], page.to_string().len(), "{pane} {transport}");
        }
    }
}

#[tokio::test]
async fn heads_are_counted_and_nothing_new_is_an_empty_answer() {
    let (app, ..) = showcase();
    let first = ask(&app, Request::get("/events/1?offset=now"), "").await;
    let next = first.headers()["stream-next-offset"].to_str().unwrap().to_owned();
    let tag = first.headers()[header::ETAG].clone();
    let before = stats(&app).await["1"]["poll"].clone();
    let request = Request::get(format!("/events/1?offset={next}")).header(header::IF_NONE_MATCH, &tag);
    assert_eq!(ask(&app, request, "").await.status(), StatusCode::NOT_MODIFIED);
    let after = stats(&app).await["1"]["poll"].clone();
    let rise = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!((rise("empties"), rise("events"), rise("body_bytes")), (1, 0, 0));
    let asked = format!("GET /events/1?offset={next} HTTP/1.1\r\nif-none-match: \r\n\r\n").len() + tag.len();
    assert!(rise("head_bytes") > asked as u64 + 200, "{}", rise("head_bytes"));
}

#[tokio::test]
async fn sse_brings_what_is_published_while_it_is_read() {
    let (app, log, _) = showcase();
    let request = Request::get("/events/3?offset=now").header(header::ACCEPT, "text/event-stream");
    let response = ask(&app, request, "").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    log.publish(Event::json(FIGURES, &json!({ "seq": 2 })).unwrap()).unwrap();
    let mut read = String::new();
    while !read.contains("event: figures\ndata: {\"seq\":2}\n\n") {
        let piece = tokio::time::timeout(Duration::from_secs(10), body.next()).await;
        read += std::str::from_utf8(&piece.expect(&read).unwrap().unwrap()).unwrap();
    }
    assert_eq!(stats(&app).await["3"]["sse"]["connections"], 1);
}

#[tokio::test]
async fn a_websocket_reads_and_is_answered() {
    let (app, ..) = showcase();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/events/4?offset=-1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "realtime.v1".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let said = json!({ "ref": "a", "event": "echo", "data": { "t0": 1.5, "text": "hello" } });
    futures_util::SinkExt::send(&mut socket, Message::text(said.to_string())).await.unwrap();
    let (mut figures, mut reply) = (None, None);
    while figures.is_none() || reply.is_none() {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
        let message: Value = serde_json::from_str(message.unwrap().unwrap().to_text().unwrap()).unwrap();
        match message["event"].as_str() {
            Some(FIGURES) => figures = Some(message["data"].clone()),
            Some("$reply") => reply = Some(message),
            _ => {}
        }
    }
    let (figures, reply) = (figures.unwrap(), reply.unwrap());
    assert_eq!(figures, json!({ "seq": 1 }));
    assert_eq!(
        (&reply["ref"], &reply["data"]["text"], &reply["data"]["t0"]),
        (&json!("a"), &json!("hello"), &json!(1.5))
    );
}

#[tokio::test]
async fn a_post_is_answered_or_refused() {
    let (app, _, pace) = showcase();
    let long = "x".repeat(257);
    for (name, body, status) in [
        ("echo", json!({ "t0": 1, "text": "hello" }), StatusCode::OK),
        ("echo", json!({ "t0": 1, "text": long }), StatusCode::PAYLOAD_TOO_LARGE),
        ("echo", json!({ "text": "when?" }), StatusCode::UNPROCESSABLE_ENTITY),
        ("pace", json!({ "every_ms": 1000 }), StatusCode::OK),
        ("pace", json!({ "every_ms": -1 }), StatusCode::UNPROCESSABLE_ENTITY),
        ("stop", json!(null), StatusCode::NOT_FOUND),
    ] {
        let request =
            Request::post(format!("/events?event={name}")).header(header::CONTENT_TYPE, "application/json");
        let response = ask(&app, request, &body.to_string()).await;
        assert_eq!(response.status(), status, "{name} {body}");
        if status == StatusCode::OK && name == "echo" {
            let reply = json_of(response).await;
            assert!(reply["server"].as_f64() > Some(1.6e12), "{reply}");
        }
    }
    assert_eq!(pace.get(), Duration::from_secs(1));
}

#[tokio::test]
async fn the_machines_figures_are_published_by_number() {
    let (figures, pace) = (Restartable::new(), Arc::new(Pace::default()));
    figures::publish_from_a_thread(figures.clone(), pace.clone()).unwrap();
    let app = app::app(Shared { figures: figures.clone(), pace, said: Log::new() }).0;
    let mut offset = "-1".to_owned();
    for seq in 1..=3 {
        let request = Request::get(format!("/events?offset={offset}")).header("prefer", "wait=10");
        let page = json_of(ask(&app, request, "").await).await;
        let figures = &page["events"][0]["data"];
        assert_eq!(figures["seq"], seq);
        assert!(!figures["cpu"].as_array().unwrap().is_empty());
        assert!(figures["mem"]["used"].as_u64() < figures["mem"]["total"].as_u64());
        assert!(figures["load"].is_number() && figures["net"]["received"].is_u64());
        offset = page["events"][0]["id"].as_str().unwrap().to_owned();
    }
    figures.log().close();
}

#[tokio::test]
async fn a_restart_is_asked_for_and_an_old_cursor_is_told_of_it() {
    let (app, log, _) = showcase();
    let place = log.publish(Event::json(FIGURES, &json!({ "seq": 2 })).unwrap()).unwrap();
    let request = Request::post("/events?event=restart").header(header::CONTENT_TYPE, "application/json");
    assert_eq!(ask(&app, request, "null").await.status(), StatusCode::OK);
    let page = json_of(ask(&app, Request::get(format!("/events/1?offset={place}")), "").await).await;
    assert_eq!(page["gap"]["reason"], "epoch", "{page}");
}

#[tokio::test]
async fn what_one_says_the_other_hears_and_rubbish_nobody() {
    let (app, ..) = showcase();
    let long = "x".repeat(201);
    for (body, status) in [
        (json!({ "from": "ada", "text": "hello" }), StatusCode::NO_CONTENT),
        (json!({ "from": "ada", "text": " " }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "from": "ada", "text": long }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "text": "who?" }), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let request = Request::post("/chat?event=say").header(header::CONTENT_TYPE, "application/json");
        assert_eq!(ask(&app, request, &body.to_string()).await.status(), status, "{body}");
    }
    let page = json_of(ask(&app, Request::get("/chat"), "").await).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!(page["events"][0]["data"], json!({ "from": "ada", "text": "hello" }));
}
