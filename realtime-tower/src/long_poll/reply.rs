use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use realtime_core::Feed;

use super::LongPollConfig;
use crate::body::Body;
use crate::mount::{Away, Permit};
use crate::negotiate::{Ask, Asked, Tags};
use crate::page::{self, Heads, Media, Page, PageLimits};
use crate::transport::{Answer, Arrival, Room, Visit, Waiting};
use crate::uplink::Uplink;
use crate::{headers, observe, reject};

/// Long-polling, as a part of a mount.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{LongPollConfig, LongPollTransport, builder};
///
/// let config = LongPollConfig { wait: std::time::Duration::from_secs(10), ..LongPollConfig::default() };
/// let (_service, _handle) = builder().source(Log::new()).transports((LongPollTransport(config),)).service();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LongPollTransport(pub LongPollConfig);

const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

static HEADS: LazyLock<Heads> =
    LazyLock::new(|| Heads::new(StatusCode::NO_CONTENT, "no-store", Some(APPLIED)));

/// A page as far as it goes, and what is to be known for its answer: nothing else of the request is held while it waits.
struct Look {
    page: Page,
    permit: Permit,
    media: Media,
    if_none_match: Tags,
    wait: Duration,
}

impl Look {
    fn wait<F: Feed>(mut self, mut feed: Pin<Box<F>>, limits: PageLimits) -> Waiting {
        Box::pin(async move {
            match self.page.wait(&mut feed, limits, &mut self.permit, self.wait).await {
                Ok(()) => self.answer(),
                Err(error) => page::failed(error, &self.permit),
            }
        })
    }

    fn answer(&self) -> Response<Body> {
        let Self { page, permit, media, if_none_match, wait } = self;
        let mut response = page.answer(*media, if_none_match, &HEADS, permit);
        let head = response.headers_mut();
        page::put(head, [(APPLIED, Some(applied(*wait)))]);
        // Sent away in the middle of its wait: else it would be back before the others, and find nobody.
        if !page.has_news() && permit.is_told() && !permit.is_expired() {
            head.insert(header::RETRY_AFTER, reject::seconds(permit.retry()));
        }
        response
    }
}

/// The preference that was applied. What is said of short waits is there already; the default's are.
pub(super) fn applied(wait: Duration) -> HeaderValue {
    static SHORT: LazyLock<[HeaderValue; 64]> =
        LazyLock::new(|| std::array::from_fn(|seconds| in_seconds(seconds as u64)));
    let short = usize::try_from(wait.as_secs()).ok().and_then(|seconds| SHORT.get(seconds));
    short.cloned().unwrap_or_else(|| in_seconds(wait.as_secs()))
}

fn in_seconds(seconds: u64) -> HeaderValue {
    HeaderValue::try_from(format!("wait={seconds}")).unwrap_or(HeaderValue::from_static("wait=0"))
}

impl LongPollTransport {
    /// The wait, in whole seconds: what the client asked for up to the most, else the default, each client's a
    /// little shorter than the next so that they do not all come back at once.
    pub(super) fn wait(&self, ask: &Ask) -> Duration {
        match ask.wait {
            // Zero is zero, also where `?live=` has named the transport.
            Some(asked) => asked.min(Duration::from_secs(self.0.wait_max.as_secs())),
            None => {
                let wait = self.0.wait.mul_f64(1.0 - fastrand::f64() / 5.0);
                Duration::from_secs(wait.as_secs().max(1))
            }
        }
    }
}

impl Room for LongPollTransport {
    const NAME: &'static str = "long-poll";
    const METHODS: &'static [Method] = &[Method::GET];

    fn asked(&self, ask: &Ask) -> Option<Asked> {
        let accepted = || Media::accepted(ask).map(|(_, accepted)| accepted);
        match ask.live.as_deref() {
            Some("long-poll") => accepted().map(|_| Asked::OUTRIGHT),
            None if ask.wait.is_some_and(|wait| !wait.is_zero()) => {
                accepted().map(|accepted| Asked::by(accepted, page::RANK_WAITING))
            }
            _ => None,
        }
    }

    fn is_unmistakable(&self, ask: &Ask) -> bool {
        ask.live.as_deref() == Some("long-poll") || ask.wait.is_some()
    }

    fn head(&self, ask: &Ask) -> Response<Body> {
        let mut response = headers::answer(Body::empty());
        let media = Media::accepted(ask).map_or(Media::Json, |(media, _)| media);
        response.headers_mut().insert(header::CONTENT_TYPE, media.content_type());
        response
    }

    fn away(&self, _: &Ask, away: Away, retry: Duration) -> Response<Body> {
        reject::kept_away(away, retry)
    }

    async fn answer<F: Feed, U: Uplink>(&self, visit: Visit<F, U>) -> Answer {
        let Visit { arrival, mut feed, .. } = visit;
        let Arrival { ask, permit, opened, resumed, .. } = &*arrival;
        let Some(opened) = opened else {
            return reject::kept_away(Away::Source, permit.config().retry).into();
        };
        let media = Media::accepted(ask).map_or(Media::Json, |(media, _)| media);
        let wait = self.wait(ask);
        observe::connected(permit, opened, *resumed);
        let mut page = Page::new(opened);
        let patience = permit.config().source_wait;
        let reached = page.reach_the_tail(&mut feed, self.0.page, patience).await;
        let looked = match reached {
            // The first look of who waits is for the end too.
            Ok(()) if page.has_news() => page.look_for_the_end(&mut feed, self.0.page),
            reached => reached,
        };
        match looked {
            _ if permit.is_expired() => return reject::expired().into(),
            Err(error) => return page::failed(error, permit).into(),
            Ok(()) => {}
        }
        let Arrival { ask, permit, .. } = *arrival;
        let look = Look { page, permit, media, if_none_match: ask.if_none_match, wait };
        if look.page.has_news() { look.answer().into() } else { Answer::Waits(look.wait(feed, self.0.page)) }
    }
}
