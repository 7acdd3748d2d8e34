//! D-06: a place never moves back, never passes an event that was not sent, and moves where nothing is sent.

use std::time::Duration;

use realtime_core::{Event, Log, SourceExt};
use realtime_tests::checker::{Checker, Truth, Vacuity};
use realtime_tests::client::{Place, Seen, Transport};
use realtime_tests::rules::case_async;
use realtime_tower::Pings;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use crate::mount::{Knobs, Mount, Way, is_event, is_live, until};
use crate::world::{ALL, Kind, World};

/// Every form in which a place is said to a quiet reader.
fn forms() -> impl Iterator<Item = (Way, Pings)> {
    let hidden = Way::ALL.map(|way| (way, Pings::Hidden));
    hidden.into_iter().chain([(Way::Sse, Pings::Events), (Way::SseEnvelope, Pings::Events)])
}

/// A reader to whom nothing of what happens belongs learns how far it has come, and from there loses nothing.
#[tokio::test(start_paused = true)]
async fn a_filtered_readers_place_moves_past_what_it_does_not_get_and_not_past_what_it_does() {
    case_async(
        "D-06",
        "a filtered reader learns where its place has moved to, and it is not past what it is to get",
        async {
            for (way, pings) in forms() {
                let what = format!("{way:?}, {pings:?}");
                let log = Log::new();
                let source = log.clone().filter(|event| event.name() == "mine").boxed();
                let mut knobs = Knobs::of(way);
                knobs.sse.pings = pings;
                let mount = Mount::new(source, knobs);
                let (mut truth, mut checker) = (Truth::default(), Checker::of_topics(["mine"]));
                let publish = |truth: &mut Truth, mine: bool| {
                    let name = if mine { "mine" } else { "other" };
                    let cursor = log.publish(Event::json(name, &1).unwrap()).unwrap().to_string();
                    truth.publish(&cursor, Some(name), b"1");
                    cursor
                };
                publish(&mut truth, true);
                checker.begin(way.transport(), &Place::Earliest);
                let mut reader = mount.reader(way.transport(), Place::Earliest).await;
                checker.see_all(&until(&mut reader, &what, is_live).await);
                for round in 0..6 {
                    let mut quiet = String::new();
                    for _ in 0..5 {
                        quiet = publish(&mut truth, false);
                    }
                    let begun = Instant::now();
                    let seen = until(&mut reader, &what, |seen| match seen {
                        Seen::Ping { cursor } | Seen::Live { cursor } => *cursor == quiet,
                        Seen::Status { headers, .. } => headers["stream-next-offset"] == *quiet,
                        _ => false,
                    })
                    .await;
                    assert!(
                        begun.elapsed() <= Duration::from_secs(31),
                        "{what}: after {:?}",
                        begun.elapsed()
                    );
                    checker.see_all(&seen);
                    assert_eq!(reader.place().cursor(), Some(&*quiet), "{what}");
                    let mine = publish(&mut truth, true);
                    if round % 2 == 1 {
                        checker.begin(way.transport(), reader.place());
                        reader = reader.resume(way.transport()).await;
                    }
                    checker.see_all(&until(&mut reader, &what, is_event(&mine)).await);
                }
                let vacuity = Vacuity { min_events: 7, min_disconnects: 3, ..Vacuity::default() };
                let report =
                    checker.finish(&truth, vacuity).unwrap_or_else(|faults| panic!("{what}: {faults}"));
                assert_eq!(
                    (report.events, report.gaps),
                    (7, 0),
                    "{what}: a resume at the moved place owes no gap"
                );
            }
        },
    )
    .await;
}

/// Twice the announced heartbeat in silence means that the connection is dead: so there is never more than once of it.
/// What a script cannot see, a ping frame of either side, is no substitute for what it can.
#[tokio::test(start_paused = true)]
async fn a_stream_is_never_silent_for_longer_than_it_said() {
    for (way, pings) in forms().filter(|(way, _)| !way.is_poll()) {
        let what = format!("{way:?}, {pings:?}");
        let mut knobs = Knobs::of(way);
        knobs.sse.pings = pings;
        let log = Log::new();
        let tail = log.publish(Event::json("tick", &1).unwrap()).unwrap().to_string();
        let mount = Mount::new(log.boxed(), knobs);
        let mut reader = mount.reader(way.transport(), Place::Live).await;
        let seen = until(&mut reader, &what, is_live).await;
        let Some(Seen::Open { heartbeat_ms: Some(heartbeat), .. }) = seen.first() else { panic!("{seen:?}") };
        assert!(*heartbeat < 20_000, "{what}: proxies cut at 20 s");
        let heartbeat = Duration::from_millis(*heartbeat);
        let (mut said, end) = (Instant::now(), Instant::now() + Duration::from_secs(200));
        while Instant::now() < end {
            // A client that pings by itself more often than that.
            if let Some(socket) = reader.web_socket() {
                socket.send_message(Message::Ping(b"?".to_vec().into())).await.unwrap();
            }
            if let Ok(seen) = tokio::time::timeout(Duration::from_secs(4), reader.next()).await {
                assert_eq!(seen, Some(Seen::Ping { cursor: tail.clone() }), "{what}");
                said = Instant::now();
            }
            let silence = said.elapsed();
            assert!(silence <= heartbeat + Duration::from_millis(10), "{what}: silence for {silence:?}");
        }
    }
}

/// Whatever is read on whichever transport, the places that are said rise, and the token for one place is one.
#[tokio::test(start_paused = true)]
async fn the_token_of_a_place_is_the_same_on_every_transport_and_places_only_rise() {
    case_async("D-06", "places rise, and are the same on every transport", async {
        for kind in [Kind::Log, Kind::Prefix, Kind::Merged, Kind::Remote] {
            let mut world = World::new(kind, ALL);
            world.publish_many(9).await;
            let cursors = world.cursors();
            for way in Way::ALL {
                let mount = Mount::new(world.source.clone(), Knobs::of(way));
                let mut reader = mount.reader(way.transport(), Place::Earliest).await;
                let mut before = String::new();
                for cursor in &cursors {
                    let seen = until(&mut reader, "each event", is_event(cursor)).await;
                    let place = reader.place().cursor().expect("it has a place by now").to_owned();
                    // At the end of a page the place is the page's.
                    let at_end = way.is_poll() && Some(cursor) == cursors.last();
                    assert!(place == *cursor || at_end && place > *cursor, "{kind:?}, {way:?}: {seen:?}");
                    assert!(before < place, "{kind:?}, {way:?}");
                    before = place;
                }
            }
        }
    })
    .await;
}

/// A heartbeat in the middle of what is on its way says the place before it, never the place behind.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_never_passes_an_event_that_was_not_sent() {
    case_async("D-06", "a heartbeat does not pass an event that was not sent", async {
        for transport in [Transport::Sse, Transport::WebSocket] {
            let log = Log::new();
            let mount =
                Mount::new(log.clone().boxed(), Knobs { buffer_bytes: Some(300), ..Knobs::default() });
            let (mut truth, mut checker) = (Truth::default(), Checker::default());
            checker.begin(transport, &Place::Live);
            let mut reader = mount.reader(transport, Place::Live).await;
            checker.see_all(&until(&mut reader, "live", is_live).await);
            let mut newest = String::new();
            for n in 0..100_u32 {
                let text = format!("{n:0>400}");
                newest = log.publish(Event::text("tick", &*text).unwrap()).unwrap().to_string();
                truth.publish(&newest, None, text.as_bytes());
            }
            // A reader as slow as may be: about one heartbeat passes for every few events.
            loop {
                let seen = reader.next().await.expect("it goes on");
                checker.see(&seen);
                if is_event(&newest)(&seen) {
                    break;
                }
                sleep(Duration::from_secs(8)).await;
            }
            let vacuity = Vacuity { min_events: 100, ..Vacuity::default() };
            checker.finish(&truth, vacuity).unwrap_or_else(|faults| panic!("{transport:?}: {faults}"));
        }
    })
    .await;
}
