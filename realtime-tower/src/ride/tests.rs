use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use realtime_core::{Cursor, Event, Format, Log, Source as _};
use slab::Slab;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

use super::driver::{Boarding, Ride};
use super::riders::{Leash, Pass, Rider, Riders, Slot};
use super::run::{Run, Wire, position};
use super::views::{Key, Views};
use crate::config::Config;
use crate::fixture::{at, batch};
use crate::mount::Mount;
use crate::seat::Leave;
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
            assert!(left.len() < frames[whole].len(), "one of which nothing went out has not begun");
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
                let (boarded, slot, mut peer, mut owed) = peers.swap_remove(random.usize(..peers.len()));
                let Some(Slot::Rides(index)) = slots.get(slot) else { panic!("it rides") };
                let (index, had) = (*index, riders.is_served(*index));
                drop(riders.remove(index, &mut slots).writer);
                slots.remove(slot);
                let mut all = String::new();
                peer.read_to_string(&mut all).await.unwrap();
                let part = run.behind(run.had(position(boarded))).len();
                owed.truncate(if had { owed.len() } else { owed.len() - part });
                assert_eq!(all, owed, "{had}");
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

/// And twice what is there stays, or the next who comes would have the list copied.
#[tokio::test]
async fn a_crowd_that_has_left_takes_its_room_along() {
    let listener = listener().await;
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    for _ in 0..100 {
        let (writer, _peer) = pair(&listener).await;
        let slot = slots.insert(Slot::Rides(0));
        let rider = Rider { writer, boarded: 0, waker: Waker::noop().clone(), slot, leash: None };
        riders.board(rider, &mut slots);
    }
    let mut room_for = |count| {
        while riders.len() > count {
            let rider = riders.remove(0, &mut slots);
            slots.remove(rider.slot);
        }
        riders.room()
    };
    let full = room_for(100);
    assert_eq!([room_for(full / 4 + 1), room_for(full / 4)], [full; 2]);
    let few = full / 4 - 1;
    assert!((2 * few..full / 2 + few).contains(&room_for(few)));
}

fn join(mount: &Arc<Mount>, log: &Log, topic: &str) -> Ride {
    let key = Key { view: log.topic(topic).as_log().unwrap(), format: WIRE.format, transport: 0 };
    Views::join(mount, key, WIRE, Duration::from_secs(15))
}

fn boarding(writer: OwnedWriteHalf, place: Cursor) -> Boarding {
    Boarding { writer, place, last: Moment::now(), leash: None }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bells<const N: usize>() -> [(Arc<Bell>, Waker); N] {
    std::array::from_fn(|_| {
        let bell = Arc::<Bell>::default();
        (bell.clone(), bell.into())
    })
}

fn rung<const N: usize>(bells: &[(Arc<Bell>, Waker); N]) -> [usize; N] {
    bells.each_ref().map(|(bell, _)| bell.0.load(Ordering::Relaxed))
}

/// Lets each task that is due be polled once. (`yield_now` lets them go on until none is.)
async fn turn() {
    let mut has_been = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_been, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn who_leaves_puts_off_nobody_but_one_that_is_alone_then() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let [mut stays, mut second, mut first] = [(); 3].map(|()| join(&mount, &log, "a"));
    let (bells, mut peers) = (bells::<3>(), Vec::new());
    for (ride, (_, waker)) in [&mut stays, &mut second, &mut first].into_iter().zip(&bells) {
        let (writer, peer) = pair(&listener).await;
        ride.board(boarding(writer, log.tail()), waker).unwrap();
        peers.push(peer);
    }
    drop(first);
    assert_eq!((mount.views.riders(), rung(&bells)), (vec![Some(2)], [0, 0, 0]));
    drop(second);
    assert_eq!((mount.views.riders(), rung(&bells)), (vec![None], [1, 0, 0]));
}

#[tokio::test]
async fn one_alone_is_woken_by_whoever_comes_in_the_task_it_asked_from_last() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let (mut alone, bells) = (join(&mount, &log, "a"), bells::<2>());
    let (mut writer, _peer) = pair(&listener).await;
    for (_, waker) in &bells {
        writer = alone.board(boarding(writer, log.tail()), waker).unwrap_err().writer;
    }
    let _second = join(&mount, &log, "a");
    assert_eq!(rung(&bells), [0, 1]);
}

#[tokio::test]
async fn who_is_put_off_is_woken_in_the_task_that_polled_last() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let ([mut rides, other], bells) = ([(); 2].map(|()| join(&mount, &log, "a")), bells::<2>());
    let (writer, _peer) = pair(&listener).await;
    rides.board(boarding(writer, log.tail()), &bells[0].1).unwrap();
    assert!(rides.poll_put_off(&mut Context::from_waker(&bells[1].1)).is_pending());
    drop(other);
    assert_eq!(rung(&bells), [0, 1]);
    assert!(rides.poll_put_off(&mut Context::from_waker(&bells[1].1)).is_ready());
}

/// D-06: whoever else has been sent something since.
#[tokio::test(start_paused = true)]
async fn who_boards_in_silence_is_silent_no_longer_than_the_heartbeat() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let (mut rides, mut peers) = ([(); 3].map(|()| join(&mount, &log, "a")), Vec::new());
    let early = Moment::now();
    tokio::time::advance(Duration::from_secs(10)).await;
    let lasts = [Moment::now(), early, Moment::now()];
    for (ride, last) in rides.iter_mut().zip(lasts) {
        let (writer, peer) = pair(&listener).await;
        writer.as_ref().set_nodelay(true).unwrap();
        ride.board(Boarding { last, ..boarding(writer, log.tail()) }, Waker::noop()).unwrap();
        peers.push(peer);
        turn().await;
    }
    for seconds in [5, 15] {
        let begun = tokio::time::Instant::now();
        for peer in &mut peers {
            said(peer, "(0)").await;
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
    }
}

/// D-15: and those who come next have one that begins where they stand.
#[tokio::test(start_paused = true)]
async fn a_driver_of_nobody_ends_at_the_next_event_or_beat() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let [mut ride, _other] = [(); 2].map(|()| join(&mount, &log, "a"));
    let topic = realtime_core::Topic::new("a").unwrap();
    for beats in [false, true] {
        let (writer, _peer) = pair(&listener).await;
        ride.board(boarding(writer, log.tail()), Waker::noop()).unwrap();
        turn().await;
        drop(ride.alight());
        turn().await;
        assert_eq!(mount.views.riders(), [Some(0)], "whoever alights is soon back");
        if beats {
            tokio::time::advance(Duration::from_secs(15)).await;
        } else {
            log.publish(Event::text("n", "x").unwrap().with_topic(topic.clone())).unwrap();
        }
        turn().await;
        assert_eq!(mount.views.riders(), [None]);
    }
}

/// D-02: two would read now, and each write what it has read.
#[tokio::test]
async fn a_task_that_was_let_go_writes_nothing_to_those_who_came_after() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let mut keeps_it = join(&mount, &log, "a");
    let mut other = join(&mount, &log, "a");
    let [(first, _first), (again, mut peer)] = [pair(&listener).await, pair(&listener).await];
    keeps_it.board(boarding(first, log.tail()), Waker::noop()).unwrap();
    turn().await;
    // Between these the task that was let go has not been polled.
    drop(other);
    drop(keeps_it.alight());
    other = join(&mount, &log, "a");
    keeps_it.board(boarding(again, log.tail()), Waker::noop()).unwrap();
    let topic = realtime_core::Topic::new("a").unwrap();
    for n in ["1", "2"] {
        log.publish(Event::text("n", n).unwrap().with_topic(topic.clone())).unwrap();
        turn().await;
    }
    said(&mut peer, "<1><2>").await;
    drop(other);
}

/// The driver lets others have their turn amid a run: who has not had it has not moved, nor has anything been sent to it.
#[tokio::test]
async fn who_alights_amid_a_run_stands_where_it_stood_unless_it_has_had_it() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let (mut rides, mut peers) = (Vec::new(), Vec::new());
    rides.resize_with(130, || join(&mount, &log, "a"));
    for ride in &mut rides {
        let (writer, peer) = pair(&listener).await;
        ride.board(boarding(writer, log.tail()), Waker::noop()).unwrap();
        peers.push(peer);
    }
    let topic = realtime_core::Topic::new("a").unwrap();
    let note = Event::text("n", "x").unwrap().with_topic(topic);
    let first = log.publish(note.clone()).unwrap();
    for peer in &mut peers {
        said(peer, "<1>").await;
    }
    // Among the tasks, for whoever blocks on the runtime comes when there is nothing left to do.
    let amid = tokio::spawn(async move {
        let second = log.publish(note).unwrap();
        turn().await;
        let alighted = [0, 129].map(|number| rides[number].alight().expect("it rides"));
        (second, alighted)
    });
    let (second, [had, not]) = amid.await.unwrap();
    assert_eq!((had.place, not.place), (second, first));
    assert!(had.last > not.last);
    drop((had, not));
    let mut rest = String::new();
    peers[0].read_to_string(&mut rest).await.unwrap();
    peers[129].read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "<2>");
}

#[tokio::test]
async fn what_others_were_sent_before_it_boarded_was_not_sent_to_it() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let [mut ride, _other] = [(); 2].map(|()| join(&mount, &log, "a"));
    let (before, (writer, _peer)) = (Moment::now(), pair(&listener).await);
    ride.board(boarding(writer, log.tail()), Waker::noop()).unwrap();
    assert!(ride.was_aboard(Moment::now()) && !ride.was_aboard(before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_runtime_of_several_workers_has_several_drivers_for_a_crowd_alone() {
    let (mount, log) = (Mount::new(Config::default(), &["test"]), Log::new());
    let mut rides: Vec<_> = (0..1_000).map(|_| join(&mount, &log, "crowd")).collect();
    let mut few: Vec<_> = (0..128).map(|_| join(&mount, &log, "few")).collect();
    assert_eq!((mount.views.len(), mount.views.riders().len()), (2, 3 + 1));
    few.push(join(&mount, &log, "few"));
    assert_eq!((mount.views.len(), mount.views.riders().len()), (2, 3 + 2));
    drop(few);
    rides.truncate(1);
    assert_eq!((mount.views.len(), mount.views.riders().len()), (1, 1));
    drop(rides);
    assert_eq!(mount.views.len(), 0);
}

/// And twice what is there stays, as of riders.
#[tokio::test]
async fn views_that_are_read_no_more_take_their_room_along() {
    let (mount, log) = (Mount::new(Config::default(), &["test"]), Log::new());
    let mut rides: Vec<_> = (0..300).map(|n| join(&mount, &log, &n.to_string())).collect();
    let mut room_for = |count| {
        rides.truncate(count);
        mount.views.room()
    };
    let full = room_for(300);
    assert!((2 * 120..=full).contains(&room_for(120)));
    assert!((2 * 50..full / 2).contains(&room_for(50)));
}

/// It was sent something all the same, and is not due for a beat.
#[tokio::test]
async fn who_takes_a_part_of_its_first_frame_stands_where_it_stood() {
    const HUGE: Wire = Wire {
        format: Format::new("test/ride/huge"),
        encode: |_| vec![b'-'; 24 * LONG_BYTES].into(),
        ..WIRE
    };
    let (before, begun) = (Moment::now(), Moment::now().later(Duration::from_secs(1)));
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    let (writer, _peer) = pair(&listener().await).await;
    let slot = slots.insert(Slot::Rides(0));
    riders.board(Rider { writer, boarded: 0, waker: Waker::noop().clone(), slot, leash: None }, &mut slots);
    let run = Run::of(&batch(8..=8, true), &HUGE);
    let pass = Pass { run: &run, wire: &HUGE, here: at(7), begun, before };
    let written = riders.serve(1, &pass, &mut slots, &mut Vec::new());
    let Slot::Off(off) = slots.remove(slot) else { panic!("it rides") };
    let (left, place) = off.left.unwrap();
    assert_eq!((left.len() + written.bytes as usize, place), (24 * LONG_BYTES, at(8)));
    assert_eq!((off.place, off.last == begun, written.deliveries), (at(7), true, 1));
}

/// The driver has read nothing yet; who has boarded ahead of it stands where it stood all the same.
#[tokio::test]
async fn who_alights_before_the_driver_has_read_stands_where_it_boarded() {
    let (mount, log, listener) = (Mount::new(Config::default(), &["test"]), Log::new(), listener().await);
    let mut rides = [(); 2].map(|()| join(&mount, &log, "a"));
    let [(one, _first), (other, _second)] = [pair(&listener).await, pair(&listener).await];
    let start = log.tail();
    rides[0].board(boarding(one, start), Waker::noop()).unwrap();
    let topic = realtime_core::Topic::new("a").unwrap();
    let ahead = log.publish(Event::text("n", "1").unwrap().with_topic(topic)).unwrap();
    rides[1].board(boarding(other, ahead), Waker::noop()).unwrap();
    assert_eq!(rides.each_mut().map(|ride| ride.alight().map(|off| off.place)), [Some(start), Some(ahead)]);
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

/// Frames so long that no socket takes a dozen of them.
const LONG: Wire =
    Wire { format: Format::new("test/ride/long"), encode: |_| vec![b'-'; LONG_BYTES].into(), ..WIRE };
const LONG_BYTES: usize = (1 << 20) + 7;

/// Of two events at 8 and 9: whoever it is, what went out and what it is left with are the whole.
#[tokio::test]
async fn who_cannot_be_written_to_is_left_with_what_is_its_own() {
    let (before, begun) = (Moment::now(), Moment::now().later(Duration::from_secs(1)));
    let listener = listener().await;
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    let mut peers = Vec::new();
    let ended = Leash { seat: Arc::default(), ends: Some(Moment::now()) };
    let revoked = Leash { seat: Arc::default(), ends: None };
    revoked.seat.tell(Leave::Expired);
    let going = Leash { seat: Arc::default(), ends: Some(Moment::now().later(Duration::from_secs(600))) };
    going.seat.tell(Leave::Drain);
    for (boarded, leash) in
        [(7, None), (8, None), (9, None), (7, Some(ended)), (8, Some(revoked)), (8, Some(going)), (7, None)]
    {
        let (mut writer, peer) = pair(&listener).await;
        if peers.len() == 6 {
            writer.shutdown().await.unwrap();
        }
        let (slot, leash) = (slots.insert(Slot::Rides(0)), leash.map(Box::new));
        riders.board(Rider { writer, boarded, waker: Waker::noop().clone(), slot, leash }, &mut slots);
        peers.push(peer);
    }
    let run = Run::of(&batch(8..=9, true), &WIRE);
    let pass = Pass { run: &run, wire: &WIRE, here: at(7), begun, before };
    riders.begin();
    let mut woken = Vec::new();
    let written = riders.serve(9, &pass, &mut slots, &mut woken);
    // Two events to the first, one to the second and to the one that only drains.
    assert_eq!((written.deliveries, written.bytes, woken.len()), (4, 12, 3));
    for (peer, expected) in [(0, "<8><9>"), (1, "<9>"), (5, "<9>")] {
        said(&mut peers[peer], expected).await;
    }
    let mut left_with = |slot| {
        let Slot::Off(off) = slots.remove(slot) else { panic!("{slot} rides") };
        (off.place, off.left, off.last == before, off.error.map(|error| error.kind()))
    };
    assert_eq!(left_with(3), (at(7), None, true, None));
    assert_eq!(left_with(4), (at(8), None, true, None), "it was ahead");
    assert_eq!(left_with(6), (at(7), None, true, Some(std::io::ErrorKind::BrokenPipe)));
    assert_eq!((riders.len(), riders.is_all_served()), (4, true));
}

#[tokio::test]
async fn who_takes_a_part_is_left_with_the_rest_of_its_frame_and_who_takes_nothing_with_its_place() {
    let (before, begun) = (Moment::now(), Moment::now().later(Duration::from_secs(1)));
    let listener = listener().await;
    let (mut riders, mut slots) = (Riders::default(), Slab::<Slot>::new());
    let (writer, mut peer) = pair(&listener).await;
    let board = |riders: &mut Riders, slots: &mut Slab<Slot>, writer, boarded| {
        let slot = slots.insert(Slot::Rides(0));
        riders.board(Rider { writer, boarded, waker: Waker::noop().clone(), slot, leash: None }, slots);
        riders.begin();
        slot
    };
    let alighted = |slots: &mut Slab<Slot>, slot| match slots.remove(slot) {
        Slot::Off(off) => *off,
        Slot::Rides(_) => panic!("it rides"),
    };
    let run = Run::of(&batch(8..=31, true), &LONG);
    let pass = Pass { run: &run, wire: &LONG, here: at(7), begun, before };
    let slot = board(&mut riders, &mut slots, writer, 9);
    let written = riders.serve(1, &pass, &mut slots, &mut Vec::new());
    let off = alighted(&mut slots, slot);
    let (left, place) = off.left.expect("a frame has begun, for a socket fills up where it will");
    let sent = written.bytes as usize;
    assert_eq!((sent + left.len()) % LONG_BYTES, 0);
    assert_eq!(written.deliveries as usize, (sent + left.len()) / LONG_BYTES);
    assert_eq!(place, at(9 + u128::from(written.deliveries)));
    assert_eq!((off.place.position(), off.last == begun), (place.position() - 1, true));

    // Until it has been seen to be full, which holds while nothing is awaited.
    let mut more = 0;
    while let Ok(written) = off.writer.try_write(&[0; 1_000]) {
        more += written;
    }
    let slot = board(&mut riders, &mut slots, off.writer, 0);
    let written = riders.serve(1, &pass, &mut slots, &mut Vec::new());
    assert_eq!((written.deliveries, written.bytes), (0, 0), "the socket is full");
    let off = alighted(&mut slots, slot);
    assert_eq!((off.place, off.left, off.last == before), (at(7), None, true));
    assert!(off.error.is_none());
    drop(off.writer);
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), sent + more);
}
