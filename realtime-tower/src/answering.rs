//! The future of an answer: one box at a time.
//!
//! ```text
//! the request, its source, the first look ──► answered
//!                                        └──► a wait for news, in a box of its own ──► answered
//! ```
//!
//! What waits does so for long and by the thousand: it holds nothing of what it took to get there.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;

use crate::body::Body;
use crate::transport::Waiting;

/// An answer in the making: what a mount returns as a service.
///
/// # Cancel safety
/// Dropping it gives the reader's place back, and leaves nothing behind.
///
/// ```
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Answering, Body, Realtime};
/// use tower::Service;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let answering: Answering = Realtime::new(Log::new()).call(Request::get("/").body(Body::empty())?);
/// assert_eq!(answering.await?.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Answering(Stages);

impl Answering {
    pub(crate) fn refused(response: Box<Response<Body>>) -> Self {
        Self(Stages::Refused(Some(response)))
    }

    pub(crate) fn new(begins: impl Future<Output = Begun> + Send + 'static) -> Self {
        Self(Stages::Begins(Box::pin(begins)))
    }
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                Stages::Refused(response) => {
                    let response = response.take().expect("a future is not polled again once it was ready");
                    return Poll::Ready(Ok(*response));
                }
                Stages::Begins(begins) => match ready!(begins.as_mut().poll(cx)) {
                    Begun::Answered(response) => return Poll::Ready(Ok(response)),
                    Begun::Waits(waiting) => self.0 = Stages::Waits(waiting),
                },
                Stages::Waits(waiting) => return waiting.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

/// How far a request has come by itself.
pub(crate) enum Begun {
    Answered(Response<Body>),
    Waits(Waiting),
}

/// The stages of an answer, one after the other.
enum Stages {
    /// Refused at the gate. There once.
    Refused(Option<Box<Response<Body>>>),
    Begins(Pin<Box<dyn Future<Output = Begun> + Send>>),
    Waits(Waiting),
}
