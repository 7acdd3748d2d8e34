//! Signed cursors whose scope and principal the handler names, known only behind its own extractors.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use realtime_axum::Realtime;
use realtime_core::Log;
use realtime_tower::CursorKeys;

use crate::kit::{SSE, app, ask, get, open, publish, readers};

async fn room(
    Path(room): Path<String>,
    headers: HeaderMap,
    State(log): State<Log>,
    rt: Realtime,
) -> Response {
    let user = headers.get("x-user").map(|user| user.as_bytes().to_vec()).unwrap_or_default();
    rt.serve(log.topic(&*room)).cursor_scope(&room).principal(user).await
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_what_is_read_by_whom_and_no_other_cursor_is_taken() {
    let log = Log::new();
    let (mount, handle) = realtime_axum::mount().cursor_keys(CursorKeys::new([7; 32]).unwrap()).build();
    let signed = Router::new().route("/rooms/{room}", mount.route(room)).with_state(log.clone());
    for n in 1..=3 {
        publish(&log, "lobby", n);
    }
    let [ann, bob] = ["ann", "bob"].map(|user| ("x-user", user));
    let answer = get(&signed, "/rooms/lobby?offset=last-2", &[ann]).await;
    let token = answer.header("stream-next-offset").unwrap().to_owned();
    let plain = log.tail().to_string();
    assert_eq!(token.split_once('-').map(|(cursor, tag)| (cursor, tag.len())), Some((&*plain, 22)));
    publish(&log, "lobby", 4);
    for (uri, token, who, status) in [
        ("/rooms/lobby", &token, ann, 200),
        ("/rooms/lobby", &token, bob, 400),
        ("/rooms/cellar", &token, ann, 400),
        ("/rooms/lobby", &plain, ann, 400),
    ] {
        let after = [who, ("last-event-id", token.as_str())];
        let answer = get(&signed, uri, &after).await;
        assert_eq!(answer.status, status, "{uri} {token} {who:?}");
        assert_eq!(answer.text().contains(r#""data":4"#), status == 200);
        assert_eq!(ask(&signed, "HEAD", uri, &after, "").await.status, status);
        assert_eq!(open(&signed, uri, &[who, SSE, after[1]]).await.status, status);
    }
    assert_eq!(readers(&handle.stats()), 0, "what was refused has left no seat");
    // A mount without keys takes none with a tag.
    assert_eq!(get(&app(&log).0, "/events", &[("last-event-id", &token)]).await.status, 400);
}
