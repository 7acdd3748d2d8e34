//! Long-polling: notifications per user, behind a cookie. `cargo run --bin long_polling`, open the printed URL, or:
//!
//! ```text
//! $ curl -i http://127.0.0.1:3000/notifications
//! HTTP/1.1 401 Unauthorized
//!
//! $ curl -c jar -d ada http://127.0.0.1:3000/login
//! $ curl -b jar -H 'Prefer: wait=20' 'http://127.0.0.1:3000/notifications?offset=now' &   # waits ..
//! $ curl -d 'Your parcel is here' http://127.0.0.1:3000/notify/ada                        # .. and is answered
//! {"events":[{"id":"6f6638d75918446b.0000000000000001","event":"notice","topic":"user/ada",
//!  "data":"Your parcel is here"}],"next":"6f6638d75918446b.0000000000000001","upToDate":true,"closed":false}
//! ```
//!
//! The cookie is checked on every request, those that go on from a cursor too, and the topic is made of who came in,
//! never of what was asked for: nobody can name another's.

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use realtime_axum::Realtime;
use realtime_core::{Event, Log, Start, Topic};
use realtime_examples::{Result, Tokens, listen, stop};
use realtime_tower::{Handle, LongPollTransport, PollTransport};

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
struct App {
    log: Log,
    sessions: Tokens<User>,
}

fn app() -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount()
        .transports((LongPollTransport::default(), PollTransport::default()))
        .default_start(Start::Last(20))
        .build();
    let app = Router::new()
        .route("/", get(Html(include_str!("../pages/long_polling.html"))))
        .route("/login", post(login))
        .route("/notify/{user}", post(notify))
        .route("/notifications", mount.route(notifications))
        .with_state(App::default());
    (app, handle)
}

/// The user a request comes from: an extractor like any other, and so are yours.
#[derive(Clone)]
struct User(String);

impl FromRequestParts<App> for User {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> std::result::Result<Self, StatusCode> {
        let session = session(&parts.headers).ok_or(StatusCode::UNAUTHORIZED)?;
        app.sessions.who(session).ok_or(StatusCode::UNAUTHORIZED)
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("session="))
}

async fn notifications(
    User(user): User,
    State(app): State<App>,
    rt: Realtime<(LongPollTransport, PollTransport)>,
) -> Response {
    rt.serve(app.log.topic(format!("user/{user}"))).await
}

/// Believes who you say you are; yours asks for a password.
async fn login(State(app): State<App>, user: String) -> std::result::Result<Response, StatusCode> {
    let session = app.sessions.issue(User(user)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let cookie = format!("session={session}; HttpOnly; SameSite=Strict; Path=/");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// What another part of the service would do: publish to whom it concerns, from anywhere.
async fn notify(Path(user): Path<String>, State(app): State<App>, text: String) -> StatusCode {
    let Ok(topic) = Topic::new(format!("user/{user}")) else { return StatusCode::NOT_FOUND };
    let published = Event::json("notice", &text).map(|notice| app.log.publish(notice.with_topic(topic)));
    if matches!(published, Ok(Ok(_))) { StatusCode::NO_CONTENT } else { StatusCode::PAYLOAD_TOO_LARGE }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use realtime_tower::testing;
    use tower::ServiceExt;

    use super::*;

    async fn send(app: &Router, uri: &str, body: &'static str) -> Result<Response> {
        Ok(app.clone().oneshot(Request::post(uri).body(Body::from(body))?).await?)
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_waits_for_what_concerns_her_and_for_nothing_else() -> Result {
        let (app, _handle) = app();
        let login = send(&app, "/login", "ada").await?;
        let cookie = login.headers()["set-cookie"].to_str()?.to_owned();
        let wait =
            Request::get("/notifications?offset=now").header("prefer", "wait=20").header("cookie", cookie);
        let waiting = tokio::spawn(app.clone().oneshot(wait.body(Body::empty())?));

        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(send(&app, "/notify/bob", "not hers").await?.status(), StatusCode::NO_CONTENT);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        send(&app, "/notify/ada", "hers").await?;
        let page = testing::page(waiting.await??).await?;
        assert_eq!((page.events.len(), page.events[0].text()?.as_str()), (1, "hers"));
        Ok(())
    }

    #[tokio::test]
    async fn who_has_no_session_is_told_nothing() -> Result {
        for cookie in ["", "session=", "session=0", "other=1; session=guess"] {
            let request =
                Request::get("/notifications?offset=-1").header("cookie", cookie).body(Body::empty())?;
            assert_eq!(app().0.oneshot(request).await?.status(), StatusCode::UNAUTHORIZED, "{cookie}");
        }
        Ok(())
    }
}
