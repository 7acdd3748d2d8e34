//! The server under test, in memory, and the ways of reading it.

use std::time::Duration;

use realtime_core::BoxSource;
use realtime_tests::client::{Http, Place, Reader, Seen, Signing, SseForm, Target, Transport};
use realtime_tests::dial::{Dialer, Links};
use realtime_tests::fault::Plan;
use realtime_tests::host::{Host, Protocol};
use realtime_tower::{
    Config, CursorKeys, Data, Handle, LongPollConfig, LongPollTransport, NoUplink, PollConfig, PollTransport,
    SseConfig, SseTransport, TransportStats, Uplink, WebSocketConfig, WebSocketTransport, builder,
};

/// A way of reading: a transport, in one of its forms, over HTTP/1.1 or HTTP/2, from a mount that signs its cursors or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Poll,
    LongPoll,
    Sse,
    SseEnvelope,
    Ws,
    SignedPoll,
    SignedLongPoll,
    SignedSse,
    SignedSseEnvelope,
    SignedWs,
    PollH2,
    LongPollH2,
    SseH2,
    WsH2,
    SignedSseH2,
    SignedWsH2,
}

impl Way {
    pub(crate) const ALL: [Self; 16] = [
        Self::Poll,
        Self::LongPoll,
        Self::Sse,
        Self::SseEnvelope,
        Self::Ws,
        Self::SignedPoll,
        Self::SignedLongPoll,
        Self::SignedSse,
        Self::SignedSseEnvelope,
        Self::SignedWs,
        Self::PollH2,
        Self::LongPollH2,
        Self::SseH2,
        Self::WsH2,
        Self::SignedSseH2,
        Self::SignedWsH2,
    ];

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Poll | Self::PollH2 | Self::SignedPoll => Transport::Poll,
            Self::LongPoll | Self::LongPollH2 | Self::SignedLongPoll => Transport::LongPoll,
            Self::Sse
            | Self::SseEnvelope
            | Self::SseH2
            | Self::SignedSse
            | Self::SignedSseEnvelope
            | Self::SignedSseH2 => Transport::Sse,
            Self::Ws | Self::WsH2 | Self::SignedWs | Self::SignedWsH2 => Transport::WebSocket,
        }
    }

    pub(crate) fn http(self) -> Http {
        match self {
            Self::PollH2
            | Self::LongPollH2
            | Self::SseH2
            | Self::WsH2
            | Self::SignedSseH2
            | Self::SignedWsH2 => Http::Two,
            _ => Http::One,
        }
    }

    /// Whether it asks again and again, and is no reader between.
    pub(crate) fn is_poll(self) -> bool {
        matches!(self.transport(), Transport::Poll | Transport::LongPoll)
    }

    pub(crate) fn sse(self) -> SseForm {
        match self {
            Self::SseEnvelope | Self::SignedSseEnvelope => SseForm::Envelope,
            _ => SseForm::Bare,
        }
    }

    fn is_signed(self) -> bool {
        match self {
            Self::SignedPoll
            | Self::SignedLongPoll
            | Self::SignedSse
            | Self::SignedSseEnvelope
            | Self::SignedWs
            | Self::SignedSseH2
            | Self::SignedWsH2 => true,
            Self::Poll
            | Self::LongPoll
            | Self::Sse
            | Self::SseEnvelope
            | Self::Ws
            | Self::PollH2
            | Self::LongPollH2
            | Self::SseH2
            | Self::WsH2 => false,
        }
    }
}

/// What cursors are signed with, where they are.
const KEY: [u8; 32] = [0x5E; 32];

/// What the server calls a transport in its figures.
pub(crate) fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Poll => "poll",
        Transport::LongPoll => "long-poll",
        Transport::Sse => "sse",
        Transport::WebSocket => "websocket",
    }
}

/// Everything that can be set on a mount.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knobs {
    pub(crate) config: Config,
    pub(crate) poll: PollConfig,
    pub(crate) long_poll: LongPollConfig,
    pub(crate) sse: SseConfig,
    pub(crate) ws: WebSocketConfig,
    pub(crate) buffer_bytes: Option<usize>,
    /// What the mount's own clients speak,
    pub(crate) http: Http,
    /// and whether the host speaks the other too.
    pub(crate) speaks_both: bool,
}

impl Knobs {
    /// The SSE data that a way of reading expects, and its HTTP.
    pub(crate) fn of(way: Way) -> Self {
        let mut knobs = Self { http: way.http(), ..Self::default() };
        if way.sse() == SseForm::Envelope {
            knobs.sse.data = Data::Envelope;
        }
        if way.is_signed() { knobs.signed() } else { knobs }
    }

    /// The same on a mount that signs its cursors.
    pub(crate) fn signed(self) -> Self {
        let keys = CursorKeys::new(KEY).expect("32 bytes");
        self.config(|config| config.cursor_keys = Some(keys))
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }
}

/// A mount that is served in memory.
pub(crate) struct Mount {
    pub(crate) host: Host,
    pub(crate) handle: Handle,
    sse: SseForm,
    http: Http,
    signing: Option<Signing>,
}

impl Mount {
    pub(crate) fn new(source: BoxSource, knobs: Knobs) -> Self {
        Self::with(source, knobs, NoUplink)
    }

    pub(crate) fn with<U: Uplink>(source: BoxSource, knobs: Knobs, uplink: U) -> Self {
        let signing = knobs.config.cursor_keys.is_some().then(|| Signing::new(KEY));
        let (service, handle) = builder()
            .transports((
                WebSocketTransport(knobs.ws),
                SseTransport(knobs.sse),
                LongPollTransport(knobs.long_poll),
                PollTransport(knobs.poll),
            ))
            .config(knobs.config)
            .source(source)
            .uplink(uplink)
            .service();
        let is_both = knobs.speaks_both || knobs.http == Http::Two;
        let host = Host::with(if is_both { Protocol::Auto } else { Protocol::Http1 }, service);
        let host = knobs.buffer_bytes.into_iter().fold(host, Host::buffer_bytes);
        let sse = if knobs.sse.data == Data::Envelope { SseForm::Envelope } else { SseForm::Bare };
        Self { host, handle, sse, http: knobs.http, signing }
    }

    pub(crate) fn target(&self) -> Target {
        self.target_by(self.host.dialer())
    }

    pub(crate) fn target_by(&self, dialer: Dialer) -> Target {
        let signing = self.signing.clone();
        Target { sse: self.sse, http: self.http, signing, ..Target::new(dialer, "/events") }
    }

    /// The same behind faults: `plan` is that of the n-th connection.
    pub(crate) fn faulty(&self, plan: impl Fn(usize) -> Plan + Send + Sync + 'static) -> (Target, Links) {
        let (dialer, links) = self.host.dialer().through(plan);
        (self.target_by(dialer), links)
    }

    pub(crate) async fn reader(&self, transport: Transport, place: Place) -> Reader {
        Reader::connect(transport, &self.target(), place).await
    }

    /// The figures of one transport.
    pub(crate) fn stats(&self, transport: &str) -> TransportStats {
        self.handle.stats().of(transport).expect("the mount has all four")
    }

    /// Readers over all transports.
    pub(crate) fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    /// Nothing is left of the readers that were: no permit, no connection. (D-16)
    pub(crate) async fn is_left(&self) {
        eventually("every reader's permit comes back", || self.readers() == 0).await;
        tokio::time::timeout(Duration::from_secs(60), self.host.all_gone())
            .await
            .expect("every connection ends");
    }
}

/// Waits, in paused time, for what must become true.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// Reads up to and with what `last` holds of. A heartbeat is a sign of life and no progress: paused time is bounded too.
pub(crate) async fn until(reader: &mut Reader, what: &str, last: impl FnMut(&Seen) -> bool) -> Vec<Seen> {
    let (transport, place) = (reader.transport(), reader.place().clone());
    match tokio::time::timeout(Duration::from_secs(300), reader.collect_until(last)).await {
        Ok(seen) => seen,
        Err(_) => panic!("{what}: {transport:?} never got there from {place:?}"),
    }
}

pub(crate) fn is_live(seen: &Seen) -> bool {
    matches!(seen, Seen::Live { .. })
}

/// The event with this cursor.
pub(crate) fn is_event(id: &str) -> impl FnMut(&Seen) -> bool {
    move |seen| seen.event().is_some_and(|event| event.id.as_deref() == Some(id))
}
