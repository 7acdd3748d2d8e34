//! What sources are read through: dropping it gives the seat up, and its place is as good as before.

use std::cell::RefCell;
use std::pin::Pin;

use futures_util::StreamExt;
use realtime_core::{BoxFeed, BoxSource, Cursor, Delivery, Event, Log, Source, SourceExt, Start, TopicSet};

use crate::limit::{polled, sweep};
use crate::world::{EARLY, Kind, LATE, Publisher, World, topic};

/// The same events through every kind of view of a log.
fn views(log: &Log) -> Vec<(&'static str, BoxSource)> {
    let is_tick = |event: &Event| event.name() == "tick";
    vec![
        ("the feed of a log", log.clone().boxed()),
        ("the feed of a topic", log.topic("t").boxed()),
        ("the feed of a set of topics", log.topics(TopicSet::prefix("t").unwrap()).boxed()),
        ("the feed of a filter", log.clone().filter(is_tick).boxed()),
        ("the feed of a boxed filter of a box", log.clone().boxed().filter(is_tick).boxed().boxed()),
    ]
}

#[derive(Default)]
struct Seen {
    events: Vec<String>,
    place: Option<Cursor>,
}

async fn read(mut feed: Pin<&mut BoxFeed>, seen: &RefCell<Seen>) {
    while let Some(delivery) = feed.next().await {
        take(delivery.unwrap(), &mut seen.borrow_mut());
    }
}

fn take(delivery: Delivery, seen: &mut Seen) {
    seen.place = Some(match delivery {
        Delivery::Open(opened) => opened.cursor,
        Delivery::Live(cursor) => cursor,
        Delivery::Gap(gap) => panic!("nothing was lost: {gap:?}"),
        Delivery::Events(batch) => {
            let text = |event: &Event| String::from_utf8_lossy(event.payload().bytes()).into_owned();
            seen.events.extend(batch.iter().map(|entry| text(entry.event())));
            batch.cursor()
        }
        other => panic!("{other:?}"),
    });
}

/// A second reader from the first one's place has the rest.
async fn goes_on(source: &BoxSource, seen: &RefCell<Seen>, what: &str) {
    let start = seen.borrow().place.map_or(Start::Earliest, Start::After);
    read(Pin::new(&mut source.subscribe(start)), seen).await;
    let all: Vec<_> = (0..EARLY + LATE).map(|n| format!("event {n}")).collect();
    assert_eq!(seen.borrow().events, all, "{what}, from {start:?}");
}

async fn swept(what: &str, make: impl Fn() -> (World, BoxSource)) {
    sweep(what, LATE, async |polls| {
        let (world, source) = make();
        let going = world.goes_on();
        let (seen, mut feed) = (RefCell::default(), source.subscribe(Start::Earliest));
        let is_done = polled(read(Pin::new(&mut feed), &seen), polls).await.is_some();
        drop(feed);
        world.is_left(what);
        going.await.unwrap();
        goes_on(&source, &seen, what).await;
        world.is_left(what);
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_dropped_gives_its_seat_up() {
    for view in 0..5 {
        let make = || {
            let world = World::new(Kind::Log);
            let Publisher::Log(log) = &world.publisher else { unreachable!("it is a log") };
            let (_, source) = views(log).swap_remove(view);
            (world, source)
        };
        let (what, _) = views(&Log::new()).swap_remove(view);
        swept(what, make).await;
    }
    let far = || {
        let world = World::new(Kind::Remote);
        let source = world.source.clone();
        (world, source)
    };
    swept("the feed of a source far away", far).await;
}

/// Not the feed but each wait for its next item is dropped, after one poll: as `select!` does.
#[tokio::test(start_paused = true)]
async fn a_wait_for_the_next_item_that_is_dropped_loses_nothing() {
    let world = World::new(Kind::Log);
    let Publisher::Log(log) = &world.publisher else { unreachable!("it is a log") };
    for (what, source) in views(log) {
        assert_eq!(log.readers(&topic()), 0, "{what}");
        let (mut feed, mut seen, mut dropped) = (source.subscribe(Start::Earliest), Seen::default(), 0);
        for n in 0..20 {
            match polled(feed.next(), 1).await {
                Some(delivery) => take(delivery.unwrap().unwrap(), &mut seen),
                None => dropped += 1,
            }
            if n % 5 == 4 {
                log.publish(Event::text("tick", "more").unwrap().with_topic(topic())).unwrap();
            }
        }
        assert!(dropped > 4, "{what}: vacuous");
        let more = seen.events.iter().filter(|event| *event == "more").count();
        assert!(more >= 3 && seen.events.len() == more + EARLY, "{what}: {:?}", seen.events);
    }
}
