//! one client that subscribes and leaves a hundred thousand times, by name and by pattern. What it costs is reckoned by
//! the thread's time on a processor, one part of a run against another: a machine that is busy elsewhere changes neither.

use std::fs;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use http::request::Parts;
use realtime_core::{BoxFeed, Event, Log, Source, SourceExt, Start, Topic, TopicSet};
use realtime_tests::client::{Place, Reader, Seen, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::case_async;
use realtime_tower::builder;
use tokio::task::yield_now;

use crate::raw::{Lines, Raw};

/// As many topics as a reader may name.
const TOPICS: usize = realtime_core::limits::TOPICS_PER_READER_MAX;
const READERS: usize = 100_000 / TOPICS;

/// What the last part of a run may cost beside the first: caches have more to hold. One that looked through all that was there
/// before would cost ten times as much at least.
const GROWTH_MAX: u32 = 4;
/// What this thread has had of a processor, to the kernel's last tick.
fn cpu() -> Duration {
    let said = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    Duration::from_nanos(said.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

fn cost_of(work: impl FnOnce()) -> Duration {
    let before = cpu();
    work();
    cpu() - before
}

fn names(of: usize) -> impl Iterator<Item = String> {
    (0..TOPICS).map(move |n| format!("churn-{of}-{n}"))
}

fn set(of: usize) -> TopicSet {
    TopicSet::of(names(of).map(|name| Topic::new(name).expect("a name"))).expect("as many as may be")
}

/// A reader that waits.
fn parked(log: &Log, set: TopicSet) -> BoxFeed {
    let mut feed: BoxFeed = Box::pin(log.topics(set).subscribe(Start::Live));
    let mut cx = Context::from_waker(Waker::noop());
    while feed.as_mut().poll_next(&mut cx).is_ready() {}
    feed
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_subscriptions_cost_the_last_what_they_cost_the_first() {
    let log = Log::new();
    let source = log.clone();
    let (service, _handle) = builder()
        .make_source(move |parts: Parts| {
            let query = parts.uri.query().unwrap_or_default().to_owned();
            let topics = query.split('&').filter_map(|pair| Topic::new(pair.strip_prefix("topic=")?).ok());
            ready(Ok(source.topics(TopicSet::of(topics).expect("as many as may be")).boxed()))
        })
        .service();
    let host = Host::with(Protocol::Auto, service);
    let honest = Target::new(host.dialer(), "/rooms?topic=honest");
    let mut honest = Reader::connect(Transport::Sse, &honest, Place::Live).await;
    honest.collect_until(|seen| matches!(seen, Seen::Live { .. })).await;

    // Beside it all runs somebody who is due each time round: what passes between is at least what any poll took.
    let is_over = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn({
        let is_over = is_over.clone();
        async move {
            let mut rounds = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let before = cpu();
                yield_now().await;
                rounds.push(cpu() - before);
            }
            rounds
        }
    });
    case_async("A-28", "1,000 event streams of a hundred topics each, one after the other", async {
        let mut quarters = Vec::new();
        for quarter in 0..4 {
            let before = cpu();
            for nth in quarter * READERS / 4..(quarter + 1) * READERS / 4 {
                turn_over(&host, &log, nth).await;
                let event = Event::text("message", nth.to_string()).expect("text");
                log.publish(event.with_topic(Topic::new("honest").expect("a name"))).expect("it is open");
            }
            quarters.push(cpu() - before);
        }
        assert!(quarters[3] <= quarters[0] * GROWTH_MAX, "{quarters:?}");
    })
    .await;
    case_async("A-28", "no round of the loop takes 10 ms meanwhile, but one of a thousand", async {
        is_over.store(true, Ordering::Relaxed);
        let mut rounds = watch.await.expect("it ends");
        rounds.sort_unstable();
        assert!(rounds.len() > READERS, "{}", rounds.len());
        let p999 = rounds[rounds.len() - 1 - rounds.len() / 1_000];
        assert!(p999 < Duration::from_millis(10), "{p999:?} of {}", rounds.len());
    })
    .await;
    let last = (READERS - 1).to_string();
    let is_last = |seen: &Seen| matches!(seen, Seen::Event(event) if event.data == last.as_bytes());
    let seen = honest.collect_until(is_last).await;
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Event(_))).count(), READERS);
}

/// An event stream of a hundred topics that nobody has named before, until it waits; then its client leaves.
async fn turn_over(host: &Host, log: &Log, nth: usize) {
    let topics: String = names(nth).map(|name| format!("&topic={name}")).collect();
    let mut raw = Raw::over(host.connect());
    raw.send(Lines::get(&format!("/rooms?live=sse{topics}")).bytes()).await;
    assert_eq!(raw.head().await.expect("an answer").status, 200);
    let last = Topic::new(names(nth).last().expect("a hundred")).expect("a name");
    while log.readers(&last) == 0 {
        yield_now().await;
    }
    drop(raw);
    while log.readers(&last) > 0 {
        yield_now().await;
    }
}

#[tokio::test]
async fn who_has_a_hundred_thousand_subscriptions_makes_nobody_else_pay() {
    let log = Log::new();
    let topic = Topic::new("honest").expect("a name");
    let _honest = parked(&log, TopicSet::one(topic.clone()));
    let coming = |from: usize| cost_of(|| (from..from + READERS).for_each(|of| drop(parked(&log, set(of)))));
    let publishing = || {
        cost_of(|| {
            for _ in 0..20_000 {
                let event = Event::text("message", "x").expect("text").with_topic(topic.clone());
                log.publish(event).expect("it is open");
            }
        })
    };
    // Once before: the ring has the size that it will have.
    publishing();
    let (came, published) = (coming(0), publishing());
    case_async("A-28", "coming, leaving and publishing beside 100,000 subscriptions by name", async {
        let held: Vec<_> = (0..READERS).map(|of| parked(&log, set(of + READERS))).collect();
        let (crowded, busy) = (coming(READERS / 2), publishing());
        assert!(crowded <= came * GROWTH_MAX, "{came:?} {crowded:?}");
        assert!(busy <= published * GROWTH_MAX, "{published:?} {busy:?}");
        drop(held);
    })
    .await;
    case_async("A-28", "coming, leaving and publishing beside 100,000 patterns", async {
        let prefix = |n: usize| TopicSet::prefix(format!("{n}-{}", "x".repeat(n % 100))).expect("a prefix");
        let coming = || cost_of(|| (0..10_000).for_each(|n| drop(parked(&log, prefix(n)))));
        // Every length that is in use is looked up by a publish: they are all there from the beginning.
        let few: Vec<_> = (0..200).map(|n| parked(&log, prefix(n))).collect();
        let (came, published) = (coming(), publishing());
        let many: Vec<_> = (0..100_000).map(|n| parked(&log, prefix(n))).collect();
        let (crowded, busy) = (coming(), publishing());
        assert!(crowded <= came * GROWTH_MAX, "{came:?} {crowded:?}");
        assert!(busy <= published * GROWTH_MAX, "{published:?} {busy:?}");
        drop((few, many));
    })
    .await;
    assert_eq!(log.readers(&topic), 1);
}
