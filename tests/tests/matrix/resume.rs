//! D-05: one cursor, and every ordered pair of transports.

use realtime_core::{Event, Log, SourceExt};
use realtime_tests::checker::Vacuity;
use realtime_tests::client::{Http, Place, Seen, Transport};

use crate::mount::{Knobs, Mount, is_event, is_live, until};
use crate::world::{ALL, Kind, World};

/// All ordered pairs of transports, each over either HTTP.
fn pairs() -> impl Iterator<Item = ((Http, Transport), (Http, Transport))> {
    let all = || Http::ALL.into_iter().flat_map(|http| Transport::ALL.map(|transport| (http, transport)));
    all().flat_map(move |from| all().map(move |to| (from, to)))
}

/// A host that speaks both, with plain cursors and with signed ones.
fn either() -> [Knobs; 2] {
    let plain = Knobs { speaks_both: true, ..Knobs::default() };
    [plain.clone(), plain.signed()]
}

/// The token that one transport gave is taken by the other as it stands, and reading goes on behind it.
#[tokio::test(start_paused = true)]
async fn a_cursor_of_any_transport_resumes_on_any_other() {
    for kind in [Kind::Log, Kind::TopicSet, Kind::Remote] {
        for (((http, from), (http_to, to)), knobs) in
            pairs().flat_map(|pair| either().map(|knobs| (pair, knobs)))
        {
            let signed = knobs.config.cursor_keys.is_some();
            let what =
                format!("{kind:?}, signed: {signed}, {from:?} over {http:?} to {to:?} over {http_to:?}");
            let mut world = World::new(kind, ALL);
            let mount = Mount::new(world.source.clone(), Knobs { http, ..knobs });
            let mut checker = world.checker();
            world.publish_many(9).await;
            checker.begin(from, &Place::Earliest);
            let mut reader = mount.reader(from, Place::Earliest).await;
            checker.see_all(&until(&mut reader, &what, is_live).await);
            world.publish_many(6).await;
            checker.begin(to, reader.place());
            let mut reader = reader.resume_over(http_to, to).await;
            let newest = world.cursors().pop().unwrap();
            checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
            let least = world.cursors().len();
            let switches = usize::from(from != to);
            let vacuity = Vacuity { min_events: least, min_switches: switches, ..Vacuity::default() };
            let report = world.judge(checker, vacuity, &what);
            assert_eq!((report.events, report.gaps), (least, 0), "{what}");
            drop(reader);
            mount.is_left().await;
        }
    }
}

/// A gap that is owed is said by whichever transport the client comes back on.
#[tokio::test(start_paused = true)]
async fn a_gap_is_said_on_any_transport_in_the_same_form() {
    for (((http, from), (http_to, to)), knobs) in pairs().flat_map(|pair| either().map(|knobs| (pair, knobs)))
    {
        let signed = knobs.config.cursor_keys.is_some();
        let what = format!("signed: {signed}, {from:?} over {http:?} to {to:?} over {http_to:?}");
        let mut world = World::new(Kind::OneTopic, 4);
        let mount = Mount::new(world.source.clone(), Knobs { http, ..knobs });
        let mut checker = world.checker();
        world.publish_many(6).await;
        checker.begin(from, &Place::Earliest);
        let mut reader = mount.reader(from, Place::Earliest).await;
        checker.see_all(&until(&mut reader, &what, is_live).await);
        let place = reader.place().clone();
        world.publish_many(40).await;
        checker.begin(to, &place);
        let mut reader = reader.resume_over(http_to, to).await;
        let newest = world.cursors().pop().unwrap();
        let seen = until(&mut reader, &what, is_event(&newest)).await;
        let gap =
            seen.iter().find_map(|seen| if let Seen::Gap(gap) = seen { Some(gap) } else { None }).unwrap();
        assert_eq!((gap.reason.as_str(), gap.from.as_deref()), ("trimmed", place.cursor()), "{what}");
        checker.see_all(&seen);
        let vacuity = Vacuity { min_gaps: 1, min_events: 5, ..Vacuity::default() };
        world.judge(checker, vacuity, &what);
    }
}

/// A server that started over has another epoch: the old cursor is a gap, never silence and never a rewind unsaid.
#[tokio::test(start_paused = true)]
async fn a_restart_is_a_gap_on_any_transport() {
    for ((from, to), knobs) in Transport::pairs()
        .flat_map(|pair| [Knobs::default(), Knobs::default().signed()].map(|knobs| (pair, knobs)))
    {
        let what = format!("{from:?} to {to:?}, signed: {}", knobs.config.cursor_keys.is_some());
        let first = Log::new();
        first.publish(Event::text("e", "before").unwrap()).unwrap();
        let mount = Mount::new(first.boxed(), knobs.clone());
        let mut reader = mount.reader(from, Place::Earliest).await;
        until(&mut reader, &what, is_live).await;
        let place = reader.place().clone();
        drop((reader, mount));

        let second = Log::new();
        second.publish(Event::text("e", "after").unwrap()).unwrap();
        let mount = Mount::new(second.boxed(), knobs);
        let mut reader = mount.reader(to, place).await;
        let seen = until(&mut reader, &what, is_live).await;
        let gap = seen.iter().position(|seen| matches!(seen, Seen::Gap(gap) if gap.reason == "epoch"));
        let event = seen.iter().position(|seen| seen.event().is_some_and(|event| event.data == b"after"));
        assert!(gap.is_some() && gap < event, "{what}: {seen:?}");
    }
}
