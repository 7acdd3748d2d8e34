//! G-02: an answer cut after each of its bytes, between `$open` and `$gap` too, and resumed.

use realtime_tests::checker::Vacuity;
use realtime_tests::client::{Http, Place, Reader, Transport};
use realtime_tests::fault::{Chunks, Cut, Plan, Way};

use crate::mount::{Knobs, Mount, is_event, until};
use crate::world::{ALL, Kind, World};

/// What comes through a first connection with a fault, and what the second brings.
async fn resumed(
    knobs: Knobs,
    transport: Transport,
    keep: usize,
    plan: impl Fn(usize) -> Plan + Send + Sync + 'static,
) -> (u64, bool) {
    let signed = knobs.config.cursor_keys.is_some();
    let what = format!("{transport:?} over {:?}, signed: {signed}", knobs.http);
    let mut world = World::new(Kind::OneTopic, keep);
    let mount = Mount::new(world.source.clone(), knobs);
    world.publish_many(6).await;
    let start = Place::After(world.cursors()[0].clone());
    // With a short memory, what the client stands before is gone: a gap is owed.
    world.publish_many(24).await;
    let newest = world.cursors().pop().unwrap();

    let (target, links) = mount.faulty(plan);
    let mut checker = world.checker();
    checker.begin(transport, &start);
    let mut reader = Reader::connect(transport, &target, start).await;
    let mut whole = false;
    while let Some(seen) = reader.next().await {
        checker.see(&seen);
        if is_event(&newest)(&seen) {
            whole = true;
            break;
        }
    }
    let bytes = links.nth(0).map_or(0, |link| link.bytes(Way::Down));
    if !whole {
        checker.begin(transport, reader.place());
        let mut reader = reader.resume(transport).await;
        checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
    }
    let vacuity = Vacuity { min_gaps: usize::from(keep < ALL), ..Vacuity::default() };
    world.judge(checker, vacuity, &what);
    (bytes, whole)
}

async fn cut_at_every_byte(knobs: Knobs, transports: &[Transport]) {
    for transport in transports.iter().copied() {
        for keep in [ALL, 4] {
            let (length, whole) = resumed(knobs.clone(), transport, keep, |_| Plan::default()).await;
            assert!(whole && length > 200, "{transport:?}: {length} bytes");
            let mut cuts = 0;
            for at in 0..length {
                // The first connection alone; the one that resumes is whole.
                let plan = move |nth| {
                    if nth == 0 { Plan::default().cut(Way::Down, at, Cut::Fin) } else { Plan::default() }
                };
                let (_, whole) = resumed(knobs.clone(), transport, keep, plan).await;
                cuts += u64::from(!whole);
            }
            assert!(cuts > length / 2, "{transport:?}: {cuts} of {length} cuts cut something off");
        }
    }
}

fn over(http: Http) -> Knobs {
    Knobs { http, ..Knobs::default() }
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_loses_nothing_and_repeats_nothing() {
    cut_at_every_byte(over(Http::One), &Transport::ALL).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_of_an_http_2_connection_loses_nothing_and_repeats_nothing() {
    cut_at_every_byte(over(Http::Two), &Transport::ALL).await;
}

/// Of a stream a signed event is in two pieces.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_of_what_is_signed_loses_nothing_and_repeats_nothing() {
    cut_at_every_byte(over(Http::One).signed(), &[Transport::Sse, Transport::WebSocket]).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_byte_by_byte_is_the_same() {
    for knobs in Http::ALL.into_iter().flat_map(|http| [over(http), over(http).signed()]) {
        for transport in Transport::ALL {
            for keep in [ALL, 4] {
                let plan = |_| Plan::default().chunk(Way::Down, Chunks::Of(1)).chunk(Way::Up, Chunks::Of(1));
                let (_, whole) = resumed(knobs.clone(), transport, keep, plan).await;
                assert!(whole, "{transport:?} over {:?}", knobs.http);
            }
        }
    }
}
