//! An authorisation that ends: at a moment, by a word of the application, or by whichever comes first.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use realtime_core::Source;
use slab::Slab;

use crate::seat::{Leave, Seat};
use crate::timer::{Deadline, Moment};

/// How long a request may be answered: what its authorisation is good for.
///
/// A stream outlives the look at its token. With a session it ends when the token does, and on the second: the client is
/// told `$end` with reason `expired` (WebSocket: and 4401), keeps its place, and loses nothing when it comes back with a new
/// token. After that moment it gets no event and no reply, and no message of its reaches a handler; a request that comes later
/// is 401. The application's own check has to be in front all the same: a session ends a right, it gives none.
///
/// It comes in by one of three ways, and where it comes by several the first to end counts:
///
/// - in the request's extensions, put there by a layer in front of the mount;
/// - around the source that [`Builder::make_source`](crate::Builder::make_source) makes, by [`Session::guard`];
/// - from an integration whose handler knows the user, by [`Admitted::add_session`](crate::Admitted::add_session); in axum that
///   is `rt.session(session)`.
///
/// Time is counted on the monotonic clock: that the wall clock is set does not matter. A token's `exp` is turned into a
/// duration once, when the token is looked at.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Body, Session, builder};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// /// When the token says that it ends, in seconds since 1970; its signature has been checked.
/// fn exp(request: &Request<Body>) -> u64 {
///     request.headers().get("x-exp").and_then(|exp| exp.to_str().ok()?.parse().ok()).unwrap_or_default()
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (service, _handle) = builder().source(Log::new()).service();
/// let service = ServiceBuilder::new()
///     .map_request(|mut request: Request<Body>| {
///         let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(exp(&request));
///         let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
///         request.extensions_mut().insert(Session::expires_in(left));
///         request
///     })
///     .service(service);
/// let late = Request::get("/").header("x-exp", "1700000000").body(Body::empty())?;
/// assert_eq!(service.oneshot(late).await?.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Session {
    ends: Option<Moment>,
    signals: Vec<Arc<Signal>>,
}

impl Session {
    /// It ends so long from now.
    pub fn expires_in(left: Duration) -> Self {
        Self { ends: Some(Moment::now().later(left)), signals: Vec::new() }
    }

    /// It ends when the application says so, by [`Revoke::revoke`]. Clones of it end together: give all requests of a user
    /// the same one.
    ///
    /// **Dropping every [`Revoke`] ends nothing**: a handle that went out of scope too early would throw all readers out, and
    /// the mistake would look like an attack. Who wants an end in any case adds one by [`Session::and`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use realtime_tower::Session;
    ///
    /// let (session, revoke) = Session::revocable();
    /// let session = session.and(Session::expires_in(Duration::from_secs(3600)));   // whichever comes first
    /// let clone = session.clone();
    /// revoke.revoke();
    /// assert!(session.is_over() && clone.is_over());
    /// ```
    pub fn revocable() -> (Self, Revoke) {
        let signal = Arc::<Signal>::default();
        (Self { ends: None, signals: vec![signal.clone()] }, Revoke(signal))
    }

    /// Ends when the first of the two does: neither can make the other last.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.ends = match (self.ends, other.ends) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        for signal in other.signals {
            if !self.signals.iter().any(|known| Arc::ptr_eq(known, &signal)) {
                self.signals.push(signal);
            }
        }
        self
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.ends.is_some_and(Moment::is_past) || self.signals.iter().any(|signal| signal.seats().is_none())
    }

    /// The source, for as long as this lasts: what a maker of sources gives that has looked at the token.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::request::Parts;
    /// use realtime_core::Log;
    /// use realtime_tower::{Session, builder};
    ///
    /// let log = Log::new();
    /// let (service, _handle) = builder()
    ///     .make_source(move |_: Parts| {
    ///         let log = log.clone();
    ///         async move { Ok(Session::expires_in(Duration::from_secs(900)).guard(log)) }
    ///     })
    ///     .service();
    /// # drop(service);
    /// ```
    pub fn guard<S: Source>(self, source: S) -> Guarded<S> {
        Guarded { source, session: self }
    }

    /// What holds a reader to it.
    pub(crate) fn begin(self, seat: &Arc<Seat>) -> Term {
        let signals = self.signals.into_iter().filter_map(|signal| {
            let key = signal.join(seat)?;
            Some((signal, key))
        });
        Term { signals: signals.collect(), ends: self.ends.map(Ends::at) }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

/// Ends a [`Session::revocable`] session, with every stream that goes on under it. Cloning gives another grip on the same;
/// dropping it does nothing.
///
/// ```
/// use realtime_tower::Session;
///
/// let (session, revoke) = Session::revocable();
/// drop(revoke.clone());
/// assert!(!session.is_over());
/// revoke.revoke();
/// assert!(session.is_over());
/// ```
#[derive(Clone)]
pub struct Revoke(Arc<Signal>);

impl Revoke {
    /// Ends it, for good. Each reader is told at once; a second call does nothing.
    pub fn revoke(&self) {
        // Woken outside the lock: a waker may run anybody's code.
        let seats = self.0.seats().take();
        for (_, seat) in seats.into_iter().flatten() {
            seat.tell(Leave::Expired);
        }
    }
}

impl fmt::Debug for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoke").field("is_over", &self.0.seats().is_none()).finish()
    }
}

/// A source with the [`Session`] that it may be read under; made by [`Session::guard`].
///
/// See there.
pub struct Guarded<S> {
    pub(crate) source: S,
    pub(crate) session: Session,
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Whom a word of the application reaches: the seats of those who read; none once it was said. A reader leaves with its
/// permit, so that it holds no more than there are readers.
struct Signal(Mutex<Option<Slab<Arc<Seat>>>>);

impl Default for Signal {
    fn default() -> Self {
        Self(Mutex::new(Some(Slab::new())))
    }
}

impl Signal {
    fn seats(&self) -> MutexGuard<'_, Option<Slab<Arc<Seat>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a reader in; one that comes too late is told at once.
    fn join(&self, seat: &Arc<Seat>) -> Option<usize> {
        let key = self.seats().as_mut().map(|seats| seats.insert(seat.clone()));
        if key.is_none() {
            seat.tell(Leave::Expired);
        }
        key
    }

    fn leave(&self, key: usize) {
        if let Some(seats) = &mut *self.seats() {
            seats.try_remove(key);
        }
    }
}

/// A session as one reader is held to it. It leaves the session when it is dropped.
pub(crate) struct Term {
    signals: Vec<(Arc<Signal>, usize)>,
    ends: Option<Ends>,
}

struct Ends {
    at: Moment,
    timer: Deadline,
}

impl Ends {
    fn at(at: Moment) -> Self {
        Self { at, timer: Deadline::at(at) }
    }
}

impl Term {
    /// Whether its time is over; the task is woken when it is. Words come through the seat.
    pub(crate) fn poll_ends(&mut self, cx: &mut Context<'_>) -> bool {
        self.ends.as_mut().is_some_and(|ends| ends.timer.poll_due(cx).is_ready())
    }

    /// When it is, if a moment was set.
    pub(crate) fn ends(&self) -> Option<Moment> {
        self.ends.as_ref().map(|ends| ends.at)
    }

    /// The same, without being woken.
    pub(crate) fn is_past(&self) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.at.is_past())
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.signals.drain(..).for_each(|(signal, key)| signal.leave(key));
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term").field("is_past", &self.is_past()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn the_first_to_end_counts_and_neither_makes_the_other_last() {
        let short = || Session::expires_in(MINUTE);
        let long = || Session::expires_in(10 * MINUTE);
        let (revocable, revoke) = Session::revocable();
        let all = [short().and(long()), long().and(short()), short().and(revocable.clone())];
        let (until_revoked, late) = (long().and(revocable.clone()), long());
        crate::timer::pause(MINUTE - Duration::from_millis(1)).await;
        assert!(all.iter().all(|session| !session.is_over()));
        crate::timer::pause(Duration::from_millis(1)).await;
        assert!(all.iter().all(Session::is_over));
        assert!(!until_revoked.is_over());
        revoke.revoke();
        assert!(until_revoked.is_over() && revocable.is_over() && !late.is_over());
    }

    #[test]
    fn a_grip_that_is_dropped_revokes_nobody() {
        let (session, revoke) = Session::revocable();
        let seat = Arc::<Seat>::default();
        let _term = session.clone().begin(&seat);
        drop((revoke.clone(), revoke));
        assert_eq!((session.is_over(), seat.told()), (false, None));
    }

    #[test]
    fn a_word_reaches_who_reads_who_comes_later_and_nobody_else() {
        let (session, revoke) = Session::revocable();
        let seats: [Arc<Seat>; 3] = Default::default();
        let terms = [session.clone().begin(&seats[0]), session.clone().begin(&seats[1])];
        let [_stays, left] = terms;
        drop(left);
        assert_eq!(
            session.signals[0].seats().as_ref().map(Slab::len),
            Some(1),
            "who leaves takes its seat along"
        );
        revoke.revoke();
        revoke.revoke();
        let _late = session.begin(&seats[2]);
        let told = seats.each_ref().map(|seat| seat.told());
        assert_eq!(told, [Some(Leave::Expired), None, Some(Leave::Expired)]);
    }

    #[tokio::test]
    async fn a_session_shows_whether_it_is_over_and_nothing_else() {
        let (session, revoke) = Session::revocable();
        let term = Session::expires_in(MINUTE).begin(&Arc::default());
        let guarded = session.clone().guard(realtime_core::Log::new());
        for is_over in [false, true] {
            assert_eq!(format!("{session:?}"), format!("Session {{ is_over: {is_over}, .. }}"));
            assert_eq!(format!("{guarded:?}"), format!("Guarded {{ session: {session:?}, .. }}"));
            assert_eq!(format!("{revoke:?}"), format!("Revoke {{ is_over: {is_over} }}"));
            assert_eq!(format!("{term:?}"), "Term { is_past: false, .. }");
            revoke.revoke();
        }
    }

    #[test]
    fn an_end_is_stronger_than_a_drain_whichever_came_first() {
        for words in [[Leave::Drain, Leave::Expired], [Leave::Expired, Leave::Drain]] {
            let seat = Seat::default();
            words.into_iter().for_each(|why| seat.tell(why));
            assert_eq!(seat.told(), Some(Leave::Expired));
        }
    }
}
