//! Connections that break or stick in other ways: cut to come back on another transport, reset, cut on the way up, stalled.

use std::time::Duration;

use realtime_tests::checker::Vacuity;
use realtime_tests::client::{Over, Place, Reader, Transport};
use realtime_tests::fault::{Cut, Plan, Way};
use realtime_tests::rules::case_async;

use crate::mount::{Knobs, Mount, eventually, is_event, until};
use crate::world::{Kind, World};

/// A world with a gap owed to whoever comes from the returned place.
async fn gapped() -> (World, Place) {
    let mut world = World::new(Kind::Log, 2);
    world.publish_many(3).await;
    let place = Place::After(world.cursors()[0].clone());
    world.publish_many(9).await;
    (world, place)
}

/// D-05 and G-02 together: cut after any byte, reset or ended, and resumed on another transport, the gap is said and
/// everything behind it comes, once.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_is_made_up_for_on_another_transport() {
    let (world, start) = gapped().await;
    let newest = world.cursors().pop().unwrap();
    let mount = Mount::new(world.source.clone(), Knobs::default());
    for from in Transport::ALL {
        let (target, links) = mount.faulty(|_| Plan::default());
        let mut whole = Reader::connect(from, &target, start.clone()).await;
        until(&mut whole, "whole", is_event(&newest)).await;
        let length = links.nth(0).unwrap().bytes(Way::Down);
        drop(whole);
        let others: Vec<_> = Transport::ALL.into_iter().filter(|to| *to != from).collect();
        let mut told_again = 0;
        for at in 0..length {
            let to = others[at as usize % others.len()];
            let cut = if at % 2 == 0 { Cut::Fin } else { Cut::Abrupt };
            let what = format!("{from:?} to {to:?}, {cut:?} at {at} of {length}");
            let (target, _links) = mount.faulty(move |nth| match nth {
                0 => Plan::default().cut(Way::Down, at, cut),
                _ => Plan::default(),
            });
            let mut checker = world.checker();
            checker.begin(from, &start);
            let mut reader = Reader::connect(from, &target, start.clone()).await;
            let mut seen = until(&mut reader, &what, is_event(&newest)).await;
            if !seen.last().is_some_and(|seen| is_event(&newest)(seen)) {
                assert!(matches!(reader.over(), Some(Over::Cut(_))), "{what}: {:?}", reader.over());
                checker.see_all(&seen);
                // Between `$open` and `$gap` the place is still the old one, and the gap is said again.
                let is_told = reader.place() != &start;
                told_again += u64::from(!is_told && !seen.is_empty());
                checker.begin(to, reader.place());
                reader = reader.resume(to).await;
                seen = until(&mut reader, &what, is_event(&newest)).await;
            }
            checker.see_all(&seen);
            let vacuity = Vacuity { min_gaps: 1, min_events: 6, ..Vacuity::default() };
            let report = world.judge(checker, vacuity, &what);
            assert_eq!((report.events, report.gaps), (6, 1), "{what}");
        }
        if matches!(from, Transport::Sse | Transport::WebSocket) {
            assert!(told_again > 50, "{from:?} was cut between $open and $gap {told_again} times");
        }
    }
    mount.is_left().await;
    assert!(world.is_unread());
}

/// D-16: a request that is cut after any of its bytes leaves no reader, permit or connection behind.
#[tokio::test(start_paused = true)]
async fn a_request_cut_at_any_byte_leaves_nothing() {
    case_async(
        "D-16",
        "a request cut after any of its bytes leaves no reader, permit or connection",
        async {
            let (world, start) = gapped().await;
            let mount = Mount::new(world.source.clone(), Knobs::default());
            for transport in Transport::ALL {
                let (target, links) = mount.faulty(|_| Plan::default());
                drop(Reader::connect(transport, &target, start.clone()).await.next().await);
                let length = links.nth(0).unwrap().bytes(Way::Up);
                assert!(length > 80, "{transport:?}: {length}");
                for at in 0..length {
                    let cut = if at % 2 == 0 { Cut::Fin } else { Cut::Abrupt };
                    let (target, _links) = mount.faulty(move |_| Plan::default().cut(Way::Up, at, cut));
                    let mut reader = Reader::connect(transport, &target, start.clone()).await;
                    until(&mut reader, "cut", |_| false).await;
                    assert_eq!(reader.place(), &start, "{transport:?} at {at}");
                }
                eventually("no reader is left", || mount.readers() == 0).await;
            }
            mount.is_left().await;
            assert!(world.is_unread());
        },
    )
    .await;
}

/// A connection that stands still for a while, either way and anywhere, goes on as if nothing had been.
#[tokio::test(start_paused = true)]
async fn a_stall_either_way_changes_nothing() {
    let (world, start) = gapped().await;
    let newest = world.cursors().pop().unwrap();
    let mount = Mount::new(world.source.clone(), Knobs::default());
    for transport in Transport::ALL {
        for (way, step) in [(Way::Down, 37), (Way::Up, 11)] {
            for after in (0..1000).step_by(step) {
                let what = format!("{transport:?}, {way:?} after {after}");
                let (target, links) = mount.faulty(move |_| Plan::default().stall(way, after));
                let released = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(4)).await;
                    links.nth(0).map(|link| link.release(way))
                });
                let mut checker = world.checker();
                checker.begin(transport, &start);
                let mut reader = Reader::connect(transport, &target, start.clone()).await;
                checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
                let vacuity = Vacuity { min_gaps: 1, min_events: 6, ..Vacuity::default() };
                world.judge(checker, vacuity, &what);
                released.abort();
            }
        }
    }
}
