//! The window at work: one handler for each operation, which runs to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::{Notify, oneshot};
use tracing::Instrument;

use super::window::{Found, Window};
use super::{Content, OnceConfig, Operation};
use crate::answered::Answered;
use crate::body::Body;
use crate::reject::{away, problem, seconds};
use crate::timer::Moment;
use crate::uplink::{Inbound, Uplink};

/// A mount's window.
#[derive(Debug, Clone)]
pub(crate) struct Once(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    window: Mutex<Window>,
    /// Told whenever no handler runs any more.
    idle: Notify,
}

impl Once {
    pub(crate) fn new(config: OnceConfig) -> Self {
        Self(Arc::new(Shared { window: Mutex::new(Window::new(config)), idle: Notify::new() }))
    }

    /// Has a message handled, unless it was or is. Who is to come back is told to after `retry`.
    ///
    /// # Cancel safety
    /// Dropped once it was polled, the handler goes on and its answer is remembered.
    pub(crate) async fn handle<U: Uplink>(
        &self,
        operation: Operation,
        message: Inbound,
        uplink: U,
        retry: Duration,
    ) -> Response<Body> {
        let content = Content::of(message.name(), message.payload().bytes());
        let found = self.window().begin(operation, content, Moment::now());
        match found {
            Found::New => self.run(operation, message, uplink).await.into_response(),
            Found::Done(answer) => replayed(answer.into_response()),
            Found::Running => {
                let mut response = problem(
                    StatusCode::CONFLICT,
                    "the first message with this Idempotency-Key is still handled",
                );
                response.headers_mut().insert(RETRY_AFTER, seconds(retry));
                response
            }
            Found::Other => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used for another message: a new one needs a new key",
            ),
            Found::Full => away(
                "as many messages as may be are handled here; come back with the same Idempotency-Key",
                retry,
            ),
        }
    }

    /// The handler is the window's, in a task of its own: who waits for its answer may leave.
    async fn run<U: Uplink>(&self, operation: Operation, message: Inbound, mut uplink: U) -> Answered {
        let (tell, told) = oneshot::channel();
        let running = Running { once: self.clone(), operation, answer: None, tell: Some(tell) };
        let handled = async move { running.answered(uplink.handle(message).await.into()) };
        drop(tokio::spawn(handled.in_current_span()));
        told.await.unwrap_or_else(|_| Answered::failed())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once no handler runs.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.window().running() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// An operation that runs. Dropping it is its end, whatever ended it: one whose handler panicked may have had its effect
/// before, and is not run again.
struct Running {
    once: Once,
    operation: Operation,
    answer: Option<Answered>,
    tell: Option<oneshot::Sender<Answered>>,
}

impl Running {
    fn answered(mut self, answer: Answered) {
        self.answer = Some(answer);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let answer = self.answer.take().unwrap_or_else(Answered::failed);
        // First remembered, then told: who has the answer and asks again finds it.
        let mut window = self.once.window();
        window.finish(self.operation, &answer, Moment::now());
        if window.running() == 0 {
            self.once.0.idle.notify_waiters();
        }
        drop(window);
        if let Some(tell) = self.tell.take() {
            // Nobody waits where the client has gone.
            let _ = tell.send(answer);
        }
    }
}

/// Says that this is the first answer again, as others that take such keys do.
fn replayed(mut response: Response<Body>) -> Response<Body> {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
