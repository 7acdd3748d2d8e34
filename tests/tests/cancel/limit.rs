//! The poll limiter, and the sweep over all limits.

use std::future::poll_fn;
use std::task::Poll;

use realtime_tests::rules::case_async;

/// Polls a future so often at most, and drops it where it stands; `None` if that was before its end.
pub(crate) async fn polled<F: Future>(future: F, polls_max: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polls = 0;
    let output = poll_fn(|cx| {
        if polls == polls_max {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == polls_max => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    output.await
}

/// No future here needs more; one that does is never done.
const POLLS_MAX: usize = 2_000;

/// Drops `what` after 0, 1, 2, .. polls, each time in a world of its own, until it was done by itself. `once` checks what is
/// left, and says whether it was done.
///
/// # Panics
/// It took fewer than `least` polls: then it was never in the middle of anything.
pub(crate) async fn sweep(what: &str, least: usize, mut once: impl AsyncFnMut(usize) -> bool) {
    case_async("D-16", &format!("{what}, dropped after any number of polls"), async {
        for polls in 0..POLLS_MAX {
            if once(polls).await {
                assert!(polls >= least, "{what}: vacuous, it is done after {polls} polls");
                return;
            }
        }
        panic!("{what}: not done after {POLLS_MAX} polls");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_future_is_polled_as_often_as_said_and_then_gone() {
    for polls_max in 0..6 {
        let held = std::sync::Arc::new(());
        let inside = held.clone();
        let future = async move {
            let _inside = inside;
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        };
        let done = polled(future, polls_max).await.is_some();
        assert_eq!((done, std::sync::Arc::strong_count(&held)), (polls_max > 3, 1), "{polls_max}");
    }
}
