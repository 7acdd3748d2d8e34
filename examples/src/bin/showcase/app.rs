//! The routes.

use std::mem;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use realtime_axum::Realtime;
use realtime_core::{Log, Start};
use realtime_examples::hosts;
use realtime_tower::Handle;

use crate::costs::{Heads, Pane, Panes, count_heads};
use crate::figures::Pace;
use crate::restart::Restartable;
use crate::{assets, chat, uplink};

/// Where the figures are read: by anybody, by each pane of the page, and by the one reader that changes its transport.
const MOUNTS: [(&str, &str); 6] = [
    ("all", "/events"),
    ("1", "/events/1"),
    ("2", "/events/2"),
    ("3", "/events/3"),
    ("4", "/events/4"),
    ("5", "/events/5"),
];

/// What a reader gets that names no place: two seconds of the past, and what follows.
const FIRST: Start = Start::Last(8);

/// What a newcomer to the room hears of before.
const SAID_BEFORE: Start = Start::Last(50);

/// All that the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) figures: Restartable,
    pub(crate) pace: Arc<Pace>,
    pub(crate) said: Log,
}

#[derive(Clone)]
struct App {
    shared: Shared,
    panes: Panes<{ MOUNTS.len() }>,
}

/// All routes, and the grip on all readers.
pub(crate) fn app(shared: Shared) -> (Router, Vec<Handle>) {
    let mut router = Router::<App>::new().merge(assets::routes()).route("/stats", get(stats));
    let panes = MOUNTS.map(|(name, path)| {
        let (mount, handle) = realtime_axum::mount().default_start(FIRST).hosts(hosts()).build();
        let heads = Arc::new(Heads::default());
        let counted = middleware::from_fn_with_state(heads.clone(), count_heads);
        router = mem::take(&mut router).route(path, mount.route(events).layer(counted));
        Pane { name, handle, heads }
    });
    let (room, said) = realtime_axum::mount().default_start(SAID_BEFORE).hosts(hosts()).build();
    let panes = Panes(Arc::new(panes));
    let handles = panes.handles().into_iter().chain([said]).collect();
    let router = router.route("/chat", room.route(chat));
    (router.with_state(App { shared, panes }), handles)
}

/// Every transport, and two-way on each of them.
async fn events(State(App { shared, .. }): State<App>, rt: Realtime) -> Response {
    let figures = shared.figures.clone();
    let answer = move |message| {
        let shared = shared.clone();
        async move { uplink::answer(&message, &shared) }
    };
    rt.serve(figures).on_message(answer).await
}

async fn chat(State(App { shared, .. }): State<App>, rt: Realtime) -> Response {
    chat::room(shared.said, rt).await
}

async fn stats(State(App { panes, .. }): State<App>) -> impl IntoResponse {
    let costs = serde_json::to_string(&panes.costs()).expect("numbers by names are JSON");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], costs)
}
