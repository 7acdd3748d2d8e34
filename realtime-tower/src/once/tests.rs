use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use http::{Request, StatusCode};
use proptest::prelude::*;
use realtime_core::Payload;

use super::window::{Found, Window};
use super::*;
use crate::answered::Answered;
use crate::timer::{self, Moment, within};
use crate::uplink::{Inbound, Reply, UplinkError, uplink_fn};

fn operation(key: usize) -> Operation {
    let request = Request::post("/").header("idempotency-key", key.to_string());
    Operation::of(&request.body(()).unwrap().into_parts().0).unwrap().unwrap()
}

fn content() -> Content {
    Content::of("message", b"1")
}

/// An answer whose body has so many bytes.
fn answer(bytes: usize) -> Answered {
    Ok(Reply(Some(Payload::Text("x".repeat(bytes).into())))).into()
}

/// One window, and the time that goes by.
struct Laws {
    window: Window,
    now: Moment,
}

impl Laws {
    fn new(config: OnceConfig) -> Self {
        Self { window: Window::new(config), now: Moment::now() }
    }

    fn begin(&mut self, key: usize) -> Found {
        self.window.begin(operation(key), content(), self.now)
    }

    fn finish(&mut self, key: usize, bytes: usize) {
        self.window.finish(operation(key), &answer(bytes), self.now);
    }

    fn done(&mut self, key: usize, bytes: usize) {
        assert_eq!(self.begin(key), Found::New, "{key}");
        self.finish(key, bytes);
    }

    /// Whether it is known; one that is not would run now, so that the window is spent.
    fn knows(mut self, key: usize) -> bool {
        self.begin(key) != Found::New
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_for_so_long_from_when_it_was_given() {
    let keep = Duration::from_secs(600);
    for (waited, known) in [(keep - Duration::from_nanos(1), true), (keep, false), (keep * 2, false)] {
        let mut laws = Laws::new(OnceConfig { keep, ..OnceConfig::default() });
        assert_eq!(laws.begin(1), Found::New);
        laws.now = laws.now.later(keep * 3);
        assert_eq!(laws.begin(1), Found::Running, "one that runs does not grow old");
        laws.finish(1, 3);
        laws.now = laws.now.later(waited);
        assert_eq!(laws.knows(1), known, "{waited:?}");
    }
}

#[test]
fn of_too_many_keys_the_oldest_answer_goes_first() {
    let laws = |keys| {
        let mut laws = Laws::new(OnceConfig { keys_max: 3, ..OnceConfig::default() });
        assert_eq!(laws.begin(0), Found::New, "and runs all the time");
        // Finished in another order than begun: 2 before 1.
        for key in 1..keys {
            assert_eq!(laws.begin(key), Found::New);
            if key > 1 {
                laws.finish(key, 1);
            }
            if key == 2 {
                laws.finish(1, 1);
            }
        }
        laws
    };
    assert!(laws(3).knows(2), "as many as may be");
    for (key, known) in [(0, true), (1, true), (2, false), (3, true)] {
        assert_eq!(laws(4).knows(key), known, "{key}");
    }
}

#[test]
fn one_that_runs_is_never_forgotten_and_no_more_run_than_may() {
    for config in [
        OnceConfig { keys_max: 2, ..OnceConfig::default() },
        OnceConfig { running_max: 2, ..OnceConfig::default() },
    ] {
        let mut laws = Laws::new(config);
        assert_eq!((laws.begin(1), laws.begin(2), laws.begin(3)), (Found::New, Found::New, Found::Full));
        assert_eq!((laws.begin(1), laws.begin(2)), (Found::Running, Found::Running));
        laws.finish(1, 1);
        assert_eq!((laws.begin(3), laws.begin(2)), (Found::New, Found::Running));
    }
    // A knob of zero is one of one: else no message with a key would ever be handled.
    let mut laws = Laws::new(OnceConfig { keys_max: 0, running_max: 0, ..OnceConfig::default() });
    laws.done(1, 1);
    laws.done(2, 1);
    assert!(!laws.knows(1));
}

#[test]
fn a_message_that_finds_no_room_pushes_no_answer_out() {
    let mut laws = Laws::new(OnceConfig { running_max: 1, keys_max: 2, ..OnceConfig::default() });
    laws.done(1, 1);
    assert_eq!((laws.begin(2), laws.begin(3)), (Found::New, Found::Full));
    assert!(laws.knows(1));
}

#[test]
fn of_too_many_bytes_the_oldest_answers_go_first() {
    let config = OnceConfig { answer_bytes_max: 10, ..OnceConfig::default() };
    for (last, kept) in [(2, [true, true, true]), (3, [false, true, true]), (7, [false, false, true])] {
        for (key, kept) in (1..).zip(kept) {
            let mut laws = Laws::new(config.clone());
            laws.done(1, 4);
            laws.done(2, 4);
            laws.done(3, last);
            assert_eq!(laws.knows(key), kept, "{last} bytes, key {key}");
        }
    }
}

#[test]
fn an_answer_that_is_too_large_is_not_kept_but_its_key_is() {
    for (bytes, kept) in [(10, answer(10)), (11, Answered::not_kept())] {
        let mut laws = Laws::new(OnceConfig { answer_bytes_max: 10, ..OnceConfig::default() });
        laws.done(1, bytes);
        assert_eq!(laws.begin(1), Found::Done(kept));
    }
    let mut none = Laws::new(OnceConfig { answer_bytes_max: 0, ..OnceConfig::default() });
    none.done(1, 0);
    none.done(2, 1);
    assert_eq!((none.begin(1), none.begin(2)), (Found::Done(answer(0)), Found::Done(Answered::not_kept())));
}

#[test]
fn who_was_told_not_now_is_new_again() {
    for (status, kept) in [(429, false), (503, false), (400, true), (409, true), (500, true), (504, true)] {
        let mut laws = Laws::new(OnceConfig { keys_max: 1, ..OnceConfig::default() });
        let refused = UplinkError::new(StatusCode::from_u16(status).unwrap(), "no");
        assert_eq!(laws.begin(1), Found::New);
        laws.window.finish(operation(1), &Err(refused).into(), laws.now);
        assert_eq!((laws.window.running(), laws.window.held().0), (0, kept.into()), "{status}");
        assert_eq!(laws.knows(1), kept, "{status}");
    }
}

#[test]
fn another_message_under_the_same_key_is_told_apart() {
    let mut laws = Laws::new(OnceConfig::default());
    let others = [Content::of("message", b"2"), Content::of("messag", b"e1"), Content::of("other", b"1")];
    let found = |laws: &mut Laws| others.map(|other| laws.window.begin(operation(1), other, laws.now));
    assert_eq!(laws.begin(1), Found::New);
    assert_eq!(found(&mut laws), [Found::Other, Found::Other, Found::Other], "while it runs");
    laws.finish(1, 1);
    assert_eq!(found(&mut laws), [Found::Other, Found::Other, Found::Other], "and after");
    assert_eq!(laws.begin(1), Found::Done(answer(1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: no operation runs twice while it runs or is remembered, and no bound is
    /// passed.
    #[test]
    fn no_bound_is_passed(steps in proptest::collection::vec((0..12_usize, 0..14_usize, 0..4_u64), 0..200)) {
        let config = OnceConfig {
            keep: Duration::from_secs(9), keys_max: 6, running_max: 4, answer_bytes_max: 20,
        };
        let mut laws = Laws::new(config);
        let mut running = Vec::new();
        for (key, bytes, seconds) in steps {
            laws.now = laws.now.later(Duration::from_secs(seconds));
            match running.iter().position(|other| *other == key) {
                Some(_) if bytes == 13 => prop_assert_eq!(laws.begin(key), Found::Running),
                Some(at) => {
                    laws.finish(running.remove(at), bytes);
                    let kept = if bytes > 20 { Answered::not_kept() } else { answer(bytes) };
                    prop_assert_eq!(laws.begin(key), Found::Done(kept));
                }
                None => match laws.begin(key) {
                    Found::New => running.push(key),
                    Found::Full => prop_assert_eq!(running.len(), 4),
                    found => prop_assert!(matches!(found, Found::Done(_)), "{:?}", found),
                },
            }
            prop_assert_eq!(laws.window.running(), running.len());
            let (known, kept) = laws.window.held();
            prop_assert!(known <= 6 && kept <= 20, "{} known, {} bytes", known, kept);
        }
    }
}

async fn ask<Fut>(
    once: &Once,
    handle: impl FnMut(Inbound) -> Fut + Clone + Send + Sync + 'static,
) -> StatusCode
where
    Fut: Future<Output = Result<(), UplinkError>> + Send + 'static,
{
    let asked = once.handle(operation(1), Inbound::text("1"), uplink_fn(handle), Duration::from_secs(1));
    asked.await.status()
}

/// The handler's first part, before there is a future, may panic as well.
#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_has_had_its_turn() {
    let once = Once::new(OnceConfig::default());
    let asked =
        ask(&once, |_| -> std::future::Ready<Result<(), UplinkError>> { panic!("before its future") });
    assert_eq!(asked.await, StatusCode::INTERNAL_SERVER_ERROR);
    let asked = ask(&once, |_| async { Ok(()) });
    assert_eq!(asked.await, StatusCode::INTERNAL_SERVER_ERROR, "it may have had its effect before");
    assert!(within(Duration::ZERO, once.idle()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_window_is_idle_once_no_handler_runs() {
    let once = Once::new(OnceConfig::default());
    let slow = ask(&once, |_| async {
        timer::pause(Duration::from_secs(3)).await;
        Ok(())
    });
    assert!(within(Duration::from_secs(1), slow).await.is_none(), "its client goes");
    assert!(within(Duration::from_millis(1_999), once.idle()).await.is_none());
    assert!(within(Duration::from_millis(2), once.idle()).await.is_some());
    let asked = ask(&once, |_| pending());
    assert_eq!(asked.await, StatusCode::NO_CONTENT);
}

/// What runs when the runtime ends is dropped there, and takes nothing along.
#[test]
fn a_runtime_that_ends_ends_what_runs() {
    let once = Once::new(OnceConfig::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ended = runtime();
    ended.block_on(async {
        assert!(within(Duration::from_millis(1), ask(&once, |_| pending())).await.is_none());
    });
    drop(ended);
    let status =
        runtime().block_on(ask(&once, |_| async { Ok::<_, Infallible>(()).map_err(|e| match e {}) }));
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}
