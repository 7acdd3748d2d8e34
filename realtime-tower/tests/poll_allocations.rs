//! What a poll costs the allocator: counted, by a process that does nothing else.

use std::alloc::System;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use realtime_core::{Event, Log};
use realtime_tower::{Body, Realtime};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The future, what was let in, the reader's seat with the mount and with the log, its feed, the visit, the headers and
/// two of their values, the tags it came with.
const KNOWN_MAX: usize = 12;

/// The same, and the body instead of the tags.
const PAGE_MAX: usize = 11;

/// The same, and the wait with its timer.
const WAITED_MAX: usize = 12;

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// A request with these headers.
fn request(headers: &[(&str, &str)]) -> Result<Request<Body>> {
    let request = Request::get("/").header("accept", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Ok(request.body(Body::empty())?)
}

/// What an answer cost from the request to its head, `meanwhile` being left out.
fn cost(
    mut service: impl Service<
        Request<Body>,
        Response = Response<Body>,
        Error = std::convert::Infallible,
        Future: Unpin,
    >,
    request: Request<Body>,
    mut meanwhile: impl FnMut() -> Result,
) -> Result<(Response<Body>, usize)> {
    let mut cx = Context::from_waker(Waker::noop());
    let before = allocations();
    let mut answer = service.call(request);
    let mut polled = std::pin::Pin::new(&mut answer).poll(&mut cx);
    let mut counted = allocations() - before;
    if polled.is_pending() {
        meanwhile()?;
        let before = allocations();
        polled = std::pin::Pin::new(&mut answer).poll(&mut cx);
        counted += allocations() - before;
    }
    match polled {
        Poll::Ready(Ok(response)) => Ok((response, counted)),
        Poll::Pending => Err("no answer".into()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_costs_a_dozen_allocations_and_so_does_a_wait() -> Result {
    let log = Log::new();
    let publish = || -> Result { Ok(log.publish(Event::text("tick", "tock")?).map(drop)?) };
    let first = log.publish(Event::text("tick", "tick")?)?.to_string();
    publish()?;
    let service = Realtime::new(log.clone());
    let place = [("last-event-id", &*first)];

    // The second of each: what grows once is not theirs.
    let mut page = None;
    for _ in 0..2 {
        page = Some(cost(service.clone(), request(&place)?, || Ok(()))?);
    }
    let (response, of_page) = page.ok_or("a page")?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).ok_or("a header");
    assert_eq!((response.status().as_u16(), header("stream-up-to-date")?), (200, "true"));

    let next = header("stream-next-offset")?.to_owned();
    let here = [("last-event-id", &*next)];
    let (unknown, _) = cost(service.clone(), request(&here)?, || Ok(()))?;
    let etag = unknown.headers()["etag"].to_str()?.to_owned();
    let known = [("last-event-id", &*next), ("if-none-match", &*etag)];
    let (response, of_known) = cost(service.clone(), request(&known)?, || Ok(()))?;
    assert_eq!(response.status(), 304);

    let waits = [("last-event-id", &*next), ("prefer", "wait=30")];
    let news = || -> Result {
        let place = log.tail().to_string();
        publish()?;
        // Its bytes are encoded for whoever comes first.
        cost(service.clone(), request(&[("last-event-id", &*place)])?, || Ok(()))?;
        Ok(())
    };
    cost(service.clone(), request(&waits)?, news)?;
    let next = log.tail().to_string();
    let waits = [("last-event-id", &*next), ("prefer", "wait=30")];
    let (response, of_waited) = cost(service.clone(), request(&waits)?, news)?;
    assert_eq!(
        (response.status().as_u16(), response.headers()["preference-applied"].to_str()?),
        (200, "wait=30")
    );

    assert!(of_page <= PAGE_MAX, "{of_page} for a page of one event");
    assert!(of_known <= KNOWN_MAX, "{of_known} for a page that is known");
    assert!(of_waited <= WAITED_MAX, "{of_waited} for one that was waited for");
    Ok(())
}
