//! two at once at one place. There is no session here but the cursor, so that neither may take anything from the other.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use realtime_core::Log;
use realtime_tests::checker::{Checker, Truth, Vacuity};
use realtime_tests::client::{Http, Place, Reader, Seen, Target, Transport, Via};
use realtime_tests::rules::case_async;
use realtime_tower::{Config, CursorKeys, builder};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::mount::{Mount, log, tick};

/// In all; every ordered pair of the six ways has its share.
const RACES: u64 = 1_000;

/// Before the place that both come with, after it, and while they read.
const EVENTS: u64 = 12;

/// For readers to be gone in: generous, for a machine that is busy.
const GONE_WAIT: Duration = Duration::from_secs(30);

/// Publishes, and writes it down.
fn publish(log: &Log, truth: &mut Truth, n: u64) -> String {
    let cursor = log.publish(tick(n)).expect("open").to_string();
    truth.publish(&cursor, None, format!("{{\"n\":{n}}}").as_bytes());
    cursor
}

/// Reads from a place to an event, after so many turns of others, and comes back once on the other's way.
async fn read(mount: Mount, ways: [Via; 2], place: Place, last: String, mut draw: fastrand::Rng) -> Checker {
    let mut checker = Checker::default();
    let target = |http| Target { http, interval: Duration::from_millis(1), ..mount.target() };
    for _ in 0..draw.u8(0..8) {
        yield_now().await;
    }
    checker.begin(ways[0], &place);
    let mut reader = Reader::connect(ways[0].transport, &target(ways[0].http), place).await;
    let mut left = draw.usize(0..EVENTS as usize);
    let is_last = |seen: &Seen| seen.event().and_then(|event| event.id.as_ref()) == Some(&last);
    let seen = reader.collect_until(|seen| {
        left = left.saturating_sub(usize::from(seen.event().is_some()));
        left == 0 || is_last(seen)
    });
    let seen = seen.await;
    checker.see_all(&seen);
    if !seen.last().is_some_and(is_last) {
        checker.begin(ways[1], reader.place());
        let mut reader = reader.resume_over(ways[1].http, ways[1].transport).await;
        checker.see_all(&reader.collect_until(is_last).await);
    }
    checker
}

/// One race: both come with one place while it is published.
async fn race(ways: [Via; 2], mut draw: fastrand::Rng) {
    let mount = Mount::by(builder(), log());
    let mut truth = Truth::default();
    let before = draw.u64(1..EVENTS - 2);
    let place = publish(&mount.log, &mut truth, 1);
    for n in 2..=before {
        publish(&mount.log, &mut truth, n);
    }
    let last = crate::mount::at(EVENTS.into());
    let [one, other] = ways;
    let readers = [[one, other], [other, one]].map(|ways| {
        tokio::spawn(read(mount.clone(), ways, Place::After(place.clone()), last.clone(), draw.fork()))
    });
    for n in before + 1..=EVENTS {
        for _ in 0..draw.u8(0..12) {
            yield_now().await;
        }
        publish(&mount.log, &mut truth, n);
    }
    for reader in readers {
        let vacuity = Vacuity { min_events: EVENTS as usize - 1, ..Vacuity::default() };
        let report = reader.await.expect("no panic").finish(&truth, vacuity);
        let report = report.unwrap_or_else(|faults| panic!("{one} and {other}: {faults}"));
        assert_eq!((report.events, report.gaps), (EVENTS as usize - 1, 0), "{one} and {other}");
    }
    // A place comes back as soon as its task is dropped, which is another thread's.
    let are_gone = async {
        while mount.readers() > 0 {
            yield_now().await;
        }
    };
    assert!(timeout(GONE_WAIT, are_gone).await.is_ok(), "{one} and {other}: a reader is left");
}

/// In threads, for the race to be one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_at_one_place_both_have_everything() {
    let pairs: Vec<_> = Via::SIX.into_iter().flat_map(|one| Via::SIX.map(|other| [one, other])).collect();
    let races = RACES.div_ceil(pairs.len() as u64);
    let mut draw = fastrand::Rng::with_seed(0xA25);
    for ways in pairs {
        let [one, other] = ways;
        case_async("A-25", &format!("{one} and {other} at once with one cursor, {races} races"), async {
            for _ in 0..races {
                race(ways, draw.fork()).await;
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_guessed_has_128_bits() {
    case_async("A-25", "the tag of a signed cursor, by every transport", async {
        let cursor_keys = Some(CursorKeys::new([7; 32]).expect("32 bytes"));
        let mount = Mount::with(Config { cursor_keys, ..Config::default() });
        mount.publish(1..=2);
        for transport in Transport::ALL {
            for http in Http::ALL {
                let target = Target { http, ..mount.target() };
                let mut reader = Reader::connect(transport, &target, Place::Earliest).await;
                let seen = reader.collect_until(|seen| seen.event().is_some()).await;
                let id = seen.last().and_then(|seen| seen.event()?.id.clone()).expect("an id");
                let (_, tag) = id.split_once('-').expect("a tag");
                let bits = BASE64_URL_SAFE_NO_PAD.decode(tag).expect("base64url").len() * 8;
                assert_eq!(bits, 128, "{transport:?} {http:?}: {id}");
            }
        }
    })
    .await;
}
