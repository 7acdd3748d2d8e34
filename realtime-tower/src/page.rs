//! What a poll of any kind answers with: one bounded page of a feed, and its JSON.

mod marks;
mod pieces;
mod text;

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use realtime_core::{Batch, Cursor, Delivery, Feed, Gap, Opened, SourceError};

use crate::body::Body;
use crate::headers;
use crate::mount::{Away, Permit};
use crate::negotiate::{Accepted, Ask, Tags};
use crate::stats::add;
use crate::timer::{Deadline, pause};
use crate::{observe, reject};

use self::marks::{Marks, Way};

/// How much one answer of a poll carries at most.
///
/// ```
/// use std::num::NonZeroUsize;
/// use realtime_tower::PageLimits;
///
/// let limits = PageLimits { events_max: NonZeroUsize::new(100).unwrap(), ..PageLimits::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Events. Default 1,000.
    pub events_max: NonZeroUsize,
    /// Payload bytes, beyond the first event. Default 1 MiB.
    pub bytes_max: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { events_max: NonZeroUsize::new(1_000).unwrap_or(NonZeroUsize::MIN), bytes_max: 1 << 20 }
    }
}

/// The form a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    NdJson,
}

impl Media {
    /// The form a client accepts, and how; JSON where it does not mind.
    pub(crate) fn accepted(ask: &Ask) -> Option<(Self, Accepted)> {
        let json = ask.accept.of("application", "json").map(|accepted| (Self::Json, accepted));
        let lines = ask.accept.of("application", "x-ndjson").map(|accepted| (Self::NdJson, accepted));
        match (json, lines) {
            (Some(json), Some(lines)) if lines.1.weight() <= json.1.weight() => Some(json),
            (json, lines) => lines.or(json),
        }
    }

    /// What stands between two events.
    fn between(self) -> &'static [u8] {
        match self {
            Self::Json => b",",
            Self::NdJson => b"\n",
        }
    }

    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
        })
    }
}

// Where a client accepts two transports alike, the higher of these is meant: SSE that is named beats `Prefer: wait`,
// which beats a plain poll; without it JSON that is named beats SSE, and SSE beats a poll by default.
pub(crate) const RANK_LEAST: u8 = 0;
pub(crate) const RANK_WAITING: u8 = 1;
pub(crate) const RANK_STREAM: u8 = 2;

/// The rank of a plain poll.
pub(crate) fn rank(ask: &Ask, accepted: Accepted) -> u8 {
    match accepted {
        _ if ask.wait.is_some_and(|wait| !wait.is_zero()) => RANK_LEAST,
        Accepted::Named(_) => RANK_STREAM + 1,
        Accepted::Any(_) => RANK_WAITING,
    }
}

/// The answer where a source failed, or gave nothing in time.
pub(crate) fn failed(error: Option<SourceError>, permit: &Permit) -> Response<Body> {
    let hint = error.as_ref().and_then(SourceError::retry_after);
    observe::failed(permit, error.as_ref());
    reject::kept_away(Away::Source, hint.unwrap_or(permit.config().retry))
}

/// Headers of a page at most, one of the host's among them.
const HEADERS_MAX: usize = 12;

/// What the answers of one kind of poll begin with: each of their headers has its place there, those first that differ.
pub(crate) struct Heads {
    /// The status of a page without news.
    empty: StatusCode,
    json: HeaderMap,
    lines: HeaderMap,
    /// Of answers without a body.
    bare: HeaderMap,
}

impl Heads {
    /// With a header more that each of them has, if there is one.
    pub(crate) fn new(empty: StatusCode, cache_control: &'static str, more: Option<HeaderName>) -> Self {
        let mut bare = HeaderMap::with_capacity(HEADERS_MAX);
        let unsaid = HeaderValue::from_static("");
        for name in [ETAG, headers::NEXT_OFFSET].into_iter().chain(more) {
            bare.insert(name, unsaid.clone());
        }
        bare.extend(headers::COMMON.clone());
        bare.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        bare.insert(headers::UP_TO_DATE, headers::TRUE);
        let of = |media: Media| {
            let mut head = bare.clone();
            head.insert(CONTENT_TYPE, media.content_type());
            head
        };
        Self { empty, json: of(Media::Json), lines: of(Media::NdJson), bare }
    }
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    from: Cursor,
    /// In a box, for most pages have none.
    gap: Option<Box<Gap>>,
    /// Most pages have one batch at most, which takes no allocation.
    first: Option<Batch>,
    rest: Vec<Batch>,
    events: usize,
    bytes: usize,
    pub(crate) next: Cursor,
    up_to_date: bool,
    closed: bool,
    /// Nothing more fits, or nothing more may stand on it.
    is_full: bool,
}

impl Page {
    pub(crate) fn new(opened: &Opened) -> Self {
        Self {
            from: opened.cursor,
            gap: opened.gap.map(Box::new),
            first: None,
            rest: Vec::new(),
            events: 0,
            bytes: 0,
            next: opened.place(),
            up_to_date: false,
            closed: false,
            is_full: false,
        }
    }

    /// Whether it is worth an answer before its time.
    pub(crate) fn has_news(&self) -> bool {
        self.events > 0 || self.gap.is_some() || self.closed
    }

    /// Takes what is there, up to the tail or the page's bounds, and the end if it is there: what is to be answered at once.
    ///
    /// # Errors
    /// As [`reach_the_tail`](Self::reach_the_tail).
    pub(crate) async fn fill<F: Feed>(
        &mut self,
        feed: &mut Pin<Box<F>>,
        limits: PageLimits,
        patience: Duration,
    ) -> Result<(), Option<SourceError>> {
        self.reach_the_tail(feed, limits, patience).await?;
        self.look_for_the_end(feed, limits)
    }

    /// Takes what is there, up to the tail or the page's bounds: a feed says `Live` before it waits for the first time.
    ///
    /// # Errors
    /// The source failed before it gave anything, or took longer than `patience` over one delivery (none).
    pub(crate) fn reach_the_tail<F: Feed>(
        &mut self,
        feed: &mut Pin<Box<F>>,
        limits: PageLimits,
        patience: Duration,
    ) -> impl Future<Output = Result<(), Option<SourceError>>> {
        // No `async`: that has its arguments twice, and every request has this.
        let mut deadline = None;
        poll_fn(move |cx| {
            while !self.up_to_date && !self.is_full {
                match feed.as_mut().poll_next(cx) {
                    Poll::Ready(delivery) => {
                        deadline = None;
                        self.take(delivery, limits).map_err(Some)?;
                    }
                    Poll::Pending => {
                        ready!(deadline.get_or_insert_with(|| Deadline::after(patience)).poll_due(cx));
                        return Poll::Ready(if self.has_news() { Ok(()) } else { Err(None) });
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Waits for what is worth an answer, until the time is over, the mount drains or the session ends.
    pub(crate) async fn wait<F: Feed>(
        &mut self,
        feed: &mut Pin<Box<F>>,
        limits: PageLimits,
        permit: &mut Permit,
        wait: Duration,
    ) -> Result<(), Option<SourceError>> {
        let mut time = pin!(pause(wait));
        poll_fn(|cx| {
            while !self.has_news() {
                // First: what comes with the end of the session comes too late.
                if permit.poll_expired(cx) {
                    return Poll::Ready(Ok(()));
                }
                match feed.as_mut().poll_next(cx) {
                    Poll::Ready(delivery) => self.take(delivery, limits).map_err(Some)?,
                    Poll::Pending if permit.poll_told(cx).is_ready() => return Poll::Ready(Ok(())),
                    Poll::Pending => return time.as_mut().poll(cx).map(Ok),
                }
            }
            Poll::Ready(self.look_for_the_end(feed, limits))
        })
        .await
    }

    /// Takes what is there without waiting, the end too: it must not look like no news.
    pub(crate) fn look_for_the_end<F: Feed>(
        &mut self,
        feed: &mut Pin<Box<F>>,
        limits: PageLimits,
    ) -> Result<(), Option<SourceError>> {
        while !self.is_full && !self.closed {
            // Nobody is woken for it: whoever waits asks again.
            match feed.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(delivery) => self.take(delivery, limits).map_err(Some)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        delivery: Option<Result<Delivery, SourceError>>,
        limits: PageLimits,
    ) -> Result<(), SourceError> {
        match delivery {
            Some(Ok(Delivery::Events(batch))) => self.add(batch, limits),
            // A gap stands at the head of a page: what is there already is answered first.
            Some(Ok(Delivery::Gap(_))) if self.has_news() => {
                self.up_to_date = false;
                self.is_full = true;
            }
            Some(Ok(Delivery::Gap(gap))) => {
                self.next = gap.to;
                self.gap = Some(Box::new(gap));
            }
            Some(Ok(Delivery::Live(cursor))) => {
                self.next = cursor;
                self.up_to_date = true;
            }
            Some(Ok(_)) => {}
            // What came before the failure is not lost by it: the client comes back for the rest.
            Some(Err(_)) if self.has_news() => self.is_full = true,
            Some(Err(error)) => return Err(error),
            None => {
                self.closed = true;
                self.up_to_date = true;
            }
        }
        Ok(())
    }

    fn add(&mut self, mut batch: Batch, limits: PageLimits) {
        let whole = batch.len();
        let room = limits.events_max.get() - self.events.min(limits.events_max.get());
        let mut bytes = self.bytes;
        let fits = batch
            .iter()
            .take(room)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.event().payload().bytes().len() + 1;
                first || bytes <= limits.bytes_max
            })
            .count();
        let Some(fits) = NonZeroUsize::new(fits) else {
            self.is_full = true;
            self.up_to_date = false;
            return;
        };
        // One that is cut is not live any more.
        batch.truncate(fits);
        self.is_full = fits.get() < whole;
        self.up_to_date = batch.is_live();
        self.bytes += batch.iter().map(|entry| entry.event().payload().bytes().len() + 1).sum::<usize>();
        self.events += batch.len();
        self.next = batch.cursor();
        match &self.first {
            None => self.first = Some(batch),
            Some(_) => self.rest.push(batch),
        }
    }

    /// The answer: the page, or 304 where the client has it already. A page without news has a body where it is a 200.
    pub(crate) fn answer(
        &self,
        media: Media,
        if_none_match: &Tags,
        heads: &Heads,
        permit: &Permit,
    ) -> Response<Body> {
        let counters = permit.counters();
        add(&counters.deliveries, self.events as u64);
        if let Some(gap) = &self.gap {
            observe::gap(permit, gap);
        }
        let cursors = permit.cursors();
        let way = Way { media, from: self.from, next: self.next, closed: self.closed };
        let Marks { etag, next } = Marks::of(way, cursors);
        let etag = Some(etag).filter(|_| self.gap.is_none());
        let is_known = etag.as_ref().is_some_and(|etag| self.is_known(if_none_match, etag));
        let status = match self.has_news() {
            _ if self.events == 0 && is_known => StatusCode::NOT_MODIFIED,
            true => StatusCode::OK,
            false => heads.empty,
        };
        if self.events == 0 {
            add(&counters.empties, 1);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let mut head = match (status, media) {
            (StatusCode::OK, Media::Json) => heads.json.clone(),
            (StatusCode::OK, Media::NdJson) => heads.lines.clone(),
            _ => heads.bare.clone(),
        };
        let body = (status == StatusCode::OK).then(|| self.body(media, next.as_bytes(), cursors));
        put(&mut head, [(ETAG, etag), (headers::NEXT_OFFSET, Some(next))]);
        if !self.up_to_date {
            head.remove(headers::UP_TO_DATE);
        }
        if self.closed {
            head.insert(headers::CLOSED, headers::TRUE);
        }
        *response.headers_mut() = head;
        if let Some((body, bytes)) = body {
            add(&counters.bytes, bytes as u64);
            *response.body_mut() = body;
        }
        response
    }

    /// Weak comparison with a list, or `*` (RFC 9110, sections 8.8.3.2 and 13.1.2). Who says `*` may never have seen
    /// that the source has ended: then it is not taken for an answer.
    fn is_known(&self, if_none_match: &Tags, etag: &HeaderValue) -> bool {
        fn opaque(tag: &[u8]) -> &[u8] {
            tag.strip_prefix(b"W/").unwrap_or(tag)
        }
        let ours = opaque(etag.as_bytes());
        // Mostly it is the whole header, and ours as we gave it.
        if_none_match.is(etag.as_bytes())
            || if_none_match.iter().any(|tag| if tag == b"*" { !self.closed } else { opaque(tag) == ours })
    }
}

/// Values into their places, found in one walk; where there is none, its place goes.
pub(crate) fn put<const N: usize>(head: &mut HeaderMap, values: [(HeaderName, Option<HeaderValue>); N]) {
    for (name, value) in values {
        match (value, head.iter_mut().find(|(place, _)| **place == name)) {
            (Some(value), Some((_, place))) => *place = value,
            _ => drop(head.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests;
