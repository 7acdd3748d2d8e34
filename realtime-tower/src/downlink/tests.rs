//! The order in which a stream speaks.

use std::future::poll_fn;

use futures_util::FutureExt;
use proptest::prelude::*;
use realtime_core::Event;

use super::*;
use crate::config::Config;
use crate::fixture::{Item, Script, at, batch, entry, events, feed, feed_of, permit};
use crate::mount::{Mount, Told};
use std::sync::Arc;

const BEAT: Duration = Duration::from_secs(15);

fn gap(reason: GapReason) -> Gap {
    Gap::new(reason, Some(at(0)), at(5))
}

/// A stream whose feed the test speaks for.
fn stream(config: Config, opened: Option<Opened>) -> (Script, Arc<Mount>, Downlink<impl Feed>) {
    let (script, feed) = feed();
    let (mount, permit) = permit(config);
    (script, mount, Downlink::new(feed, opened, permit, true, BEAT))
}

async fn next<F: Feed>(downlink: &mut Downlink<F>) -> Message {
    poll_fn(|cx| downlink.poll_message(cx)).await
}

/// A message in short.
fn word(message: &Message) -> String {
    match message {
        Message::Control(control) => control.name().to_owned(),
        Message::Events(batch) => format!("{} events", batch.len()),
        Message::Beat(place) => format!("beat {}", place.map_or(0, |place| place.position())),
        Message::End(end) => format!("end {}", end.reason.as_str()),
    }
}

async fn words<F: Feed>(downlink: &mut Downlink<F>, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(word(&next(downlink).await));
    }
    words
}

#[tokio::test(start_paused = true)]
async fn it_opens_tells_the_gap_reads_and_says_live_once() {
    let opened = Opened::new(at(0)).with_gap(gap(GapReason::Trimmed));
    let (script, _mount, mut downlink) = stream(Config::default(), Some(opened));
    assert_eq!(downlink.place(), None, "nothing has been said");
    for item in [events(6..=7), Ok(Delivery::Live(at(7))), events(8..=8), Ok(Delivery::Live(at(12)))] {
        script.send(item).unwrap();
    }
    assert_eq!(words(&mut downlink, 5).await, ["$open", "$gap", "2 events", "$live", "1 events"]);
    // The second Live moves the place and says nothing, until the beat does.
    assert_eq!(words(&mut downlink, 1).await, ["beat 12"]);
    drop(script);
    assert_eq!(words(&mut downlink, 1).await, ["end closed"]);
    assert_eq!(downlink.place(), Some(at(12)));
    assert!(poll_fn(|cx| downlink.poll_message(cx)).now_or_never().is_none(), "nothing follows an end");
}

#[tokio::test(start_paused = true)]
async fn a_late_source_gets_beats_without_a_place_and_opens_when_it_does() {
    let (script, _mount, mut downlink) = stream(Config::default(), None);
    let began = tokio::time::Instant::now();
    assert_eq!(words(&mut downlink, 2).await, ["beat 0", "beat 0"]);
    assert_eq!((began.elapsed(), downlink.place()), (2 * BEAT, None));
    script.send(Ok(Delivery::Open(Opened::new(at(3))))).unwrap();
    assert_eq!(words(&mut downlink, 1).await, ["$open"]);
    assert_eq!(downlink.place(), Some(at(3)));
}

#[tokio::test(start_paused = true)]
async fn a_late_source_that_fails_or_is_drained_ends_without_a_place() {
    for (is_drained, word_of_it) in [(false, "end source"), (true, "end drain")] {
        let (script, mount, mut downlink) = stream(Config::default(), None);
        if is_drained {
            mount.close().into_iter().for_each(Told::tell);
        } else {
            script.send(Err(SourceError::new(SourceErrorKind::Unavailable, "away"))).unwrap();
        }
        let end = next(&mut downlink).await;
        assert_eq!((word(&end), downlink.place()), (word_of_it.to_owned(), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_beat_comes_after_silence_only() {
    let (script, _mount, mut downlink) = stream(Config::default(), Some(Opened::new(at(0))));
    assert_eq!(words(&mut downlink, 1).await, ["$open"]);
    tokio::time::advance(Duration::from_secs(10)).await;
    downlink.touched();
    let began = tokio::time::Instant::now();
    assert_eq!(words(&mut downlink, 1).await, ["beat 0"]);
    assert_eq!(began.elapsed(), BEAT, "counted from what was sent last");
    drop(script);
}

#[tokio::test(start_paused = true)]
async fn news_comes_before_a_beat_that_is_due() {
    let (script, _mount, mut downlink) = stream(Config::default(), Some(Opened::new(at(0))));
    assert_eq!(words(&mut downlink, 1).await, ["$open"]);
    tokio::time::advance(2 * BEAT).await;
    script.send(events(1..=1)).unwrap();
    assert_eq!(words(&mut downlink, 2).await, ["1 events", "beat 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_open_and_the_gap_are_said_even_when_the_mount_drains() {
    let opened = Opened::new(at(0)).with_gap(gap(GapReason::Trimmed));
    let (script, mount, mut downlink) = stream(Config::default(), Some(opened));
    script.send(events(6..=6)).unwrap();
    mount.close().into_iter().for_each(Told::tell);
    assert_eq!(words(&mut downlink, 2).await, ["$open", "$gap"]);
    let Message::End(end) = next(&mut downlink).await else { panic!("a drain ends it") };
    assert_eq!((end.reason, end.cursor), (EndReason::Drain, Some(at(5))), "what was not sent does not count");
    assert!(end.retry.is_some());
}

/// A stream under a session, and the word that ends it.
fn limited(opened: Option<Opened>) -> (Script, crate::session::Revoke, Downlink<impl Feed>) {
    let (script, feed) = feed();
    let (_mount, mut permit) = permit(Config::default());
    let (session, revoke) = crate::session::Session::revocable();
    permit.begin(session.and(crate::session::Session::expires_in(Duration::from_secs(60))));
    (script, revoke, Downlink::new(feed, opened, permit, true, BEAT))
}

#[tokio::test(start_paused = true)]
async fn nothing_at_all_is_said_once_the_session_has_ended() {
    let gapped = Opened::new(at(0)).with_gap(gap(GapReason::Trimmed));
    for (opened, before, place) in [
        (None, &[][..], None),
        (Some(gapped), &[], None),
        (Some(gapped), &["$open"], Some(at(0))),
        (Some(gapped), &["$open", "$gap"], Some(at(5))),
        (Some(gapped), &["$open", "$gap", "1 events"], Some(at(6))),
    ] {
        for is_revoked in [false, true] {
            let (script, revoke, mut downlink) = limited(opened);
            script.send(events(6..=6)).unwrap();
            assert_eq!(words(&mut downlink, before.len()).await, before);
            script.send(events(7..=7)).unwrap();
            if is_revoked {
                revoke.revoke();
            } else {
                tokio::time::advance(Duration::from_secs(60)).await;
            }
            let Message::End(end) = next(&mut downlink).await else { panic!("{before:?}: it goes on") };
            assert_eq!((end.reason, end.cursor, end.retry), (EndReason::Expired, place, None), "{before:?}");
            assert!(next(&mut downlink).now_or_never().is_none(), "the end is the end");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_wakes_a_stream_that_waits() {
    for (revoked_after, seconds) in [(None, 60), (Some(7), 7)] {
        let (_script, revoke, mut downlink) = limited(Some(Opened::new(at(0))));
        let began = tokio::time::Instant::now();
        let told = async {
            if let Some(after) = revoked_after {
                tokio::time::sleep(Duration::from_secs(after)).await;
                revoke.revoke();
            }
        };
        let ended = async {
            loop {
                if let Message::End(end) = next(&mut downlink).await {
                    return end.reason;
                }
            }
        };
        let (reason, ()) = tokio::join!(ended, told);
        assert_eq!((reason, began.elapsed().as_secs()), (EndReason::Expired, seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_wakes_a_stream_that_waits() {
    let (script, mount, mut downlink) = stream(Config::default(), Some(Opened::new(at(0))));
    assert_eq!(words(&mut downlink, 1).await, ["$open"]);
    let began = tokio::time::Instant::now();
    let told = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        mount.close().into_iter().for_each(Told::tell);
    };
    let (message, ()) = tokio::join!(next(&mut downlink), told);
    assert_eq!((word(&message), began.elapsed().as_secs()), ("end drain".to_owned(), 1));
    drop(script);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fell_behind_is_told_or_sent_away_as_the_mount_says() {
    use crate::config::Slow;
    for (slow, reason, expected) in [
        (Slow::Skip, GapReason::Overflow, ["$open", "$gap"]),
        (Slow::Disconnect, GapReason::Overflow, ["$open", "end slow"]),
        (Slow::Disconnect, GapReason::Trimmed, ["$open", "$gap"]),
    ] {
        let config = Config { slow, ..Config::default() };
        let (script, mount, mut downlink) = stream(config, Some(Opened::new(at(0))));
        script.send(Ok(Delivery::Gap(gap(reason)))).unwrap();
        assert_eq!(words(&mut downlink, 2).await, expected);
        let stats = mount.stats().of("test").unwrap();
        let is_told = expected[1] == "$gap";
        assert_eq!((stats.gaps, stats.evictions), (is_told.into(), (!is_told).into()));
        // A reader that is sent away comes back with the place it had, and is told then.
        assert_eq!(downlink.place(), Some(if is_told { at(5) } else { at(0) }));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_says_when_to_come_back_where_there_is_something_to_come_back_for() {
    let pause = Duration::from_secs(100);
    let failed = |kind| SourceError::new(kind, "cause").with_retry_after(pause);
    let jittered = |retry: Option<Duration>, around: Duration| {
        retry.is_some_and(|retry| retry >= around.mul_f64(0.75) && retry <= around.mul_f64(1.25))
    };
    for kind in [SourceErrorKind::Unavailable, SourceErrorKind::Failed] {
        let (script, _mount, mut downlink) = stream(Config::default(), Some(Opened::new(at(0))));
        script.send(Err(failed(kind))).unwrap();
        assert_eq!(words(&mut downlink, 1).await, ["$open"]);
        let Message::End(end) = next(&mut downlink).await else { panic!("a failure ends it") };
        assert_eq!((end.reason, end.failure), (EndReason::Source, Some(kind)));
        assert!(jittered(end.retry, pause), "{:?}", end.retry);
    }
    let retry = Duration::from_secs(40);
    let (_script, _mount, mut downlink) = stream(Config { retry, ..Config::default() }, None);
    for (reason, comes_back) in [
        (EndReason::Closed, false),
        (EndReason::Expired, false),
        (EndReason::Drain, true),
        (EndReason::Slow, true),
    ] {
        let Message::End(end) = downlink.end(reason, None) else { panic!("an end is one") };
        assert_eq!(jittered(end.retry, retry), comes_back, "{reason:?} {:?}", end.retry);
        assert_eq!(end.retry.is_some(), comes_back);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_moves_the_place_as_far_as_it_says() {
    // Beyond its last entry: what was filtered out behind it counts as read.
    let batch = Batch::new(vec![entry(1, Event::json("n", &1).unwrap())], at(9), true).unwrap();
    let (script, mount, mut downlink) = stream(Config::default(), Some(Opened::new(at(0))));
    script.send(Ok(Delivery::Events(batch))).unwrap();
    assert_eq!(words(&mut downlink, 2).await, ["$open", "1 events"]);
    assert_eq!((downlink.place(), mount.stats().of("test").unwrap().deliveries), (Some(at(9)), 1));
}

#[test]
fn dropping_a_stream_gives_its_place_in_the_mount_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let (script, mount, downlink) = stream(Config::default(), None);
    assert_eq!(mount.readers(), 1);
    drop(downlink);
    assert_eq!((mount.readers(), script.is_closed()), (0, true));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Events(u128),
    Live(u128),
    Gap(u128),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u128..5).prop_map(Step::Events),
        (0u128..5).prop_map(Step::Live),
        (1u128..5).prop_map(Step::Gap)
    ];
    proptest::collection::vec(step, 0..20)
}

proptest! {
    /// Whatever a source says in whatever order: `$open` first and once, `$live` once at most, one end and nothing
    /// behind it, and a place that never moves back.
    #[test]
    fn any_feed_becomes_a_stream_in_order(steps in steps(), owes_gap: bool, is_late: bool, fails: bool) {
        let mut place = if owes_gap { 5 } else { 0 };
        let opened = Opened::new(at(0));
        let opened = if owes_gap { opened.with_gap(gap(GapReason::Trimmed)) } else { opened };
        let mut items: Vec<Item> = is_late.then(|| Ok(Delivery::Open(opened))).into_iter().collect();
        for step in &steps {
            items.push(match *step {
                Step::Events(n) => {
                    place += n;
                    Ok(Delivery::Events(batch(place - n + 1..=place, false)))
                }
                Step::Live(n) => {
                    place += n;
                    Ok(Delivery::Live(at(place)))
                }
                Step::Gap(n) => {
                    place += n;
                    Ok(Delivery::Gap(Gap::new(GapReason::Trimmed, Some(at(place - n)), at(place))))
                }
            });
        }
        if fails {
            items.push(Err(SourceError::new(SourceErrorKind::Failed, "cause")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (said, last) = runtime.block_on(async {
            let (_mount, permit) = permit(Config::default());
            let opened = (!is_late).then_some(opened);
            let mut downlink = Downlink::new(feed_of(items), opened, permit, false, BEAT);
            let (mut said, mut last) = (Vec::new(), None);
            loop {
                let message = next(&mut downlink).await;
                said.push(word(&message));
                let place = downlink.place();
                assert!(place >= last, "{place:?} after {last:?}: {said:?}");
                last = place;
                if let Message::End(end) = message {
                    assert_eq!(end.cursor, last);
                    assert!(poll_fn(|cx| downlink.poll_message(cx)).now_or_never().is_none());
                    return (said, last);
                }
            }
        });
        prop_assert_eq!(&said[0], "$open");
        prop_assert_eq!(said.iter().filter(|word| *word == "$open").count(), 1);
        prop_assert_eq!(said.get(1).is_some_and(|word| word == "$gap"), owes_gap || matches!(steps.first(), Some(Step::Gap(_))));
        let lives = steps.iter().filter(|step| matches!(step, Step::Live(_))).count();
        prop_assert_eq!(said.iter().filter(|word| *word == "$live").count(), lives.min(1));
        prop_assert_eq!(said.last().unwrap(), if fails { "end source" } else { "end closed" });
        prop_assert_eq!(last, Some(at(place)));
    }
}
