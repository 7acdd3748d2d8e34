use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use realtime_core::{Cursor, Event, Format, Log, Source as _};
use slab::Slab;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

use super::driver::{Boarding, Ride};
use super::riders::{Pass, Rider, Riders, Slot};
use super::run::{Run, Wire, position};
use super::views::{Key, Views};
use crate::config::Config;
use crate::fixture::{at, batch};
use crate::mount::Mount;
use crate::timer::Moment;

const WIRE: Wire = Wire {
    format: Format::new("test/ride"),
    encode: |entry| format!("<{}>", entry.cursor().position()).into(),
    beat: |place| format!("({})", place.position()).into(),
};

#[test]
fn a_run_that_is_cut_anywhere_says_what_was_had_and_what_is_left() {
    let run = Run::of(&batch(9..=12, true), &WIRE);
    let frames = ["<9>", "<10>", "<11>", "<12>"];
    assert_eq!((run.behind(0), run.to()), (&b"<9><10><11><12>"[..], 12));
    for (had, place) in [(0, 8), (1, 9), (3, 11), (4, 12), (4, 13)] {
        assert_eq!(run.had(place), had);
        let rest = frames[had..].concat();
        assert_eq!(run.behind(had), rest.as_bytes());
        for written in 0..rest.len() {
            let cut = run.cut(had, written);
            let whole = cut.whole.map_or(had, |place| place as usize - 8);
            let left = cut.left.as_ref().map_or("", |(left, _)| std::str::from_utf8(left).unwrap());
            let begun = frames[had..whole + usize::from(!left.is_empty())].concat();
            assert_eq!([&rest[..written], left].concat(), begun, "{had} {written}");
            assert_eq!(cut.begun, whole + usize::from(!left.is_empty()) - had);
            assert_eq!(cut.left.map_or(9 + whole as u64, |(_, place)| place), 9 + whole as u64);
        }
    }
}

#[test]
fn a_lone_event_is_written_as_it_is_kept() {
    let batch = batch(9..=9, true);
    let kept = batch.encoded(WIRE.format, WIRE.encode).next().unwrap();
    assert_eq!(Run::of(&batch, &WIRE).behind(0).as_ptr(), kept.as_ptr());
}

/// Our end's writer, and the peer.
async fn pair(listener: &TcpListener) -> (OwnedWriteHalf, TcpStream) {
    let address = listener.local_addr().unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (accepted.unwrap().0.into_split().1, peer.unwrap())
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn said(peer: &mut TcpStream, expected: &str) {
    let mut read = vec![0; expected.len()];
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

/// Whoever comes and goes while a run is on its way: it reaches each who stays once.
#[tokio::test]
async fn a_run_reaches_each_once_while_others_come_and_go() {
    let listener = listener().await;
    let mut random = fastrand::Rng::with_seed(11);
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    let mut peers: Vec<(Cursor, usize, TcpStream, String)> = Vec::new();
    let mut place = 100;
    for _ in 0..60 {
        let run = Run::of(&batch(place + 1..=place + 2, true), &WIRE);
        let pass =
            Pass { run: &run, wire: &WIRE, here: at(place), begun: Moment::now(), before: Moment::now() };
        riders.begin();
        for (boarded, .., owed) in &mut peers {
            owed.push_str(std::str::from_utf8(run.behind(run.had(position(*boarded)))).unwrap());
        }
        loop {
            for _ in 0..random.usize(..3).min(40_usize.saturating_sub(peers.len())) {
                // Before the run, amid it and behind it.
                let boarded = position(at(place)) + random.u64(0..4);
                let (writer, peer) = pair(&listener).await;
                let slot = slots.insert(Slot::Rides(0));
                let rider = Rider { writer, boarded, waker: Waker::noop().clone(), slot, leash: None };
                riders.board(rider, &mut slots);
                let owed = std::str::from_utf8(run.behind(run.had(boarded))).unwrap();
                peers.push((at(boarded.into()), slot, peer, owed.to_owned()));
            }
            while !peers.is_empty() && random.u8(..3) == 0 {
                let (_, slot, mut peer, owed) = peers.swap_remove(random.usize(..peers.len()));
                let Some(Slot::Rides(index)) = slots.get(slot) else { panic!("it rides") };
                let (index, had) = (*index, riders.is_served(*index));
                drop(riders.remove(index, &mut slots).writer);
                slots.remove(slot);
                let mut all = String::new();
                peer.read_to_string(&mut all).await.unwrap();
                assert!(if had { all == owed } else { owed.starts_with(&all) }, "{had}: {all} of {owed}");
            }
            if riders.is_all_served() {
                break;
            }
            riders.serve(random.usize(1..5), &pass, &mut slots, &mut Vec::new());
        }
        place += 2;
    }
    assert!(riders.len() > 3 && riders.len() == slots.len());
    for (_, _, mut peer, owed) in peers {
        said(&mut peer, &owed).await;
    }
}

#[tokio::test]
async fn a_beat_moves_nobody_back() {
    let listener = listener().await;
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    let mut peers = Vec::new();
    for boarded in [5, 9, 12] {
        let (writer, peer) = pair(&listener).await;
        let slot = slots.insert(Slot::Rides(0));
        let rider = Rider { writer, boarded, waker: Waker::noop().clone(), slot, leash: None };
        riders.board(rider, &mut slots);
        peers.push(peer);
    }
    let run = Run::beat(at(9), &WIRE);
    let pass = Pass { run: &run, wire: &WIRE, here: at(9), begun: Moment::now(), before: Moment::now() };
    let written = riders.serve(9, &pass, &mut slots, &mut Vec::new());
    assert_eq!((written.deliveries, written.bytes), (0, 10), "a beat is no event");
    for (peer, expected) in peers.iter_mut().zip(["(9)", "(9)", "(12)"]) {
        said(peer, expected).await;
    }
}

fn join(mount: &Arc<Mount>, log: &Log, topic: &str) -> Ride {
    let key = Key { view: log.topic(topic).as_log().unwrap(), format: WIRE.format, transport: 0 };
    Views::join(mount, key, WIRE, Duration::from_secs(15))
}

fn boarding(writer: OwnedWriteHalf, place: Cursor) -> Boarding {
    Boarding { writer, place, last: Moment::now(), leash: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_runtime_of_several_workers_has_several_drivers_for_a_crowd_alone() {
    let (mount, log) = (Mount::new(Config::default(), &["test"]), Log::new());
    let mut rides: Vec<_> = (0..1_000).map(|_| join(&mount, &log, "crowd")).collect();
    let few: Vec<_> = (0..100).map(|_| join(&mount, &log, "few")).collect();
    assert_eq!((mount.views.len(), mount.views.riders().len()), (2, 3 + 1));
    drop(few);
    rides.truncate(1);
    assert_eq!((mount.views.len(), mount.views.riders().len()), (1, 1));
    drop(rides);
    assert_eq!(mount.views.len(), 0);
}

/// Its place is one that all others are past: it would miss an event.
#[tokio::test]
async fn nobody_boards_who_stands_before_the_others() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let mut rides = [(); 2].map(|()| join(&mount, &log, "a"));
    let start = log.tail();
    let (writer, mut peer) = pair(&listener).await;
    rides[0].board(boarding(writer, start), Waker::noop()).unwrap();
    let topic = realtime_core::Topic::new("a").unwrap();
    log.publish(Event::text("n", "1").unwrap().with_topic(topic)).unwrap();
    said(&mut peer, "<1>").await;
    let (writer, _other) = pair(&listener).await;
    let refused = rides[1].board(boarding(writer, start), Waker::noop()).unwrap_err();
    rides[1].board(boarding(refused.writer, log.tail()), Waker::noop()).unwrap();
    let alighted = rides[0].alight().expect("it rides");
    assert_eq!((alighted.place, alighted.left), (log.tail(), None));
    assert!(rides[0].alight().is_none(), "once");
}

#[test]
fn a_driver_whose_runtime_ends_leaves_nobody_riding() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, other) = (runtime(), runtime());
    let (mount, log) = (Mount::new(Config::default(), &["test"]), Log::new());
    let mut rides = other.block_on(async { [(); 2].map(|()| join(&mount, &log, "a")) });
    let (writer, _peer) = ours.block_on(async { pair(&listener().await).await });
    other.block_on(async {
        rides[0].board(boarding(writer, log.tail()), Waker::noop()).unwrap();
        yield_now().await;
        let is_off = poll_fn(|cx| Poll::Ready(rides[0].poll_put_off(cx).is_ready())).await;
        assert!(!is_off);
    });
    drop(other);
    ours.block_on(poll_fn(|cx| rides[0].poll_put_off(cx)));
    assert_eq!(rides[0].alight().map(|alighted| alighted.place), Some(log.tail()));
    assert_eq!(mount.views.riders(), [None]);
}
