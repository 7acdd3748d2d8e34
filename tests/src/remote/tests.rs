use futures_util::{StreamExt, future};
use realtime_core::Delivery;
use tokio::time::{Instant, timeout};

use super::*;

fn event(n: u64) -> Event {
    Event::json("tick", &n).unwrap()
}

fn filled(manners: Manners, events: u64) -> Remote {
    let remote = Remote::new(manners);
    for n in 1..=events {
        remote.publish(event(n));
    }
    remote
}

/// What a feed tells up to `Live`.
async fn replay(feed: &mut BoxFeed) -> Vec<Delivery> {
    let mut told = Vec::new();
    while let Some(delivery) = feed.next().await {
        told.push(delivery.unwrap());
        if matches!(told.last(), Some(Delivery::Live(_))) {
            break;
        }
    }
    told
}

fn count(told: &[Delivery]) -> usize {
    told.iter().map(|told| if let Delivery::Events(batch) = told { batch.len() } else { 0 }).sum()
}

#[tokio::test(start_paused = true)]
async fn many_readers_at_one_place_cost_one_read_and_idle_ones_none() {
    let remote = filled(Manners::default(), 10);
    assert_eq!((remote.reads(), remote.feeds()), (0, 0), "nobody reads");
    let mut feeds: Vec<_> = (0..50).map(|_| remote.subscribe(Start::Earliest)).collect();
    assert_eq!(remote.reads(), 0, "nothing is read before a feed is polled");
    for told in future::join_all(feeds.iter_mut().map(replay)).await {
        assert_eq!(count(&told), 10);
    }
    assert_eq!((remote.reads(), remote.feeds()), (1, 50));
    let idle = future::join_all(feeds.iter_mut().map(|feed| timeout(Duration::from_secs(60), feed.next())));
    assert!(idle.await.iter().all(Result::is_err));
    assert_eq!(remote.reads(), 1, "waiting is not asking");
    remote.publish(event(11));
    future::join_all(feeds.iter_mut().map(|feed| feed.next())).await;
    assert_eq!(remote.reads(), 2);
    drop(feeds);
    assert_eq!(remote.feeds(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_answers_late_and_forgets_by_itself() {
    let manners = Manners { opens_after: Duration::from_secs(3), entries_max: 4, ..Manners::default() };
    let remote = filled(manners, 10);
    let begun = Instant::now();
    let seventh = Cursor::new(0xfa7, BASE + 7);
    let mut feed = remote.subscribe(Start::After(Cursor::new(0xfa7, BASE + 2)));
    let Some(Ok(Delivery::Open(opened))) = feed.next().await else { panic!("it opens") };
    assert_eq!(begun.elapsed(), manners.opens_after);
    let gap = opened.gap.unwrap();
    assert_eq!(
        (gap.reason, gap.to, gap.to < seventh),
        (GapReason::Trimmed, Cursor::new(0xfa7, BASE + 6), true)
    );
    assert_eq!(count(&replay(&mut feed).await), 4);
    for n in 11..=20 {
        remote.publish(event(n));
    }
    let Some(Ok(Delivery::Gap(gap))) = feed.next().await else { panic!("it was too slow") };
    assert_eq!(gap.reason, GapReason::Overflow);
    remote.restart();
    let told = feed.next().await;
    assert!(matches!(&told, Some(Ok(Delivery::Events(batch))) if batch.len() == 4), "{told:?}");
    let told = feed.next().await;
    assert!(matches!(&told, Some(Ok(Delivery::Gap(gap))) if gap.reason == GapReason::Epoch), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_feeds_that_meet_it() {
    let remote = filled(Manners::default(), 3);
    let mut feed = remote.subscribe(Start::Earliest);
    assert_eq!(count(&replay(&mut feed).await), 3);
    let failure = Failure { kind: SourceErrorKind::Unavailable, retry_after: Some(Duration::from_secs(7)) };
    remote.fail_to_read(Some(failure));
    let error = feed.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (failure.kind, failure.retry_after));
    assert!(feed.next().await.is_none());
    remote.fail_to_read(None);
    remote.fail_to_open(Some(failure));
    assert!(remote.subscribe(Start::Live).next().await.unwrap().is_err());
    remote.fail_to_open(None);
    remote.close();
    let told: Vec<_> = remote.subscribe(Start::Last(2)).collect().await;
    assert!(matches!(told.last(), Some(Ok(Delivery::Live(_)))));
    assert_eq!(count(&told.into_iter().map(Result::unwrap).collect::<Vec<_>>()), 2);
}
