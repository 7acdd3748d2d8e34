//! The way of a request through a mount, for service, layer and extractor alike.
//!
//! ```text
//! host, or 421 ─► facts ─► OPTIONS 204 · 405 ─► POST? the uplink ─► transport, or 406 ─► cursor, or 400 ─► Origin, or 403
//!       ─► the transport's own check ─► session, or 401 ─► HEAD? its head ─► a permit, or "come back" ─► source ─► feed ─► answer
//! ```

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, Method, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use realtime_core::{Delivery, Feed, Opened, Source, SourceError, SourceErrorKind};

use crate::answering::{Answering, Begun};
use crate::body::Body;
use crate::config::Config;
use crate::mount::{Away, Mount, Permit};
use crate::negotiate::Ask;
use crate::observe;
use crate::once::Principal;
use crate::origin::Refused;
use crate::receive::{self, Announced};
use crate::reject;
use crate::resume::{self, Came, LAST_EVENT_ID, Signing};
use crate::session::Session;
use crate::signed::{Claim, CursorForm, CursorScope};
use crate::timer::within;
use crate::transport::{Answer, Arrival, Transports, Visit};
use crate::upgrade::Upgrade;
use crate::uplink::Uplink;
use crate::write_deadline::Stalled;

/// A mount without its source: what admits requests and answers them.
///
/// ```
/// use std::sync::Arc;
/// use http::{Request, Response};
/// use realtime_core::Log;
/// use realtime_tower::{All, Body, Endpoint, NoUplink, builder};
///
/// /// What an integration does with a request of its framework.
/// async fn answer(endpoint: Arc<Endpoint<All>>, request: Request<Body>) -> Response<Body> {
///     let (mut parts, body) = request.into_parts();
///     match endpoint.admit(&mut parts, false) {
///         Ok(admitted) => {
///             let Ok(response) = endpoint.answer(admitted, body, Log::new(), NoUplink).await;
///             response
///         }
///         Err(response) => *response,
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (endpoint, _handle) = builder().endpoint();
/// let response = answer(Arc::new(endpoint), Request::get("/?offset=rubbish").body(Body::empty())?).await;
/// assert_eq!(response.status(), 400);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Endpoint<T> {
    transports: T,
    mount: Arc<Mount>,
}

/// A request that has passed everything that comes before its source.
///
/// [`Endpoint::admit`] makes it, [`Endpoint::answer`] takes it. It has its place among the readers; dropping it gives the place
/// back.
pub struct Admitted {
    kind: Kind,
    /// For whoever hears messages; none where nobody does.
    extensions: Option<Arc<Extensions>>,
    /// Where the mount signs its cursors.
    claim: Option<Box<Claim>>,
    session: Option<Session>,
    /// Named after it was let in.
    principal: Option<Principal>,
}

impl Admitted {
    /// Says who sends it: for signed cursors; for a message with an `Idempotency-Key`, where else that is read from the request;
    /// and for a reader where the mount counts them ([`Config::readers_per_principal_max`]). See [`Principal`]. For integrations
    /// where this is known only after [`Endpoint::admit`].
    pub fn set_principal(&mut self, principal: Principal) {
        if let Some(claim) = &mut self.claim {
            claim.subject = Some(principal);
        }
        self.principal = Some(principal);
        if let Kind::Send(announced) = &mut self.kind
            && let Some(operation) = &mut announced.operation
        {
            operation.principal = principal;
        }
    }

    /// Says what is read, for signed cursors: see [`CursorScope`].
    pub fn set_cursor_scope(&mut self, scope: CursorScope) {
        if let Some(claim) = &mut self.claim {
            claim.scope = Some(scope);
        }
    }

    /// Ends the answer when the session ends, if none that it has does so before: see [`Session`]. For integrations where it is
    /// known only after [`Endpoint::admit`]; one in the request's extensions is taken there.
    pub fn add_session(&mut self, session: Session) {
        self.session = Some(match self.session.take() {
            Some(known) => known.and(session),
            None => session,
        });
    }

    /// Names what its router has taken off the path in front of the mount, or a part of it: under another prefix the
    /// same `Idempotency-Key` is another message. Parts add up.
    pub fn add_prefix(&mut self, prefix: &str) {
        if let Kind::Send(announced) = &mut self.kind
            && let Some(operation) = &mut announced.operation
        {
            operation.below(prefix);
        }
    }
}

/// Nothing of the request: applications have their handlers' arguments written down.
impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}

/// What is to be done with it. In boxes, for it is handed on from future to future.
enum Kind {
    Head { transport: usize, ask: Box<Ask> },
    Read(Box<Arrival>),
    Send(Box<Announced>),
}

/// What is left to be done once there is a source.
enum Step<'a, F, U> {
    Done(Box<Response<Body>>),
    Receive(Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>),
    Read(Visit<F, U>),
}

impl<F, U> Step<'_, F, U> {
    fn done(response: Response<Body>) -> Self {
        Self::Done(Box::new(response))
    }
}

impl<T: Transports> Endpoint<T> {
    pub(crate) fn new(transports: T, config: Config) -> Self {
        let mount = Mount::new(config, T::NAMES);
        Self { transports, mount }
    }

    pub(crate) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Whether a layer may take the request from the service inside.
    pub(crate) fn is_unmistakable(&self, parts: &Parts, takes_messages: bool) -> bool {
        match parts.method {
            Method::POST => takes_messages,
            // A tunnel for somebody else may have a query that looks like ours.
            Method::CONNECT => self.transports.is_unmistakable(&Ask::new(parts)),
            Method::GET | Method::HEAD => {
                let ask = Ask::new(parts);
                let has_place = match ask.start {
                    Came::Without => false,
                    // `?offset=20` is how a page counts its own pages; the header is nobody else's.
                    Came::Malformed(_) => {
                        parts.headers.get_all(LAST_EVENT_ID).iter().any(|id| !id.is_empty())
                    }
                    Came::With(_) | Came::Signed(..) => true,
                };
                has_place || self.transports.is_unmistakable(&ask)
            }
            _ => false,
        }
    }

    /// Does everything that comes before the source. What an upgrade needs is taken out of `parts`; the rest stays for
    /// whoever makes the source.
    ///
    /// # Errors
    /// The answer: to OPTIONS, and to whatever is refused.
    pub fn admit(&self, parts: &mut Parts, takes_messages: bool) -> Result<Admitted, Box<Response<Body>>> {
        self.look(parts, takes_messages).map_err(Box::new)
    }

    fn look(&self, parts: &mut Parts, takes_messages: bool) -> Result<Admitted, Response<Body>> {
        self.mount.config.hosts.check(parts).map_err(|(status, detail)| reject::problem(status, detail))?;
        let method = &parts.method;
        if *method == Method::OPTIONS {
            return Err(reject::options(&self.methods(takes_messages)));
        }
        let is_connect = *method == Method::CONNECT && parts.version == Version::HTTP_2;
        let is_read = *method == Method::GET || *method == Method::HEAD || is_connect;
        if !is_read {
            self.refuse_upgrade(parts)?;
        }
        if *method == Method::POST && takes_messages {
            self.check_origin(parts).map_err(refused_origin)?;
            let announced = receive::check(parts, &self.mount.config)?;
            return Ok(Admitted {
                kind: Kind::Send(Box::new(announced)),
                extensions: Some(Arc::new(parts.extensions.clone())),
                claim: None,
                session: session(parts)?,
                principal: None,
            });
        }
        if !is_read {
            return Err(reject::method(&self.methods(takes_messages)));
        }
        let ask = Ask::new(parts);
        let Some(transport) = self.transports.choose(&ask) else {
            if is_connect {
                // A success would open a tunnel, whatever `:protocol` asks for (RFC 9220, section 3).
                let detail = "no transport here is reached by this CONNECT: its :protocol takes websocket";
                return Err(reject::problem(StatusCode::NOT_IMPLEMENTED, detail));
            }
            return Err(reject::problem(
                StatusCode::NOT_ACCEPTABLE,
                "no transport here gives what is asked for: Accept takes application/json, application/x-ndjson or text/event-stream, live takes poll, long-poll or sse",
            ));
        };
        let signing = if self.mount.config.cursor_keys.is_some() { Signing::On } else { Signing::Off };
        let begin = ask.start.begin(self.mount.config.default_start, signing);
        let begin = begin.map_err(|detail| reject::problem(StatusCode::BAD_REQUEST, detail))?;
        let claim = (signing == Signing::On).then(|| Box::new(Claim::new(begin.claimed, &parts.extensions)));
        if self.transports.is_guarded(transport) {
            self.check_origin(parts).map_err(refused_origin)?;
        }
        self.transports.check(transport, &ask)?;
        let session = session(parts)?;
        let upgrade = ask.upgrade.is_some().then(|| Upgrade::take(&mut parts.extensions)).flatten();
        let extensions = takes_messages.then(|| Arc::new(parts.extensions.clone()));
        if *method == Method::HEAD {
            return Ok(Admitted {
                kind: Kind::Head { transport, ask: Box::new(ask) },
                extensions,
                claim,
                session,
                principal: None,
            });
        }
        match self.permit(transport, parts) {
            Ok(mut permit) => {
                permit.watch(parts.extensions.get::<Stalled>().cloned());
                let (start, resumed) = (begin.start, begin.resumed);
                let arrival = Arrival {
                    transport,
                    ask,
                    permit,
                    upgrade,
                    start,
                    resumed,
                    opened: None,
                    view: None,
                    extensions: None,
                };
                let kind = Kind::Read(Box::new(arrival));
                Ok(Admitted { kind, extensions, claim, session, principal: None })
            }
            Err(away) => Err(self.transports.away(transport, &ask, away, self.mount.retry())),
        }
    }

    fn check_origin(&self, parts: &Parts) -> Result<(), Refused> {
        self.mount.config.origins.check(parts, &self.mount.config.proxies)
    }

    /// A place among the readers, among those of the client's address, and of whom the layers in front have named.
    fn permit(&self, transport: usize, parts: &Parts) -> Result<Permit, Away> {
        let mut permit = self.mount.admit(transport)?;
        permit.count_address(parts)?;
        if let Some(principal) = parts.extensions.get() {
            permit.count_principal(*principal)?;
        }
        Ok(permit)
    }

    /// An upgrade by another method is a broken handshake, and no message (RFC 6455, section 4.2.1).
    fn refuse_upgrade(&self, parts: &Parts) -> Result<(), Response<Body>> {
        let ask = Ask::new(parts);
        match self.transports.choose(&ask).filter(|_| ask.upgrade.is_some()) {
            Some(transport) => self.transports.check(transport, &ask),
            None => Ok(()),
        }
    }

    /// Answers an admitted request from its source. `body` is read for a message only. The endpoint is the answer's own, so
    /// that nothing has to be put around it.
    pub fn answer<S, U, B>(self: Arc<Self>, admitted: Admitted, body: B, source: S, uplink: U) -> Answering
    where
        S: Source,
        U: Uplink,
        B: HttpBody + Send + 'static,
        B::Data: Send,
    {
        Answering::new(async move { self.begin(admitted, body, source, uplink).await })
    }

    /// Answers, or comes to where there is nothing to do but wait.
    pub(crate) fn begin<'a, S, U, B>(
        &'a self,
        admitted: Admitted,
        body: B,
        source: S,
        uplink: U,
    ) -> impl Future<Output = Begun> + Send + use<'a, T, S, U, B>
    where
        S: Source,
        U: Uplink,
        B: HttpBody + Send + 'a,
        B::Data: Send,
    {
        let Admitted { kind, extensions, claim, session, principal } = admitted;
        let keys = self.mount.config.cursor_keys.as_ref();
        let form = claim.zip(keys).map_or(Some(CursorForm::default()), |(claim, keys)| claim.form(keys));
        // Taken apart before there is a future: what is moved into one stays in it for as long as it is parked.
        let step = match (kind, form) {
            _ if session.as_ref().is_some_and(Session::is_over) => Step::done(reject::expired()),
            (_, None) => Step::done(reject::problem(StatusCode::BAD_REQUEST, resume::NO_CURSOR)),
            (Kind::Head { transport, ask }, _) => {
                let head = self.transports.head(transport, &ask);
                let is_empty = head.body().is_end_stream();
                Step::done(if is_empty { head.map(|_| Body::unsaid()) } else { head })
            }
            // Whether a handler takes messages may be known only now.
            (Kind::Send(_), _) if !uplink.is_there() => Step::done(reject::method(&self.methods(false))),
            (Kind::Send(announced), _) => {
                drop(source);
                Step::Receive(Box::pin(receive::receive(
                    body,
                    *announced,
                    session,
                    extensions,
                    uplink,
                    &self.mount,
                )))
            }
            (Kind::Read(mut arrival), Some(form)) => {
                let Arrival { transport, ask, permit, start, .. } = &mut *arrival;
                permit.write_cursors(form);
                if let Some(session) = session {
                    permit.begin(session);
                }
                match principal.map_or(Ok(()), |principal| permit.count_principal(principal)) {
                    Err(away) => Step::done(self.transports.away(*transport, ask, away, self.mount.retry())),
                    Ok(()) => {
                        let feed = Box::pin(source.subscribe(*start));
                        (arrival.view, arrival.extensions) = (source.as_log(), extensions);
                        Step::Read(Visit { arrival, feed, uplink })
                    }
                }
            }
        };
        async move {
            Begun::Answered(match step {
                Step::Done(response) => *response,
                Step::Receive(received) => received.await,
                Step::Read(visit) => match self.read(visit).await {
                    Answer::Ready(response, task) => {
                        if let Some(task) = task {
                            drop(tokio::spawn(task));
                        }
                        response
                    }
                    Answer::Waits(waiting) => return Begun::Waits(waiting),
                },
            })
        }
    }

    async fn read<F: Feed, U: Uplink>(&self, mut visit: Visit<F, U>) -> Answer {
        let (arrival, feed) = (&mut *visit.arrival, &mut visit.feed);
        let transport = arrival.transport;
        match within(self.mount.config.source_wait, poll_fn(|cx| feed.as_mut().poll_next(cx))).await {
            Some(Some(Ok(Delivery::Open(opened)))) => arrival.opened = Some(opened),
            Some(Some(Err(error))) => return self.failed(arrival, &error).into(),
            Some(_) => {
                let error = SourceError::new(SourceErrorKind::Failed, "the feed did not begin with Open");
                return self.failed(arrival, &error).into();
            }
            None if self.transports.is_stream(transport) => {}
            None => {
                observe::failed(&arrival.permit, None);
                return self
                    .transports
                    .away(transport, &arrival.ask, Away::Source, self.mount.retry())
                    .into();
            }
        }
        self.transports.answer(transport, visit).await
    }

    fn failed(&self, arrival: &Arrival, error: &SourceError) -> Response<Body> {
        if error.kind() == SourceErrorKind::Invalid {
            return reject::problem(
                StatusCode::BAD_REQUEST,
                "nothing can be read under this name: names are 1 to 128 printable bytes",
            );
        }
        observe::failed(&arrival.permit, Some(error));
        let retry = error.retry_after().unwrap_or_else(|| self.mount.retry());
        self.transports.away(arrival.transport, &arrival.ask, Away::Source, retry)
    }

    fn methods(&self, takes_messages: bool) -> Vec<Method> {
        let mut methods = self.transports.methods();
        methods.push(Method::OPTIONS);
        if takes_messages {
            methods.push(Method::POST);
        }
        methods
    }
}

/// The session that layers in front have put in.
///
/// # Errors
/// It is over.
fn session(parts: &Parts) -> Result<Option<Session>, Response<Body>> {
    let session = parts.extensions.get::<Session>();
    if session.is_some_and(Session::is_over) { Err(reject::expired()) } else { Ok(session.cloned()) }
}

/// A place that a feed has opened at.
pub(crate) fn is_at_end(opened: &Opened) -> bool {
    opened.at_end && opened.gap.is_none()
}

fn refused_origin(refused: Refused) -> Response<Body> {
    reject::problem(StatusCode::FORBIDDEN, refused.detail())
}
