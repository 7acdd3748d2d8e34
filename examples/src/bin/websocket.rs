//! WebSocket, both ways: `cargo run --bin websocket`, then open the printed URL, or:
//!
//! ```text
//! $ npx wscat -c ws://127.0.0.1:3000/radio
//! > hello
//! < Roger that! hello
//!
//! $ npx wscat -c ws://127.0.0.1:3000/radio -s realtime.v1
//! > {"ref":1,"event":"say","data":"hello"}
//! < {"ref":1,"event":"$reply","data":"Roger that! hello"}
//! ```
//!
//! Without a subprotocol a message is the payload and nothing else, so that one line of JavaScript will do. With
//! `realtime.v1` each message says what it is, which reply belongs to which message, and where one stands.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Response};
use axum::routing::get;
use realtime_axum::Realtime;
use realtime_core::{Event, Log};
use realtime_examples::{Result, listen, stop};
use realtime_tower::{Handle, Inbound, UplinkError, WebSocketTransport};
use serde_json::json;

#[tokio::main]
async fn main() -> Result {
    let log = Log::new();
    let (app, handle) = app(log.clone());
    let listener = listen("/").await?;
    tokio::spawn(call(log));
    axum::serve(listener, app)
        .with_graceful_shutdown(handle.drain_on(stop(), Duration::from_secs(5)))
        .await?;
    Ok(())
}

fn app(log: Log) -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount().transports((WebSocketTransport::default(),)).build();
    let app = Router::new()
        .route("/", get(Html(include_str!("../pages/websocket.html"))))
        .route("/radio", mount.route(radio))
        .with_state(log);
    (app, handle)
}

/// What is published goes to everybody; what the handler returns, to whom it answers.
async fn radio(State(log): State<Log>, rt: Realtime<(WebSocketTransport,)>) -> Response {
    rt.serve(log).on_message(roger).await
}

async fn roger(message: Inbound) -> std::result::Result<String, UplinkError> {
    Ok(format!("Roger that! {}", message.to_text()?))
}

/// The base calls all stations, every ten seconds.
async fn call(log: Log) -> Result {
    let mut ticks = tokio::time::interval(CALL);
    for n in 0_u64.. {
        ticks.tick().await;
        log.publish(Event::json("call", &json!({ "n": n, "from": "base" }))?)?;
    }
    Ok(())
}

const CALL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use realtime_tower::testing::{self, Message};

    use super::*;

    fn request() -> Request<Body> {
        Request::get("/radio").body(Body::empty()).expect("a path is a request")
    }

    #[tokio::test(start_paused = true)]
    async fn a_bare_hello_is_answered_and_events_come_between() -> Result {
        let log = Log::new();
        let mut socket = testing::bare_web_socket(app(log.clone()).0, request()).await?;
        socket.send_text("hello").await?;
        assert_eq!(socket.event().await?.text()?, "Roger that! hello");
        tokio::spawn(call(log));
        assert_eq!(socket.event().await?.text()?, r#"{"from":"base","n":0}"#);
        socket.send_text("hello again").await?;
        assert_eq!(socket.event().await?.text()?, "Roger that! hello again");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn with_the_subprotocol_a_reply_says_what_it_answers() -> Result {
        let mut socket = testing::web_socket(app(Log::new()).0, request()).await?;
        assert!(matches!(socket.next().await?, Some(Message::Open { .. })));
        assert_eq!(socket.ask("say", "hello").await?.json::<String>()?, "Roger that! hello");
        let refused = socket.ask("say", &[1, 2]).await?.answer.expect_err("no text");
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY);
        Ok(())
    }
}
