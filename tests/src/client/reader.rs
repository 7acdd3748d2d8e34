//! Any of the four clients under one roof, so that a law is one loop over transports, or over pairs of them.

use std::fmt;
use std::time::Duration;

use super::long_poll::LongPoll;
use super::poll::Poll;
use super::sse::Sse;
use super::ws::Ws;
use super::{Http, Over, Place, Seen, Target};

/// A way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Asks again and again.
    Poll,
    /// Asks and waits.
    LongPoll,
    /// Server-sent events.
    Sse,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Poll, Self::LongPoll, Self::Sse, Self::WebSocket];

    /// Whether it asks again and again.
    pub fn is_poll(self) -> bool {
        matches!(self, Self::Poll | Self::LongPoll)
    }

    /// All ordered pairs, each with itself too.
    pub fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().flat_map(|from| Self::ALL.map(|to| (from, to)))
    }
}

/// A transport, and what it is spoken in: a way of reading, of which there are more than transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Via {
    /// The transport.
    pub transport: Transport,
    /// Its HTTP.
    pub http: Http,
}

impl Via {
    /// The six that differ in more than the connection beneath them: over HTTP/2 a poll is a request as any other.
    pub const SIX: [Self; 6] = [
        Self { transport: Transport::Poll, http: Http::One },
        Self { transport: Transport::LongPoll, http: Http::One },
        Self { transport: Transport::Sse, http: Http::One },
        Self { transport: Transport::Sse, http: Http::Two },
        Self { transport: Transport::WebSocket, http: Http::One },
        Self { transport: Transport::WebSocket, http: Http::Two },
    ];
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = if self.http == Http::One { "h1" } else { "h2" };
        let transport = match self.transport {
            Transport::Poll => "poll",
            Transport::LongPoll => "long-poll",
            Transport::Sse => "SSE",
            Transport::WebSocket => "WebSocket",
        };
        write!(f, "{transport} {http}")
    }
}

impl From<Transport> for Via {
    /// Over HTTP/1.1.
    fn from(transport: Transport) -> Self {
        Self { transport, http: Http::One }
    }
}

/// A client on some transport.
///
/// ```
/// use realtime_tests::client::{Place, Reader, Seen, Target, Transport};
/// use realtime_tests::host::Host;
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let host = Host::new(tower::service_fn(|_: Request<hyper::body::Incoming>| async {
///     let page = r#"{"events":[{"id":"a.1","data":42}],"next":"a.1","upToDate":true,"closed":true}"#;
///     Ok::<_, Infallible>(Response::new(page.to_owned()))
/// }));
/// let mut reader = Reader::connect(Transport::Poll, &Target::new(host.dialer(), "/events"), Place::Earliest).await;
/// let seen = reader.next().await;
/// assert_eq!(seen.as_ref().and_then(Seen::event).map(|event| event.data.as_slice()), Some(b"42".as_slice()));
/// assert_eq!(reader.place().cursor(), Some("a.1"));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    target: Target,
    transport: Transport,
    client: Client,
    place: Place,
}

#[derive(Debug)]
enum Client {
    Poll(Poll),
    LongPoll(LongPoll),
    Sse(Sse),
    Ws(Ws),
}

/// The longest that [`Reader::collect_until`] waits for one more thing, in paused time: well above every heartbeat.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The most that [`Reader::collect_until`] takes: paused time does not bound a server that answers at once, for ever.
pub const SEEN_MAX: usize = 200_000;

impl Reader {
    /// A reader at this place. SSE and WebSocket are connected when this returns, the polls ask at the first
    /// [`next`](Reader::next). A connection that fails is a reader that is [`over`](Reader::over).
    pub async fn connect(transport: Transport, target: &Target, place: Place) -> Self {
        let start = match &target.signing {
            Some(signing) => signing.signed_place(place.clone()),
            None => place.clone(),
        };
        let client = match transport {
            Transport::Poll => Client::Poll(Poll::connect(target, start)),
            Transport::LongPoll => Client::LongPoll(LongPoll::connect(target, start)),
            Transport::Sse => Client::Sse(Sse::connect(target, start).await),
            Transport::WebSocket => Client::Ws(Ws::connect(target, start).await),
        };
        Self { target: target.clone(), transport, client, place }
    }

    /// Lets go of the connection, if there still is one, and comes back at its place on the given transport.
    pub async fn resume(self, transport: Transport) -> Self {
        let (target, place) = (self.target.clone(), self.place().clone());
        drop(self);
        Self::connect(transport, &target, place).await
    }

    /// [`resume`](Reader::resume), over another HTTP from now on.
    pub async fn resume_over(mut self, http: Http, transport: Transport) -> Self {
        self.target.http = http;
        self.resume(transport).await
    }

    /// The next thing told; `None` once nothing more comes.
    ///
    /// # Cancel safety
    /// Nothing is lost; a poll in flight is asked again.
    pub async fn next(&mut self) -> Option<Seen> {
        let seen = match &mut self.client {
            Client::Poll(client) => client.next().await,
            Client::LongPoll(client) => client.next().await,
            Client::Sse(client) => client.next().await,
            Client::Ws(client) => client.next().await,
        };
        let place = match &self.client {
            Client::Poll(client) => client.place(),
            Client::LongPoll(client) => client.place(),
            Client::Sse(client) => client.place(),
            Client::Ws(client) => client.place(),
        };
        let Some(signing) = &self.target.signing else {
            self.place.clone_from(place);
            return seen;
        };
        self.place = signing.plain_place(place);
        seen.map(|seen| signing.plain_seen(seen))
    }

    /// Reads up to and with the first thing that `last` holds of, or to the end.
    ///
    /// # Panics
    /// Nothing was told for [`PATIENCE`], or more than [`SEEN_MAX`] things were: the test would hang.
    pub async fn collect_until(&mut self, mut last: impl FnMut(&Seen) -> bool) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            let Ok(seen) = tokio::time::timeout(PATIENCE, self.next()).await else {
                panic!("{:?} was told nothing for {PATIENCE:?} after {all:?}", self.transport);
            };
            let Some(seen) = seen else { return all };
            assert!(all.len() < SEEN_MAX, "{:?} never got there; the newest: {seen:?}", self.transport);
            let done = last(&seen);
            all.push(seen);
            if done {
                return all;
            }
        }
    }

    /// The place that it would resume from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it ended, if it did.
    pub fn over(&self) -> Option<&Over> {
        match &self.client {
            Client::Poll(client) => client.over(),
            Client::LongPoll(client) => client.over(),
            Client::Sse(client) => client.over(),
            Client::Ws(client) => client.over(),
        }
    }

    /// The transport that it is on.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The time to wait before coming back that the connection set for all its life, if its transport has such a thing.
    pub fn retry_ms(&self) -> Option<u64> {
        if let Client::Sse(client) = &self.client { client.retry_ms() } else { None }
    }

    /// The WebSocket client inside, for its uplink.
    pub fn web_socket(&mut self) -> Option<&mut Ws> {
        if let Client::Ws(client) = &mut self.client { Some(client) } else { None }
    }
}
