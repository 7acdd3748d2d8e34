//! What a publish costs its thread, and how soon everybody has read it: the log beside tokio's own channels, without a socket.
//!
//! ```text
//! cargo run --release -p realtime-benches --bin bench-log -- [--rounds 60] [--readers 100000] [--threads 1]
//!     [--publisher outside|task] [--only broadcast]
//! ```
//!
//! Each reader is a task of its own that waits, reads one event of 128 bytes and waits again. A round begins when all
//! wait; it measures the publish by itself, and the time until the last one has read. Medians and the 99th percentile of
//! the publish are of rounds in one process; what is compared runs alternately, so that a noisy moment meets all alike.
#![allow(clippy::print_stdout, reason = "a report is what it is for")]

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use realtime_benches::Publishing;
use realtime_core::{Delivery, Event, Log, Source, Start, Topic, TopicSet};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, WatchStream};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PAYLOAD: [u8; 128] = [b'x'; 128];

/// Readers of topics: this many share one.
const READERS_PER_TOPIC: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { rounds, readers, threads, publishers, only } = Options::read()?;
    println!("{}", Publishing::HEAD);
    for readers in readers {
        for &threads in &threads {
            for &publisher in &publishers {
                compare(readers, threads, publisher, rounds, only.as_deref())?;
            }
        }
    }
    Ok(())
}

/// Who publishes: a thread that is no runtime's, or a task of the readers' runtime.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Publisher {
    Outside,
    Task,
}

struct Options {
    rounds: usize,
    readers: Vec<usize>,
    threads: Vec<usize>,
    publishers: Vec<Publisher>,
    only: Option<String>,
}

impl Options {
    fn read() -> Result<Self, Box<dyn std::error::Error>> {
        let mut options = Self {
            rounds: 60,
            readers: vec![1, 1_000, 100_000],
            threads: vec![1, 2],
            publishers: vec![Publisher::Outside, Publisher::Task],
            only: None,
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            let number = |arguments: &mut lexopt::Parser| -> Result<usize, Box<dyn std::error::Error>> {
                Ok(arguments.value()?.to_string_lossy().parse()?)
            };
            match argument {
                lexopt::Arg::Long("rounds") => options.rounds = number(&mut arguments)?,
                lexopt::Arg::Long("readers") => options.readers = vec![number(&mut arguments)?],
                lexopt::Arg::Long("threads") => options.threads = vec![number(&mut arguments)?],
                lexopt::Arg::Long("publisher") => {
                    options.publishers = match &*arguments.value()?.to_string_lossy() {
                        "outside" => vec![Publisher::Outside],
                        _ => vec![Publisher::Task],
                    }
                }
                lexopt::Arg::Long("only") => {
                    options.only = Some(arguments.value()?.to_string_lossy().into_owned())
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// Runs what is compared in turns, and prints a line for each.
fn compare(
    readers: usize,
    threads: usize,
    publisher: Publisher,
    rounds: usize,
    only: Option<&str>,
) -> Result<(), std::io::Error> {
    let kinds: [(&str, fn(&Crowd, usize) -> Publish); 5] = [
        ("log", log),
        ("log, a prefix", prefix),
        ("log, topics", topics),
        ("broadcast", channel),
        ("watch", state),
    ];
    let mut stands = Vec::new();
    for (name, open) in kinds.into_iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        let runtime = Builder::new_multi_thread().worker_threads(threads).build()?;
        let crowd = Crowd::new(runtime, readers);
        let publish = open(&crowd, readers);
        // Of the readers of topics only those of one are told.
        let told = if name == "log, topics" { readers.min(READERS_PER_TOPIC) } else { readers };
        crowd.wait_for(&crowd.tally.parked, readers);
        stands.push((name, crowd, publish, told, Vec::with_capacity(rounds)));
    }
    for round in 1..=rounds {
        for (_, crowd, publish, told, figures) in &mut stands {
            figures.push(crowd.round(publisher, publish.clone(), readers, *told, round));
        }
    }
    for (name, _, _, told, figures) in stands {
        let of = |what: fn(&Figures) -> u128, per_mille: usize| {
            let mut all: Vec<_> = figures.iter().map(what).collect();
            all.sort_unstable();
            all[(all.len() - 1) * per_mille / 1_000]
        };
        let each = |nanoseconds: u128| (nanoseconds / told as u128) as u64;
        let line = Publishing {
            readers,
            threads,
            publisher: format!("{publisher:?}"),
            what: name.into(),
            publish_us: of(|f| f.publish.as_nanos(), 500) as f64 / 1e3,
            publish_p99_us: of(|f| f.publish.as_nanos(), 990) as f64 / 1e3,
            reader_ns: each(of(|f| f.delivered.as_nanos(), 500)),
            reader_least_ns: each(of(|f| f.delivered.as_nanos(), 0)),
            processor_ns: each(of(|f| f.processor.as_nanos(), 500)),
            allocations: of(|f| f.allocations as u128, 500) as u64,
        };
        println!("{line}");
    }
    Ok(())
}

type Publish = Arc<dyn Fn() + Send + Sync>;

/// What one round came to.
struct Figures {
    publish: Duration,
    delivered: Duration,
    /// The processor time of all threads, from before the publish until all wait again.
    processor: Duration,
    allocations: usize,
}

/// Readers, and how many of them have read, or wait again.
struct Crowd {
    runtime: Runtime,
    tally: Arc<Tally>,
}

struct Tally {
    read: AtomicUsize,
    parked: AtomicUsize,
    /// The count that somebody waits for.
    goal: AtomicUsize,
    main: Thread,
}

impl Tally {
    fn count(&self, which: &AtomicUsize) {
        if which.fetch_add(1, Ordering::AcqRel) + 1 == self.goal.load(Ordering::Acquire) {
            self.main.unpark();
        }
    }
}

impl Crowd {
    fn new(runtime: Runtime, readers: usize) -> Self {
        let (read, parked, goal) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(readers));
        let tally = Tally { read, parked, goal, main: thread::current() };
        Self { runtime, tally: Arc::new(tally) }
    }

    /// A reader: it counts what is an event, and that it waits again.
    fn spawn<S>(&self, mut stream: S, is_event: fn(&S::Item) -> bool)
    where
        S: Stream + Unpin + Send + 'static,
    {
        let tally = self.tally.clone();
        let mut has_come = true;
        self.runtime.spawn(std::future::poll_fn(move |cx| {
            while let Poll::Ready(Some(item)) = stream.poll_next_unpin(cx) {
                has_come = true;
                if is_event(&item) {
                    tally.count(&tally.read);
                }
            }
            if std::mem::take(&mut has_come) {
                tally.count(&tally.parked);
            }
            Poll::<()>::Pending
        }));
    }

    fn wait_for(&self, which: &AtomicUsize, goal: usize) {
        self.tally.goal.store(goal, Ordering::Release);
        while which.load(Ordering::Acquire) < goal {
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn round(
        &self,
        publisher: Publisher,
        publish: Publish,
        readers: usize,
        told: usize,
        round: usize,
    ) -> Figures {
        let tally = self.tally.clone();
        let before = processor_time();
        let region = Region::new(ALLOCATOR);
        tally.goal.store(told * round, Ordering::Release);
        let begun = Instant::now();
        let publish_took = match publisher {
            Publisher::Outside => {
                publish();
                begun.elapsed()
            }
            Publisher::Task => {
                let (sent, took) = std::sync::mpsc::channel();
                self.runtime.spawn(async move {
                    let begun = Instant::now();
                    publish();
                    let _ = sent.send(begun.elapsed());
                });
                took.recv().unwrap_or_default()
            }
        };
        self.wait_for(&tally.read, told * round);
        let delivered = begun.elapsed();
        let allocations = region.change().allocations;
        self.wait_for(&tally.parked, readers + told * round);
        Figures { publish: publish_took, delivered, processor: processor_time() - before, allocations }
    }
}

/// What this process's threads have run for, as the kernel's scheduler counts it; nothing where there is none to ask.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ran = |thread: std::fs::DirEntry| -> Option<u64> {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(ran).sum())
}

fn event() -> Event {
    Event::binary("tick", Bytes::from_static(&PAYLOAD))
        .unwrap_or_else(|error| panic!("a name of ours: {error}"))
}

fn topic(number: usize) -> Topic {
    Topic::new(format!("room/{number}")).unwrap_or_else(|error| panic!("a name of ours: {error}"))
}

/// A reader of a log, live from the start.
fn read(crowd: &Crowd, source: impl Source<Feed: Unpin>) {
    crowd.spawn(
        source.subscribe(Start::Live),
        |item| matches!(item, Ok(Delivery::Events(batch)) if batch.len() == 1),
    );
}

fn publisher(log: Log, event: Event) -> Publish {
    Arc::new(move || {
        log.publish(event.clone()).unwrap_or_else(|error| panic!("it is open: {error}"));
    })
}

fn log(crowd: &Crowd, readers: usize) -> Publish {
    let log = Log::new();
    (0..readers).for_each(|_| read(crowd, log.clone()));
    publisher(log, event())
}

fn prefix(crowd: &Crowd, readers: usize) -> Publish {
    let log = Log::new();
    let rooms = TopicSet::prefix("room/").unwrap_or_else(|error| panic!("a name of ours: {error}"));
    (0..readers).for_each(|_| read(crowd, log.topics(rooms.clone())));
    publisher(log, event().with_topic(topic(0)))
}

fn topics(crowd: &Crowd, readers: usize) -> Publish {
    let log = Log::new();
    (0..readers).for_each(|number| read(crowd, log.topics(topic(number / READERS_PER_TOPIC))));
    publisher(log, event().with_topic(topic(0)))
}

fn channel(crowd: &Crowd, readers: usize) -> Publish {
    let (sender, _) = broadcast::channel::<Bytes>(1_024);
    (0..readers).for_each(|_| crowd.spawn(BroadcastStream::new(sender.subscribe()), |got| got.is_ok()));
    Arc::new(move || drop(sender.send(Bytes::from_static(&PAYLOAD))))
}

fn state(crowd: &Crowd, readers: usize) -> Publish {
    let (sender, receiver) = watch::channel(Bytes::new());
    (0..readers).for_each(|_| {
        crowd.spawn(WatchStream::from_changes(receiver.clone()), |bytes| bytes.len() == PAYLOAD.len())
    });
    Arc::new(move || drop(sender.send(Bytes::from_static(&PAYLOAD))))
}
