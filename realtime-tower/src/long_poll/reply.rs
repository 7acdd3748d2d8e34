use std::pin::Pin;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use realtime_core::Feed;

use super::LongPollConfig;
use crate::body::Body;
use crate::mount::{Away, Permit};
use crate::negotiate::{Ask, Asked, Tags};
use crate::page::{self, Media, Page, PageLimits};
use crate::transport::{Answer, Room, Visit, Waiting};
use crate::uplink::Uplink;
use crate::{observe, reject};

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
        let mut response = page.answer(*media, if_none_match, StatusCode::NO_CONTENT, permit);
        let head = response.headers_mut();
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        head.insert(APPLIED, applied(*wait));
        // Sent away in the middle of its wait: else it would be back before the others, and find nobody.
        if !page.has_news() && permit.is_told() && !permit.is_expired() {
            head.insert(header::RETRY_AFTER, reject::seconds(permit.retry()));
        }
        response
    }
}

/// What is said of waits below this is there already; the default's are.
const READY_SECONDS: usize = 100;

const READY: [[u8; "wait=00".len()]; READY_SECONDS] = {
    let mut ready = [*b"wait=00"; READY_SECONDS];
    let mut seconds = 0;
    while seconds < READY_SECONDS {
        // One digit of one below ten.
        ready[seconds][5] = b'0' + (if seconds < 10 { seconds } else { seconds / 10 }) as u8;
        ready[seconds][6] = b'0' + (seconds % 10) as u8;
        seconds += 1;
    }
    ready
};

/// The preference that was applied.
pub(super) fn applied(wait: Duration) -> HeaderValue {
    static TEXTS: [[u8; "wait=00".len()]; READY_SECONDS] = READY;
    let seconds = wait.as_secs();
    let ready = usize::try_from(seconds).ok().and_then(|seconds| TEXTS.get(seconds));
    let ready = ready.and_then(|text| std::str::from_utf8(&text[..if seconds < 10 { 6 } else { 7 }]).ok());
    match ready {
        Some(text) => HeaderValue::from_static(text),
        None => {
            HeaderValue::try_from(format!("wait={seconds}")).unwrap_or(HeaderValue::from_static("wait=0"))
        }
    }
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
        let (_, accepted) = Media::accepted(ask)?;
        match ask.live.as_deref() {
            Some("long-poll") => Some(Asked::OUTRIGHT),
            Some(_) => None,
            None => {
                ask.wait.is_some_and(|wait| !wait.is_zero()).then(|| Asked::by(accepted, page::RANK_WAITING))
            }
        }
    }

    fn is_unmistakable(&self, ask: &Ask) -> bool {
        ask.live.as_deref() == Some("long-poll") || ask.wait.is_some()
    }

    fn head(&self, ask: &Ask) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let media = Media::accepted(ask).map_or(Media::Json, |(media, _)| media);
        response.headers_mut().insert(header::CONTENT_TYPE, media.content_type());
        response
    }

    fn away(&self, _: &Ask, away: Away, retry: Duration) -> Response<Body> {
        reject::kept_away(away, retry)
    }

    async fn answer<F: Feed, U: Uplink>(&self, visit: Box<Visit<F, U>>) -> Answer {
        let Visit { ask, mut feed, opened, resumed, permit, .. } = visit.unboxed();
        let Some(opened) = opened else {
            return reject::kept_away(Away::Source, permit.config().retry).into();
        };
        let media = Media::accepted(&ask).map_or(Media::Json, |(media, _)| media);
        let wait = self.wait(&ask);
        observe::connected(&permit, &opened, resumed);
        let mut page = Page::new(&opened);
        let patience = permit.config().source_wait;
        match page.fill(&mut feed, self.0.page, patience).await {
            _ if permit.is_expired() => return reject::expired().into(),
            Err(error) => return page::failed(error, &permit).into(),
            Ok(()) => {}
        }
        let look = Look { page, permit, media, if_none_match: ask.if_none_match, wait };
        if look.page.has_news() { look.answer().into() } else { Answer::Waits(look.wait(feed, self.0.page)) }
    }
}
