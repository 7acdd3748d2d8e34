//! The opening handshake: what passes, what is refused, and with what.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE},
};

use crate::ws::handshake::{Handshake, Refusal, check, is_connect, is_upgrade};

const GOOD: &[(&str, &[u8])] = &[
    ("host", b"a.example:8080"),
    ("upgrade", b"websocket"),
    ("connection", b"Upgrade"),
    ("sec-websocket-version", b"13"),
    ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
];

/// The good handshake, with every line of the named headers replaced by the ones given; an empty list removes.
struct Ask {
    method: Method,
    version: Version,
    headers: HeaderMap,
}

impl Ask {
    fn good() -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in GOOD {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Self { method: Method::GET, version: Version::HTTP_11, headers }
    }

    fn with(name: &str, lines: &[&[u8]]) -> Self {
        let mut ask = Self::good();
        let name: HeaderName = name.parse().unwrap();
        ask.headers.remove(&name);
        for line in lines {
            ask.headers.append(&name, HeaderValue::from_bytes(line).unwrap());
        }
        ask
    }

    fn check(&self) -> Result<Handshake, Refusal> {
        check(&self.method, self.version, &self.headers)
    }
}

#[test]
fn the_sample_key_gets_the_sample_accept() {
    // P-WS-04
    let handshake = Ask::good().check().unwrap();
    assert_eq!(handshake.accept.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(handshake.protocol, None);
}

#[test]
fn each_header_is_checked() {
    type Row = (&'static str, &'static str, &'static [&'static [u8]], Result<(), Refusal>);
    use Refusal::*;
    let rows: &[Row] = &[
        ("P-WS-01", "host", &[b"a.example"], Ok(())),
        ("P-WS-01", "host", &[b"[::1]:3000"], Ok(())),
        ("P-WS-01", "host", &[], Err(Host)),
        ("P-WS-01", "host", &[b""], Err(Host)),
        ("P-WS-01", "host", &[b"a.example", b"a.example"], Err(Host)),
        ("P-WS-01", "host", &[b"a.example, b.example"], Err(Host)),
        ("P-WS-01", "host", &[b"me@a.example"], Err(Host)),
        ("P-WS-01", "host", &[b"a.example/x"], Err(Host)),
        ("P-WS-01", "host", &[b"\xe9.example"], Err(Host)),
        ("P-WS-01", "upgrade", &[b"WebSocket"], Ok(())),
        ("P-WS-01", "upgrade", &[b"h2c, websocket"], Ok(())),
        ("P-WS-01", "upgrade", &[b"h2c", b"foo,\tWEBSOCKET ,"], Ok(())),
        ("P-WS-01", "upgrade", &[b"\xff\xfe, websocket"], Ok(())),
        ("P-WS-01", "upgrade", &[], Err(Upgrade)),
        ("P-WS-01", "upgrade", &[b""], Err(Upgrade)),
        ("P-WS-01", "upgrade", &[b"websockets"], Err(Upgrade)),
        ("P-WS-01", "upgrade", &[b"websocket/13"], Err(Upgrade)),
        ("P-WS-01", "upgrade", &[b"web socket"], Err(Upgrade)),
        ("P-WS-01", "upgrade", &[b"websocket\xe9"], Err(Upgrade)),
        ("P-WS-01", "connection", &[b"keep-alive, Upgrade"], Ok(())),
        ("P-WS-01", "connection", &[b"keep-alive", b"UPGRADE"], Ok(())),
        ("P-WS-01", "connection", &[], Err(Connection)),
        ("P-WS-01", "connection", &[b"keep-alive"], Err(Connection)),
        ("P-WS-01", "connection", &[b"upgrade-insecure-requests"], Err(Connection)),
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4PEA=="], Ok(())),
        // The RFC's own sample, section 4.1, has stray bits behind its sixteenth octet.
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4PEC=="], Ok(())),
        ("P-WS-02", "sec-websocket-key", &[], Err(Key)),
        ("P-WS-02", "sec-websocket-key", &[b""], Err(Key)),
        (
            "P-WS-02",
            "sec-websocket-key",
            &[b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZQ=="],
            Err(Key),
        ),
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4P"], Err(Key)), // 15 octets
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4PEBE="], Err(Key)), // 17 octets
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4PEA"], Err(Key)), // no padding
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4P-A=="], Err(Key)),
        ("P-WS-02", "sec-websocket-key", &[b"AQIDBAUGBwgJ CgsMDQ4PEA=="], Err(Key)),
        ("P-WS-02", "sec-websocket-key", &[b"\xff\xfe\xfd\xfc"], Err(Key)),
        ("P-WS-03", "sec-websocket-version", &[b"13"], Ok(())),
        ("P-WS-03", "sec-websocket-version", &[], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"8"], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"14"], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"013"], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"13, 8"], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"\xb9"], Err(WebSocketVersion)),
        ("P-WS-03", "sec-websocket-version", &[b"13", b"13"], Err(RepeatedVersion)),
        ("P-WS-08", "content-length", &[b"0"], Ok(())),
        ("P-WS-08", "content-length", &[b"5"], Err(Body)),
        ("P-WS-08", "transfer-encoding", &[b"chunked"], Err(Body)),
        ("P-WS-09", "sec-websocket-extensions", &[b"permessage-deflate; client_max_window_bits"], Ok(())),
        ("P-WS-09", "sec-websocket-extensions", &[b"x; y; y=1", b"x;z=\"a\\b\" , x"], Ok(())),
        ("P-WS-09", "sec-websocket-extensions", &[b"constructor, , __proto__;toString=valueOf"], Ok(())),
        ("P-WS-09", "sec-websocket-extensions", &[b""], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b","], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;"], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b";x"], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x y"], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;=1"], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y="], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y=1=2"], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y=\""], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y=\"\""], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y=\"a,b\""], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x;y=\"a\\\""], Err(Extensions)),
        ("P-WS-09", "sec-websocket-extensions", &[b"x", b"\xe9"], Err(Extensions)),
        ("P-WS-05", "sec-websocket-protocol", &[b"chat, superchat"], Ok(())),
        ("P-WS-05", "sec-websocket-protocol", &[b""], Err(Protocol)),
        ("P-WS-05", "sec-websocket-protocol", &[b"a b"], Err(Protocol)),
        ("P-WS-05", "sec-websocket-protocol", &[b"realtime.v1", b"a/b"], Err(Protocol)),
        ("P-WS-05", "sec-websocket-protocol", &[b"realtime.v1\xe9"], Err(Protocol)),
    ];
    for (rule, name, lines, expected) in rows {
        let found = Ask::with(name, lines).check().map(|_| ());
        assert_eq!(found, *expected, "{rule}: {name}: {lines:?}");
    }
}

#[test]
fn only_get_over_http_1_1_and_connect_over_http_2_are_handshakes() {
    let rows = [
        ("P-WS-01", Method::GET, Version::HTTP_11, Ok(())),
        ("P-WS-01", Method::HEAD, Version::HTTP_11, Err(Refusal::Method)),
        ("P-WS-01", Method::POST, Version::HTTP_11, Err(Refusal::Method)),
        ("P-WS-01", Method::CONNECT, Version::HTTP_11, Err(Refusal::Method)),
        ("P-WS-08", Method::GET, Version::HTTP_10, Err(Refusal::HttpVersion)),
        ("P-H2-02", Method::CONNECT, Version::HTTP_2, Ok(())),
        ("P-H2-02", Method::GET, Version::HTTP_2, Err(Refusal::Method)),
        ("P-H2-02", Method::CONNECT, Version::HTTP_3, Err(Refusal::HttpVersion)),
    ];
    for (rule, method, version, expected) in rows {
        let ask = Ask { method, version, ..Ask::good() };
        assert_eq!(ask.check().map(|_| ()), expected, "{rule}: {} {:?}", ask.method, ask.version);
    }
}

#[test]
fn over_http_2_connect_stands_for_the_upgrade_and_the_key_and_all_else_is_checked() {
    // P-H2-02
    use Refusal::{Body, Extensions, Key, Protocol, WebSocketVersion};
    type Row = (&'static str, &'static [&'static [u8]], Result<bool, Refusal>);
    let rows: [Row; 11] = [
        ("upgrade", &[], Ok(true)),
        ("connection", &[], Ok(true)),
        ("host", &[], Ok(true)),
        ("sec-websocket-key", &[], Ok(false)),
        ("sec-websocket-key", &[b"short"], Err(Key)),
        ("sec-websocket-key", &[b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZQ=="], Err(Key)),
        ("sec-websocket-version", &[], Err(WebSocketVersion)),
        ("sec-websocket-version", &[b"8"], Err(WebSocketVersion)),
        ("sec-websocket-extensions", &[b";"], Err(Extensions)),
        ("sec-websocket-protocol", &[b"a b"], Err(Protocol)),
        ("content-length", &[b"3"], Err(Body)),
    ];
    for (name, lines, expected) in rows {
        let ask = Ask { method: Method::CONNECT, version: Version::HTTP_2, ..Ask::with(name, lines) };
        assert_eq!(ask.check().map(|answer| answer.accept.is_some()), expected, "{name}: {lines:?}");
    }
    for (protocol, expected) in
        [(Some("websocket"), true), (Some("WebSocket"), true), (Some("webtransport"), false), (None, false)]
    {
        assert_eq!(is_connect(&Method::CONNECT, Version::HTTP_2, protocol), expected, "{protocol:?}");
        assert!(!is_connect(&Method::GET, Version::HTTP_2, protocol));
        assert!(!is_connect(&Method::CONNECT, Version::HTTP_11, protocol));
    }
    // RFC 9113, section 8.2.2: no header of an upgrade, and so no 426, which must have one.
    let headers = WebSocketVersion.headers(Version::HTTP_2);
    assert_eq!(headers, &[(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))]);
    assert_eq!(WebSocketVersion.status(Version::HTTP_2), StatusCode::BAD_REQUEST);
}

#[test]
fn only_a_known_offer_is_chosen() {
    // P-WS-05
    let rows: &[(&[&[u8]], Option<&str>)] = &[
        (&[], None),
        (&[b"realtime.v1"], Some("realtime.v1")),
        (&[b"chat, realtime.v1, chat"], Some("realtime.v1")),
        (&[b"chat", b"realtime.v1"], Some("realtime.v1")),
        (&[b"realtime.v1, realtime.v1"], Some("realtime.v1")),
        (&[b"chat"], None),
        (&[b"realtime.v2"], None),
        (&[b"Realtime.V1"], None),
        (&[b"constructor"], None),
    ];
    for (lines, expected) in rows {
        let handshake = Ask::with("sec-websocket-protocol", lines).check().unwrap();
        assert_eq!(handshake.protocol, *expected, "{lines:?}");
    }
}

#[test]
fn an_upgrade_is_recognised_even_when_it_will_be_refused() {
    let over = |version| Ask { version, ..Ask::good() };
    let rows: [(&str, Ask, bool); 9] = [
        ("P-WS-01", Ask::good(), true),
        ("P-WS-01", Ask { method: Method::POST, ..Ask::good() }, true),
        ("P-WS-01", Ask::with("connection", &[]), true),
        ("P-WS-01", Ask::with("upgrade", &[]), true),
        ("P-WS-02", Ask::with("sec-websocket-key", &[]), true),
        ("P-WS-08", over(Version::HTTP_10), false),
        ("P-WS-08", over(Version::HTTP_2), false),
        ("P-WS-01", Ask { headers: HeaderMap::new(), ..Ask::good() }, false),
        (
            "P-WS-01",
            {
                let mut ask = Ask::with("upgrade", &[b"h2c"]);
                ask.headers.remove("sec-websocket-key");
                ask
            },
            false,
        ),
    ];
    for (index, (rule, ask, expected)) in rows.iter().enumerate() {
        assert_eq!(is_upgrade(ask.version, &ask.headers), *expected, "{rule}, row {index}");
    }
}

#[test]
fn a_wrong_version_is_told_the_right_one() {
    // P-WS-03
    let refusal = Ask::with("sec-websocket-version", &[b"8"]).check().unwrap_err();
    assert_eq!(refusal.status(Version::HTTP_11), StatusCode::UPGRADE_REQUIRED);
    let headers: Vec<_> =
        refusal.headers(Version::HTTP_11).iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let expected = [(SEC_WEBSOCKET_VERSION, "13"), (UPGRADE, "websocket"), (CONNECTION, "Upgrade")]
        .map(|(n, v)| (n, HeaderValue::from_static(v)));
    assert_eq!(headers, expected);
    let other = Ask::with("host", &[]).check().unwrap_err();
    assert_eq!(
        (other.status(Version::HTTP_11), other.headers(Version::HTTP_11)),
        (StatusCode::BAD_REQUEST, &[][..])
    );
    assert!(!other.reason().is_empty() && other.reason() != refusal.reason());
}

#[test]
fn no_header_bytes_panic() {
    // P-WS-09: whatever a header value may hold, in every header that is read.
    let mut random = fastrand::Rng::with_seed(9);
    let names =
        ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "content-length"];
    let lists = ["sec-websocket-extensions", "sec-websocket-protocol"];
    let alphabet = b"ax19=;,\"\\ \t\x80\xe9\xff-.";
    let (mut passed, mut refused) = (0, 0);
    for round in 0..20_000 {
        let name = random.choice([&names[..], &lists].concat()).unwrap();
        let value: Vec<u8> = (0..random.usize(..12)).map(|_| *random.choice(alphabet).unwrap()).collect();
        match Ask::with(name, &[&value]).check() {
            Ok(handshake) => {
                assert!(lists.contains(&name) || name == "host", "round {round}: {name}: {value:?}");
                assert_eq!(handshake.protocol, None);
                passed += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(passed > 500 && refused > 500, "both sides are reached: {passed}, {refused}");
}
