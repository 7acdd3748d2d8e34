//! What a mount knows of its readers: how many there are, and how to tell each of them to go.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use realtime_core::LogView;
use slab::Slab;
use tokio::sync::Notify;
use tracing::Span;

use crate::config::Config;
use crate::once::{Once, Principal};
use crate::proxies::network;
use crate::quota::{Claim, Quota};
use crate::ride::{Key, Leash, Ride, Views, Wire};
use crate::seat::{Leave, Seat};
use crate::session::{Session, Term};
use crate::signed::CursorForm;
use crate::stats::{Counters, Stats, add};
use crate::timer;
use crate::write_deadline::Stalled;

/// The shared state of one mount.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) config: Config,
    pub(crate) once: Once,
    pub(crate) views: Views,
    names: &'static [&'static str],
    counters: Box<[Counters]>,
    seats: Mutex<Slab<Arc<Seat>>>,
    draining: AtomicBool,
    /// Readers that a drain sends away, who will all come back to one door.
    herd: AtomicUsize,
    addresses: Arc<Quota<IpAddr>>,
    principals: Arc<Quota<Principal>>,
    /// That the host names no peers was said.
    warned: AtomicBool,
    /// Told whenever a reader goes while the mount drains.
    gone: Notify,
}

/// Why a reader is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// As many readers as may be are there.
    Full,
    /// This client has as many as it may.
    Crowded,
    /// The mount is draining.
    Draining,
    /// The source is away, or slow to open.
    Source,
}

impl Away {
    /// What a client is told.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Full => "as many readers as may be are here; come back with the same cursor",
            Self::Crowded => "this client has as many readers here as it may; come back with the same cursor",
            Self::Draining => "this server is going away; come back with the same cursor",
            Self::Source => "the source is away for now; come back with the same cursor",
        }
    }
}

impl Mount {
    pub(crate) fn new(config: Config, names: &'static [&'static str]) -> Arc<Self> {
        let counters = names.iter().map(|_| Counters::default()).collect();
        Arc::new(Self {
            once: Once::new(config.once.clone()),
            views: Views::default(),
            addresses: Quota::new(config.readers_per_address_max),
            principals: Quota::new(config.readers_per_principal_max),
            warned: AtomicBool::new(false),
            config,
            names,
            counters,
            seats: Mutex::default(),
            draining: AtomicBool::new(false),
            herd: AtomicUsize::new(0),
            gone: Notify::new(),
        })
    }

    /// Lets a reader in, through a transport by its index.
    ///
    /// # Errors
    /// The mount is full, or going away.
    pub(crate) fn admit(self: &Arc<Self>, transport: usize) -> Result<Permit, Away> {
        let mut seats = self.seats();
        // Under the lock that `tell` takes: whoever is let in before is found by it.
        if self.draining.load(Ordering::Relaxed) {
            return Err(Away::Draining);
        }
        if seats.len() >= self.config.readers_max {
            return Err(Away::Full);
        }
        let seat = Arc::<Seat>::default();
        let key = seats.insert(seat.clone());
        drop(seats);
        add(&self.counters[transport].connections, 1);
        let span = tracing::debug_span!("reader", transport = self.names[transport]);
        let span = (!span.is_none()).then(|| Box::new(span));
        Ok(Permit {
            mount: self.clone(),
            seat,
            key,
            transport,
            span,
            stalled: None,
            cursors: CursorForm::default(),
            term: None,
            claims: None,
        })
    }

    pub(crate) fn counters(&self, transport: usize) -> &Counters {
        &self.counters[transport]
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |(name, counters): (&&'static str, &Counters)| (*name, counters.read());
        Stats { transports: self.names.iter().zip(&self.counters).map(read).collect() }
    }

    pub(crate) fn readers(&self) -> usize {
        self.seats().len()
    }

    /// When who is sent away comes back, before jitter: while the mount drains, somewhere in the time that all of them need.
    pub(crate) fn retry(&self) -> Duration {
        let herd = self.herd.load(Ordering::Relaxed) as u64;
        let seconds = herd / u64::from(self.config.returns_per_second.get());
        timer::spread(self.config.retry, Duration::from_secs(seconds))
    }

    /// Lets nobody in any more, and returns who is there.
    pub(crate) fn close(&self) -> Vec<Told> {
        let seats = self.seats();
        self.draining.store(true, Ordering::Relaxed);
        self.herd.fetch_max(seats.len(), Ordering::Relaxed);
        seats.iter().map(|(_, seat)| Told(seat.clone())).collect()
    }

    /// Returns once the last reader has gone.
    pub(crate) async fn emptied(&self) {
        loop {
            let gone = self.gone.notified();
            if self.readers() == 0 {
                return;
            }
            gone.await;
        }
    }

    fn seats(&self) -> MutexGuard<'_, Slab<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that is to be told to go.
#[derive(Debug)]
pub(crate) struct Told(Arc<Seat>);

impl Told {
    pub(crate) fn tell(self) {
        self.0.tell(Leave::Drain);
    }
}

/// A reader's leave to be there. Dropping it gives the place back, on every way out.
#[derive(Debug)]
pub(crate) struct Permit {
    mount: Arc<Mount>,
    transport: usize,
    cursors: CursorForm,
    /// In a box of its own: most readers have none.
    term: Option<Box<Term>>,
    // What is behind this is not looked at for an event.
    seat: Arc<Seat>,
    key: usize,
    /// In a box of its own: mostly nobody listens.
    span: Option<Box<Span>>,
    stalled: Option<Stalled>,
    /// Its places among those of its address and of its principal, where the mount counts them.
    claims: Option<Box<Claims>>,
}

#[derive(Debug, Default)]
struct Claims {
    address: Option<Claim<IpAddr>>,
    principal: Option<Claim<Principal>>,
}

impl Permit {
    /// Ready once the reader has been told to go; the task is woken when that happens.
    pub(crate) fn poll_told(&self, cx: &mut Context<'_>) -> Poll<Leave> {
        self.seat.poll_told(cx)
    }

    /// The same for a task that is known already. While the mount does not drain it looks at nothing that is this
    /// reader's alone.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.mount.draining.load(Ordering::Relaxed) && self.seat.told().is_some()
    }

    /// Counts the reader among those of its address.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn count_address(&mut self, parts: &Parts) -> Result<(), Away> {
        if !self.mount.addresses.is_set() {
            return Ok(());
        }
        let Some(address) = self.mount.config.proxies.client(parts) else {
            if !self.mount.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "readers are to be counted by address, and the host tells none: put Peer into the request's extensions"
                );
            }
            return Ok(());
        };
        let claim = self.mount.addresses.claim(network(address)).ok_or(Away::Crowded)?;
        self.claims.get_or_insert_default().address = Some(claim);
        Ok(())
    }

    /// Counts the reader among those of a principal, and of no other any more.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn count_principal(&mut self, principal: Principal) -> Result<(), Away> {
        if !self.mount.principals.is_set() {
            return Ok(());
        }
        let claims = self.claims.get_or_insert_default();
        claims.principal = None;
        claims.principal = Some(self.mount.principals.claim(principal).ok_or(Away::Crowded)?);
        Ok(())
    }

    /// Holds the reader to a session.
    pub(crate) fn begin(&mut self, session: Session) {
        self.term = Some(Box::new(session.begin(&self.seat)));
    }

    /// Whether it is under a session at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.term.is_some()
    }

    /// Whether its session has ended; the task is woken when it does.
    #[inline]
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(term) = &mut self.term else { return false };
        // Both are asked: each is to know the task.
        let is_past = term.poll_ends(cx);
        is_past | (self.seat.poll_told(cx) == Poll::Ready(Leave::Expired))
    }

    /// The same, without being woken.
    pub(crate) fn is_expired(&self) -> bool {
        let is_over = |term: &Term| term.is_past() || self.seat.told() == Some(Leave::Expired);
        self.term.as_deref().is_some_and(is_over)
    }

    /// What a writer for many has to know of the session.
    pub(crate) fn leash(&self) -> Option<Leash> {
        let term = self.term.as_deref()?;
        Some(Leash { seat: self.seat.clone(), ends: term.ends() })
    }

    /// Joins those who read this view in this form: they may be written to together.
    pub(crate) fn join(&self, view: LogView, wire: Wire, heartbeat: Duration) -> Ride {
        let key = Key { view, format: wire.format, transport: self.transport };
        Views::join(&self.mount, key, wire, heartbeat)
    }

    /// Its connection tells when the peer takes nothing, if the host keeps a write deadline.
    pub(crate) fn watch(&mut self, stalled: Option<Stalled>) {
        self.stalled = stalled;
    }

    /// How its cursors are to be written.
    pub(crate) fn write_cursors(&mut self, form: CursorForm) {
        self.cursors = form;
    }

    pub(crate) fn cursors(&self) -> &CursorForm {
        &self.cursors
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.as_ref().is_some_and(Stalled::is_set)
    }

    /// When its client comes back if it is sent away now, before jitter; see [`Mount::retry`].
    pub(crate) fn retry(&self) -> Duration {
        self.mount.retry()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.mount.config
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.mount.counters(self.transport)
    }

    pub(crate) fn span(&self) -> &Span {
        static NONE: Span = Span::none();
        self.span.as_deref().unwrap_or(&NONE)
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn transport(&self) -> &'static str {
        self.mount.names[self.transport]
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counters().connections.fetch_sub(1, Ordering::Relaxed);
        self.mount.seats().try_remove(self.key);
        if self.mount.draining.load(Ordering::Relaxed) {
            self.mount.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
