//! What pumps say of what they cannot pass on, and that they let others have their turn.

use std::error::Error as _;
use std::pin::pin;
use std::task::{Context, Waker};

use futures_util::FutureExt as _;

use super::*;
use crate::cursor::Start;
use crate::error::{EventError, PublishError};
use crate::event::Event;
use crate::limits::{Keep, Limits};
use crate::log::Log;
use crate::source::{Source as _, SourceExt as _};
use crate::topic::TopicSet;

fn event() -> Event {
    Event::text("e", "x").unwrap()
}

/// Positions that were spent: each event is one, each gap one.
fn spent(log: &Log) -> u128 {
    log.tail().position()
}

/// D-04: what the source has lost before the pump came is lost on the way.
#[test]
fn a_source_that_opens_with_a_gap_is_a_gap_and_one_that_does_not_is_none() {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(2)).build();
    let first = log.publish(event()).unwrap();
    log.publish_all([event(), event(), event()]).unwrap();
    log.close();
    for (start, of_which_gaps) in [(Start::After(first), 1), (Start::Earliest, 0)] {
        let (copy, pump) = map(Log::builder(), log.clone(), start, |event| Ok(event.clone()));
        pump.now_or_never().expect("all of it is there").unwrap();
        assert_eq!(spent(&copy), 2 + of_which_gaps, "{start:?}");
    }
}

/// D-04.
#[test]
fn what_a_pump_fails_at_is_a_gap_and_its_error_says_what() {
    let limits = Limits { event_bytes_max: 1, ..Limits::default() };
    let (log, pump) = iter(Log::builder().limits(limits), [event(), Event::text("e", "12").unwrap()]);
    let refused = pump.now_or_never().unwrap().unwrap_err();
    assert_eq!((refused.kind(), spent(&log)), (PumpErrorKind::Publish, 2));
    assert!(refused.source().is_some_and(|source| source.is::<PublishError>()));
    assert_eq!(refused.to_string(), "the log did not take an event");

    let source = Log::new();
    source.publish(event()).unwrap();
    let (log, pump) = map(Log::builder(), source, Start::Earliest, |_| Event::text("", "no name"));
    let unmade = pump.now_or_never().unwrap().unwrap_err();
    assert_eq!((unmade.kind(), spent(&log)), (PumpErrorKind::Event, 1));
    assert!(unmade.source().is_some_and(|source| source.is::<EventError>()));
    assert_eq!(unmade.to_string(), "an item could not be made into an event");
}

#[test]
fn an_iterator_of_many_lets_others_have_their_turn_after_every_64() {
    let (log, pump) = iter(Log::builder(), (0..200).map(|_| event()));
    let (mut pump, mut turns) = (pin!(pump), Vec::new());
    while pump.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        turns.push(spent(&log));
    }
    turns.push(spent(&log));
    assert_eq!(turns, [64, 128, 192, 200]);
}

#[test]
fn a_feed_that_is_filtered_shows_nothing_of_it() {
    let log = Log::new();
    let feed = log.filter(|_| true).subscribe(Start::Live);
    assert_eq!(format!("{feed:?}"), "FilterFeed { .. }");
}
