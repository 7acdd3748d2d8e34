//! The owner stops the mount: everybody is told, in groups, and whoever cannot be told is not hidden.

use std::time::Duration;

use realtime_core::{Event, Log, SourceExt};
use realtime_tests::client::{Place, Reader, Seen, Target, Transport};
use realtime_tests::remote::{Manners, Remote};
use tokio::time::{Instant, sleep};

use crate::mount::{Knobs, Mount, eventually, is_live, until};

fn event(text: impl Into<String>) -> Event {
    Event::text("tick", text).unwrap()
}

/// Every way of being there, a bare WebSocket too.
const THERE: [(Transport, Option<&str>); 4] = [
    (Transport::LongPoll, None),
    (Transport::Sse, None),
    (Transport::WebSocket, Some("realtime.v1")),
    (Transport::WebSocket, None),
];

/// All of them at once: each is told its place, not all in one moment, and the drain is done when they have gone.
#[tokio::test(start_paused = true)]
async fn every_reader_is_told_its_place_within_the_deadline_and_not_all_at_once() {
    const EACH: usize = 8;
    let log = Log::new();
    let place = log.publish(event("x")).unwrap().to_string();
    let mount = Mount::new(log.boxed(), Knobs::default());
    let mut told = tokio::task::JoinSet::new();
    for (transport, subprotocol) in THERE.into_iter().flat_map(|there| [there; EACH]) {
        let target = Target { subprotocol, ..mount.target() };
        told.spawn(async move {
            let mut reader = Reader::connect(transport, &target, Place::Live).await;
            loop {
                let seen = reader.next().await.expect("it is told");
                let last = match &seen {
                    Seen::Status { headers, .. } if transport == Transport::LongPoll => {
                        // The same, in whole seconds.
                        assert!(headers["retry-after"] == "3", "{headers:?}");
                        headers["stream-next-offset"].to_str().ok().map(str::to_owned)
                    }
                    Seen::End { reason, retry_ms, cursor } if transport == Transport::Sse => {
                        // The default of 2 s, jittered by a quarter.
                        assert!(
                            reason == "drain" && retry_ms.is_some_and(|ms| (1_500..=2_500).contains(&ms))
                        );
                        cursor.clone()
                    }
                    Seen::Close { code: 1001, reason } => Some(reason.clone()),
                    _ => None,
                };
                if let Some(place) = last {
                    let at = Instant::now();
                    // A WebSocket is gone once both have closed it.
                    while transport != Transport::LongPoll && reader.next().await.is_some() {}
                    return (place, at);
                }
            }
        });
    }
    let all = EACH * THERE.len();
    eventually("all are there", || mount.readers() == all as u64).await;
    let begun = Instant::now();
    let drained = mount.handle.drain(Duration::from_secs(20)).await;
    assert_eq!((drained.told, drained.left), (all, 0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let told = told.join_all().await;
    assert!(told.iter().all(|(at, _)| *at == place), "{told:?}");
    let mut moments: Vec<_> = told.iter().map(|(_, at)| *at).collect();
    moments.sort();
    moments.dedup();
    assert!(moments.len() > 8, "told in {} moments", moments.len());
    mount.is_left().await;

    // Newcomers are refused as their transport can be, and it costs them no place.
    for transport in Transport::ALL {
        let mut late = mount.reader(transport, Place::After(place.clone())).await;
        let seen = until(&mut late, "late", |_| false).await;
        let refused = match &seen[..] {
            [Seen::Refused { status, headers, .. }] => {
                status.as_u16() == 503 && headers.contains_key("retry-after") && transport != Transport::Sse
            }
            [Seen::End { reason, retry_ms: Some(_), .. }] => reason == "drain" && transport == Transport::Sse,
            _ => false,
        };
        assert!(refused, "{transport:?}: {seen:?}");
        assert_eq!(late.place().cursor(), Some(&*place));
    }
    let again = mount.handle.drain(Duration::from_secs(1)).await;
    assert_eq!((again.told, again.left), (0, 0));
}

/// Whose connection takes nothing cannot be told. The deadline holds all the same, and the figure says so.
#[tokio::test(start_paused = true)]
async fn readers_that_take_nothing_are_left_and_said_to_be() {
    let log = Log::new();
    let mount = Mount::new(log.clone().boxed(), Knobs { buffer_bytes: Some(512), ..Knobs::default() });
    let mut readers = Vec::new();
    for transport in [Transport::Sse, Transport::WebSocket, Transport::Sse] {
        let mut reader = mount.reader(transport, Place::Live).await;
        until(&mut reader, "live", is_live).await;
        readers.push(reader);
    }
    let mut reads = readers.pop().unwrap();
    for n in 0..500 {
        let id = log.publish(event(format!("{n:0>1000}"))).unwrap().to_string();
        until(&mut reads, "it reads", crate::mount::is_event(&id)).await;
    }
    let ends = tokio::spawn(async move { until(&mut reads, "it is told", |_| false).await });
    let begun = Instant::now();
    let drained = mount.handle.drain(Duration::from_secs(5)).await;
    assert_eq!((drained.told, drained.left), (3, 2));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert!(matches!(ends.await.unwrap().last(), Some(Seen::End { reason, .. }) if reason == "drain"));
    // A WebSocket writes by itself, and gives up; the other connection is the host's.
    sleep(Duration::from_secs(6)).await;
    assert_eq!((mount.stats("websocket").connections, mount.stats("sse").connections), (0, 1));
    // Whoever reads again has what was on its way, and then the end.
    let seen = until(&mut readers[0], "it reads again", |_| false).await;
    assert!(matches!(seen.last(), Some(Seen::End { reason, .. }) if reason == "drain"), "{:?}", seen.last());
    mount.is_left().await;
}

/// A reader whose source has not opened yet is told too, and keeps the place that it came with.
#[tokio::test(start_paused = true)]
async fn a_reader_of_a_source_that_has_not_opened_is_told_and_keeps_its_place() {
    for transport in [Transport::Sse, Transport::WebSocket] {
        let remote = Remote::new(Manners { opens_after: Duration::from_secs(3600), ..Manners::default() });
        let place = Place::After(remote.publish(event("x")).to_string());
        let mount = Mount::new(remote.clone().boxed(), Knobs::default());
        let mut reader = mount.reader(transport, place.clone()).await;
        let reading = tokio::spawn(async move { (until(&mut reader, "told", |_| false).await, reader) });
        sleep(Duration::from_secs(30)).await;
        let drained = mount.handle.drain(Duration::from_secs(20)).await;
        assert_eq!((drained.told, drained.left), (1, 0));
        let (seen, reader) = reading.await.unwrap();
        let said = match transport {
            Transport::Sse => matches!(&seen[..], [Seen::End { reason, .. }] if reason == "drain"),
            _ => {
                matches!(&seen[..], [Seen::End { reason, .. }, Seen::Close { code: 1001, .. }] if reason == "drain")
            }
        };
        assert!(said, "{transport:?}: {seen:?}");
        assert_eq!(reader.place(), &place);
        mount.is_left().await;
        assert_eq!(remote.feeds(), 0);
    }
}

/// D-01 over a restart of the server: drained in the middle of a busy stream, nothing is lost on the next one.
#[tokio::test(start_paused = true)]
async fn a_drain_in_a_busy_stream_loses_nothing() {
    for transport in [Transport::Sse, Transport::WebSocket, Transport::LongPoll] {
        let log = Log::new();
        let mount = Mount::new(log.clone().boxed(), Knobs { buffer_bytes: Some(700), ..Knobs::default() });
        let reader = mount.reader(transport, Place::Earliest).await;
        let publishing = tokio::spawn(async move {
            for n in 0..300 {
                log.publish(event(format!("{n:0>500}"))).unwrap();
                sleep(Duration::from_millis(10)).await;
            }
            log
        });
        let reading = tokio::spawn(async move {
            let (mut reader, mut numbers) = (reader, Vec::new());
            while let Some(seen) = reader.next().await {
                match seen {
                    Seen::Event(event) => numbers.push(event.data),
                    Seen::Refused { .. } => break,
                    _ => {}
                }
            }
            (reader, numbers)
        });
        sleep(Duration::from_millis(1203)).await;
        let drained = mount.handle.drain(Duration::from_secs(20)).await;
        assert_eq!(drained.left, 0, "{transport:?}");
        let (reader, mut numbers) = reading.await.unwrap();
        let before = numbers.len();
        assert!((100..300).contains(&before), "{transport:?}: {before}");
        let log = publishing.await.unwrap();
        let next = Mount::new(log.boxed(), Knobs::default());
        let mut reader = next.reader(transport, reader.place().clone()).await;
        let seen = until(&mut reader, "the rest", |seen| {
            seen.event().is_some_and(|event| event.data == format!("{:0>500}", 299).as_bytes())
        })
        .await;
        numbers.extend(seen.iter().filter_map(Seen::event).map(|event| event.data.clone()));
        let all: Vec<_> = (0..300).map(|n| format!("{n:0>500}").into_bytes()).collect();
        assert!(numbers == all, "{transport:?}: {} of {}, {before} before", numbers.len(), all.len());
    }
}
