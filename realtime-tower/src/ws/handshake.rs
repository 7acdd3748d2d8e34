//! The opening handshake over HTTP/1.1 (RFC 6455 sections 4.1, 4.2 and 11.3, RFC 9110 sections 7.8 and 15.5.22) and over
//! HTTP/2 (RFC 8441 sections 4 and 5): there a CONNECT whose `:protocol` is `websocket` stands for `Upgrade`, `Connection`
//! and the key, and all else applies as it does over HTTP/1.1.
//!
//! Every header is read as bytes, because a value may hold any; every list may be spread over several lines.

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
    uri::Authority,
};
use sha1::{Digest, Sha1};

use super::deflate::{self, Agreed};

/// The one subprotocol we speak: an envelope a message, controls included.
pub(crate) const REALTIME_V1: &str = "realtime.v1";

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const KEY_OCTETS: usize = 16;

/// Padding is required; stray bits in the last character are not held against a client, for the sample key of
/// RFC 6455 section 4.1 (`AQIDBAUGBwgJCgsMDQ4PEC==`) has some.
static BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What the `101` says beside `Upgrade` and `Connection`, and what the `200` of HTTP/2 does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The value of `Sec-WebSocket-Accept`: always over HTTP/1.1, and over HTTP/2 where a key came. None is needed there,
    /// but clients and proxies that bridge from HTTP/1.1 send one, and insist on the answer.
    pub(crate) accept: Option<HeaderValue>,
    /// The value of `Sec-WebSocket-Protocol`; without one there is no such header, and the mode is bare.
    pub(crate) protocol: Option<&'static str>,
    /// The first offer of permessage-deflate that can be kept. Whether it is answered is the room's to say; no other
    /// extension ever is.
    pub(crate) deflate: Option<Agreed>,
}

/// Why the answer is not `101`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a GET; over HTTP/2 not a CONNECT.
    Method,
    /// Neither HTTP/1.1 nor HTTP/2.
    HttpVersion,
    /// None, several, or not a host.
    Host,
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// The request has a body, whose end and the first frame's start two parsers could see differently.
    Body,
    /// `Sec-WebSocket-Version` is not 13.
    WebSocketVersion,
    /// `Sec-WebSocket-Version` came more than once.
    RepeatedVersion,
    /// Not exactly one `Sec-WebSocket-Key` of 16 octets in base64; over HTTP/2 one that came and is not.
    Key,
    /// `Sec-WebSocket-Extensions` cannot be parsed.
    Extensions,
    /// `Sec-WebSocket-Protocol` cannot be parsed.
    Protocol,
}

impl Refusal {
    /// A `426` must name `Upgrade` (RFC 9110 section 15.5.22), which no message over HTTP/2 may (RFC 9113 section 8.2.2):
    /// there another version is a `400` too.
    pub(crate) fn status(self, version: Version) -> StatusCode {
        match self {
            Self::WebSocketVersion if version == Version::HTTP_11 => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// For the client's developer: static, nothing of the request is given back.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Method => "a WebSocket handshake is a GET request, over HTTP/2 a CONNECT",
            Self::HttpVersion => "a WebSocket handshake needs HTTP/1.1 or HTTP/2",
            Self::Host => "a WebSocket handshake needs exactly one valid Host header",
            Self::Upgrade => "the Upgrade header does not name websocket; a proxy may have removed it",
            Self::Connection => "the Connection header does not name upgrade; a proxy may have removed it",
            Self::Body => "a WebSocket handshake has no body",
            Self::WebSocketVersion => "the WebSocket version must be 13",
            Self::RepeatedVersion => "Sec-WebSocket-Version must be sent once",
            Self::Key => "exactly one Sec-WebSocket-Key of 16 octets in base64 is needed",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
            Self::Protocol => "Sec-WebSocket-Protocol is malformed",
        }
    }

    /// Headers that the answer must carry where the version is another: which one it takes, and all that a `426` must say.
    pub(crate) fn headers(self, version: Version) -> &'static [(HeaderName, HeaderValue)] {
        static UPGRADE_REQUIRED: [(HeaderName, HeaderValue); 3] = [
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
        ];
        match self {
            Self::WebSocketVersion if version == Version::HTTP_11 => &UPGRADE_REQUIRED,
            Self::WebSocketVersion => &UPGRADE_REQUIRED[..1],
            _ => &[],
        }
    }
}

/// Whether a request unmistakably asks for a WebSocket over HTTP/1.1, rightly or wrongly put.
///
/// Over HTTP/1.0 `Upgrade` means nothing (RFC 9110 section 7.8), over HTTP/2 it is CONNECT that asks. A key alone is a
/// sign too: only a WebSocket client sends one, so a proxy has eaten the rest, and the refusal says so. The method
/// does not matter: a wrong one is refused, not overlooked.
pub(crate) fn is_upgrade(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && (has_token(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY))
}

/// Whether an extended CONNECT asks for a WebSocket. Case does not count: HAProxy sends `WebSocket`.
pub(crate) fn is_connect(method: &Method, version: Version, protocol: Option<&str>) -> bool {
    let is_websocket = protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    version == Version::HTTP_2 && method == Method::CONNECT && is_websocket
}

/// Checks a handshake and gives what its answer needs.
///
/// # Errors
///
/// The first [`Refusal`] that applies.
pub(crate) fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<Handshake, Refusal> {
    match version {
        Version::HTTP_11 => check_upgrade(method, headers)?,
        // Who is asked stands in `:authority`, and that it is a CONNECT is why we are here.
        Version::HTTP_2 => must(method == Method::CONNECT, Refusal::Method)?,
        _ => return Err(Refusal::HttpVersion),
    }
    must(!has_body(headers), Refusal::Body)?;
    check_version(headers)?;
    let needs_key = version == Version::HTTP_11 || headers.contains_key(SEC_WEBSOCKET_KEY);
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    must(key.is_some() || !needs_key, Refusal::Key)?;
    must(extensions_are_well_formed(headers), Refusal::Extensions)?;
    Ok(Handshake { accept: key.map(accept), protocol: protocol(headers)?, deflate: agreed(headers) })
}

fn check_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    must(method == Method::GET, Refusal::Method)?;
    must(has_one_host(headers), Refusal::Host)?;
    must(has_token(headers, &UPGRADE, "websocket"), Refusal::Upgrade)?;
    must(has_token(headers, &CONNECTION, "upgrade"), Refusal::Connection)
}

fn must(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(BASE64.encode(digest)).expect("base64 is visible ASCII")
}

fn is_key(key: &[u8]) -> bool {
    BASE64.decode(key).is_ok_and(|octets| octets.len() == KEY_OCTETS)
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get_all(SEC_WEBSOCKET_VERSION).iter().count() > 1 {
        return Err(Refusal::RepeatedVersion);
    }
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Some(b"13") => Ok(()),
        _ => Err(Refusal::WebSocketVersion),
    }
}

/// `realtime.v1` if it is among the offers, in its exact spelling; the others need not be known.
fn protocol(headers: &HeaderMap) -> Result<Option<&'static str>, Refusal> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(None);
    }
    let mut offers = elements(headers, &SEC_WEBSOCKET_PROTOCOL).peekable();
    if offers.peek().is_none() {
        return Err(Refusal::Protocol);
    }
    let mut chosen = None;
    for offer in offers {
        if !is_token(offer) {
            return Err(Refusal::Protocol);
        }
        if offer == REALTIME_V1.as_bytes() {
            chosen = Some(REALTIME_V1);
        }
    }
    Ok(chosen)
}

/// Whether the offers parse (RFC 6455 section 9.1).
fn extensions_are_well_formed(headers: &HeaderMap) -> bool {
    // A quoted value must read as a token once unquoted, so it can hold neither comma nor semicolon: splitting first,
    // and looking at quotes last, is safe.
    let mut offers = elements(headers, &SEC_WEBSOCKET_EXTENSIONS).peekable();
    let absent_or_some = !headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) || offers.peek().is_some();
    absent_or_some && offers.all(is_extension)
}

fn is_extension(offer: &[u8]) -> bool {
    let mut parts = offer.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    parts.next().is_some_and(is_token) && parts.all(is_parameter)
}

/// Of well-formed offers the first that is taken: they stand in the client's order (RFC 7692 section 5.1).
fn agreed(headers: &HeaderMap) -> Option<Agreed> {
    elements(headers, &SEC_WEBSOCKET_EXTENSIONS).find_map(|offer| {
        let mut parts = offer.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?;
        deflate::agree(name, parts.map(parameter))
    })
}

/// The name of a well-formed parameter, and its value without quotes.
fn parameter(parameter: &[u8]) -> (&[u8], Option<Vec<u8>>) {
    let mut halves = parameter.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
    let name = halves.next().unwrap_or_default();
    // In a token no character but an escape's is a backslash or a quote.
    let value =
        halves.next().map(|value| value.iter().copied().filter(|byte| !b"\"\\".contains(byte)).collect());
    (name, value)
}

fn is_parameter(parameter: &[u8]) -> bool {
    let mut halves = parameter.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
    halves.next().is_some_and(is_token)
        && halves.next().is_none_or(|value| match value {
            [b'"', quoted @ .., b'"'] => is_token_unquoted(quoted),
            bare => is_token(bare),
        })
}

/// Whether the inside of a quoted string is a token once each `\x` is read as `x` (RFC 9110 section 5.6.4).
fn is_token_unquoted(quoted: &[u8]) -> bool {
    let mut bytes = quoted.iter();
    let mut empty = true;
    while let Some(mut byte) = bytes.next() {
        if *byte == b'\\' {
            let Some(escaped) = bytes.next() else { return false };
            byte = escaped;
        }
        if !is_token_byte(*byte) {
            return false;
        }
        empty = false;
    }
    !empty
}

/// RFC 9112 section 3.2: none, several and a malformed one are each a 400.
fn has_one_host(headers: &HeaderMap) -> bool {
    only(headers, &HOST).is_some_and(|host| !host.contains(&b'@') && Authority::try_from(host).is_ok())
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes().trim_ascii() != b"0")
}

/// The value of a header that came exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a list, over all its lines; empty ones are passed over (RFC 9110 section 5.6.1.2).
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|e| !e.is_empty())
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
