use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header};
use realtime_core::Feed;

use super::PollConfig;
use crate::body::Body;
use crate::mount::Away;
use crate::negotiate::{Ask, Asked};
use crate::page::{self, Heads, Media, Page};
use crate::transport::{Answer, Arrival, Room, Visit};
use crate::uplink::Uplink;
use crate::{headers, observe, reject};

/// Polling, as a part of a mount.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{PollConfig, PollTransport, builder};
///
/// let config = PollConfig::default();
/// let (_service, _handle) = builder().source(Log::new()).transports((PollTransport(config),)).service();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PollTransport(pub PollConfig);

/// Kept by the client alone, and asked about each time.
const CACHE_CONTROL: &str = "private, no-cache";

static HEADS: LazyLock<Heads> = LazyLock::new(|| Heads::new(StatusCode::OK, CACHE_CONTROL, None));

impl Room for PollTransport {
    const NAME: &'static str = "poll";
    const METHODS: &'static [Method] = &[Method::GET];

    fn asked(&self, ask: &Ask) -> Option<Asked> {
        let (_, accepted) = Media::accepted(ask)?;
        match ask.live.as_deref() {
            Some("poll") => Some(Asked::OUTRIGHT),
            Some(_) => None,
            None => Some(Asked::by(accepted, page::rank(ask, accepted))),
        }
    }

    fn is_unmistakable(&self, ask: &Ask) -> bool {
        ask.live.as_deref() == Some("poll")
    }

    fn head(&self, ask: &Ask) -> Response<Body> {
        let mut response = headers::answer(Body::empty());
        let media = Media::accepted(ask).map_or(Media::Json, |(media, _)| media);
        response.headers_mut().insert(header::CONTENT_TYPE, media.content_type());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
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
        observe::connected(permit, opened, *resumed);
        let mut page = Page::new(opened);
        let patience = permit.config().source_wait;
        match page.fill(&mut feed, self.0.page, patience).await {
            // It took its time: what was read comes too late.
            _ if permit.is_expired() => reject::expired().into(),
            Ok(()) => page.answer(media, &ask.if_none_match, &HEADS, permit).into(),
            Err(error) => page::failed(error, permit).into(),
        }
    }
}
