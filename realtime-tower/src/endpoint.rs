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
use realtime_core::{Delivery, Feed, Opened, Source, SourceError, SourceErrorKind, Start};

use crate::answering::{Begun, Stages};
use crate::body::Body;
use crate::config::Config;
use crate::headers;
use crate::mount::{Away, Mount, Permit};
use crate::negotiate::Ask;
use crate::observe;
use crate::once::Principal;
use crate::origin::Refused;
use crate::receive::{self, Announced};
use crate::reject;
use crate::resume::{self, Came, LAST_EVENT_ID, Signing};
use crate::session::Session;
use crate::signed::{Claim, CursorScope};
use crate::timer::within;
use crate::transport::{Answer, Transports, Visit};
use crate::upgrade::Upgrade;
use crate::uplink::Uplink;
use crate::write_deadline::Stalled;

/// A mount without its source: what admits requests and answers them.
///
/// ```
/// use http::{Request, Response};
/// use realtime_core::Log;
/// use realtime_tower::{All, Body, Endpoint, NoUplink, builder};
///
/// /// What an integration does with a request of its framework.
/// async fn answer(endpoint: &Endpoint<All>, request: Request<Body>) -> Response<Body> {
///     let (mut parts, body) = request.into_parts();
///     match endpoint.admit(&mut parts, false) {
///         Ok(admitted) => endpoint.answer(admitted, body, Log::new(), NoUplink).await,
///         Err(response) => *response,
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (endpoint, _handle) = builder().endpoint();
/// let response = answer(&endpoint, Request::get("/?offset=rubbish").body(Body::empty())?).await;
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
    pub(crate) kind: Box<Kind>,
    /// For whoever hears messages; none where nobody does.
    extensions: Option<Arc<Extensions>>,
    claim: Claim,
    session: Option<Session>,
    /// Named after it was let in.
    principal: Option<Principal>,
}

impl Admitted {
    /// Says who sends it: for signed cursors; for a message with an `Idempotency-Key`, where else that is read from the request;
    /// and for a reader where the mount counts them ([`Config::readers_per_principal_max`]). See [`Principal`]. For integrations
    /// where this is known only after [`Endpoint::admit`].
    pub fn set_principal(&mut self, principal: Principal) {
        self.claim.subject = Some(principal);
        self.principal = Some(principal);
        if let Kind::Send(Announced { operation: Some(operation), .. }) = &mut *self.kind {
            operation.principal = principal;
        }
    }

    /// Says what is read, for signed cursors: see [`CursorScope`].
    pub fn set_cursor_scope(&mut self, scope: CursorScope) {
        self.claim.scope = Some(scope);
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
        if let Kind::Send(Announced { operation: Some(operation), .. }) = &mut *self.kind {
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

/// What is to be done with it.
pub(crate) enum Kind {
    Head { transport: usize, ask: Ask },
    Read { transport: usize, ask: Ask, permit: Permit, upgrade: Option<Upgrade>, start: Start, resumed: bool },
    Send(Announced),
}

/// What is left to be done once there is a source.
enum Step<'a, F, U> {
    Done(Response<Body>),
    Receive(Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>),
    Read(usize, Box<Visit<F, U>>),
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
                    Came::Malformed(_) => parts.headers.contains_key(LAST_EVENT_ID),
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
        self.look(parts, takes_messages).map_err(|response| Box::new(finished(response)))
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
                kind: Box::new(Kind::Send(announced)),
                extensions: Some(Arc::new(parts.extensions.clone())),
                claim: Claim::default(),
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
        let claim = Claim::new(begin.claimed, &parts.extensions);
        if self.transports.is_guarded(transport) {
            self.check_origin(parts).map_err(refused_origin)?;
        }
        self.transports.check(transport, &ask)?;
        let session = session(parts)?;
        let upgrade = ask.upgrade.is_some().then(|| Upgrade::take(&mut parts.extensions)).flatten();
        let extensions = takes_messages.then(|| Arc::new(parts.extensions.clone()));
        if *method == Method::HEAD {
            return Ok(Admitted {
                kind: Box::new(Kind::Head { transport, ask }),
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
                let kind = Kind::Read { transport, ask, permit, upgrade, start, resumed };
                Ok(Admitted { kind: Box::new(kind), extensions, claim, session, principal: None })
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

    /// Answers an admitted request from its source. `body` is read for a message only.
    pub fn answer<'a, S, U, B>(
        &'a self,
        admitted: Admitted,
        body: B,
        source: S,
        uplink: U,
    ) -> impl Future<Output = Response<Body>> + Send + use<'a, T, S, U, B>
    where
        S: Source,
        U: Uplink,
        B: HttpBody + Send + 'a,
        B::Data: Send,
    {
        Stages::new(self.begin(admitted, body, source, uplink))
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
        let form = claim.form(self.mount.config.cursor_keys.as_ref());
        // Taken apart before there is a future: what is moved into one stays in it for as long as it is parked.
        let step = match (*kind, form) {
            _ if session.as_ref().is_some_and(Session::is_over) => Step::Done(reject::expired()),
            (_, None) => Step::Done(reject::problem(StatusCode::BAD_REQUEST, resume::NO_CURSOR)),
            (Kind::Head { transport, ask }, _) => {
                let head = self.transports.head(transport, &ask);
                let is_empty = head.body().is_end_stream();
                Step::Done(if is_empty { head.map(|_| Body::unsaid()) } else { head })
            }
            // Whether a handler takes messages may be known only now.
            (Kind::Send(_), _) if !uplink.is_there() => Step::Done(reject::method(&self.methods(false))),
            (Kind::Send(announced), _) => {
                drop(source);
                Step::Receive(Box::pin(receive::receive(
                    body,
                    announced,
                    session,
                    extensions,
                    uplink,
                    &self.mount,
                )))
            }
            (Kind::Read { transport, ask, mut permit, upgrade, start, resumed }, Some(form)) => {
                permit.write_cursors(form);
                if let Some(session) = session {
                    permit.begin(session);
                }
                match principal.map_or(Ok(()), |principal| permit.count_principal(principal)) {
                    Err(away) => Step::Done(self.transports.away(transport, &ask, away, self.mount.retry())),
                    Ok(()) => {
                        let (feed, view) = (Box::pin(source.subscribe(start)), source.as_log());
                        let visit = Visit {
                            ask,
                            feed,
                            view,
                            opened: None,
                            resumed,
                            uplink,
                            permit,
                            upgrade,
                            extensions,
                        };
                        Step::Read(transport, Box::new(visit))
                    }
                }
            }
        };
        async move {
            Begun::Answered(finished(match step {
                Step::Done(response) => response,
                Step::Receive(received) => received.await,
                Step::Read(transport, visit) => match self.read(transport, visit).await {
                    Answer::Ready(response, task) => {
                        if let Some(task) = task {
                            drop(tokio::spawn(task));
                        }
                        response
                    }
                    Answer::Waits(waiting) => return Begun::Waits(waiting),
                },
            }))
        }
    }

    async fn read<F: Feed, U: Uplink>(&self, transport: usize, mut visit: Box<Visit<F, U>>) -> Answer {
        let first =
            within(self.mount.config.source_wait, poll_fn(|cx| visit.feed.as_mut().poll_next(cx))).await;
        match first {
            Some(Some(Ok(Delivery::Open(opened)))) => visit.opened = Some(opened),
            Some(Some(Err(error))) => {
                return self.failed(transport, &visit.ask, &visit.permit, &error).into();
            }
            Some(_) => {
                let error = SourceError::new(SourceErrorKind::Failed, "the feed did not begin with Open");
                return self.failed(transport, &visit.ask, &visit.permit, &error).into();
            }
            None if self.transports.is_stream(transport) => {}
            None => {
                observe::failed(&visit.permit, None);
                return self.transports.away(transport, &visit.ask, Away::Source, self.mount.retry()).into();
            }
        }
        self.transports.answer(transport, visit).await
    }

    fn failed(&self, transport: usize, ask: &Ask, permit: &Permit, error: &SourceError) -> Response<Body> {
        if error.kind() == SourceErrorKind::Invalid {
            return reject::problem(
                StatusCode::BAD_REQUEST,
                "nothing can be read under this name: names are 1 to 128 printable bytes",
            );
        }
        observe::failed(permit, Some(error));
        let retry = error.retry_after().unwrap_or_else(|| self.mount.retry());
        self.transports.away(transport, ask, Away::Source, retry)
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

pub(crate) fn finished(mut response: Response<Body>) -> Response<Body> {
    headers::common(response.headers_mut());
    response
}
