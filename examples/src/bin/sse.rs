//! Server-Sent Events: an answer that arrives token by token. `cargo run --bin sse`, then open the printed URL, or:
//!
//! ```text
//! $ curl -i -d 'What is a cursor?' http://127.0.0.1:3000/answers
//! HTTP/1.1 201 Created
//! location: /answers/1
//!
//! $ curl -N --max-time 2 http://127.0.0.1:3000/answers/1                          # cut after two seconds
//! id: e1196b38f620cb84.0000000000000002
//! event: token
//! data: "asked: "
//!
//! $ curl -N -H 'Last-Event-ID: LAST_ID' http://127.0.0.1:3000/answers/1           # goes on where it was cut
//! id: e1196b38f620cb84.0000000000000044
//! event: $end
//! data: {"reason":"closed","retry":false}
//!
//! $ curl -i -H 'Last-Event-ID: LAST_ID' http://127.0.0.1:3000/answers/1           # once more: a browser stops here
//! HTTP/1.1 204 No Content
//! ```
//!
//! The answer is written whether or not anybody reads it: a reader that was cut off, or comes late, misses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use realtime_axum::Realtime;
use realtime_core::{Event, Log, Start, Topic};
use realtime_examples::{Result, listen, stop};
use realtime_tower::{Handle, SseTransport};

#[tokio::main]
async fn main() -> Result {
    let (app, handle) = app();
    let listener = listen("/").await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(handle.drain_on(stop(), Duration::from_secs(5)))
        .await?;
    Ok(())
}

#[derive(Clone, Default)]
struct Answers {
    log: Log,
    /// The last answer that was begun; their numbers are 1, 2 and so on.
    last: Arc<AtomicU64>,
}

fn app() -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount()
        .transports((SseTransport::default(),))
        .default_start(Start::Earliest) // who comes without a place wants the answer from its beginning
        .build();
    let app = Router::new()
        .route("/", get(Html(include_str!("../pages/sse.html"))))
        .route("/answers", post(ask))
        .route("/answers/{answer}", mount.route(answer))
        .with_state(Answers::default());
    (app, handle)
}

async fn ask(State(answers): State<Answers>, question: String) -> impl IntoResponse {
    let answer = answers.last.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(write(answers.log, answer, question));
    (StatusCode::CREATED, [(header::LOCATION, format!("/answers/{answer}"))])
}

async fn answer(
    Path(answer): Path<u64>,
    State(answers): State<Answers>,
    rt: Realtime<(SseTransport,)>,
) -> Response {
    if !(1..=answers.last.load(Ordering::Relaxed)).contains(&answer) {
        return StatusCode::NOT_FOUND.into_response();
    }
    rt.serve(answers.log.topic(format!("answer/{answer}"))).await
}

/// Stands for a language model: a token every tenth of a second. A token is JSON, so that its spaces are kept.
async fn write(log: Log, answer: u64, question: String) -> Result {
    let topic = Topic::new(format!("answer/{answer}"))?;
    let text = format!("You asked: {} {ANSWER}", question.trim());
    for token in text.split_inclusive(' ') {
        log.publish(Event::json("token", token)?.with_topic(topic.clone()))?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    log.close_topic(&topic);
    Ok(())
}

const ANSWER: &str = "A source is a log, and a transport is a way of reading it. A cursor is a place in the log: after \
    this, before the next. You keep it, and whenever you come back with it, over whatever transport, you are given \
    what follows. What cannot be given any more is said to be missing, and never passed over in silence.";

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use realtime_core::Cursor;
    use realtime_tower::testing::{self, Message};
    use tower::ServiceExt;

    use super::*;

    async fn read(app: &Router, uri: &str, from: Option<Cursor>) -> Result<Response> {
        let from = from.map_or(String::new(), |cursor| cursor.to_string());
        let request = Request::get(uri).header("accept", "text/event-stream").header("last-event-id", from);
        Ok(app.clone().oneshot(request.body(Body::empty())?).await?)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_cut_goes_on_and_once_it_is_whole_the_browser_stops() -> Result {
        let (app, _handle) = app();
        let asked = app.clone().oneshot(Request::post("/answers").body(Body::from("Why?"))?).await?;
        let uri = asked.headers()["location"].to_str()?.to_owned();

        let mut answer = String::new();
        let mut stream = testing::sse(read(&app, &uri, None).await?).await?;
        for _ in 0..10 {
            answer += &stream.event().await?.json::<String>()?;
        }
        let place = stream.place();
        drop(stream);
        tokio::time::sleep(Duration::from_secs(2)).await;

        let mut stream = testing::sse(read(&app, &uri, place).await?).await?;
        loop {
            match stream.next().await?.expect("an end is said before it comes") {
                Message::Event(token) => answer += &token.json::<String>()?,
                Message::End { retry, .. } => break assert_eq!(retry, None, "nothing will follow"),
                _ => {}
            }
        }
        assert_eq!(answer, format!("You asked: Why? {ANSWER}"));
        assert_eq!(read(&app, &uri, stream.place()).await?.status(), StatusCode::NO_CONTENT);
        Ok(())
    }
}
