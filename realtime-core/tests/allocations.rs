//! What a publish and its delivery allocate: the same for one reader and for a thousand.

#![allow(clippy::unwrap_used, reason = "in a test a failure may panic, in its helpers too")]

use std::alloc::System;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream as _;
use realtime_core::{Delivery, Event, Log, Source as _, Start, Topic, TopicSet, ViewFeed};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    feed: ViewFeed,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Reader {
    fn new(log: &Log, set: TopicSet) -> Self {
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        Self { feed: log.topics(set).subscribe(Start::Live), waker: bell.clone().into(), bell }
    }

    /// Reads until it waits, if it was woken; how many events, if so.
    fn come(&mut self) -> Option<usize> {
        self.bell.0.swap(false, Ordering::Relaxed).then(|| {
            let mut events = 0;
            let cx = &mut Context::from_waker(&self.waker);
            while let Poll::Ready(Some(item)) = Pin::new(&mut self.feed).poll_next(cx) {
                events += if let Delivery::Events(batch) = item.unwrap() { batch.len() } else { 0 };
            }
            events
        })
    }
}

/// Lets readers come until none is woken any more; how many events they read.
fn settle(readers: &mut [Reader]) -> usize {
    let mut events = 0;
    loop {
        let (mut came, mut read) = (0, 0);
        for got in readers.iter_mut().filter_map(Reader::come) {
            (came, read) = (came + 1, read + got);
        }
        events += read;
        if came == 0 {
            return events;
        }
    }
}

#[test]
fn readers_cost_a_publish_and_its_delivery_no_allocation() {
    let topic = Topic::new("room/1").unwrap();
    let sets = [
        TopicSet::all(),
        TopicSet::one(topic.clone()),
        TopicSet::of([topic.clone(), Topic::new("room/2").unwrap()]).unwrap(),
        TopicSet::prefix("room/").unwrap(),
    ];
    let allocated = |count: usize| {
        let log = Log::new();
        let mut readers: Vec<_> =
            (0..count).map(|number| Reader::new(&log, sets[number % sets.len()].clone())).collect();
        settle(&mut readers);
        let event = Event::text("note", "hi").unwrap().with_topic(topic.clone());
        // The first finds the topic unknown; of the others the least, for the test's harness allocates in a thread of its own.
        (0..8)
            .map(|_| {
                let region = Region::new(ALLOCATOR);
                log.publish(event.clone()).unwrap();
                let read = settle(&mut readers);
                let change = region.change();
                assert_eq!(read, count, "everybody has read it");
                change.allocations + change.reallocations
            })
            .skip(1)
            .min()
            .unwrap()
    };
    assert_eq!(allocated(1_000), allocated(1));
}
