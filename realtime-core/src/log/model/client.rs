//! A reader, and what it may be told.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_core::Stream as _;

use super::past::{EPOCH, Gone, Past};
use super::{FORMATS, is_table};
use crate::cursor::{Cursor, Start};
use crate::entry::Entry;
use crate::error::SourceError;
use crate::feed::{Batch, Delivery, Gap, GapReason, Opened};
use crate::log::{Log, ViewFeed};
use crate::source::Source;
use crate::topic::TopicSet;

/// Where a client begins, told by what there is then.
#[derive(Debug, Clone)]
pub(super) enum From {
    Earliest,
    Live,
    Last(u32),
    /// So many positions before the tail.
    Back(u64),
    Foreign,
    /// So many beyond it.
    Future(u64),
}

impl From {
    pub(super) fn start(&self, tail: Cursor) -> Start {
        match self {
            Self::Earliest => Start::Earliest,
            Self::Live => Start::Live,
            Self::Last(count) => Start::Last(*count),
            Self::Back(count) => Start::After(tail.at(tail.position().saturating_sub(u128::from(*count)))),
            Self::Foreign => Start::After(Cursor::new(EPOCH + 1, tail.position())),
            Self::Future(count) => Start::After(tail.at(tail.position() + u128::from(*count))),
        }
    }
}

type Item = Poll<Option<Result<Delivery, SourceError>>>;

#[derive(Debug)]
pub(super) struct Client {
    feed: ViewFeed,
    set: TopicSet,
    start: Start,
    bell: Arc<Bell>,
    seen: Seen,
    /// The place it would come back with.
    cursor: Option<Cursor>,
    place: u64,
    /// Of topics without keys it asked for nothing up to here.
    fresh_from: u64,
    /// Losses up to this turn were told, or not asked for.
    told: usize,
    batch: Option<Batch>,
    was_live: bool,
}

/// The last thing it saw.
#[derive(Debug, PartialEq)]
enum Seen {
    Nothing,
    Item,
    Rest,
    End,
}

impl Client {
    pub(super) fn new(log: &Log, set: TopicSet, start: Start) -> Self {
        let feed = log.topics(set.clone()).subscribe(start);
        Self {
            feed,
            set,
            start,
            bell: Arc::default(),
            seen: Seen::Nothing,
            cursor: None,
            place: 0,
            fresh_from: 0,
            told: 0,
            batch: None,
            was_live: false,
        }
    }

    pub(super) fn set(&self) -> &TopicSet {
        &self.set
    }

    pub(super) fn was_polled(&self) -> bool {
        self.seen != Seen::Nothing
    }

    /// It waits, and nobody has woken it.
    pub(super) fn is_parked(&self) -> bool {
        self.seen == Seen::Rest && !self.bell.0.load(Ordering::Relaxed)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.seen, Seen::Rest | Seen::End)
    }

    /// Where it goes on when it comes back: after the whole of its last batch, or cut after so many events of it.
    pub(super) fn start(&self, cut: Option<usize>) -> Option<Start> {
        let cut = cut.and_then(|cut| self.batch.as_ref()?.iter().nth(cut).map(Entry::cursor));
        cut.or(self.cursor).map(Start::After)
    }

    pub(super) fn poll(&mut self) -> Item {
        self.bell.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(self.bell.clone());
        Pin::new(&mut self.feed).poll_next(&mut Context::from_waker(&waker))
    }

    /// Fills the encodings of what came last.
    pub(super) fn encode(&self, formats: usize) {
        for format in &FORMATS[..formats] {
            for entry in self.batch.iter().flatten() {
                let bytes =
                    entry.encoded(*format, |entry| Bytes::from(vec![b'-'; entry.event().bytes() / 2]));
                assert_eq!(bytes.len(), entry.event().bytes() / 2);
            }
        }
    }

    /// Judges an item by what happened; false when there is nothing more to read for now.
    pub(super) fn judge(&mut self, item: Item, past: &Past, log: &Log) -> bool {
        let delivery = match item {
            Poll::Pending => {
                assert!(self.was_live, "{self:?} waits before Live");
                self.passes(past.head, &[], past);
                assert!(!past.is_over(&self.set), "{self:?} waits at the end");
                self.seen = Seen::Rest;
                return false;
            }
            Poll::Ready(None) => {
                assert!(past.is_over(&self.set), "{self:?} ended");
                self.passes(past.head, &[], past);
                self.seen = Seen::End;
                return false;
            }
            Poll::Ready(Some(item)) => item.unwrap(),
        };
        let is_open = matches!(delivery, Delivery::Open(_));
        assert_eq!(is_open, self.seen == Seen::Nothing, "Open comes first and once: {self:?}");
        self.seen = Seen::Item;
        match delivery {
            Delivery::Open(opened) => self.opened(opened, past),
            Delivery::Events(batch) => self.events(batch, past, log),
            Delivery::Gap(gap) => {
                assert!(matches!(gap.reason, GapReason::Overflow | GapReason::Source));
                self.gap(gap, past);
            }
            Delivery::Live(cursor) => {
                assert_eq!(cursor.position() as u64, past.head, "Live is the tail");
                self.moves(cursor, &[], past);
                self.was_live = true;
            }
        }
        true
    }

    fn opened(&mut self, opened: Opened, past: &Past) {
        let position = opened.cursor.position() as u64;
        match self.start {
            Start::After(came) => {
                assert_eq!(opened.cursor, came);
                self.place = position;
                if came.epoch() != EPOCH || position > past.head {
                    let gap = opened.gap.expect("another history is a gap");
                    assert_eq!((gap.reason, gap.from), (GapReason::Epoch, Some(came)));
                    self.place = 0;
                    self.told = past.turn;
                    self.moves(gap.to, &[], past);
                } else if let Some(gap) = opened.gap {
                    assert!(matches!(gap.reason, GapReason::Trimmed | GapReason::Source));
                    self.gap(gap, past);
                } else {
                    self.cursor = Some(came);
                }
            }
            fresh => {
                self.told = past.turn;
                self.fresh_from = self.asked_from(fresh, past);
                let table = past.held(&self.set, ..).find(|(_, event)| is_table(&event.topic().cloned()));
                let first = table.map_or(self.fresh_from, |(first, _)| self.fresh_from.min(first - 1));
                assert_eq!(position, first, "{self:?}");
                self.place = position;
                self.cursor = Some(opened.cursor);
                let begins = self.place.max(self.fresh_from);
                assert_eq!(opened.gap.is_some(), past.lost_on_the_way_in(begins, 0), "a hole is said");
                if let Some(gap) = opened.gap {
                    assert_eq!(gap, Gap::new(GapReason::Source, Some(opened.cursor), opened.cursor));
                }
            }
        }
        let is_done = past.is_over(&self.set)
            && past.held(&self.set, self.place + 1..).all(|(at, event)| !self.wants(at, event));
        assert_eq!(opened.at_end, is_done);
    }

    /// Just before the first event that a fresh reader asks for, those of tables apart.
    fn asked_from(&self, start: Start, past: &Past) -> u64 {
        let history = || {
            past.held(&self.set, ..).filter(|(_, event)| !is_table(&event.topic().cloned())).map(|(at, _)| at)
        };
        let oldest = || past.held(&self.set, ..).next().map_or(past.head, |(first, _)| first - 1);
        match start {
            Start::Earliest => oldest(),
            Start::Last(count @ 1..) => {
                let last = history().rev().take(count as usize).last();
                last.map_or(past.head, |first| first - 1)
            }
            _ => past.head,
        }
    }

    fn wants(&self, position: u64, event: &crate::event::Event) -> bool {
        position > self.fresh_from || is_table(&event.topic().cloned())
    }

    fn events(&mut self, batch: Batch, past: &Past, log: &Log) {
        let mut delivered = Vec::with_capacity(batch.len());
        for entry in &batch {
            let position = entry.cursor().position() as u64;
            assert!(position > delivered.last().copied().unwrap_or(self.place), "places rise");
            let published = &past.events[&position];
            assert_eq!(entry.event().payload(), published.event.payload());
            assert!(self.set.contains(entry.event().topic()) && self.wants(position, entry.event()));
            assert!(log.shared.state.lock().all.contains_key(&position), "{position} is gone");
            delivered.push(position);
        }
        if batch.is_live() {
            let mut later = past.held(&self.set, batch.cursor().position() as u64 + 1..);
            assert!(later.all(|(at, event)| !self.wants(at, event)), "there is more than {batch:?}");
        }
        self.moves(batch.cursor(), &delivered, past);
        self.batch = Some(batch);
    }

    fn gap(&mut self, gap: Gap, past: &Past) {
        assert_eq!(gap.from, Some(gap.to.at(self.place.into())), "a gap begins at the reader's place");
        let after = self.place.max(self.fresh_from);
        assert!(past.may_be_told(&self.set, after, self.told), "{gap:?} is not owed to {self:?}");
        if gap.reason == GapReason::Source {
            assert!(past.lost_on_the_way_in(after, self.told), "{gap:?} was not said by the producer");
        }
        self.told = past.turn;
        self.moves(gap.to, &[], past);
        let next = past.held(&self.set, self.place + 1..).find(|(at, event)| self.wants(*at, event));
        let before_next = next.map_or(past.head, |(next, _)| next - 1);
        assert_eq!(self.place, before_next, "`to` is just before what is still there");
    }

    fn moves(&mut self, to: Cursor, delivered: &[u64], past: &Past) {
        let position = to.position() as u64;
        assert!(position >= self.place, "the place moved back from {} to {position}", self.place);
        self.passes(position, delivered, past);
        self.place = position;
        self.cursor = Some(to);
    }

    /// Everything up to a place was delivered, or told to be gone, or its key has a newer value.
    fn passes(&self, to: u64, delivered: &[u64], past: &Past) {
        for (position, published) in past.events.range(self.place + 1..).take_while(|(at, _)| **at <= to) {
            if !self.set.contains(published.event.topic())
                || !self.wants(*position, &published.event)
                || delivered.contains(position)
            {
                continue;
            }
            match published.gone {
                None => panic!("{position} is there, and was passed over: {self:?}"),
                Some(Gone::Superseded) => {}
                Some(Gone::Lost(turn)) => {
                    assert!(turn <= self.told, "{position} was lost, and nobody told: {self:?}")
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
