//! What a request asks for, read once: the facts that transports choose by.

use std::fmt;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use hyper::ext::Protocol;
use mediatype::{MediaTypeList, ReadParams};

use crate::resume::{self, Came};

/// A request as transports see it. It owns what it says and holds on to no part of the request's buffers but those
/// of an upgrade; a room takes what it needs and drops it before it waits.
pub struct Ask {
    /// GET or HEAD; CONNECT over HTTP/2 is an upgrade.
    pub method: Method,
    /// The protocol version.
    pub version: Version,
    /// What the client accepts.
    pub accept: Accept,
    /// `?live=`, which names a transport.
    pub live: Option<Box<str>>,
    /// `Prefer: wait=N` (RFC 7240, section 4.3); zero is a plain poll.
    pub wait: Option<Duration>,
    /// `If-None-Match`, for answers that have an `ETag`.
    pub if_none_match: Tags,
    /// The place the client came with; none where the mount's default holds.
    pub start: Came,
    /// The headers of a request that asks for an upgrade.
    pub upgrade: Option<Box<HeaderMap>>,
    /// `:protocol`, which an extended CONNECT asks for (RFC 8441, section 4).
    pub protocol: Option<Protocol>,
}

impl Ask {
    /// Reads a request. Nothing here is refused: what is malformed is kept as such.
    pub(crate) fn new(parts: &Parts) -> Self {
        let query = Query::new(parts.uri.query().unwrap_or_default());
        let fields = Fields::new(&parts.headers);
        Self {
            method: parts.method.clone(),
            version: parts.version,
            accept: Accept::new(&fields.accept),
            live: query.live,
            wait: wait(&fields.prefer),
            if_none_match: Tags::new(&fields.if_none_match),
            start: resume::came(fields.last_event_id.iter(), &query.offsets),
            upgrade: is_upgrade(parts, &fields).then(|| Box::new(parts.headers.clone())),
            protocol: parts.extensions.get::<Protocol>().cloned(),
        }
    }
}

/// Nothing that the client wrote: among the headers of an upgrade are its credentials.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("method", &self.method)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What of the headers concerns us. They are walked once: a look-up costs as much for each name, be it there or not.
#[derive(Default)]
struct Fields<'a> {
    accept: Lines<'a>,
    prefer: Lines<'a>,
    if_none_match: Lines<'a>,
    last_event_id: Lines<'a>,
    has_upgrade: bool,
}

impl<'a> Fields<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let mut this = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "accept" => this.accept.push(value),
                "prefer" => this.prefer.push(value),
                "if-none-match" => this.if_none_match.push(value),
                "last-event-id" => this.last_event_id.push(value),
                "upgrade" | "sec-websocket-key" => this.has_upgrade = true,
                _ => {}
            }
        }
        this
    }
}

/// The lines of one header: mostly one, which takes no allocation.
#[derive(Default)]
struct Lines<'a> {
    first: Option<&'a HeaderValue>,
    rest: Vec<&'a HeaderValue>,
}

impl<'a> Lines<'a> {
    fn push(&mut self, line: &'a HeaderValue) {
        match self.first {
            None => self.first = Some(line),
            Some(_) => self.rest.push(line),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'a HeaderValue> {
        self.first.into_iter().chain(self.rest.iter().copied())
    }
}

/// An upgrade that HTTP/1.1 knows of (over 1.0 the header is ignored, RFC 9110 section 7.8), or an extended CONNECT.
fn is_upgrade(parts: &Parts, fields: &Fields<'_>) -> bool {
    match parts.version {
        Version::HTTP_11 => fields.has_upgrade,
        Version::HTTP_2 => parts.method == Method::CONNECT,
        _ => false,
    }
}

/// Tags of `If-None-Match` that are looked at; what comes after is not.
const TAGS_MAX: usize = 16;

/// `If-None-Match`, in bytes of its own: a poll that waits must not hold the head of its request.
#[derive(Debug, Clone, Default)]
pub struct Tags {
    /// As they came, with a comma between any two lines, up to the last that is looked at.
    lines: Box<[u8]>,
}

impl Tags {
    fn new(lines: &Lines<'_>) -> Self {
        let Some(line) = lines.first else { return Self::default() };
        let mut all = line.as_bytes().to_vec();
        for line in lines.rest.iter().take(TAGS_MAX) {
            all.push(b',');
            all.extend_from_slice(line.as_bytes());
        }
        let mut commas = all.iter().enumerate().filter(|(_, byte)| **byte == b',');
        // Mostly there is none, and a look at many bytes at a time tells.
        if all.contains(&b',')
            && let Some((end, _)) = commas.nth(TAGS_MAX - 1)
        {
            all.truncate(end);
        }
        Self { lines: all.into() }
    }

    /// Whether this one was sent alone, and as it is written.
    pub(crate) fn is(&self, tag: &[u8]) -> bool {
        *self.lines == *tag
    }

    /// Each tag, as it was sent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.split(|b| *b == b',').map(<[u8]>::trim_ascii).take(TAGS_MAX)
    }
}

/// What of the query concerns us.
struct Query {
    live: Option<Box<str>>,
    offsets: Vec<String>,
}

impl Query {
    fn new(query: &str) -> Self {
        let mut this = Self { live: None, offsets: Vec::new() };
        if query.is_empty() {
            return this;
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "live" => this.live = Some(value.into()),
                // Two are enough to know that there is more than one.
                "offset" | "lastEventId" | "last_event_id" if this.offsets.len() < 2 => {
                    this.offsets.push(value.into_owned());
                }
                _ => {}
            }
        }
        this
    }
}

/// `Prefer: wait=N`: of two the first counts, what is no number is ignored (RFC 7240, section 2).
fn wait(lines: &Lines<'_>) -> Option<Duration> {
    // As most write it.
    let usual = lines.first?.as_bytes().strip_prefix(b"wait=");
    if let Some(wait) = usual.and_then(seconds) {
        return Some(wait);
    }
    let lines = lines.iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| elements(line, ','));
    let (_, value) = preferences
        .filter_map(|preference| elements(preference, ';').next()?.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    seconds(quoted.unwrap_or(value).as_bytes())
}

/// What is all digits, and the most where it is too much.
fn seconds(digits: &[u8]) -> Option<Duration> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |seconds: u32, digit: &u8| seconds.saturating_mul(10).saturating_add((digit - b'0').into());
    is_number.then(|| Duration::from_secs(digits.iter().fold(0, add).into()))
}

/// What stands between separators, but for those within a quoted string (RFC 9110, section 5.6.4).
fn elements(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' => is_escaped = is_quoted && !was_escaped,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

/// The media types a client accepts (RFC 9110, section 12.5.1).
#[derive(Debug, Clone, Default)]
pub struct Accept(Ranges);

#[derive(Debug, Clone, Default)]
enum Ranges {
    /// The header is absent.
    #[default]
    Absent,
    /// One range, without weight or parameters, that most clients send.
    Usual(&'static str, &'static str),
    Listed(Vec<Range>),
}

/// What is sent as a whole by who asks for one kind of answer, by `fetch`, and by most programs: not worth an allocation.
const USUAL: [(&[u8], &str, &str); 4] = [
    (b"application/json", "application", "json"),
    (b"text/event-stream", "text", "event-stream"),
    (b"*/*", "*", "*"),
    (b"application/x-ndjson", "application", "x-ndjson"),
];

/// Type, subtype, weight in thousandths and parameters.
#[derive(Debug, Clone)]
struct Range {
    ty: Box<str>,
    subtype: Box<str>,
    q: u16,
    /// All but the weight, which most ranges alone have.
    params: Vec<(Box<str>, Box<str>)>,
}

/// How a media type is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// By its own name or its type's (`text/*`), with this weight in thousandths.
    Named(u16),
    /// By `*/*`, or by the absence of a wish.
    Any(u16),
}

/// Media ranges that are looked at; what comes after is not.
const RANGES_MAX: usize = 32;

/// Parameters of a media range that are looked at.
const PARAMS_MAX: usize = 4;

impl Accept {
    fn new(lines: &Lines<'_>) -> Self {
        let Some(first) = lines.first else { return Self::default() };
        if lines.rest.is_empty()
            && let Some((_, ty, subtype)) = USUAL.iter().find(|(whole, ..)| first.as_bytes() == *whole)
        {
            return Self(Ranges::Usual(ty, subtype));
        }
        let mut ranges = Vec::new();
        for line in lines.iter().filter_map(|line| line.to_str().ok()) {
            // A list parser knows no `*`; each range is read for itself.
            for range in MediaTypeList::new(line).take(RANGES_MAX) {
                let Ok(range) = range else { continue };
                ranges.push(Range {
                    ty: range.ty.as_str().to_ascii_lowercase().into(),
                    subtype: range.subty.as_str().to_ascii_lowercase().into(),
                    q: range
                        .params()
                        .find(|(name, _)| name.as_str().eq_ignore_ascii_case("q"))
                        .map_or(1000, |(_, q)| weight(q.as_str())),
                    params: range
                        .params()
                        .filter(|(name, _)| !name.as_str().eq_ignore_ascii_case("q"))
                        .take(PARAMS_MAX)
                        .map(|(name, value)| {
                            (name.as_str().to_ascii_lowercase().into(), value.unquoted_str().into())
                        })
                        .collect(),
                });
            }
        }
        ranges.truncate(RANGES_MAX);
        Self(Ranges::Listed(ranges))
    }

    /// A parameter of the ranges that name this media type.
    pub(crate) fn param(&self, ty: &str, subtype: &str, name: &str) -> Option<&str> {
        let Ranges::Listed(ranges) = &self.0 else { return None };
        let mut params = ranges
            .iter()
            .filter(|range| range.q > 0 && &*range.ty == ty && &*range.subtype == subtype)
            .flat_map(|range| &range.params);
        params.find_map(|(of, value)| (&**of == name).then_some(&**value))
    }

    /// How a media type is accepted; not at all, or with weight 0, is none.
    // Inline, for types are written out where they are asked for: a few bytes are compared instead of texts.
    #[inline]
    pub fn of(&self, ty: &str, subtype: &str) -> Option<Accepted> {
        match &self.0 {
            Ranges::Absent | Ranges::Usual("*", "*") => Some(Accepted::Any(1000)),
            Ranges::Usual(of, kind) => (*kind == subtype && *of == ty).then_some(Accepted::Named(1000)),
            Ranges::Listed(ranges) => most_specific(ranges, ty, subtype),
        }
    }
}

fn most_specific(ranges: &[Range], ty: &str, subtype: &str) -> Option<Accepted> {
    let named = ranges.iter().find(|range| &*range.ty == ty && &*range.subtype == subtype);
    let family = || ranges.iter().find(|range| &*range.ty == ty && &*range.subtype == "*");
    let any = || ranges.iter().find(|range| &*range.ty == "*" && &*range.subtype == "*");
    match named.or_else(family) {
        Some(range) => (range.q > 0).then_some(Accepted::Named(range.q)),
        None => any().filter(|range| range.q > 0).map(|range| Accepted::Any(range.q)),
    }
}

/// A weight in thousandths; what is none counts as refused.
fn weight(q: &str) -> u16 {
    q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).map_or(0, |q| (q * 1000.0).round() as u16)
}

impl Accepted {
    /// The weight in thousandths.
    pub fn weight(self) -> u16 {
        match self {
            Self::Named(q) | Self::Any(q) => q,
        }
    }
}

/// How strongly a request asks for one transport; the strongest of a mount answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    q: u16,
    rank: u8,
}

impl Asked {
    /// Beyond doubt: an upgrade, or `?live=`.
    pub const OUTRIGHT: Self = Self { q: u16::MAX, rank: 0 };

    /// By what it accepts, with this weight; where two are equal, the higher `rank` is meant.
    pub const fn by(accepted: Accepted, rank: u8) -> Self {
        let (Accepted::Named(q) | Accepted::Any(q)) = accepted;
        Self { q, rank }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, IF_NONE_MATCH};

    use super::*;

    fn accept(line: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(line).unwrap());
        Accept::new(&Fields::new(&headers).accept)
    }

    #[test]
    fn the_most_specific_range_decides() {
        use Accepted::{Any, Named};
        let cases = [
            ("text/event-stream", Some(Named(1000)), None),
            ("*/*", Some(Any(1000)), Some(Any(1000))),
            ("text/*;q=0.5, */*;q=0.1", Some(Named(500)), Some(Any(100))),
            ("text/event-stream;q=0, */*", None, Some(Any(1000))),
            ("text/event-stream, */*;q=0", Some(Named(1000)), None),
            ("TEXT/Event-Stream; Q=0.25", Some(Named(250)), None),
            ("application/json;q=1.5, text/event-stream;q=x", None, None),
            ("rubbish, application/json", None, Some(Named(1000))),
            ("", None, None),
        ];
        for (line, sse, json) in cases {
            let accept = accept(line);
            assert_eq!(accept.of("text", "event-stream"), sse, "{line}");
            assert_eq!(accept.of("application", "json"), json, "{line}");
        }
        assert_eq!(Accept::new(&Lines::default()).of("a", "b"), Some(Any(1000)));
    }

    #[test]
    fn a_usual_wish_is_read_as_when_it_is_spelt_otherwise() {
        for (whole, ..) in USUAL {
            let whole = std::str::from_utf8(whole).unwrap();
            let (usual, spelt) = (accept(whole), accept(&format!("{whole};q=1.0")));
            assert!(matches!((&usual.0, &spelt.0), (Ranges::Usual(..), Ranges::Listed(_))), "{whole}");
            for (_, ty, subtype) in USUAL.iter().chain(&[(&b""[..], "text", "html")]) {
                if *ty != "*" {
                    assert_eq!(usual.of(ty, subtype), spelt.of(ty, subtype), "{whole}: {ty}/{subtype}");
                }
            }
            assert_eq!(usual.param("text", "event-stream", "data"), None);
        }
    }

    fn ask(version: Version, method: &str, headers: &[(&str, &str)]) -> Ask {
        let request = http::Request::builder().version(version).method(method).uri("/?offset=secret");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ask::new(&request.body(()).unwrap().into_parts().0)
    }

    /// RFC 9110, section 7.8, and RFC 8441, section 4.
    #[test]
    fn an_upgrade_is_what_its_version_has_for_one() {
        let (upgrade, key) = (("upgrade", "websocket"), ("sec-websocket-key", "x"));
        for (version, method, headers, is) in [
            (Version::HTTP_11, "GET", &[][..], false),
            (Version::HTTP_11, "GET", &[upgrade], true),
            (Version::HTTP_11, "GET", &[key], true),
            (Version::HTTP_11, "CONNECT", &[], false),
            (Version::HTTP_10, "GET", &[upgrade, key], false),
            (Version::HTTP_2, "GET", &[upgrade, key], false),
            (Version::HTTP_2, "CONNECT", &[], true),
        ] {
            let upgrade = ask(version, method, headers).upgrade;
            assert_eq!(
                upgrade.map(|kept| kept.len()),
                is.then_some(headers.len()),
                "{version:?} {method} {headers:?}"
            );
        }
    }

    #[test]
    fn nothing_that_a_client_wrote_is_shown() {
        let ask = ask(Version::HTTP_11, "GET", &[("upgrade", "secret"), ("if-none-match", "secret")]);
        assert_eq!(format!("{ask:?}"), "Ask { method: GET, version: HTTP/1.1, .. }");
    }

    #[test]
    fn so_many_tags_are_looked_at_over_all_lines() {
        let tags = |headers: &HeaderMap| Tags::new(&Fields::new(headers).if_none_match);
        let mut headers = HeaderMap::new();
        assert_eq!(tags(&headers).iter().filter(|tag| !tag.is_empty()).count(), 0);
        headers.append(IF_NONE_MATCH, HeaderValue::from_static(" \"a\" ,W/\"b\""));
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(tags(&headers).iter().collect::<Vec<_>>(), [&b"\"a\""[..], b"W/\"b\"", b"*"]);
        for n in 3..TAGS_MAX + 5 {
            let tags = tags(&headers);
            assert_eq!(
                (tags.iter().count(), tags.lines.len() < 90),
                (n.min(TAGS_MAX), true),
                "and no more is kept"
            );
            headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"c\""));
        }
    }

    #[test]
    fn a_parameter_is_the_named_ranges_own() {
        for (line, data) in [
            ("text/event-stream;data=envelope", Some("envelope")),
            ("text/event-stream; q=0.5; DATA=\"envelope\", */*", Some("envelope")),
            ("text/event-stream, text/event-stream;data=envelope;q=0.9", Some("envelope")),
            ("text/event-stream, text/plain;data=envelope", None),
            ("text/*;data=envelope", None),
            ("text/event-stream;data", None),
            ("text/event-stream;q=1;a=1;b=2;c=3;data=envelope", Some("envelope")),
            ("text/event-stream;a=1;b=2;c=3;d=4;data=envelope", None),
            ("text/event-stream;data=envelope;q=0", None),
        ] {
            assert_eq!(accept(line).param("text", "event-stream", "data"), data, "{line}");
        }
    }

    #[test]
    fn the_first_wait_counts_and_a_bad_one_does_not() {
        let cases: [(&[&str], Option<u64>); 15] = [
            (&["wait=10"], Some(10)),
            (&["respond-async, wait=5; x=1"], Some(5)),
            (&["Wait = 7"], Some(7)),
            (&["wait=\"8\""], Some(8)),
            (&["wait=3", "wait=9"], Some(3)),
            (&["wait=0"], Some(0)),
            (&["wait=-1"], None),
            (&["wait=1e9"], None),
            (&["wait=99999999999999999999"], Some(u32::MAX.into())),
            // A comma, a semicolon and an escaped quote within a string part nothing.
            (&["foo=\"a, wait=3\", wait=0"], Some(0)),
            (&["foo=\"a; b\\\", wait=3\"; c, wait=4"], Some(4)),
            (&["foo=\"a, wait=3"], None),
            // A backslash escapes within a string alone, and itself too.
            (&["foo=\\\"a, wait=3"], None),
            (&["foo=\"a\\\\\", wait=4"], Some(4)),
            (&["wait=8\""], None),
        ];
        for (lines, seconds) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(wait(&Fields::new(&headers).prefer), seconds.map(Duration::from_secs), "{lines:?}");
        }
    }
}
