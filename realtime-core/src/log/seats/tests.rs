//! Who is woken, in which order and how many at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use futures_core::Stream as _;
use proptest::prelude::*;

use super::*;
use crate::cursor::Start;
use crate::event::Event;
use crate::feed::Delivery;
use crate::limits::Limits;
use crate::log::{Log, LogFeed};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reader in a seat.
struct Reader {
    seat: usize,
    set: TopicSet,
    bell: Arc<Bell>,
}

impl Reader {
    fn new(seats: &Seats, set: TopicSet) -> Self {
        Self { seat: seats.take(&set), set, bell: Arc::default() }
    }

    fn parked(seats: &Seats, set: TopicSet) -> Self {
        let reader = Self::new(seats, set);
        reader.park(seats);
        reader
    }

    fn park(&self, seats: &Seats) {
        assert!(seats.park(self.seat, &mut Some(self.bell.clone().into()), || false).is_some());
    }

    fn leave(&self, seats: &Seats) {
        seats.leave(self.seat, &self.set);
    }

    fn woken(&self) -> usize {
        self.bell.0.load(Ordering::Relaxed)
    }
}

fn readers_of_all(seats: &Seats, count: usize) -> Vec<Reader> {
    (0..count).map(|_| Reader::parked(seats, TopicSet::all())).collect()
}

/// The numbers of those who have been woken.
fn woken(readers: &[Reader]) -> Vec<usize> {
    (0..readers.len()).filter(|number| readers[*number].woken() > 0).collect()
}

fn is_due(seats: &Seats) -> bool {
    seats.shards.iter().any(|shard| shard.is_due.load(Ordering::Relaxed))
}

fn pass_all_on(seats: &Seats) {
    while is_due(seats) {
        seats.pass_on(0);
    }
}

impl Seats {
    fn assert_whole(&self) {
        for shard in &self.shards {
            let room = shard.room.lock();
            assert_eq!(room.assert_whole(), shard.readers.load(Ordering::Relaxed));
            assert_eq!(shard.is_due.load(Ordering::Relaxed), room.is_due());
        }
    }
}

#[test]
fn a_publish_wakes_only_whom_it_concerns() {
    let seats = Seats::new();
    let sets = [
        TopicSet::all(),
        TopicSet::one(topic("room/1")),
        TopicSet::of([topic("room/2"), topic("lobby")]).unwrap(),
        TopicSet::prefix("room/").unwrap(),
        TopicSet::prefix("r").unwrap(),
        TopicSet::unnamed(),
    ];
    let readers = sets.map(|set| Reader::new(&seats, set));
    for (published, expected) in [
        (Some("room/1"), 4),
        (Some("room/2"), 4),
        (Some("lobby"), 2),
        (Some("x"), 1),
        (None, 2),
        (Some("é"), 1),
    ] {
        readers.iter().for_each(|reader| reader.park(&seats));
        let before: usize = readers.iter().map(Reader::woken).sum();
        let published = published.map(topic);
        for _ in 0..2 {
            seats.call(std::slice::from_ref(&published));
            let after: usize = readers.iter().map(Reader::woken).sum();
            assert_eq!(after - before, expected, "{published:?}, and nobody is woken twice");
        }
        assert_eq!(seats.readers(&published), expected);
        seats.assert_whole();
    }
}

#[test]
fn a_seat_that_is_left_leaves_nothing() {
    let seats = Seats::new();
    let sets = [
        TopicSet::all(),
        TopicSet::of([topic("a"), topic("b")]).unwrap(),
        TopicSet::prefix("p").unwrap(),
        TopicSet::unnamed(),
    ];
    let readers = sets.map(|set| Reader::parked(&seats, set));
    // Some wait, and some are due.
    seats.shards[0].room.lock().call(&Some(topic("b")));
    for reader in readers {
        let bell = Arc::downgrade(&reader.bell);
        reader.leave(&seats);
        drop(reader);
        assert!(bell.upgrade().is_none(), "its waker is gone");
    }
    assert!(seats.shards[0].room.lock().is_empty());
}

#[test]
fn the_first_are_of_every_shard_and_of_both_its_ends() {
    for shards in [2, SHARDS] {
        let seats = Seats::new();
        let readers = readers_of_all(&seats, shards * FIRST);
        seats.call(&[None]);
        assert_eq!(woken(&readers).len(), FIRST);
        for number in 0..shards {
            let shard: Vec<_> = readers.iter().filter(|reader| reader.seat % SHARDS == number).collect();
            let woken: Vec<_> = shard.iter().map(|reader| reader.woken()).collect();
            let half = FIRST / shards / 2;
            let expected: Vec<_> = (0..shard.len())
                .map(|place| usize::from(place < half || place >= shard.len() - half))
                .collect();
            assert_eq!(woken, expected, "shard {number} of {shards}");
        }
        pass_all_on(&seats);
        assert!(readers.iter().all(|reader| reader.woken() == 1));
    }
}

#[test]
fn of_two_ends_that_of_who_waited_longest_comes_first() {
    let (mut room, set) = (Room::new(), TopicSet::all());
    let bells: Vec<_> = (0..5).map(|_| Arc::<Bell>::default()).collect();
    for bell in &bells {
        let seat = room.take(&set);
        room.park(seat, &mut Some(bell.clone().into()));
    }
    room.call_all();
    let mut first = [const { None::<Waker> }; 3];
    assert_eq!(room.take_from_both_ends(&mut first), 3);
    let order = first.map(|waker| {
        waker.into_iter().for_each(Waker::wake);
        bells.iter().position(|bell| bell.0.swap(0, Ordering::Relaxed) > 0)
    });
    assert_eq!(order, [Some(0), Some(4), Some(1)]);
}

#[test]
fn who_leaves_looks_after_its_own_shard_first() {
    for number in 0..4 {
        let seats = Seats::new();
        let readers = readers_of_all(&seats, 4 * FIRST);
        seats.call(&[None]);
        let before = woken(&readers);
        let own = |reader: &Reader| reader.seat % SHARDS == number;
        before.iter().map(|n| &readers[*n]).find(|reader| own(reader)).unwrap().leave(&seats);
        let after = woken(&readers);
        let next: Vec<_> = after.iter().filter(|n| !before.contains(n)).collect();
        assert!(next.len() == 1 && own(&readers[*next[0]]), "{next:?} of shard {number}");
    }
}

#[test]
fn as_many_are_woken_first_where_all_are_of_one_shard() {
    for shard in 0..SHARDS {
        let seats = Seats::new();
        let others = |shards: usize| -> Vec<_> {
            (0..shards * FIRST).map(|_| Reader::parked(&seats, TopicSet::one(topic("quiet")))).collect()
        };
        let _before = others(shard);
        let concerned = readers_of_all(&seats, FIRST);
        let _after = others(SHARDS - 1 - shard);
        seats.call(&[None]);
        assert_eq!(woken(&concerned).len(), FIRST, "shard {shard}");
    }
}

#[test]
fn a_log_of_few_readers_wakes_them_all_at_once_and_has_one_shard() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, FIRST);
    seats.call(&[None]);
    assert_eq!(woken(&readers).len(), FIRST);
    assert!(seats.shards[1..].iter().all(|shard| shard.readers.load(Ordering::Relaxed) == 0));
}

#[test]
fn who_comes_by_passes_the_wave_on() {
    type Come = fn(&Seats, &Reader, &Reader);
    let comers: [(&str, Come, usize); 6] = [
        ("was woken and is polled", |seats, woken, _| seats.pass_on(woken.seat), 1),
        ("was woken and is dropped", |seats, woken, _| woken.leave(seats), 1),
        ("is polled", |seats, _, other| seats.pass_on(other.seat), FEW),
        ("is dropped", |seats, _, other| other.leave(seats), FEW),
        (
            "parks",
            |seats, _, other| {
                other.park(seats);
                seats.pass_on(other.seat)
            },
            FEW,
        ),
        ("publishes something else", |seats, _, _| seats.call(&[Some(topic("elsewhere"))]), FIRST),
    ];
    for (what, come, expected) in comers {
        let seats = Seats::new();
        let readers = readers_of_all(&seats, 10 * FIRST);
        seats.call(&[None]);
        assert_eq!(woken(&readers).len(), FIRST);
        // Of all that were woken this one need come, or none but one that was not.
        come(&seats, &readers[0], &readers[FIRST / 2]);
        assert_eq!(woken(&readers).len(), FIRST + expected, "who {what}");
        seats.assert_whole();
    }
}

/// Fewer than the first never come, all of one shard's first among them.
#[test]
fn a_wave_outlives_readers_that_do_not_come() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, 50 * FIRST);
    seats.call(&[None]);
    let mut came = vec![false; readers.len()];
    let is_silent = |number: usize| {
        number < FIRST / 2 || (number > 10 * FIRST && number.is_multiple_of(FIRST) && number < 20 * FIRST)
    };
    loop {
        let on_their_way: Vec<_> = woken(&readers).into_iter().filter(|number| !came[*number]).collect();
        if on_their_way.is_empty() {
            break;
        }
        for number in on_their_way {
            came[number] = true;
            if !is_silent(number) {
                seats.pass_on(readers[number].seat);
            }
        }
    }
    assert!(!is_due(&seats) && readers.iter().all(|reader| reader.woken() == 1));
}

/// However many come, those who are on their way do not become more and more.
#[test]
fn a_wave_keeps_its_width() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, 50 * FIRST);
    seats.call(&[None]);
    let (mut queue, mut is_queued) = (VecDeque::new(), vec![false; readers.len()]);
    loop {
        for number in woken(&readers) {
            if !std::mem::replace(&mut is_queued[number], true) {
                queue.push_back(number);
            }
        }
        assert!(queue.len() <= FIRST);
        let Some(number) = queue.pop_front() else { break };
        seats.pass_on(readers[number].seat);
    }
    assert!(readers.iter().all(|reader| reader.woken() == 1));
}

/// A feed, and who is woken for it.
struct Follower(LogFeed, Arc<Bell>);

impl Follower {
    /// Live, and waiting.
    fn of(log: &Log) -> Self {
        Self::of_set(log, TopicSet::all())
    }

    fn of_set(log: &Log, set: TopicSet) -> Self {
        let feed = LogFeed::new(log.shared.clone(), set, Start::Live);
        let mut follower = Self(feed, Arc::default());
        while follower.poll().is_ready() {}
        follower
    }

    /// Whether there is an event; `Pending` where it waits.
    fn poll(&mut self) -> Poll<bool> {
        let waker = self.1.clone().into();
        let item = Pin::new(&mut self.0).poll_next(&mut Context::from_waker(&waker));
        item.map(|item| matches!(item, Some(Ok(Delivery::Events(_)))))
    }

    fn is_woken(&self) -> bool {
        self.1.0.load(Ordering::Relaxed) > 0
    }
}

/// Polls whoever is woken, one after the other and so often each, until nobody is woken any more; how many there were.
fn run(followers: &mut [Follower], polls: &[Poll<bool>]) -> usize {
    let mut count = 0;
    loop {
        let woken = followers.iter_mut().filter(|follower| follower.1.0.swap(0, Ordering::Relaxed) > 0);
        let before = count;
        for follower in woken {
            polls.iter().for_each(|expected| assert_eq!(follower.poll(), *expected));
            count += 1;
        }
        if count == before {
            return count;
        }
    }
}

fn event() -> Event {
    Event::text("e", "x").unwrap()
}

/// As hosts do that look at a body again when they have written what it gave.
#[test]
fn a_wave_keeps_its_width_where_each_looks_again_before_it_waits() {
    let log = Log::new();
    let mut followers: Vec<_> = (0..20 * FIRST).map(|_| Follower::of(&log)).collect();
    log.publish(event()).unwrap();
    let (mut queue, mut is_queued) = (VecDeque::new(), vec![false; followers.len()]);
    loop {
        for (number, follower) in followers.iter().enumerate() {
            if follower.is_woken() && !std::mem::replace(&mut is_queued[number], true) {
                queue.push_back(number);
            }
        }
        assert!(queue.len() <= FIRST);
        let Some(number) = queue.pop_front() else { break };
        let polls = [(); 3].map(|()| followers[number].poll());
        assert_eq!(polls, [Poll::Ready(true), Poll::Pending, Poll::Pending]);
    }
    assert!(followers.iter().all(|follower| follower.1.0.load(Ordering::Relaxed) == 1));
}

/// Behind its event it rests twice for itself; whatever polls it after that, a heartbeat say, finds those that are due.
#[test]
fn who_is_polled_while_it_waits_carries_on_a_wave_that_stands() {
    let log = Log::new();
    let mut followers: Vec<_> = (0..4 * FIRST).map(|_| Follower::of(&log)).collect();
    log.publish(event()).unwrap();
    let mut woken_after = |polls: usize| {
        (0..polls).for_each(|_| _ = followers[0].poll());
        followers.iter().filter(|follower| follower.is_woken()).count() - FIRST
    };
    assert_eq!(
        [woken_after(1), woken_after(2), woken_after(1), woken_after(1)],
        [1, 1, 1 + FEW, 1 + 2 * FEW]
    );
}

/// Else the wave would stop at the first dozens, and who is woken for the next event would be among those that it left.
#[test]
fn who_is_woken_for_nothing_hands_on_what_it_was_woken_with() {
    let (log, [a, b]) = (Log::new(), ["a", "b"].map(topic));
    let [mut of_a, mut of_b] = [&a, &b].map(|topic| {
        let of_set = |_| Follower::of_set(&log, TopicSet::one(topic.clone()));
        (0..8 * FIRST).map(of_set).collect::<Vec<_>>()
    });
    let event_and_rest = [Poll::Ready(true), Poll::Pending];
    log.publish(event().with_topic(a.clone())).unwrap();
    assert_eq!(run(&mut of_a, &event_and_rest), 8 * FIRST);
    log.shared.seats.call(&[Some(a)]);
    run(&mut of_a, &[Poll::Pending]);
    log.publish(event().with_topic(b)).unwrap();
    assert_eq!(run(&mut of_b, &event_and_rest), 8 * FIRST);
}

#[test]
fn what_is_published_together_wakes_each_reader_of_any_of_it_once() {
    let (log, [a, b, c]) = (Log::new(), ["a", "b", "c"].map(topic));
    let set = |topic: &Topic| TopicSet::one(topic.clone());
    let mut followers = [set(&a), set(&b), set(&c), TopicSet::all()].map(|set| Follower::of_set(&log, set));
    let of = |topic: &Topic| event().with_topic(topic.clone());
    log.publish_all([of(&a), of(&a), of(&b), of(&a)]).unwrap();
    let woken = followers.each_ref().map(|follower| follower.1.0.load(Ordering::Relaxed));
    assert_eq!(woken, [1, 1, 0, 1]);
    let polled = followers.each_mut().map(|follower| follower.poll());
    assert_eq!(polled, [Poll::Ready(true), Poll::Ready(true), Poll::Ready(false), Poll::Ready(true)]);
}

/// D-11: nothing was published.
#[test]
fn a_publish_that_is_refused_wakes_nobody() {
    let log = Log::builder().limits(Limits { event_bytes_max: 1, ..Limits::default() }).build();
    let mut follower = Follower::of(&log);
    assert!(log.publish(Event::text("e", "12").unwrap()).is_err());
    assert!(!follower.is_woken());
    log.publish(event()).unwrap();
    assert!(follower.is_woken() && follower.poll() == Poll::Ready(true));
}

#[test]
fn who_waits_need_not_park_again_until_somebody_is_called() {
    let seats = Seats::new();
    let reader = Reader::new(&seats, TopicSet::one(topic("a")));
    let (waker, other) = (Waker::from(reader.bell.clone()), Waker::from(Arc::<Bell>::default()));
    let calls: [fn(&Seats); 3] = [
        |seats| seats.call(&[Some(topic("a"))]),
        // It need not have been among them: that, only the lock tells.
        |seats| seats.call(&[Some(topic("elsewhere"))]),
        Seats::call_all,
    ];
    for call in calls {
        let parked = seats.park(reader.seat, &mut Some(waker.clone()), || false).unwrap();
        assert!(seats.is_parked(reader.seat, &parked, &waker));
        assert!(!seats.is_parked(reader.seat, &parked, &other), "another task is to be woken from now on");
        call(&seats);
        assert!(!seats.is_parked(reader.seat, &parked, &waker));
    }
}

/// A crowd is polled for its heartbeats: each would take two locks, to find what it knows.
#[test]
fn who_waits_and_is_polled_again_takes_no_lock() {
    let log = Log::new();
    let mut follower = Follower::of(&log);
    let held = (log.shared.state.lock(), log.shared.seats.shards.each_ref().map(|shard| shard.room.lock()));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(follower.poll()));
    let polled = told.recv_timeout(std::time::Duration::from_secs(20));
    drop(held);
    assert_eq!(polled, Ok(Poll::Pending));
}

#[test]
fn who_comes_helps_another_shard_when_its_own_is_done() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, 4 * FIRST);
    seats.call(&[None]);
    let seat = readers[0].seat;
    (0..4 * FIRST).for_each(|_| seats.pass_on(seat));
    assert!(!is_due(&seats));
}

#[test]
fn who_is_due_and_parks_again_has_read_and_is_not_woken() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, 4 * FIRST);
    seats.call(&[None]);
    let comer = &readers[FIRST / 2];
    assert_eq!(comer.woken(), 0);
    comer.park(&seats);
    pass_all_on(&seats);
    assert_eq!(comer.woken(), 0);
    assert!(readers.iter().filter(|reader| reader.seat != comer.seat).all(|reader| reader.woken() == 1));
    seats.call(&[None]);
    assert_eq!(comer.woken(), 1);
}

#[test]
fn a_reader_that_comes_in_another_task_is_woken_there_alone() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, 4 * FIRST);
    let (waits, due) = (&readers[0], &readers[FIRST / 2]);
    let other = Arc::new(Bell::default());
    let park = |reader: &Reader| {
        assert!(seats.park(reader.seat, &mut Some(other.clone().into()), || false).is_some());
    };
    park(waits);
    seats.call(&[None]);
    assert_eq!(due.woken(), 0);
    park(due);
    seats.call(&[None]);
    pass_all_on(&seats);
    assert_eq!((waits.woken(), due.woken(), other.0.load(Ordering::Relaxed)), (0, 0, 2));
}

#[test]
fn a_close_in_the_middle_of_a_wave_wakes_everybody_once() {
    let seats = Seats::new();
    let concerned = readers_of_all(&seats, 3 * FIRST);
    let others: Vec<_> = (0..FIRST).map(|_| Reader::parked(&seats, TopicSet::one(topic("quiet")))).collect();
    seats.call(&[None]);
    assert_eq!((woken(&concerned).len(), woken(&others).len()), (FIRST, 0));
    seats.call_all();
    pass_all_on(&seats);
    assert!(concerned.iter().chain(&others).all(|reader| reader.woken() == 1));
    seats.assert_whole();
}

#[derive(Debug, Clone)]
enum Op {
    Take(usize),
    Park(usize),
    Leave(usize),
    Call(usize),
    CallAll,
    PassOn(usize),
}

fn sets() -> [TopicSet; 6] {
    [
        TopicSet::all(),
        TopicSet::unnamed(),
        TopicSet::one(topic("a/1")),
        TopicSet::of([topic("a/1"), topic("a/2"), topic("b")]).unwrap(),
        TopicSet::of([topic("a/2"), topic("b")]).unwrap(),
        TopicSet::prefix("a/").unwrap(),
    ]
}

const TOPICS: [Option<&str>; 4] = [None, Some("a/1"), Some("a/2"), Some("b")];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..6_usize).prop_map(Op::Take),
        8 => (0..100_usize).prop_map(Op::Park),
        1 => (0..100_usize).prop_map(Op::Leave),
        2 => (0..TOPICS.len()).prop_map(Op::Call),
        1 => Just(Op::CallAll),
        2 => (0..100_usize).prop_map(Op::PassOn),
    ];
    proptest::collection::vec(op, 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Against a plain account: a list of who waits and a list of who is due.
    #[test]
    fn everybody_who_waited_is_woken_once_and_nobody_else(ops in ops()) {
        let seats = Seats::new();
        let mut readers: Vec<(Reader, usize, bool)> = Vec::new();
        for op in ops {
            let number = |n: usize| (!readers.is_empty()).then(|| n % readers.len());
            match op {
                Op::Take(set) => readers.push((Reader::new(&seats, sets()[set].clone()), 0, false)),
                Op::Park(n) => if let Some(n) = number(n) {
                    // What it was due for it has read; it is woken for what comes.
                    let (reader, expected, waits) = &mut readers[n];
                    reader.park(&seats);
                    (*expected, *waits) = (reader.woken(), true);
                },
                Op::Leave(n) => if let Some(n) = number(n) {
                    readers.swap_remove(n).0.leave(&seats);
                },
                Op::Call(t) => {
                    let topic = TOPICS[t].map(topic);
                    for (reader, expected, waits) in &mut readers {
                        if *waits && reader.set.contains(topic.as_ref()) {
                            (*expected, *waits) = (*expected + 1, false);
                        }
                    }
                    seats.call(&[topic]);
                }
                Op::CallAll => {
                    for (_, expected, waits) in &mut readers {
                        *expected += usize::from(std::mem::take(waits));
                    }
                    seats.call_all();
                }
                Op::PassOn(seat) => seats.pass_on(seat),
            }
            seats.assert_whole();
            prop_assert!(readers.iter().all(|(reader, expected, _)| reader.woken() <= *expected));
        }
        pass_all_on(&seats);
        for (reader, expected, _) in &readers {
            prop_assert_eq!(reader.woken(), *expected);
        }
        for (reader, ..) in &readers {
            reader.leave(&seats);
        }
        seats.assert_whole();
        prop_assert!(seats.shards.iter().all(|shard| shard.room.lock().is_empty()));
    }
}
