//! Who is woken, in which order and how many at a time.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use proptest::prelude::*;

use super::*;

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
        assert!(seats.park(self.seat, &mut Some(self.bell.clone().into()), || false));
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

fn pass_all_on(seats: &Seats) {
    while seats.is_due.load(Ordering::Relaxed) {
        seats.pass_on();
    }
}

impl Seats {
    /// A seat has a waker if and only if all its links stand in chains: its topics' own, or `due`.
    fn assert_whole(&self) {
        let room = self.room.lock();
        let named = room.exact.values().chain(room.prefixes.values().flat_map(HashMap::values));
        let lists: Vec<_> = std::iter::once(&room.all).chain(named).collect();
        let due = room.chains.seats(room.due);
        let waiting: Vec<_> =
            lists.iter().flat_map(|list| room.chains.seats(list.chain)).chain(due).collect();
        for (seat, Seat { waker, links }) in &room.seats {
            let stands = waiting.iter().filter(|waiting| **waiting == seat).count();
            assert_eq!(stands, if waker.is_some() { links.iter().count() } else { 0 });
        }
        let links: usize = room.seats.iter().map(|(_, seat)| seat.links.iter().count()).sum();
        assert_eq!(links, lists.iter().map(|list| list.readers).sum::<usize>());
        assert_eq!(room.chains.len(), links + lists.len() + 1, "a chain for each list, and that of the due");
        assert_eq!(self.is_due.load(Ordering::Relaxed), room.is_due());
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
            drop(seats.call([&published]));
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
    readers.iter().skip(2).for_each(|reader| seats.room.lock().call(&Some(topic(&reader.seat.to_string()))));
    for reader in readers {
        let bell = Arc::downgrade(&reader.bell);
        reader.leave(&seats);
        reader.leave(&seats);
        drop(reader);
        assert!(bell.upgrade().is_none(), "its waker is gone");
    }
    let room = seats.room.lock();
    assert!(room.seats.is_empty() && room.exact.is_empty() && room.prefixes.is_empty());
    assert_eq!((room.all.readers, room.chains.len()), (0, 2));
}

#[test]
fn the_first_are_taken_from_both_ends_and_the_rest_follow_in_order() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, FIRST + 10);
    drop(seats.call([&None]));
    let half = FIRST / 2;
    let mut expected: Vec<_> = (0..half).chain(half + 10..FIRST + 10).collect();
    assert_eq!(woken(&readers), expected);
    seats.pass_on();
    expected.extend(half..half + FEW);
    expected.sort_unstable();
    assert_eq!(woken(&readers), expected);
    pass_all_on(&seats);
    assert!(readers.iter().all(|reader| reader.woken() == 1));
}

#[test]
fn who_comes_by_passes_the_wave_on() {
    type Come = fn(&Seats, &Reader);
    let comers: [(&str, Come); 3] = [
        ("is polled", |seats, _| seats.pass_on()),
        ("is dropped", |seats, reader| reader.leave(seats)),
        ("publishes something else", |seats, _| drop(seats.call([&Some(topic("elsewhere"))]))),
    ];
    for (what, come) in comers {
        let seats = Seats::new();
        let readers: Vec<_> = (0..FIRST + FEW).map(|_| Reader::parked(&seats, TopicSet::unnamed())).collect();
        drop(seats.call([&None]));
        assert_eq!(woken(&readers).len(), FIRST);
        // One that has been woken, and need not come itself.
        come(&seats, &readers[0]);
        assert_eq!(woken(&readers).len(), FIRST + FEW, "who {what}");
        seats.assert_whole();
    }
}

#[test]
fn who_is_due_and_parks_again_has_read_and_is_not_woken() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, FIRST + 10 * FEW);
    drop(seats.call([&None]));
    let comer = &readers[FIRST / 2 + 5 * FEW];
    assert_eq!(comer.woken(), 0);
    comer.park(&seats);
    pass_all_on(&seats);
    assert_eq!(comer.woken(), 0);
    assert!(readers.iter().filter(|reader| reader.seat != comer.seat).all(|reader| reader.woken() == 1));
    drop(seats.call([&None]));
    assert_eq!(comer.woken(), 1);
}

#[test]
fn a_reader_that_comes_in_another_task_is_woken_there_alone() {
    let seats = Seats::new();
    let readers = readers_of_all(&seats, FIRST + 10);
    let (waits, due) = (&readers[0], &readers[FIRST / 2 + 5]);
    let other = Arc::new(Bell::default());
    let park = |reader: &Reader| {
        assert!(seats.park(reader.seat, &mut Some(other.clone().into()), || false));
    };
    park(waits);
    drop(seats.call([&None]));
    park(due);
    drop(seats.call([&None]));
    pass_all_on(&seats);
    assert_eq!((waits.woken(), due.woken(), other.0.load(Ordering::Relaxed)), (0, 0, 2));
}

#[test]
fn a_close_in_the_middle_of_a_wave_wakes_everybody_once() {
    let seats = Seats::new();
    let concerned = readers_of_all(&seats, 3 * FIRST);
    let others: Vec<_> = (0..FIRST).map(|_| Reader::parked(&seats, TopicSet::one(topic("quiet")))).collect();
    drop(seats.call([&None]));
    assert_eq!((woken(&concerned).len(), woken(&others).len()), (FIRST, 0));
    drop(seats.call_all());
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
    PassOn,
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
        2 => Just(Op::PassOn),
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
                    drop(seats.call([&topic]));
                }
                Op::CallAll => {
                    for (_, expected, waits) in &mut readers {
                        *expected += usize::from(std::mem::take(waits));
                    }
                    drop(seats.call_all());
                }
                Op::PassOn => seats.pass_on(),
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
        prop_assert!(seats.room.lock().exact.is_empty());
    }
}
