//! Chat: rooms, two-way, behind a token. `MODERATOR=secret cargo run --bin chat`, then open the printed URL twice, or:
//!
//! ```text
//! $ ADA=$(curl -s -d ada http://127.0.0.1:3000/join)
//! $ curl -N -H "Authorization: Bearer $ADA" -H 'Accept: text/event-stream' http://127.0.0.1:3000/rooms/tea &
//! $ curl -H "Authorization: Bearer $ADA" --json '"hello"' http://127.0.0.1:3000/rooms/tea
//! $ npx wscat -s realtime.v1 -c "ws://127.0.0.1:3000/rooms/tea?token=$ADA"
//! > {"ref":1,"event":"say","data":"hello"}
//! $ curl -H 'Authorization: Bearer secret' http://127.0.0.1:3000/rooms          # all rooms, for the moderator alone
//! ```
//!
//! A room is a topic, all rooms are a prefix. The token is looked at on every request, resumes too.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use realtime_axum::Realtime;
use realtime_core::{Event, Log, Start, Topic, TopicSet};
use realtime_examples::{Result, Tokens, listen, stop};
use realtime_tower::{Handle, Inbound, UplinkError};
use serde_json::json;

#[tokio::main]
async fn main() -> Result {
    let chat = Chat::default();
    let moderator = Member { name: "moderator".into(), moderates: true };
    _ = std::env::var("MODERATOR").map(|token| chat.members.admit(token, moderator));
    let (app, handle) = app(chat);
    let listener = listen("/").await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(handle.drain_on(stop(), Duration::from_secs(5)))
        .await?;
    Ok(())
}

#[derive(Clone, Default)]
struct Chat {
    log: Log,
    members: Tokens<Member>,
}

fn app(chat: Chat) -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount().default_start(Start::Last(50)).build();
    let app = Router::new()
        .route("/", get(Html(include_str!("../pages/chat.html"))))
        .route("/join", post(join))
        .route("/rooms/{room}", mount.route(room))
        .route("/rooms", mount.route(all_rooms))
        .with_state(chat);
    (app, handle)
}

/// Gives a token to whoever asks; yours asks for more than a name.
async fn join(State(chat): State<Chat>, name: String) -> std::result::Result<String, StatusCode> {
    let member = Member { name, moderates: false };
    chat.members.issue(member).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Who asks: by `Authorization`, or by `?token=`, for a browser's WebSocket can set no header.
#[derive(Clone)]
struct Member {
    name: String,
    moderates: bool,
}

impl FromRequestParts<Chat> for Member {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, chat: &Chat) -> std::result::Result<Self, StatusCode> {
        let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri).ok();
        let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
        let token = bearer.or_else(|| query.as_ref()?.get("token").map(String::as_str));
        token.and_then(|token| chat.members.who(token)).ok_or(StatusCode::UNAUTHORIZED)
    }
}

async fn room(Path(room): Path<String>, member: Member, State(chat): State<Chat>, rt: Realtime) -> Response {
    let Ok(topic) = Topic::new(format!("room/{room}")) else { return StatusCode::NOT_FOUND.into_response() };
    let room = chat.log.topics(topic.clone());
    rt.serve(room).on_message(move |said| say(chat.log.clone(), topic.clone(), member.clone(), said)).await
}

async fn say(log: Log, topic: Topic, from: Member, said: Inbound) -> std::result::Result<(), UplinkError> {
    let said = json!({ "from": from.name, "text": said.to_text()? });
    log.publish(Event::json("said", &said)?.with_topic(topic))?;
    Ok(())
}

async fn all_rooms(member: Member, State(chat): State<Chat>, rt: Realtime) -> Response {
    match TopicSet::prefix("room/") {
        Ok(rooms) if member.moderates => rt.serve(chat.log.topics(rooms)).await,
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use realtime_tower::testing;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_by_any_transport_is_heard_in_its_room_alone() -> Result {
        let chat = Chat::default();
        let token = join(State(chat.clone()), "ada".into()).await.expect("there is randomness");
        let (app, _handle) = app(chat);
        let at = |room: &str| Request::get(format!("/rooms/{room}?token={token}")).body(Body::empty());
        let mut tea = testing::web_socket(app.clone(), at("tea")?).await?;
        let mut coffee = testing::web_socket(app.clone(), at("coffee")?).await?;

        let posted = Request::post("/rooms/tea").header("authorization", format!("Bearer {token}"));
        let posted = posted.header("content-type", "application/json").body(Body::from(r#""by post""#))?;
        assert_eq!(app.clone().oneshot(posted).await?.status(), StatusCode::NO_CONTENT);
        coffee.ask("say", "by socket").await?.answer.expect("nobody refuses coffee");
        assert_eq!(tea.event().await?.text()?, r#"{"from":"ada","text":"by post"}"#);
        assert_eq!(coffee.event().await?.text()?, r#"{"from":"ada","text":"by socket"}"#);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn only_members_read_and_only_a_moderator_reads_everything() -> Result {
        let chat = Chat::default();
        chat.members.admit("a".into(), Member { name: "ada".into(), moderates: false });
        chat.members.admit("m".into(), Member { name: "max".into(), moderates: true });
        let (app, _handle) = app(chat);
        let cases = [
            ("/tea", 401),
            ("/tea?token=b", 401),
            ("/tea?token=a", 200),
            ("?token=a", 403),
            ("?token=m", 200),
        ];
        for (uri, status) in cases {
            let request = Request::get(format!("/rooms{uri}")).body(Body::empty())?;
            assert_eq!(app.clone().oneshot(request).await?.status(), status, "{uri}");
        }
        Ok(())
    }
}
