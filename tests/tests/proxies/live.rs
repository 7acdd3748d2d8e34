//! P-PX-01: a proxy does not hold events back. Shown by order: each event is read before the next is published, and
//! nothing else is sent meanwhile; how long it took is measured and printed, and asserted nowhere.

use std::time::{Duration, Instant};

use realtime_tests::client::{Place, Seen, Transport};
use realtime_tests::rules::case_async;

use crate::app::{App, Knobs, World};
use crate::client::{connect, eventually, is_event, patient, until};
use crate::proxy::{Conf, Kind};

/// No heartbeat pushes an event along.
const SILENT: Duration = Duration::from_secs(600);

const EVENTS: usize = 20;

/// How long something that is held back is waited for: a hundred times what an event takes.
const HELD: Duration = Duration::from_millis(500);

#[tokio::test]
async fn an_event_arrives_before_the_next_is_published() {
    for kind in Kind::ALL {
        let mut world = World::new();
        let app = App::start(&world.log, Knobs { heartbeat: SILENT, ..Knobs::default() });
        let proxy = Conf::shipped(kind).start(app.addr);
        for transport in [Transport::LongPoll, Transport::Sse, Transport::WebSocket] {
            let what = format!("{kind:?}, {transport:?}: each event alone, without a heartbeat");
            case_async("P-PX-01", &what, async {
                let mut reader = connect(transport, &proxy.target(), Place::Live).await;
                if transport != Transport::LongPoll {
                    until(&mut reader, &what, Seen::caught_up).await;
                }
                let mut took = Vec::new();
                for n in 0..EVENTS {
                    // A long-poll has no place before its first answer: the first event is published while it waits.
                    let begun = Instant::now();
                    let id = match (transport, n) {
                        (Transport::LongPoll, 0) => {
                            until(&mut reader, &what, Seen::caught_up).await;
                            continue;
                        }
                        _ => world.publish(),
                    };
                    until(&mut reader, &what, is_event(&id)).await;
                    took.push(begun.elapsed());
                }
                took.sort();
                println!(
                    "{kind:?}, {transport:?}: median {:?}, longest {:?}",
                    took[took.len() / 2],
                    took[took.len() - 1]
                );
            })
            .await;
        }
    }
}

/// An nginx that asks by HTTP/1.0, as it does without `proxy_http_version 1.1`, sees a body without an end; our header alone
/// makes it pass each event on.
#[tokio::test]
async fn our_header_keeps_an_nginx_that_asks_by_http_1_0_from_holding_events_back() {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs { heartbeat: SILENT, ..Knobs::default() });
    let proxy = by_http_1_0().start(app.addr);
    case_async("P-PX-01", "Nginx, Sse, asked by HTTP/1.0: each event alone", async {
        let mut reader = connect(Transport::Sse, &proxy.target(), Place::Earliest).await;
        for _ in 0..EVENTS {
            let id = world.publish();
            until(&mut reader, "each event", is_event(&id)).await;
        }
    })
    .await;
}

/// What the rule protects from, with the same nginx made deaf to our header: nothing comes before the end.
#[tokio::test]
async fn an_nginx_that_is_deaf_to_our_header_holds_events_back() {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs { heartbeat: SILENT, ..Knobs::default() });
    let proxy = by_http_1_0().and("proxy_ignore_headers X-Accel-Buffering;", "", "").start(app.addr);
    let target = proxy.target();
    let reading = tokio::spawn(async move {
        let mut reader = connect(Transport::Sse, &target, Place::Earliest).await;
        until(&mut reader, "an event", |seen| seen.event().is_some()).await
    });
    eventually("the stream is asked for", || app.streams() == 1).await;
    world.publish();
    tokio::time::sleep(HELD).await;
    assert!(!reading.is_finished());
    world.log.close();
    let seen = patient("at the end it lets go", reading).await.unwrap();
    assert!(seen.last().unwrap().event().is_some(), "{seen:?}");
}

fn by_http_1_0() -> Conf {
    Conf::shipped(Kind::Nginx).with("proxy_http_version 1.1;", "proxy_http_version 1.0;")
}
