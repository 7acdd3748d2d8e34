//! A drain, second by second.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::config::Config;
use crate::mount::{Away, Permit};

const SECOND: Duration = Duration::from_secs(1);

fn mount() -> (Arc<Mount>, Handle) {
    let mount = Mount::new(Config::default(), &["test"]);
    (mount.clone(), Handle::new(mount))
}

async fn told(permit: &Permit) {
    poll_fn(|cx| permit.poll_told(cx)).await;
}

/// Readers that go as soon as they are told; each says when that was.
fn readers(mount: &Arc<Mount>, count: usize) -> JoinSet<Duration> {
    let began = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..count {
        let permit = mount.admit(0).unwrap();
        readers.spawn(async move {
            told(&permit).await;
            began.elapsed()
        });
    }
    readers
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_in_groups_over_a_quarter_of_the_deadline() {
    for (deadline, telling) in [(4 * SECOND, SECOND), (60 * SECOND, 2 * SECOND)] {
        let (mount, handle) = mount();
        let readers = readers(&mount, 160);
        let began = Instant::now();
        let drained = handle.drain(deadline).await;
        let took = began.elapsed();
        assert_eq!(drained, Drained { told: 160, left: 0 });
        let mut times = readers.join_all().await;
        times.sort();
        let group = |time| times.iter().filter(|t| **t == time).count();
        let sizes: Vec<_> = times.iter().map(|time| group(*time)).collect();
        assert!(sizes.iter().all(|size| *size == 10), "ten at a time: {sizes:?}");
        assert_eq!(times[0], Duration::ZERO, "the first group at once");
        let last = times[159];
        // Fifteen pauses, each jittered by a quarter.
        assert!(last >= telling.mul_f64(0.7) && last <= telling.mul_f64(1.2), "{last:?} of {telling:?}");
        assert!(took <= last + SECOND / 100, "it returns when the last has gone: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_groups_differ() {
    let (mount, handle) = mount();
    let readers = readers(&mount, 16);
    handle.drain(8 * SECOND).await;
    let mut times = readers.join_all().await;
    times.sort();
    let mut pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    pauses.sort();
    pauses.dedup();
    assert!(pauses.len() > 3, "jittered: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn few_readers_are_groups_of_one_and_none_is_no_wait() {
    let (mount, handle) = mount();
    let three = readers(&mount, 3);
    assert_eq!(handle.drain(4 * SECOND).await, Drained { told: 3, left: 0 });
    assert_eq!(three.join_all().await.len(), 3);
    let began = Instant::now();
    assert_eq!(handle.drain(60 * SECOND).await, Drained { told: 0, left: 0 });
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_left_at_the_deadline() {
    let (mount, handle) = mount();
    let stays: Vec<_> = (0..3).map(|_| mount.admit(0).unwrap()).collect();
    let goes = readers(&mount, 5);
    let began = Instant::now();
    assert_eq!(handle.drain(4 * SECOND).await, Drained { told: 8, left: 3 });
    assert_eq!(began.elapsed(), 4 * SECOND);
    assert_eq!(goes.join_all().await.len(), 5);
    for permit in &stays {
        told(permit).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_late_is_waited_for_up_to_the_deadline() {
    for (after, left) in [(3 * SECOND, 0), (5 * SECOND, 1)] {
        let (mount, handle) = mount();
        let permit = mount.admit(0).unwrap();
        tokio::spawn(async move {
            sleep(after).await;
            drop(permit);
        });
        let began = Instant::now();
        assert_eq!(handle.drain(4 * SECOND).await, Drained { told: 1, left });
        assert_eq!(began.elapsed(), after.min(4 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_once_it_has_begun() {
    let (mount, handle) = mount();
    let stays = mount.admit(0).unwrap();
    let drain = tokio::spawn(async move { handle.drain(4 * SECOND).await });
    tokio::task::yield_now().await;
    assert_eq!(mount.admit(0).err(), Some(Away::Draining));
    assert_eq!(drain.await.unwrap(), Drained { told: 1, left: 1 });
    assert_eq!(mount.admit(0).err(), Some(Away::Draining), "for good");
    drop(stays);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_was_dropped_is_called_again() {
    let (mount, handle) = mount();
    let readers = readers(&mount, 160);
    // Telling takes about a second: by then some have been told.
    tokio::select! {
        _ = handle.drain(4 * SECOND) => panic!("it takes longer"),
        () = sleep(SECOND / 2) => {}
    }
    let left = mount.readers();
    assert!(left > 0 && left < 160, "{left}");
    assert_eq!(mount.admit(0).err(), Some(Away::Draining), "the door stays shut");
    assert_eq!(handle.drain(4 * SECOND).await, Drained { told: left, left: 0 });
    assert_eq!(readers.join_all().await.len(), 160);
}

#[tokio::test(start_paused = true)]
async fn two_drains_at_once_both_end() {
    let (mount, handle) = mount();
    let readers = readers(&mount, 20);
    let (first, second) = tokio::join!(handle.drain(4 * SECOND), handle.drain(4 * SECOND));
    assert_eq!((first.left, second.left), (0, 0));
    assert_eq!(readers.join_all().await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_drain_on_a_signal_waits_for_it() {
    let (mount, handle) = mount();
    let readers = readers(&mount, 1);
    let began = Instant::now();
    handle.drain_on(sleep(7 * SECOND), 4 * SECOND).await;
    assert_eq!((began.elapsed(), mount.readers()), (7 * SECOND, 0));
    assert_eq!(readers.join_all().await, [7 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_nothing_tells_the_first_and_leaves_the_rest() {
    let (mount, handle) = mount();
    let permits: Vec<_> = (0..32).map(|_| mount.admit(0).unwrap()).collect();
    let drained = handle.drain(Duration::ZERO).await;
    assert_eq!(drained, Drained { told: 32, left: 32 });
    drop(permits);
    assert_eq!(mount.readers(), 0);
}
