//! What fills a log: a pump that is dropped lets its input go, and what it has published stands.

use std::cell::RefCell;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use realtime_core::{Event, Log, SourceExt, Start, adapt};
use tokio::sync::{broadcast, watch};
use tokio::task::yield_now;

use crate::limit::{polled, sweep};
use crate::world::{Kind, Publisher, World, topic};

const EVENTS: usize = 200;

fn event(n: usize) -> Event {
    Event::text("tick", n.to_string()).unwrap()
}

/// What a log holds from its beginning on.
async fn held(log: &Log) -> Vec<String> {
    log.close();
    let (mut feed, mut held) = (realtime_core::Source::subscribe(log, Start::Earliest), Vec::new());
    while let Some(delivery) = feed.next().await {
        match delivery.unwrap() {
            realtime_core::Delivery::Events(batch) => {
                let text = |event: &Event| String::from_utf8_lossy(event.payload().bytes()).into_owned();
                held.extend(batch.iter().map(|entry| text(entry.event())));
            }
            realtime_core::Delivery::Gap(gap) => panic!("nothing was lost: {gap:?}"),
            _ => {}
        }
    }
    held
}

/// The first of them, in order and without a hole.
async fn holds_the_first(log: &Log, is_done: bool) {
    let held = held(log).await;
    let first: Vec<_> = (0..held.len()).map(|n| n.to_string()).collect();
    assert_eq!(held, first);
    assert!(!is_done || held.len() == EVENTS, "{}", held.len());
}

#[tokio::test]
async fn a_pump_of_a_stream_or_an_iterator_lets_it_go() {
    sweep("the pump of a stream", EVENTS, async |polls| {
        let held = Arc::new(());
        let inside = held.clone();
        let events = stream::iter(0..EVENTS).then(move |n| {
            let inside = inside.clone();
            async move {
                yield_now().await;
                drop(inside);
                event(n)
            }
        });
        let (log, pump) = adapt::stream(Log::builder(), events);
        let is_done = polled(pump, polls).await.is_some();
        assert_eq!(Arc::strong_count(&held), 1);
        holds_the_first(&log, is_done).await;
        is_done
    })
    .await;
    sweep("the pump of an iterator", 3, async |polls| {
        let held = Arc::new(());
        let inside = held.clone();
        let events = (0..EVENTS).map(move |n| {
            let _inside = &inside;
            event(n)
        });
        let (log, pump) = adapt::iter(Log::builder(), events);
        let is_done = polled(pump, polls).await.is_some();
        assert_eq!(Arc::strong_count(&held), 1);
        holds_the_first(&log, is_done).await;
        is_done
    })
    .await;
}

#[tokio::test]
async fn a_pump_of_a_channel_lets_its_receiver_go() {
    sweep("the pump of a broadcast channel", 50, async |polls| {
        let (sender, receiver) = broadcast::channel(EVENTS);
        let (log, pump) = adapt::broadcast(Log::builder(), receiver, |n: usize| Ok(event(n)));
        let publishing = tokio::spawn({
            let sender = sender.clone();
            async move {
                for n in 0..EVENTS {
                    // Nobody listens once the pump is gone.
                    let _ = sender.send(n);
                    yield_now().await;
                }
            }
        });
        let weak = sender.downgrade();
        drop(sender);
        let is_done = polled(pump, polls).await.is_some();
        let left = weak.upgrade().map_or(0, |sender| sender.receiver_count());
        assert_eq!(left, 0);
        publishing.await.unwrap();
        holds_the_first(&log, is_done).await;
        is_done
    })
    .await;
    sweep("the pump of a watch channel", 10, async |polls| {
        let (sender, receiver) = watch::channel(0_usize);
        let (log, pump) = adapt::watch(Log::builder(), receiver, |n: &usize| Ok(event(*n)));
        let (pumped, sent) = (RefCell::new(false), RefCell::new(0));
        let publishing = async {
            for n in 1..20 {
                yield_now().await;
                if sender.receiver_count() == 0 {
                    break;
                }
                sender.send(n).unwrap();
                *sent.borrow_mut() = n;
                yield_now().await;
            }
            while !*pumped.borrow() && *sent.borrow() < 19 {
                yield_now().await;
            }
            assert!(!*pumped.borrow() || sender.receiver_count() == 0);
            drop(sender);
        };
        let pumping = async {
            let is_done = polled(pump, polls).await.is_some();
            *pumped.borrow_mut() = true;
            is_done
        };
        let (is_done, ()) = tokio::join!(pumping, publishing);
        let held = held(&log).await;
        assert!(held.len() <= 1 && (!is_done || held == ["19"]), "{held:?}");
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pump_of_sources_lets_them_go() {
    for is_merge in [true, false] {
        let what = if is_merge { "the pump of a merge" } else { "the pump of a map" };
        sweep(what, 5, async |polls| {
            let (world, other) = (World::new(Kind::Log), Log::new());
            let Publisher::Log(log) = &world.publisher else { unreachable!("it is a log") };
            let going = world.goes_on();
            other.close();
            let (made, is_done) = if is_merge {
                let sources = [log.clone().boxed(), other.clone().boxed()];
                let (made, pump) = adapt::merge(Log::builder(), sources, Start::Earliest);
                (made, polled(pump, polls).await.is_some())
            } else {
                let (made, pump) =
                    adapt::map(Log::builder(), log.clone(), Start::Earliest, |event| Ok(event.clone()));
                (made, polled(pump, polls).await.is_some())
            };
            world.is_left(what);
            assert_eq!(other.readers(&topic()), 0);
            going.await.unwrap();
            let held = held(&made).await;
            let first: Vec<_> = (0..held.len()).map(|n| format!("event {n}")).collect();
            assert_eq!(held, first);
            is_done
        })
        .await;
    }
}
