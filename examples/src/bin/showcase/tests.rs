use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use realtime_core::{Event, Log};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{PANES, app, figures::Machine};

async fn get(log: &Log, uri: &str) -> Response {
    let request = Request::get(uri).body(Body::empty()).unwrap();
    app(log.clone()).0.oneshot(request).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_page_names_only_what_is_in_the_binary() {
    let log = Log::new();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/pane.js", "text/javascript; charset=utf-8"),
        ("/transports.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/vendor/uPlot.esm.js", "text/javascript; charset=utf-8"),
        ("/vendor/uPlot.min.css", "text/css; charset=utf-8"),
    ] {
        let response = get(&log, path).await;
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &content_type.parse().unwrap())
        );
        let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(
            !text.contains("src=\"http") && !text.contains("href=\"http") && !text.contains("from \"http"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_pane_reads_the_one_log_and_pays_for_itself() {
    let log = Log::new();
    let mut machine = Machine::new();
    log.publish(machine.look().unwrap()).unwrap();
    let (app, _) = app(log.clone());
    for pane in PANES {
        let request = Request::get(format!("/events/{pane}")).body(Body::empty()).unwrap();
        let page = json_of(app.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(page["events"][0]["event"], "figures");
        let figures = &page["events"][0]["data"];
        assert_eq!(figures["seq"], 1);
        assert!(figures["memoryTotal"].as_u64() > figures["memoryUsed"].as_u64());
        assert!(!figures["cpu"].as_array().unwrap().is_empty());
    }
    let request = Request::get("/stats").body(Body::empty()).unwrap();
    let stats = json_of(app.oneshot(request).await.unwrap()).await;
    for pane in PANES {
        assert_eq!((&stats[pane]["requests"], &stats[pane]["deliveries"]), (&json!(1), &json!(1)), "{pane}");
        assert!(stats[pane]["bytes"].as_u64() > Some(100));
    }
}

#[tokio::test]
async fn an_echo_brings_the_servers_time() {
    let log = Log::new();
    log.publish(Event::text("figures", "x").unwrap()).unwrap();
    let request = Request::post("/events/sse?event=echo")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"sent":1}"#))
        .unwrap();
    let reply = json_of(app(log).0.oneshot(request).await.unwrap()).await;
    assert_eq!(reply["echo"], json!({"sent": 1}));
    assert!(reply["at"].as_u64() > Some(1_700_000_000_000));
}
