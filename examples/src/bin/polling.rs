//! Polling: the progress of a job. `cargo run --bin polling`, then open the printed URL, or:
//!
//! ```text
//! $ curl -i -X POST http://127.0.0.1:3000/jobs
//! HTTP/1.1 202 Accepted
//! location: /jobs/1/events
//!
//! $ curl http://127.0.0.1:3000/jobs/1/events             # all there is; `next` is what to ask with
//! {"events":[{"id":"1133f7fb18e4a1b5.0000000000000001","event":"progress","topic":"job/1","data":{"percent":0}}],
//!  "next":"1133f7fb18e4a1b5.0000000000000001","upToDate":true,"closed":false}
//! $ curl -i 'http://127.0.0.1:3000/jobs/1/events?offset=NEXT'                          # with an `etag`
//! $ curl -i 'http://127.0.0.1:3000/jobs/1/events?offset=NEXT' -H 'If-None-Match: ETAG' # nothing new
//! HTTP/1.1 304 Not Modified
//! ```
//!
//! Each job has a topic of its own. It ends with the job, and then the answers say `"closed":true`: ask no more.

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
use realtime_tower::{Handle, PollTransport};
use serde_json::json;

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
struct Jobs {
    log: Log,
    /// The last job that was begun; their numbers are 1, 2 and so on.
    last: Arc<AtomicU64>,
}

fn app() -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount()
        .transports((PollTransport::default(),)) // leave it out to have every transport at these URLs
        .default_start(Start::Earliest) // who comes without a place wants the whole story
        .build();
    let app = Router::new()
        .route("/", get(Html(include_str!("../pages/polling.html"))))
        .route("/jobs", post(begin))
        .route("/jobs/{job}/events", mount.route(events))
        .with_state(Jobs::default());
    (app, handle)
}

async fn begin(State(jobs): State<Jobs>) -> impl IntoResponse {
    let job = jobs.last.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(export(jobs.log, job));
    (StatusCode::ACCEPTED, [(header::LOCATION, format!("/jobs/{job}/events"))])
}

async fn events(Path(job): Path<u64>, State(jobs): State<Jobs>, rt: Realtime<(PollTransport,)>) -> Response {
    if !(1..=jobs.last.load(Ordering::Relaxed)).contains(&job) {
        return StatusCode::NOT_FOUND.into_response();
    }
    rt.serve(jobs.log.topic(format!("job/{job}"))).await
}

/// Stands for work that takes a while and knows how far it is.
async fn export(log: Log, job: u64) -> Result {
    let topic = Topic::new(format!("job/{job}"))?;
    for percent in (0..100).step_by(10) {
        log.publish(Event::json("progress", &json!({ "percent": percent }))?.with_topic(topic.clone()))?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    log.publish(
        Event::json("done", &json!({ "file": format!("/exports/{job}.csv") }))?.with_topic(topic.clone()),
    )?;
    log.close_topic(&topic);
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use realtime_tower::testing::{self, Page};
    use tower::ServiceExt;

    use super::*;

    async fn ask(app: &Router, uri: &str, etag: &str) -> Result<Page> {
        let request = Request::get(uri).header("if-none-match", etag).body(Body::empty())?;
        Ok(testing::page(app.clone().oneshot(request).await?).await?)
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_followed_to_its_end_and_costs_nothing_while_it_is_quiet() -> Result {
        let (app, _handle) = app();
        let begun = app.clone().oneshot(Request::post("/jobs").body(Body::empty())?).await?;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let job = begun.headers()["location"].to_str()?.to_owned();

        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut page = ask(&app, &job, "none").await?;
        assert_eq!(page.events[0].name(), "progress");
        let place = format!("{job}?offset={}", page.next);
        let etag = ask(&app, &place, "none").await?.etag.expect("an answer without a gap has an ETag");
        assert_eq!(ask(&app, &place, &etag).await?.status, StatusCode::NOT_MODIFIED);

        let mut names = Vec::new();
        while !page.closed {
            tokio::time::sleep(Duration::from_secs(1)).await;
            page = ask(&app, &format!("{job}?offset={}", page.next), "none").await?;
            names.extend(page.events.iter().map(|event| event.name().to_owned()));
        }
        assert_eq!((names.len(), names.last().map(String::as_str)), (10, Some("done")));
        Ok(())
    }

    #[tokio::test]
    async fn a_job_that_never_was_is_not_found() -> Result {
        for job in ["0", "1"] {
            let request = Request::get(format!("/jobs/{job}/events")).body(Body::empty())?;
            assert_eq!(app().0.oneshot(request).await?.status(), StatusCode::NOT_FOUND);
        }
        Ok(())
    }
}
