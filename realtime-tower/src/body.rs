//! The one body type of all answers.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

type Stream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Infallible> + Send>>;

/// The body of every answer of this crate: nothing, one piece, or a stream that ends when its source does.
///
/// Dropping it is how a host says that the client has gone; it leaves nothing behind.
///
/// ```
/// use http_body::Body as _;
/// use realtime_tower::Body;
///
/// assert_eq!(Body::from("hello").size_hint().exact(), Some(5));
/// assert!(Body::empty().is_end_stream());
/// ```
pub struct Body(Inner);

enum Inner {
    Empty,
    /// No body, where that of GET would be of a length that is not known.
    Unsaid,
    Full(Bytes),
    Stream {
        /// Some hosts ask that a body be `Sync`: so it is in a lock, which nobody takes. Whoever reads holds it alone; what
        /// is asked of one that is shared, at every frame, stands beside it.
        body: Mutex<Stream>,
        size: SizeHint,
        is_over: bool,
    },
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// No body and no length either: the answer to HEAD must not say one that GET's has not (RFC 9110, section 8.6).
    pub(crate) const fn unsaid() -> Self {
        Self(Inner::Unsaid)
    }

    /// A body that is produced as it is read.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        let (size, is_over) = (body.size_hint(), body.is_end_stream());
        Self(Inner::Stream { body: Mutex::new(Box::pin(body)), size, is_over })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Full(bytes) })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        match &mut this.0 {
            Inner::Empty | Inner::Unsaid => Poll::Ready(None),
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Stream { body, size, is_over } => {
                let body = body.get_mut().unwrap_or_else(PoisonError::into_inner);
                let frame = ready!(body.as_mut().poll_frame(cx));
                // How long it is in all was asked before it began.
                (*size, *is_over) = (SizeHint::default(), body.is_end_stream());
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty | Inner::Unsaid => true,
            Inner::Full(_) => false,
            Inner::Stream { is_over, .. } => *is_over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Unsaid => SizeHint::default(),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Empty | Inner::Unsaid => "Body(empty)",
            Inner::Full(_) => "Body(full)",
            Inner::Stream { .. } => "Body(stream)",
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[test]
    fn a_host_may_ask_for_all_that_a_body_can_promise() {
        fn promises<T: Send + Sync + Unpin + 'static>() {}
        promises::<Body>();
    }

    #[test]
    fn what_a_stream_says_of_itself_is_said_of_its_body() {
        let mut body = Body::stream(Body::from("hello"));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(
            matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(Some(Ok(frame))) if frame.is_data())
        );
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (None, true));
        assert!(Body::stream(Body::empty()).is_end_stream());
    }
}
