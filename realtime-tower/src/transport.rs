//! What a transport is to the spine, and how a mount has several.
//!
//! A transport reads a request's facts, may refuse it before a source is made, and answers a visit. It spawns nothing:
//! what has to run on after the answer's head is handed back as a task. Everything else - authorisation, the cursor,
//! limits, draining, the uplink by POST - is the spine's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Method, Response};
use realtime_core::{Feed, LogView, Opened, Start};

use crate::body::Body;
use crate::downlink::Downlink;
use crate::mount::{Away, Permit};
use crate::negotiate::{Ask, Asked};
use crate::upgrade::Upgrade;
use crate::uplink::Uplink;

/// One way of answering a request from a source, as a part of a mount: see [`Builder::transports`].
///
/// The four of this crate are [`PollTransport`](crate::PollTransport), [`LongPollTransport`](crate::LongPollTransport),
/// [`SseTransport`](crate::SseTransport) and [`WebSocketTransport`](crate::WebSocketTransport), each around its knobs.
/// The trait is closed, and what is in it is not told, until a transport outside has shown what it needs.
///
/// ```
/// use realtime_tower::{PollConfig, PollTransport, Transport};
///
/// fn is_one(_: impl Transport) {}
/// is_one(PollTransport(PollConfig::default()));
/// ```
///
/// [`Builder::transports`]: crate::Builder::transports
pub trait Transport: Room {}

impl<T: Room> Transport for T {}

/// The transports of a mount: a tuple of one to six.
///
/// ```
/// use realtime_tower::{All, PollTransport, SseTransport, Transports};
///
/// fn are_some<T: Transports>() {}
/// are_some::<All>();
/// are_some::<(SseTransport, PollTransport)>();
/// ```
pub trait Transports: Rooms {}

impl<T: Rooms> Transports for T {}

/// What [`Transport`] is to the spine. It cannot be named outside of this crate.
pub trait Room: Send + Sync + 'static {
    /// Its name in figures and logs.
    const NAME: &'static str;
    /// The methods that reach it.
    const METHODS: &'static [Method];
    /// Whether a page of another origin is to be kept out, because CORS does not.
    const IS_GUARDED: bool = false;
    /// Whether it answers before a slow source has opened.
    const IS_STREAM: bool = false;
    /// Whether it is what an extended CONNECT may ask for; to the others such a request does not exist.
    const BY_CONNECT: bool = false;

    /// How strongly a request asks for it.
    fn asked(&self, ask: &Ask) -> Option<Asked>;

    /// Whether a request asks for it so plainly that a layer may take it from the service inside.
    fn is_unmistakable(&self, ask: &Ask) -> bool;

    /// Looks at the request before a source is made.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, _: &Ask) -> Result<(), Response<Body>> {
        Ok(())
    }

    /// The head of the answer to HEAD: as that of GET, without a place.
    fn head(&self, ask: &Ask) -> Response<Body>;

    /// What is said when a reader cannot be let in now. It must not cost the client its place.
    fn away(&self, ask: &Ask, away: Away, retry: Duration) -> Response<Body>;

    /// Answers.
    fn answer<F: Feed, U: Uplink>(&self, visit: Visit<F, U>) -> impl Future<Output = Answer> + Send;
}

/// A request that was let in, with its feed.
pub struct Visit<F, U> {
    pub(crate) arrival: Box<Arrival>,
    pub(crate) feed: Pin<Box<F>>,
    pub(crate) uplink: U,
}

/// A reader that was let in: in one box from the gate to its answer, for it is large and every future that it is handed to
/// has it twice.
pub(crate) struct Arrival {
    /// The transport that it asks for.
    pub(crate) transport: usize,
    pub(crate) ask: Ask,
    pub(crate) permit: Permit,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) start: Start,
    /// Whether the client came with a cursor.
    pub(crate) resumed: bool,
    /// What the feed opened with; none where the source is slow and the transport streams.
    pub(crate) opened: Option<Opened>,
    /// The part of a log that the feed reads, if it is one.
    pub(crate) view: Option<LogView>,
    /// For whoever hears messages.
    pub(crate) extensions: Option<Arc<Extensions>>,
}

impl<F: Feed, U> Visit<F, U> {
    /// The messages of a stream, and what is left for whoever writes them.
    pub(crate) fn downlink(self, heartbeat: Duration) -> (Downlink<F>, Rest<U>) {
        let Arrival { opened, permit, resumed, view, extensions, .. } = *self.arrival;
        let downlink = Downlink::new(self.feed, opened, permit, resumed, heartbeat);
        (downlink, Rest { view, uplink: self.uplink, extensions })
    }
}

impl<F, U> std::fmt::Debug for Visit<F, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("ask", &self.arrival.ask).finish_non_exhaustive()
    }
}

/// What of a visit is no part of its downlink.
pub(crate) struct Rest<U> {
    pub(crate) view: Option<LogView>,
    pub(crate) uplink: U,
    pub(crate) extensions: Option<Arc<Extensions>>,
}

/// An answer.
pub enum Answer {
    /// Its head and body, and what has to run on behind it.
    Ready(Response<Body>, Option<Pin<Box<dyn Future<Output = ()> + Send>>>),
    /// One that waits for news, and holds no more than it takes for that.
    Waits(Waiting),
}

/// What is left of a request that waits.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self::Ready(response, None)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(response, _) => f.debug_tuple("Ready").field(response).finish_non_exhaustive(),
            Self::Waits(_) => f.write_str("Waits"),
        }
    }
}

/// What [`Transports`] is to the spine: each question for one of them, or for all.
pub trait Rooms: Send + Sync + 'static {
    /// Their names, in order.
    const NAMES: &'static [&'static str];

    /// The transport that a request asks for most; of two alike, the first.
    fn choose(&self, ask: &Ask) -> Option<usize>;

    /// Whether a request plainly asks for one of them.
    fn is_unmistakable(&self, ask: &Ask) -> bool;

    /// [`Room::METHODS`] of all.
    fn methods(&self) -> Vec<Method>;

    /// [`Room::IS_GUARDED`] of one.
    fn is_guarded(&self, index: usize) -> bool;

    /// [`Room::IS_STREAM`] of one.
    fn is_stream(&self, index: usize) -> bool;

    /// [`Room::check`] of one.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, index: usize, ask: &Ask) -> Result<(), Response<Body>>;

    /// [`Room::head`] of one.
    fn head(&self, index: usize, ask: &Ask) -> Response<Body>;

    /// [`Room::away`] of one.
    fn away(&self, index: usize, ask: &Ask, away: Away, retry: Duration) -> Response<Body>;

    /// [`Room::answer`] of one.
    fn answer<F: Feed, U: Uplink>(
        &self,
        index: usize,
        visit: Visit<F, U>,
    ) -> impl Future<Output = Answer> + Send;
}

/// How strongly a request asks for a transport that it can reach.
fn asked<R: Room>(room: &R, ask: &Ask) -> Option<Asked> {
    (ask.method != Method::CONNECT || R::BY_CONNECT).then(|| room.asked(ask)).flatten()
}

fn is_unmistakable<R: Room>(room: &R, ask: &Ask) -> bool {
    (ask.method != Method::CONNECT || R::BY_CONNECT) && room.is_unmistakable(ask)
}

macro_rules! transports {
    // The last one stands for every other index: there is none.
    ($($T:ident $i:tt,)* ; $last:ident $l:tt) => {
        impl<$($T: Room,)* $last: Room> Rooms for ($($T,)* $last,) {
            const NAMES: &'static [&'static str] = &[$($T::NAME,)* $last::NAME];

            fn choose(&self, ask: &Ask) -> Option<usize> {
                let asked = [$(asked(&self.$i, ask),)* asked(&self.$l, ask)];
                let strongest = *asked.iter().flatten().max()?;
                asked.iter().position(|asked| *asked == Some(strongest))
            }

            fn is_unmistakable(&self, ask: &Ask) -> bool {
                $(is_unmistakable(&self.$i, ask) ||)* is_unmistakable(&self.$l, ask)
            }

            fn methods(&self) -> Vec<Method> {
                let mut methods = vec![Method::GET, Method::HEAD];
                for all in [$($T::METHODS,)* $last::METHODS] {
                    methods.extend(all.iter().filter(|m| **m != Method::GET && **m != Method::HEAD).cloned());
                }
                methods
            }

            fn is_guarded(&self, index: usize) -> bool {
                match index {
                    $($i => $T::IS_GUARDED,)*
                    _ => $last::IS_GUARDED,
                }
            }

            fn is_stream(&self, index: usize) -> bool {
                match index {
                    $($i => $T::IS_STREAM,)*
                    _ => $last::IS_STREAM,
                }
            }

            fn check(&self, index: usize, ask: &Ask) -> Result<(), Response<Body>> {
                match index {
                    $($i => self.$i.check(ask),)*
                    _ => self.$l.check(ask),
                }
            }

            fn head(&self, index: usize, ask: &Ask) -> Response<Body> {
                match index {
                    $($i => self.$i.head(ask),)*
                    _ => self.$l.head(ask),
                }
            }

            fn away(&self, index: usize, ask: &Ask, away: Away, retry: Duration) -> Response<Body> {
                match index {
                    $($i => self.$i.away(ask, away, retry),)*
                    _ => self.$l.away(ask, away, retry),
                }
            }

            async fn answer<F: Feed, U: Uplink>(&self, index: usize, visit: Visit<F, U>) -> Answer {
                match index {
                    $($i => self.$i.answer(visit).await,)*
                    _ => self.$l.answer(visit).await,
                }
            }
        }
    };
}

transports!(; A 0);
transports!(A 0, ; B 1);
transports!(A 0, B 1, ; C 2);
transports!(A 0, B 1, C 2, ; D 3);
transports!(A 0, B 1, C 2, D 3, ; E 4);
transports!(A 0, B 1, C 2, D 3, E 4, ; G 5);
