//! A mount over a source near or far, with a publisher beside it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use realtime_core::{BoxSource, Event, Log, SourceExt, Topic};
use realtime_tests::remote::{Manners, Remote};
use realtime_tower::{Body, Handle, Inbound, builder, uplink_fn};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// Where the events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    /// It takes time to open and to read.
    Remote,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Log, Self::Remote];
}

#[derive(Clone)]
pub(crate) enum Publisher {
    Log(Log),
    Remote(Remote),
}

/// Events that are there from the beginning, and those that come later, one every so often.
pub(crate) const EARLY: usize = 3;
pub(crate) const LATE: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// A mount with all transports and an uplink; what a request's body is varies.
pub(crate) type Service = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) struct World {
    pub(crate) source: BoxSource,
    pub(crate) publisher: Publisher,
    pub(crate) handle: Handle,
    pub(crate) service: Service,
    /// Messages whose handling has begun, and those it has ended of.
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) ended: Arc<AtomicUsize>,
}

pub(crate) fn topic() -> Topic {
    Topic::new("t").unwrap()
}

fn event(n: usize) -> Event {
    Event::text("tick", format!("event {n}")).unwrap().with_topic(topic())
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let (publisher, source) = match kind {
            Kind::Log => {
                let log = Log::new();
                (Publisher::Log(log.clone()), log.boxed())
            }
            Kind::Remote => {
                let remote = Remote::new(Manners::default());
                (Publisher::Remote(remote.clone()), remote.boxed())
            }
        };
        (0..EARLY).for_each(|n| publisher.publish(n));
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (begins, ends) = (begun.clone(), ended.clone());
        let uplink = uplink_fn(move |_: Inbound| {
            let (begins, ends) = (begins.clone(), ends.clone());
            async move {
                begins.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(PAUSE).await;
                tokio::task::yield_now().await;
                ends.fetch_add(1, Ordering::SeqCst);
                "handled"
            }
        });
        let (service, handle) = builder().source(source.clone()).uplink(uplink).service();
        Self { source, publisher, handle, service: Service::new(service), begun, ended }
    }

    /// The late events come, and then the end.
    pub(crate) fn goes_on(&self) -> tokio::task::JoinHandle<()> {
        let publisher = self.publisher.clone();
        tokio::spawn(async move {
            for n in EARLY..EARLY + LATE {
                tokio::time::sleep(PAUSE).await;
                publisher.publish(n);
            }
            tokio::time::sleep(PAUSE).await;
            publisher.close();
        })
    }

    pub(crate) fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    /// No permit is out and nobody is subscribed, now and not later. (D-16)
    pub(crate) fn is_left(&self, what: &str) {
        assert_eq!(self.readers(), 0, "{what}: a permit is left");
        assert_eq!(self.publisher.subscriptions(), 0, "{what}: a subscription is left");
    }

    /// [`is_left`](World::is_left), once the tasks that are told have run.
    pub(crate) async fn comes_to_be_left(&self, what: &str) {
        for _ in 0..100 {
            if self.readers() == 0 && self.publisher.subscriptions() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.is_left(what);
    }

    /// What a page from this place on holds: every payload, to the end of the source.
    pub(crate) async fn rest(&self, place: &str) -> Vec<String> {
        let request = request(&format!("/?offset={place}"), &[("accept", "application/json")]);
        let response = self.service.clone().oneshot(request).await.unwrap();
        let page = realtime_tower::testing::page(response).await.unwrap();
        assert!(page.up_to_date, "a page holds them all");
        page.events.iter().map(|event| event.text().unwrap()).collect()
    }

    /// Whoever comes back to the place after so many events gets all the others.
    pub(crate) async fn loses_nothing(&self, what: &str, place: &str, seen: usize) {
        let all: Vec<_> = (0..EARLY + LATE).map(|n| format!("event {n}")).collect();
        assert_eq!(self.rest(place).await, all[seen..], "{what}, from {place}");
    }
}

impl Publisher {
    pub(crate) fn publish(&self, n: usize) {
        match self {
            Self::Log(log) => drop(log.publish(event(n)).unwrap()),
            Self::Remote(remote) => drop(remote.publish(event(n))),
        }
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Log(log) => log.close(),
            Self::Remote(remote) => remote.close(),
        }
    }

    pub(crate) fn subscriptions(&self) -> usize {
        match self {
            Self::Log(log) => log.readers(&topic()),
            Self::Remote(remote) => remote.feeds(),
        }
    }
}

pub(crate) fn request(path: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new().boxed_unsync()).unwrap()
}
