//! Sources that are broken on purpose: a fixture that cannot tell them from a sound one proves nothing.
//!
//! ```
//! use std::ops::Range;
//! use realtime_core::testing::{self, Fixture, broken::{BrokenFixture, Fault}};
//! use realtime_core::{Event, Log};
//!
//! struct InMemory(Log);
//!
//! impl Fixture for InMemory {
//!     type Source = Log;
//!
//!     fn source(&self) -> Log {
//!         self.0.clone()
//!     }
//!
//!     async fn publish(&self, numbers: Range<u64>) {
//!         for n in numbers {
//!             self.0.publish(Event::json("n", &n).expect("a number is JSON")).expect("the log is open");
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! for fault in [Fault::Loses, Fault::Repeats, Fault::Reorders] {
//!     let fixture = BrokenFixture::new(InMemory(Log::new()), fault);
//!     let violation = testing::check(fault.law(), &fixture).await.unwrap_err();
//!     assert_eq!(violation.law(), fault.law());
//! }
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;

use super::fixture::Fixture;
use super::law::Law;
use crate::cursor::{Cursor, Start};
use crate::entry::Entry;
use crate::error::SourceError;
use crate::feed::{Batch, BoxFeed, Delivery, Gap, GapReason, Opened};
use crate::source::Source;

/// What is wrong with a source.
///
/// See the [module](self) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Every fifth event does not come.
    Loses,
    /// News wakes nobody.
    Deaf,
    /// Batches come twice.
    Repeats,
    /// The events of a batch come the other way round.
    Reorders,
    /// No gap is ever said.
    HidesGaps,
    /// A gap is said after `Live`, where nothing is lost.
    InventsGaps,
    /// A gap comes after the first events behind it.
    LateGaps,
    /// A gap's `to` stands behind the first event that is still there.
    LeadsPast,
    /// `Open` comes again after `Live`.
    OpensTwice,
    /// `Live` comes again with an older place.
    MovesBack,
    /// A place that moves without an event is not told.
    StandsStill,
    /// `Live` is said before the snapshot.
    Tears,
    /// The end of the source is waited through.
    NeverEnds,
    /// The feed ends as soon as there is nothing new.
    EndsEarly,
    /// A feed begins before it is polled.
    Eager,
    /// A feed that is dropped goes on.
    Leaks,
    /// `Live` is not said, and news waited for.
    Waits,
    /// Something comes after an error.
    OutlivesError,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Loses,
        Self::Deaf,
        Self::Repeats,
        Self::Reorders,
        Self::HidesGaps,
        Self::InventsGaps,
        Self::LateGaps,
        Self::LeadsPast,
        Self::OpensTwice,
        Self::MovesBack,
        Self::StandsStill,
        Self::Tears,
        Self::NeverEnds,
        Self::EndsEarly,
        Self::Eager,
        Self::Leaks,
        Self::Waits,
        Self::OutlivesError,
    ];

    /// The law that finds it.
    pub const fn law(self) -> Law {
        match self {
            Self::Loses | Self::Deaf => Law::NoLoss,
            Self::Repeats | Self::Reorders => Law::OrderedOnce,
            Self::HidesGaps | Self::InventsGaps | Self::LateGaps | Self::LeadsPast => Law::HonestGap,
            Self::OpensTwice | Self::MovesBack | Self::StandsStill => Law::MonotonicPlace,
            Self::Tears => Law::NoTear,
            Self::NeverEnds | Self::EndsEarly => Law::EndIsNotSilence,
            Self::Eager => Law::Lazy,
            Self::Leaks => Law::DropsClean,
            Self::Waits => Law::AnswersAtOnce,
            Self::OutlivesError => Law::ErrorIsLast,
        }
    }
}

/// A source with a fault.
///
/// ```
/// use realtime_core::testing::broken::{Broken, Fault};
/// use realtime_core::{Log, Source, Start};
///
/// let forgetful = Broken::new(Log::new(), Fault::Loses);
/// # drop(forgetful.subscribe(Start::Live));
/// ```
#[derive(Debug, Clone)]
pub struct Broken<S> {
    source: S,
    fault: Fault,
}

impl<S> Broken<S> {
    /// Breaks a source.
    pub fn new(source: S, fault: Fault) -> Self {
        Self { source, fault }
    }
}

impl<S: Source> Source for Broken<S> {
    type Feed = BrokenFeed;

    fn subscribe(&self, start: Start) -> BrokenFeed {
        let mut feed = BrokenFeed {
            feed: Some(Box::pin(self.source.subscribe(start))),
            fault: self.fault,
            next: VecDeque::new(),
            held: None,
            entries: 0,
            was_live: false,
            place: None,
        };
        if self.fault == Fault::Eager {
            let _ = feed.pull(&mut Context::from_waker(Waker::noop()));
        }
        feed
    }
}

type Item = Option<Result<Delivery, SourceError>>;

/// What a [`Broken`] source is read through.
pub struct BrokenFeed {
    feed: Option<BoxFeed>,
    fault: Fault,
    next: VecDeque<Item>,
    held: Option<Delivery>,
    entries: usize,
    was_live: bool,
    place: Option<Cursor>,
}

impl std::fmt::Debug for BrokenFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokenFeed").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Stream for BrokenFeed {
    type Item = Result<Delivery, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.next.pop_front() {
                return Poll::Ready(item);
            }
            ready!(this.pull(cx));
        }
    }
}

impl Drop for BrokenFeed {
    fn drop(&mut self) {
        if self.fault == Fault::Leaks {
            std::mem::forget(self.feed.take());
        }
    }
}

impl BrokenFeed {
    /// Takes one item of the sound feed and puts what becomes of it behind the others.
    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(feed) = &mut self.feed else { return Poll::Pending };
        let item = match self.fault {
            Fault::Deaf => ready!(feed.as_mut().poll_next(&mut Context::from_waker(Waker::noop()))),
            _ => ready!(feed.as_mut().poll_next(cx)),
        };
        match item {
            None if self.fault == Fault::NeverEnds => self.feed = None,
            Some(Ok(delivery)) => self.spoil(delivery),
            Some(Err(error)) => {
                self.next.push_back(Some(Err(error)));
                if let (Fault::OutlivesError, Some(place)) = (self.fault, self.place) {
                    self.say(Delivery::Live(place));
                }
            }
            None => self.next.push_back(None),
        }
        Poll::Ready(())
    }

    fn say(&mut self, delivery: Delivery) {
        self.next.push_back(Some(Ok(delivery)));
    }

    fn spoil(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Open(opened) => self.open(opened),
            Delivery::Events(batch) => self.events(batch),
            Delivery::Gap(gap) => self.gap(gap),
            Delivery::Live(cursor) => self.live(cursor),
        }
    }

    fn open(&mut self, mut opened: Opened) {
        self.place = Some(opened.place());
        match (self.fault, opened.gap) {
            (Fault::HidesGaps, Some(_)) => opened.gap = None,
            (Fault::LateGaps, Some(gap)) => {
                opened.gap = None;
                self.held = Some(Delivery::Gap(gap));
            }
            (Fault::LeadsPast, Some(_)) => {
                self.held = Some(Delivery::Open(opened));
                return;
            }
            _ => {}
        }
        self.say(Delivery::Open(opened));
        if self.fault == Fault::Tears {
            self.say(Delivery::Live(opened.place()));
        }
    }

    fn gap(&mut self, gap: Gap) {
        self.place = Some(gap.to);
        match self.fault {
            Fault::HidesGaps => {}
            Fault::LateGaps | Fault::LeadsPast => self.held = Some(Delivery::Gap(gap)),
            _ => self.say(Delivery::Gap(gap)),
        }
    }

    fn events(&mut self, batch: Batch) {
        self.place = Some(batch.cursor());
        let first = batch.iter().next().map(Entry::cursor);
        match (self.held.take(), first) {
            (Some(late), _) if matches!(self.fault, Fault::LateGaps | Fault::Reorders) => {
                self.say(Delivery::Events(batch));
                self.say(late);
                return;
            }
            (Some(Delivery::Gap(gap)), Some(to)) => self.say(Delivery::Gap(Gap { to, ..gap })),
            (Some(Delivery::Open(mut opened)), Some(to)) => {
                opened.gap = opened.gap.map(|gap| Gap { to, ..gap });
                self.say(Delivery::Open(opened));
            }
            _ => {}
        }
        if self.fault == Fault::Reorders && batch.len() == 1 && !batch.is_live() {
            // Nothing to reverse in it: it changes places with the next.
            self.held = Some(Delivery::Events(batch));
            return;
        }
        let mut entries: Vec<_> = batch.iter().cloned().collect();
        match self.fault {
            Fault::Loses => entries.retain(|_| {
                self.entries += 1;
                !self.entries.is_multiple_of(5)
            }),
            Fault::Reorders => entries.reverse(),
            Fault::Repeats => self.say(Delivery::Events(batch.clone())),
            _ => {}
        }
        if let Some(batch) = Batch::new(entries, batch.cursor(), batch.is_live()) {
            self.say(Delivery::Events(batch));
        }
    }

    fn live(&mut self, cursor: Cursor) {
        self.place = Some(cursor);
        if let Some(held) = self.held.take() {
            self.say(held);
        }
        match self.fault {
            Fault::Waits => return,
            Fault::StandsStill if self.was_live => return,
            _ => self.say(Delivery::Live(cursor)),
        }
        match self.fault {
            Fault::InventsGaps => self.say(Delivery::Gap(Gap::new(GapReason::Trimmed, None, cursor))),
            Fault::OpensTwice if !self.was_live => self.say(Delivery::Open(Opened::new(cursor))),
            Fault::MovesBack => {
                self.say(Delivery::Live(cursor.at(cursor.position().saturating_sub(1))));
            }
            Fault::EndsEarly => self.next.push_back(None),
            _ => {}
        }
        self.was_live = true;
    }
}

/// A fixture whose source has a fault.
///
/// See the [module](self) for an example.
#[derive(Debug)]
pub struct BrokenFixture<F> {
    fixture: F,
    fault: Fault,
}

impl<F: Fixture> BrokenFixture<F> {
    /// Breaks the source of a fixture.
    pub fn new(fixture: F, fault: Fault) -> Self {
        Self { fixture, fault }
    }
}

impl<F: Fixture> Fixture for BrokenFixture<F> {
    type Source = Broken<F::Source>;

    fn source(&self) -> Self::Source {
        Broken::new(self.fixture.source(), self.fault)
    }

    fn publish(&self, numbers: Range<u64>) -> impl Future<Output = ()> {
        self.fixture.publish(numbers)
    }

    fn pause(&self) -> impl Future<Output = ()> {
        self.fixture.pause()
    }

    fn trim(&self) -> impl Future<Output = Option<Vec<u64>>> {
        self.fixture.trim()
    }

    fn over_reports(&self) -> bool {
        self.fixture.over_reports()
    }

    fn restart(&self) -> impl Future<Output = bool> {
        self.fixture.restart()
    }

    fn pass_by(&self) -> impl Future<Output = bool> {
        self.fixture.pass_by()
    }

    fn put(&self, key: &str, value: u64) -> impl Future<Output = bool> {
        self.fixture.put(key, value)
    }

    fn close(&self) -> impl Future<Output = bool> {
        self.fixture.close()
    }

    fn fail(&self) -> impl Future<Output = bool> {
        self.fixture.fail()
    }

    fn readers(&self) -> Option<usize> {
        self.fixture.readers()
    }

    fn reads(&self) -> Option<u64> {
        self.fixture.reads()
    }
}
