//! Messages with an `Idempotency-Key`, behind a router and one's own extractors: the window is the mount's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::Response;
use axum::routing::any;
use http::HeaderMap;
use realtime_axum::{FromMount, Mount, OnceConfig, Realtime, UplinkError};
use realtime_core::Log;

use crate::kit::{Answer, JSON, Lines, ask};

const KEY: (&str, &str) = ("idempotency-key", "\"one-key\"");

/// What a handler has done, and the mount that some of them go by.
#[derive(Clone)]
struct Shop {
    effects: Arc<AtomicUsize>,
    mount: Mount,
}

impl Shop {
    fn new() -> Self {
        Self { effects: Arc::default(), mount: realtime_axum::mount().build().0 }
    }

    /// The handler is made anew for each request; what it has done is not.
    async fn serve(self, user: Option<String>, rt: Realtime) -> Response {
        let serve = rt.serve(Log::new()).on_message(move |_| {
            let effect = self.effects.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok::<_, UplinkError>(format!("effect {effect}")) }
        });
        match user {
            Some(user) => serve.principal(user).await,
            None => serve.await,
        }
    }
}

impl FromRef<Shop> for Mount {
    fn from_ref(shop: &Shop) -> Mount {
        shop.mount.clone()
    }
}

async fn order(State(shop): State<Shop>, rt: Realtime) -> Response {
    shop.serve(None, rt).await
}

async fn order_from_mount(State(shop): State<Shop>, FromMount(rt): FromMount) -> Response {
    shop.serve(None, rt).await
}

async fn order_in_a_room(Path(_): Path<String>, State(shop): State<Shop>, rt: Realtime) -> Response {
    shop.serve(None, rt).await
}

/// The user is known here only, and not to a layer.
async fn order_of_a_user(headers: HeaderMap, State(shop): State<Shop>, rt: Realtime) -> Response {
    let user = headers.get("x-user").and_then(|user| user.to_str().ok()).map(str::to_owned);
    shop.serve(user, rt).await
}

/// The text of an answer, and whether it was given before.
async fn post(app: &Router, uri: &str, headers: &[(&str, &str)]) -> (String, bool) {
    let answer: Answer = ask(app, "POST", uri, &[&[JSON, KEY], headers].concat(), "7").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.text().to_owned(), answer.header("idempotent-replayed").is_some())
}

fn effect(n: usize, replayed: bool) -> (String, bool) {
    (format!("effect {n}"), replayed)
}

#[tokio::test(start_paused = true)]
async fn every_way_to_make_a_route_has_a_window() {
    let shop = Shop::new();
    for (what, route) in [
        ("route", realtime_axum::route(order)),
        ("Mount::route", shop.mount.route(order)),
        ("FromMount", any(order_from_mount)),
        ("a mount with knobs", realtime_axum::mount().once(OnceConfig::default()).build().0.route(order)),
    ] {
        let shop = Shop::new();
        let app = Router::new().route("/events", route).with_state(shop.clone());
        for replayed in [false, true, true] {
            assert_eq!(post(&app, "/events", &[]).await, effect(1, replayed), "{what}");
        }
        assert_eq!(shop.effects.load(Ordering::SeqCst), 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_routes_of_one_mount_are_two_urls() {
    let shop = Shop::new();
    let app = Router::new()
        .route("/a", shop.mount.route(order))
        .route("/b", shop.mount.route(order))
        .with_state(shop);
    assert_eq!(post(&app, "/a", &[]).await, effect(1, false));
    assert_eq!(post(&app, "/b", &[]).await, effect(2, false));
    assert_eq!(post(&app, "/a", &[]).await, effect(1, true));
}

/// `nest` takes the prefix off the path: `/rooms/1/events` and `/rooms/2/events` are both `/events` below it.
#[tokio::test(start_paused = true)]
async fn what_nest_takes_off_the_path_belongs_to_the_url() {
    let shop = Shop::new();
    let nested = Router::new().route("/events", shop.mount.route(order_in_a_room));
    let app = Router::new()
        .nest("/rooms/{room}", nested.clone())
        .nest("/halls/{room}", nested)
        .nest(
            "/from/{room}",
            Router::new().route(
                "/events",
                any(|path: Path<String>, state: State<Shop>, FromMount(rt): FromMount| {
                    order_in_a_room(path, state, rt)
                }),
            ),
        )
        .with_state(shop);
    let paths = [
        "/rooms/1/events",
        "/rooms/2/events",
        "/halls/1/events",
        "/halls/2/events",
        "/from/1/events",
        "/from/2/events",
    ];
    for replayed in [false, true] {
        for (n, path) in (1..).zip(paths) {
            assert_eq!(post(&app, path, &[]).await, effect(n, replayed), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_say_who_sends_it() {
    let shop = Shop::new();
    let app = Router::new().route("/events", shop.mount.route(order_of_a_user)).with_state(shop);
    for (user, token, expected) in [
        ("ann", "old", effect(1, false)),
        ("ann", "refreshed", effect(1, true)),
        ("bob", "refreshed", effect(2, false)),
    ] {
        let headers = [("x-user", user), ("authorization", token)];
        assert_eq!(post(&app, "/events", &headers).await, expected, "{user} {token}");
    }
    // Whom the handler does not name is told by what was sent.
    assert_eq!(post(&app, "/events", &[("authorization", "old")]).await, effect(3, false));
    assert_eq!(post(&app, "/events", &[("authorization", "refreshed")]).await, effect(4, false));
    assert_eq!(post(&app, "/events", &[("authorization", "old")]).await, effect(3, true));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_key_is_400_before_the_extractors() {
    let shop = Shop::new();
    let app = Router::new().route("/events", shop.mount.route(order_in_a_room)).with_state(shop.clone());
    // No such path parameter: the extractor would say 500.
    for key in ["\"", "a b"] {
        assert_eq!(ask(&app, "POST", "/events", &[JSON, ("idempotency-key", key)], "7").await.status, 400);
    }
    assert_eq!(shop.effects.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn neither_a_key_nor_credentials_are_logged() {
    let lines = Lines::new();
    let shop = Shop::new();
    let app = Router::new().route("/events", shop.mount.route(order)).with_state(shop);
    let secret = [
        ("authorization", "Bearer hush-token"),
        ("cookie", "id=hush-cookie"),
        ("origin", "http://a.example"),
    ];
    for replayed in [false, true] {
        assert_eq!(post(&app, "/events", &secret).await, effect(1, replayed));
    }
    tracing::info!("this is seen");
    assert!(lines.contain("this is seen"));
    for hidden in ["one-key", "hush"] {
        assert!(!lines.contain(hidden), "{hidden}");
    }
}
