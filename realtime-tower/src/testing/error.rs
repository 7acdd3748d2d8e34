use std::fmt;

use bytes::Buf;
use http::{Response, StatusCode};
use http_body_util::BodyExt;

use super::BoxError;

/// What came is not what was asked for: a refusal, a break, a message that cannot be read. It says what came, and is
/// meant to be read in a failing test.
///
/// ```
/// use http::{Request, StatusCode};
/// use realtime_tower::{Body, builder, testing};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (service, _handle) = builder().source(realtime_core::Log::new()).service();
/// let response = service.oneshot(Request::get("/?offset=rubbish").body(Body::empty())?).await?;
/// let error = testing::page(response).await.unwrap_err();
/// assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Unexpected {
    status: Option<StatusCode>,
    what: String,
    source: Option<BoxError>,
}

impl Unexpected {
    /// The status of the answer, where it was the answer that was unexpected.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { status: None, what: what.into(), source: None }
    }

    pub(super) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An answer in place of what was expected.
    pub(super) async fn answer<B>(expected: &str, response: Response<B>) -> Self
    where
        B: http_body::Body,
        B::Data: Buf,
    {
        let (head, body) = response.into_parts();
        let body = match Box::pin(body.collect()).await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => "a body that broke off".to_owned(),
        };
        let what = format!("expected {expected}, got {} {:?} {body}", head.status, head.headers);
        Self { status: Some(head.status), ..Self::new(what) }
    }
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What a test that returns an error prints.
impl fmt::Debug for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unexpected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
