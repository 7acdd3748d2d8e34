//! Pages that end before the news does: each leads on to the next, without a hole or an overlap.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{Method, header};
use realtime_core::{Event, SourceExt};
use realtime_tests::checker::{Checker, Truth, Vacuity};
use realtime_tests::client::{Place, Seen, Transport};
use realtime_tests::remote::{Manners, Remote};
use realtime_tower::PageLimits;
use serde_json::Value;

use crate::mount::{Knobs, Mount, is_event, is_live, until};
use crate::world::{ALL, Kind, World};

fn bounded(events_max: usize, bytes_max: usize) -> Knobs {
    let mut knobs = Knobs::default();
    let page = PageLimits { events_max: NonZeroUsize::new(events_max).unwrap(), bytes_max };
    (knobs.poll.page, knobs.long_poll.page) = (page, page);
    knobs
}

/// D-01 to D-04 page by page, with a gap at the head of the first where one is owed.
#[tokio::test(start_paused = true)]
async fn pages_of_any_size_lead_on_without_a_hole_or_an_overlap() {
    for kind in Kind::ALL {
        for transport in [Transport::Poll, Transport::LongPoll] {
            // Fewer and more than there are, and just as many; a bound of bytes that lets one event through.
            for (events_max, bytes_max) in [(1, 1 << 20), (2, 1 << 20), (7, 1 << 20), (ALL, 40), (ALL, 0)] {
                for keep in [ALL, 7] {
                    let what = format!("{kind:?} over {transport:?}, {events_max} events, {bytes_max} bytes");
                    let mut world = World::new(kind, keep);
                    let mount = Mount::new(world.source.clone(), bounded(events_max, bytes_max));
                    let mut checker = world.checker();
                    world.publish_many(6).await;
                    let start = Place::After(world.cursors()[0].clone());
                    world.publish_many(36).await;
                    checker.begin(transport, &start);
                    let mut reader = mount.reader(transport, start).await;
                    checker.see_all(&until(&mut reader, &what, is_live).await);
                    world.publish_many(9).await;
                    let newest = world.cursors().pop().unwrap();
                    checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
                    let gaps = usize::from(keep < ALL);
                    let vacuity = Vacuity { min_gaps: gaps, min_events: 9, ..Vacuity::default() };
                    let report = world.judge(checker, vacuity, &what);
                    let least = if keep < ALL { 7 } else { world.cursors().len() - 1 };
                    assert!(report.events >= least, "{what}: {report:?}");
                }
            }
        }
    }
}

/// The form of it: a cut page is not up to date, its `next` is the id of its last event, in body and header alike, and
/// an offset is read on from there to the tail.
#[tokio::test(start_paused = true)]
async fn a_cut_page_says_so_and_its_next_is_its_last_id() {
    for kind in [Kind::Log, Kind::OneTopic, Kind::Merged, Kind::Remote] {
        let mut world = World::new(kind, ALL);
        let mount = Mount::new(world.source.clone(), bounded(4, 1 << 20));
        world.publish_many(30).await;
        let cursors = world.cursors();
        let (mut place, mut read) = (Place::Earliest, Vec::new());
        for page in 0.. {
            let target = mount.target();
            let request = target.request(Method::GET, &place).header(header::ACCEPT, "application/json");
            let answer = target.send(request, "").await.unwrap();
            let (next, up_to_date) = (
                answer.header("stream-next-offset").unwrap().to_owned(),
                answer.header("stream-up-to-date").is_some(),
            );
            let body: Value = serde_json::from_slice(&answer.whole().await.unwrap()).unwrap();
            let ids: Vec<_> = body["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["id"].as_str().unwrap().to_owned())
                .collect();
            read.extend(ids.clone());
            let is_last = read.len() == cursors.len();
            assert_eq!(
                ids.len(),
                if is_last { (cursors.len() - 1) % 4 + 1 } else { 4 },
                "{kind:?}, page {page}"
            );
            assert_eq!((body["next"].as_str(), body["upToDate"].as_bool()), (Some(&*next), Some(up_to_date)));
            // A whole number of pages may need one more to learn that it was all.
            assert!(up_to_date || Some(&next) == ids.last(), "{kind:?}: {body}");
            assert!(is_last || !up_to_date, "{kind:?}, page {page}: {body}");
            place = Place::After(next);
            if is_last {
                break;
            }
        }
        assert_eq!(read, cursors, "{kind:?}");
    }
}

/// A gap that comes up while a page is gathered ends the page before it and stands at the head of the next.
#[tokio::test(start_paused = true)]
async fn a_gap_in_the_middle_of_a_page_heads_the_next_one() {
    for transport in [Transport::Poll, Transport::LongPoll] {
        let manners = Manners {
            opens_after: Duration::ZERO,
            answers_after: Duration::from_millis(100),
            entries_max: 4,
            page_max: 2,
        };
        let remote = Remote::new(manners);
        let mount = Mount::new(remote.clone().boxed(), Knobs::default());
        let (mut truth, mut checker) = (Truth::default(), Checker::default());
        let publish = |truth: &mut Truth, n: u64| {
            let cursor = remote.publish(Event::json("tick", &n).unwrap()).to_string();
            truth.publish(&cursor, None, n.to_string().as_bytes());
            cursor
        };
        (0..4).for_each(|n| drop(publish(&mut truth, n)));
        checker.begin(transport, &Place::Earliest);
        let mut reader = mount.reader(transport, Place::Earliest).await;
        let reading = tokio::spawn(async move {
            let seen = until(&mut reader, "all of it", is_live).await;
            (seen, reader)
        });
        // The first read has been answered, the second is under way.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let cursors: Vec<_> = (4..24).map(|n| publish(&mut truth, n)).collect();
        truth.lose(None, &cursors[15]);
        let (seen, reader) = reading.await.unwrap();
        let kinds: String = seen
            .iter()
            .map(|seen| match seen {
                Seen::Event(_) => 'e',
                Seen::Gap(_) => 'g',
                Seen::Live { .. } => 'l',
                _ => '?',
            })
            .collect();
        assert_eq!(kinds, "eegeeeel", "{transport:?}: {seen:?}");
        checker.see_all(&seen);
        drop(reader);
        let vacuity = Vacuity { min_gaps: 1, min_events: 6, ..Vacuity::default() };
        checker.finish(&truth, vacuity).unwrap_or_else(|faults| panic!("{transport:?}: {faults}"));
        assert_eq!(mount.stats(crate::mount::name(transport)).requests, 2, "{transport:?}: two pages");
    }
}
