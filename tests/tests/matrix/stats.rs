//! The figures of the handle: exact, per transport, and back to nothing when the readers have gone.

use realtime_core::{Event, Keep, Log, SourceExt, TopicSet};
use realtime_tests::client::{Place, Reader, Seen, Transport};
use realtime_tests::fault::{Plan, Way};
use realtime_tests::rules::case_async;
use realtime_tower::{TransportStats, uplink_fn};

use crate::mount::{Knobs, Mount, is_live, name, until};

/// Reads up to and with an answer that carries nothing, where there is such a thing, else up to `Live`.
async fn rest(reader: &mut Reader) {
    match reader.transport() {
        Transport::Poll | Transport::LongPoll => {
            until(reader, "an answer without news", |seen| matches!(seen, Seen::Status { .. })).await;
        }
        _ => {
            until(reader, "live", is_live).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_figure_counts_what_it_says_on_its_own_transport() {
    for transport in Transport::ALL {
        let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(3)).build();
        let echo = uplink_fn(|_: realtime_tower::Inbound| async { "fine" });
        let mount = Mount::with(log.clone().boxed(), Knobs::default(), echo);
        let first = log.publish(Event::json("tick", &0).unwrap()).unwrap().to_string();
        (1..=5).for_each(|n| drop(log.publish(Event::json("tick", &n).unwrap()).unwrap().to_string()));
        let (target, links) = mount.faulty(|_| Plan::default());

        // Fresh, three events; then what waits; a resume that loses nothing; a gap and three events.
        let mut reader = Reader::connect(transport, &target, Place::Earliest).await;
        rest(&mut reader).await;
        let streams = matches!(transport, Transport::Sse | Transport::WebSocket);
        if streams {
            assert_eq!(mount.stats(name(transport)).connections, 1);
        }
        let mut reader = reader.resume(transport).await;
        until(&mut reader, "a resume", Seen::caught_up).await;
        drop(reader);
        let mut reader = Reader::connect(transport, &target, Place::After(first)).await;
        until(&mut reader, "a gap", is_live).await;
        if let Some(socket) = reader.web_socket() {
            socket.send("1", "say", "1").await.unwrap();
            until(&mut reader, "a reply", |seen| matches!(seen, Seen::Control { .. })).await;
        }
        drop(reader);
        mount.is_left().await;

        let stats = mount.stats(name(transport));
        let (requests, resumes, empties) = match transport {
            // The page, an empty one, 304; 304 has an ETag to match only from the second on, so the resume is a page.
            Transport::Poll => (5, 3, 3),
            // The page, 204; 204; the gap.
            Transport::LongPoll => (4, 2, 2),
            _ => (3, 1, 0),
        };
        let messages = u64::from(transport == Transport::WebSocket);
        assert_eq!(
            (stats.requests, stats.resumes, stats.empties, stats.deliveries, stats.gaps, stats.messages),
            (requests, resumes, empties, 6, 1, messages),
            "{transport:?}"
        );
        assert_eq!((stats.connections, stats.evictions), (0, 0), "{transport:?}");
        // Bodies and frames, without heads: so something, and less than what went over the wire.
        let wire: u64 = (0..links.len()).filter_map(|n| links.nth(n)).map(|link| link.bytes(Way::Down)).sum();
        assert!(stats.bytes > 300 && stats.bytes < wire, "{transport:?}: {} of {wire}", stats.bytes);
        for other in Transport::ALL.into_iter().filter(|other| *other != transport) {
            assert_eq!(mount.stats(name(other)), TransportStats::default(), "{other:?} beside {transport:?}");
        }
    }
}

/// What is refused before a source is asked counts as no request, and takes no place.
#[tokio::test(start_paused = true)]
async fn a_refused_request_counts_nowhere() {
    case_async("D-09", "a malformed cursor is 400 on every transport, and counts nowhere", async {
        let mount = Mount::new(Log::new().boxed(), Knobs::default());
        for transport in Transport::ALL {
            let mut reader = mount.reader(transport, Place::After("rubbish".to_owned())).await;
            let seen = until(&mut reader, "refused", |_| false).await;
            assert!(
                matches!(&seen[..], [Seen::Refused { status, .. }] if status.as_u16() == 400),
                "{seen:?}"
            );
            assert_eq!(mount.stats(name(transport)), TransportStats::default(), "{transport:?}");
        }
        mount.is_left().await;
    })
    .await;
}
