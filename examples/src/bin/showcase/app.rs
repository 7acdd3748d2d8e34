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

use crate::costs::{Heads, Pane, Panes, count_heads};
use crate::figures::Pace;
use crate::{assets, uplink};

/// Where events are read: by anybody, and by each pane of the page.
const MOUNTS: [(&str, &str); 5] =
    [("all", "/events"), ("1", "/events/1"), ("2", "/events/2"), ("3", "/events/3"), ("4", "/events/4")];

/// What a reader gets that names no place: two seconds of the past, and what follows.
const FIRST: Start = Start::Last(8);

#[derive(Clone)]
struct App {
    log: Log,
    pace: Arc<Pace>,
    panes: Panes<{ MOUNTS.len() }>,
}

/// All routes, and the grip on all readers.
pub(crate) fn app(log: Log, pace: Arc<Pace>) -> (Router, Panes<{ MOUNTS.len() }>) {
    let mut router = Router::new().merge(assets::routes()).route("/stats", get(stats));
    let panes = MOUNTS.map(|(name, path)| {
        let (mount, handle) = realtime_axum::mount().default_start(FIRST).build();
        let heads = Arc::new(Heads::default());
        let counted = middleware::from_fn_with_state(heads.clone(), count_heads);
        router = mem::take(&mut router).route(path, mount.route(events).layer(counted));
        Pane { name, handle, heads }
    });
    let panes = Panes(Arc::new(panes));
    (router.with_state(App { log, pace, panes: panes.clone() }), panes)
}

/// Every transport, and two-way on each of them.
async fn events(State(app): State<App>, rt: Realtime) -> Response {
    let pace = app.pace;
    let answer = move |message| {
        let pace = pace.clone();
        async move { uplink::answer(&message, &pace) }
    };
    rt.serve(app.log).on_message(answer).await
}

async fn stats(State(app): State<App>) -> impl IntoResponse {
    let costs = serde_json::to_string(&app.panes.costs()).expect("numbers by names are JSON");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], costs)
}
