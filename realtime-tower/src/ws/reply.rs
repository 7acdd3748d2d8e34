use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use hyper::ext::Protocol;
use realtime_core::Feed;

use super::config::{Compression, WebSocketConfig};
use super::deflate::Window;
use super::handshake::{self, Handshake, REALTIME_V1};
use super::io;
use super::messages::{Messages, Mode};
use super::session::Session;
use crate::body::Body;
use crate::headers::{self, Tail};
use crate::mount::Away;
use crate::negotiate::{Ask, Asked};
use crate::reject;
use crate::transport::{Answer, Arrival, Room, Visit};
use crate::upgrade::Upgrade;
use crate::uplink::Uplink;

/// WebSockets, as a part of a mount.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{WebSocketConfig, WebSocketTransport, builder};
///
/// let config = WebSocketConfig { heartbeat: std::time::Duration::from_secs(30), ..WebSocketConfig::default() };
/// let (_service, _handle) = builder().source(Log::new()).transports((WebSocketTransport(config),)).service();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct WebSocketTransport(pub WebSocketConfig);

fn upgrade(ask: &Ask) -> Option<&HeaderMap> {
    let headers = ask.upgrade.as_deref()?;
    let protocol = ask.protocol.as_ref().map(Protocol::as_str);
    let is_asked = handshake::is_upgrade(ask.version, headers)
        || handshake::is_connect(&ask.method, ask.version, protocol);
    is_asked.then_some(headers)
}

fn handshake(ask: &Ask) -> Result<Handshake, Box<Response<Body>>> {
    let none = HeaderMap::new();
    handshake::check(&ask.method, ask.version, upgrade(ask).unwrap_or(&none)).map_err(|refusal| {
        let mut response = reject::problem(refusal.status(ask.version), refusal.reason());
        response.headers_mut().extend(refusal.headers(ask.version).iter().cloned());
        Box::new(response)
    })
}

/// The head that lets a client begin: `101` over HTTP/1.1, and over HTTP/2, which knows neither it nor the headers of an
/// upgrade (RFC 8441 section 5), `200`.
fn begun(handshake: Handshake, version: Version) -> Response<Body> {
    let mut response = headers::answer(Body::empty());
    if version == Version::HTTP_11 {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let head = response.headers_mut();
    head.extend(handshake.accept.map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
    head.extend(handshake.protocol.map(|name| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name))));
    let extension = handshake.deflate.map(|agreed| HeaderValue::from_static(agreed.answer));
    head.extend(extension.map(|answer| (SEC_WEBSOCKET_EXTENSIONS, answer)));
    response
}

impl Room for WebSocketTransport {
    const NAME: &'static str = "websocket";
    const METHODS: &'static [Method] = &[Method::GET];
    const IS_GUARDED: bool = true;
    const IS_STREAM: bool = true;
    const BY_CONNECT: bool = true;

    fn asked(&self, ask: &Ask) -> Option<Asked> {
        upgrade(ask).map(|_| Asked::OUTRIGHT)
    }

    fn is_unmistakable(&self, ask: &Ask) -> bool {
        upgrade(ask).is_some()
    }

    fn check(&self, ask: &Ask) -> Result<(), Response<Body>> {
        handshake(ask).map(|_| ()).map_err(|response| *response)
    }

    fn head(&self, ask: &Ask) -> Response<Body> {
        // An upgrade by HEAD is refused by the check before.
        handshake(ask).map_or_else(|response| *response, |_| reject::method(Self::METHODS))
    }

    fn away(&self, _: &Ask, away: Away, retry: Duration) -> Response<Body> {
        reject::kept_away(away, retry)
    }

    async fn answer<F: Feed, U: Uplink>(&self, mut visit: Visit<F, U>) -> Answer {
        let Arrival { ask, permit, upgrade, opened, .. } = &mut *visit.arrival;
        let mut handshake = match handshake(ask) {
            Ok(handshake) => handshake,
            Err(response) => return (*response).into(),
        };
        let Some(upgrade) = upgrade.take() else {
            tracing::error!(
                "the host gives no upgrade: serve with upgrades, and let no layer take OnUpgrade away"
            );
            let detail = "this server does not give connections away";
            return reject::problem(StatusCode::NOT_IMPLEMENTED, detail).into();
        };
        let version = ask.version;
        let mode = if handshake.protocol == Some(REALTIME_V1) { Mode::V1 } else { Mode::Bare };
        // A tag is a secret, and stands beside whatever an event says: no length may tell of it.
        let is_safe = mode == Mode::Bare || permit.cursors().is_plain();
        handshake.deflate.take_if(|_| !is_safe || self.0.compression == Compression::Off);
        let window = handshake.deflate.map(|agreed| agreed.window);
        let mut response = begun(handshake, version);
        if let Some(opened) = opened {
            let next = permit.cursors().text(opened.cursor);
            headers::place(response.headers_mut(), &next, Tail::default());
        }
        let task = Box::pin(session(upgrade, visit, mode, window, self.0));
        Answer::Ready(response, Some(task))
    }
}

/// Subscribed before the head goes out: what is published in between is in the feed. The visit's arrival stays in
/// its box until there is a connection, so that the session has its parts once and not twice.
async fn session<F: Feed, U: Uplink>(
    upgrade: Upgrade,
    visit: Visit<F, U>,
    mode: Mode,
    window: Option<Window>,
    config: WebSocketConfig,
) {
    let version = visit.arrival.ask.version;
    let (io, sent): (_, Bytes) = match io::connection(upgrade, version).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(error = %error, "the connection was not given away");
            return;
        }
    };
    let mut session = open(io, sent, visit, mode, window, config);
    std::future::poll_fn(|cx| session.poll_over(cx)).await;
}

fn open<F: Feed, U: Uplink>(
    io: io::Io,
    sent: Bytes,
    visit: Visit<F, U>,
    mode: Mode,
    window: Option<Window>,
    config: WebSocketConfig,
) -> Session<F, U> {
    let (downlink, rest) = visit.downlink(config.heartbeat);
    let messages = Messages::new(rest.uplink, rest.extensions, mode);
    Session::new(io, sent, downlink, messages, mode, window, config).of(rest.view)
}
