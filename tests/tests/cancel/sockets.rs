//! A WebSocket is a task of its own, which only its runtime can drop: so the runtime is dropped, after each number of turns.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use realtime_core::Event;
use realtime_tests::client::{Http, Place, Reader, Seen, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::case;
use realtime_tower::{Handle, builder};
use tokio::runtime::{Builder, Runtime};

use crate::world::{EARLY, Kind, Publisher, World, topic};

const TURNS: usize = 120;

/// One task is polled in each turn.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).event_interval(1).build().unwrap()
}

fn connections(handle: &Handle) -> u64 {
    handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
}

/// Serves for so many turns of the runtime, an event published in each, and drops it all. What was seen by then.
fn turns(http: Http, turns: usize) -> usize {
    let world = World::new(Kind::Log);
    let Publisher::Log(log) = &world.publisher else { unreachable!("it is a log") };
    let (service, handle) = builder().source(world.source.clone()).service();
    let host = Host::with(Protocol::Auto, service).buffer_bytes(700);
    let seen = Arc::new(Mutex::new((Vec::new(), Place::Earliest)));
    let first = runtime();
    first.block_on(async {
        let target = Target { http, ..Target::new(host.dialer(), "/") };
        let kept = seen.clone();
        tokio::spawn(async move {
            let mut reader = Reader::connect(Transport::WebSocket, &target, Place::Earliest).await;
            while let Some(said) = reader.next().await {
                *kept.lock().unwrap() = {
                    let (mut all, _) = std::mem::take(&mut *kept.lock().unwrap());
                    all.push(said);
                    (all, reader.place().clone())
                };
            }
        });
        for n in 0..turns {
            let event = Event::text("tick", format!("event {}", EARLY + n)).unwrap();
            log.publish(event.with_topic(topic())).unwrap();
            tokio::task::yield_now().await;
            if n % 16 == 15 {
                // The client over HTTP/2 looks for the server's SETTINGS once a millisecond.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    drop(first);
    assert_eq!((connections(&handle), log.readers(&topic()), host.open()), (0, 0, 0), "after {turns} turns");
    log.close();
    let (all, place) = std::mem::take(&mut *seen.lock().unwrap());
    let mut texts = texts(&all);
    let count = texts.len();
    texts.extend(runtime().block_on(rest(host, place)));
    let expected: Vec<_> = (0..EARLY + turns).map(|n| format!("event {n}")).collect();
    assert_eq!(texts, expected, "after {turns} turns, {count} of them seen before");
    count
}

/// What a second reader gets from there on, to the end.
async fn rest(host: Host, place: Place) -> Vec<String> {
    let mut reader = Reader::connect(Transport::WebSocket, &Target::new(host.dialer(), "/"), place).await;
    texts(&reader.collect_until(|_| false).await)
}

fn texts(seen: &[Seen]) -> Vec<String> {
    let broken = seen.iter().find(|seen| matches!(seen, Seen::Broken(_) | Seen::Gap(_)));
    assert!(broken.is_none(), "{broken:?}");
    let events = seen.iter().filter_map(Seen::event);
    events.map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect()
}

#[test]
fn a_runtime_that_is_dropped_takes_its_sockets_along_and_nothing_else() {
    for http in Http::ALL {
        case(
            "D-16",
            &format!("a WebSocket over {http:?}, dropped with its runtime after any number of turns"),
            || {
                let counts: Vec<_> = (0..TURNS).map(|count| turns(http, count)).collect();
                let middle = (0..TURNS).filter(|turns| (1..EARLY + turns).contains(&counts[*turns])).count();
                assert!(middle > 10 && counts[0] == 0, "vacuous: {counts:?}");
            },
        );
    }
}
