//! A handler of an axum service, tested without a socket.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use realtime_axum::{Realtime, testing};
use realtime_core::{Event, Log, Topic};
use tower::ServiceExt;

async fn room(
    Path(room): Path<String>,
    headers: HeaderMap,
    State(log): State<Log>,
    rt: Realtime,
) -> Response {
    if !headers.contains_key("authorization") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let said = log.clone();
    rt.serve(log.topic(&room))
        .on_message(move |message| {
            let event = Event::text("said", message.as_str().unwrap_or_default());
            let published = event.and_then(|event| Ok(said.publish(event.with_topic(Topic::new(&room)?))));
            async move { published.is_ok().then_some("heard") }
        })
        .await
}

fn app(log: &Log) -> Router {
    Router::new().route("/rooms/{room}", realtime_axum::route(room)).with_state(log.clone())
}

fn get(uri: &str) -> http::request::Builder {
    Request::get(uri).header("authorization", "anybody")
}

#[tokio::test(start_paused = true)]
async fn a_room_hears_what_is_said_in_it() -> Result<(), Box<dyn std::error::Error>> {
    let log = Log::new();
    let mut alice = testing::web_socket(app(&log), get("/rooms/tea").body(Body::empty())?).await?;
    let listening = get("/rooms/tea").header("accept", "text/event-stream").body(Body::empty())?;
    let mut bob = testing::sse(app(&log).oneshot(listening).await?).await?;

    assert_eq!(alice.ask("say", &"hello").await?.json::<String>()?, "heard");
    assert_eq!(bob.event().await?.text()?, "\"hello\"");
    assert_eq!(alice.event().await?.name(), "said");

    let read = get("/rooms/tea?offset=-1").body(Body::empty())?;
    let page = testing::page(app(&log).oneshot(read).await?).await?;
    assert_eq!((page.events.len(), Some(page.next)), (1, bob.place()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_refused_on_every_transport() -> Result<(), Box<dyn std::error::Error>> {
    let log = Log::new();
    let stranger = || Request::get("/rooms/tea").body(Body::empty());
    let socket = testing::web_socket(app(&log), stranger()?).await.unwrap_err();
    let page = testing::page(app(&log).oneshot(stranger()?).await?).await.unwrap_err();
    let sse = testing::sse(app(&log).oneshot(stranger()?).await?).await.unwrap_err();
    assert_eq!([socket, page, sse].map(|error| error.status()), [Some(StatusCode::UNAUTHORIZED); 3]);
    Ok(())
}
