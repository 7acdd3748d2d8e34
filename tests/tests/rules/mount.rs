//! A mount behind a real host, and what the tests ask of it.

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use realtime_core::{BoxSource, Cursor, Event, Log, SourceExt};
use realtime_tests::client::{Place, Target};
use realtime_tests::host::{Host, Protocol};
use realtime_tower::{
    Body, Builder, Config, Handle, Inbound, NoSource, Reply, Transports, Uplink, UplinkError, builder,
    uplink_fn,
};

use crate::raw::{Lines, Raw};

/// The epoch of every log here, so that cursors can be written down.
pub(crate) const EPOCH: u64 = 0x8f3a_61c0_d2e9_4b17;

/// A cursor of the log.
pub(crate) fn at(position: u128) -> String {
    Cursor::new(EPOCH, position).to_string()
}

/// A log whose epoch is known.
pub(crate) fn log() -> Log {
    Log::builder().epoch(EPOCH).build()
}

/// The n-th event of a log that counts.
pub(crate) fn tick(n: u64) -> Event {
    Event::json("tick", &serde_json::json!({ "n": n })).expect("a number is JSON")
}

/// A message that reached the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) name: String,
    pub(crate) payload: Bytes,
}

/// A mount, served.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) log: Log,
    pub(crate) host: Host,
    pub(crate) handle: Handle,
    made: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Mount {
    /// Every transport, an uplink that answers with what it is sent, and the defaults.
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    /// The same, by this configuration.
    pub(crate) fn with(config: Config) -> Self {
        Self::of(builder().config(config), log())
    }

    /// A builder's transports and configuration over this log, with an uplink that answers with what it is sent.
    pub(crate) fn of<T: Transports>(
        builder: Builder<T, NoSource, realtime_tower::NoUplink>,
        log: Log,
    ) -> Self {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let kept = heard.clone();
        let echo = uplink_fn(move |message: Inbound| {
            let (name, payload) = (message.name().to_owned(), message.payload().bytes().clone());
            let answer = answer(&name, &message);
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { name, payload });
            ready(answer)
        });
        Self { heard, ..Self::served(builder.uplink(echo), log.clone(), log.boxed()) }
    }

    /// A builder as it is, with its uplink, over this log.
    pub(crate) fn by<T: Transports, U: Uplink>(builder: Builder<T, NoSource, U>, log: Log) -> Self {
        Self::served(builder, log.clone(), log.boxed())
    }

    /// Without an uplink.
    pub(crate) fn deaf() -> Self {
        let log = log();
        Self::served(builder(), log.clone(), log.boxed())
    }

    /// Over a source of one's own.
    pub(crate) fn over(source: BoxSource, config: Config) -> Self {
        Self::served(builder().config(config), log(), source)
    }

    fn served<T: Transports, U: Uplink>(
        builder: Builder<T, NoSource, U>,
        log: Log,
        source: BoxSource,
    ) -> Self {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let (service, handle) = builder
            .make_source(move |parts: Parts| {
                count.fetch_add(1, Ordering::Relaxed);
                let made = authorised(&parts).map(|()| source.clone());
                ready(made)
            })
            .service();
        Self { log, host: Host::with(Protocol::Auto, service), handle, made, heard: Arc::default() }
    }

    /// How many sources were made.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// What reached the handler.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Readers there are now, as the mount counts them.
    pub(crate) fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    /// Requests that got as far as a source's place.
    pub(crate) fn requests(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.requests).sum()
    }

    /// Publishes that many more ticks.
    pub(crate) fn publish(&self, ticks: std::ops::RangeInclusive<u64>) {
        for n in ticks {
            self.log.publish(tick(n)).expect("the log is open");
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.host.dialer(), "/events")
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw::over(self.host.connect())
    }

    /// One request, and its whole answer.
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &[u8])]) -> Answered {
        ask(&Target::new(self.host.dialer(), path), method, headers, "").await
    }

    /// A GET of the mount, by headers that are text.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answered {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.ask(Method::GET, path, &headers).await
    }

    /// A POST of the mount.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answered {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        ask(&Target::new(self.host.dialer(), path), Method::POST, &headers, body).await
    }

    /// An answered handshake.
    pub(crate) async fn shaken(&self, lines: &Lines) -> (u16, Raw) {
        let mut raw = self.raw();
        raw.send(lines.bytes()).await;
        let head = raw.head().await.expect("an answer");
        (head.status, raw)
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are text"))
    }

    /// A list, over all its lines, in lower case.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let lines = self.headers.get_all(name).iter();
        let text = lines.map(|line| line.to_str().expect("our headers are text").to_ascii_lowercase());
        text.flat_map(|line| line.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()).collect()
    }

    pub(crate) fn media(&self) -> Option<&str> {
        self.text("content-type")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// One request, and its whole answer.
pub(crate) async fn ask(
    target: &Target,
    method: Method,
    headers: &[(&str, &[u8])],
    body: impl Into<Bytes>,
) -> Answered {
    let mut request = target.request(method, &Place::Default);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = target.send(request, body).await.expect("an answer");
    let (status, headers) = (answer.status.as_u16(), answer.headers.clone());
    Answered { status, headers, body: answer.whole().await.expect("a whole body") }
}

/// What the handler says: nothing to `quiet`, no to `refused`, to all else what came.
fn answer(name: &str, message: &Inbound) -> Result<Reply, UplinkError> {
    use realtime_tower::IntoReply;
    match name {
        "quiet" => ().into_reply(),
        "refused" => Err(UplinkError::new(StatusCode::TOO_MANY_REQUESTS, "one a second, please")),
        _ => match message.payload() {
            realtime_core::Payload::Binary(bytes) => bytes.clone().into_reply(),
            realtime_core::Payload::Json(_) => message.json::<serde_json::Value>()?.into_reply(),
            _ => message.as_str().unwrap_or_default().into_reply(),
        },
    }
}

/// A request that says it is nobody's is turned away; the tests of authorisation ask so.
fn authorised(parts: &Parts) -> Result<(), Response<Body>> {
    let status = match parts.headers.get("authorization").map(|value| value.as_bytes()) {
        Some(b"nobody") => StatusCode::UNAUTHORIZED,
        Some(b"somebody else") => StatusCode::FORBIDDEN,
        _ => return Ok(()),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Err(response)
}
