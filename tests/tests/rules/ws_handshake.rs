//! P-WS: the WebSocket handshake over HTTP/1.1 (RFC 6455, section 4).

use realtime_tests::host::TcpHost;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Origins};

use crate::mount::Mount;
use crate::raw::{Lines, Raw, frame};

/// Asserts that each is refused with this status, makes no source, and leaves the connection in step or closed.
async fn refused(rule: &str, status: u16, table: Vec<(&str, Lines)>) {
    for (what, lines) in table {
        case_async(rule, what, async {
            let mount = Mount::new();
            let (said, mut raw) = mount.shaken(&lines).await;
            assert_eq!((said, mount.made()), (status, 0), "{what}");
            // The connection is in step: a second request is answered on it, unless the server has closed it.
            raw.for_a_while(std::time::Duration::from_secs(1)).await;
            raw.send(Lines::get("/events?offset=-1").bytes()).await;
            if let Some(next) = raw.head().await {
                assert_eq!(next.status, 200, "{what}: the next request on the connection");
            }
            assert_eq!(mount.readers(), 0, "{what}");
        })
        .await;
    }
}

/// Asserts that each is a WebSocket.
async fn accepted(rule: &str, table: Vec<(&str, Lines)>) {
    for (what, lines) in table {
        twin_async(rule, what, async {
            let mount = Mount::new();
            let (said, mut raw) = mount.shaken(&lines).await;
            assert_eq!((said, mount.made()), (101, 1), "{what}");
            raw.send(frame(0x89, "alive")).await;
            let pong = loop {
                let frame = raw.frame().await.expect("a pong");
                if frame.first == 0x8A {
                    break frame;
                }
            };
            assert_eq!(pong.text(), "alive", "{what}");
        })
        .await;
    }
}

fn good() -> Lines {
    Lines::upgrade("/events")
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_whole_or_refused() {
    refused(
        "P-WS-01",
        400,
        vec![
            ("POST instead of GET", good().first("POST /events HTTP/1.1").with("Content-Length", "0")),
            ("HEAD instead of GET", good().first("HEAD /events HTTP/1.1")),
            ("DELETE instead of GET", good().first("DELETE /events HTTP/1.1")),
            ("no Host", good().without("Host")),
            ("two Hosts", good().and("Host", "evil.example")),
            ("a Host with a user", good().with("Host", "user@realtime.test")),
            ("a Host that is none", good().with("Host", "a b")),
            ("no Upgrade", good().without("Upgrade")),
            ("Upgrade without the token", good().with("Upgrade", "websockets")),
            ("no Connection", good().without("Connection")),
            ("Connection without the token", good().with("Connection", "keep-alive")),
            ("Connection with a token that only begins so", good().with("Connection", "upgrader")),
        ],
    )
    .await;
    accepted(
        "P-WS-01",
        vec![
            ("nothing lacking", good()),
            ("Connection as Firefox sends it", good().with("Connection", "keep-alive, Upgrade")),
            ("Connection in two lines", good().with("Connection", "keep-alive").and("Connection", "upgrade")),
            ("Upgrade in any case", good().with("Upgrade", "WebSocket")),
            ("Upgrade in a list", good().with("Upgrade", "h2c, websocket")),
            ("a Host with a port", good().with("Host", "realtime.test:8080")),
            ("empty elements in lists", good().with("Connection", ", ,Upgrade,")),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_sixteen_octets_once() {
    let key = "Sec-WebSocket-Key";
    refused(
        "P-WS-02",
        400,
        vec![
            ("no key", good().without(key)),
            ("two keys", good().and(key, "AAAAAAAAAAAAAAAAAAAAAA==")),
            ("the same key twice", good().and(key, "dGhlIHNhbXBsZSBub25jZQ==")),
            ("an empty key", good().with(key, "")),
            ("a key of 15 octets", good().with(key, "AAAAAAAAAAAAAAAAAAAA")),
            ("a key of 17 octets", good().with(key, "AAAAAAAAAAAAAAAAAAAAAAA=")),
            ("a key without padding", good().with(key, "AAAAAAAAAAAAAAAAAAAAAA")),
            ("a key in the alphabet of URLs", good().with(key, "____________________-A==")),
            ("a key that is no base64", good().with(key, "!!!!!!!!!!!!!!!!!!!!!!==")),
            ("a key of bytes above 0x7F", good().with(key, [0xFF; 24])),
            ("two keys in a list", good().with(key, "AAAAAAAAAAAAAAAAAAAAAA==,AAAAAAAAAAAAAAAAAAAAAA==")),
        ],
    )
    .await;
    accepted(
        "P-WS-02",
        vec![
            ("a key of 16 octets", good().with(key, "AAAAAAAAAAAAAAAAAAAAAA==")),
            ("the sample key of the RFC, with bits to spare", good().with(key, "AQIDBAUGBwgJCgsMDQ4PEC==")),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_ours() {
    let version = "Sec-WebSocket-Version";
    for (what, lines) in [
        ("version 8", good().with(version, "8")),
        ("version 12", good().with(version, "12")),
        ("version 14", good().with(version, "14")),
        ("version 013", good().with(version, "013")),
        ("no version", good().without(version)),
        ("a list of versions", good().with(version, "13, 8")),
        ("a version that is no number", good().with(version, "x")),
    ] {
        case_async("P-WS-03", what, async {
            let mount = Mount::new();
            let mut raw = mount.raw();
            raw.send(lines.bytes()).await;
            let head = raw.head().await.expect("an answer");
            assert_eq!((head.status, mount.made()), (426, 0));
            assert_eq!(head.text("sec-websocket-version"), Some("13"));
            assert_eq!(head.text("upgrade"), Some("websocket"));
            // RFC 9110, section 7.8: what sends Upgrade names it in Connection.
            assert!(
                head.text("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
            );
        })
        .await;
    }
    accepted("P-WS-03", vec![("version 13", good()), ("version 13 in spaces", good().with(version, " 13 "))])
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_accept_is_the_digest_of_the_key() {
    for (what, key, accept) in [
        ("the key of RFC 6455", "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("another key", "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ] {
        case_async("P-WS-04", what, async {
            let mut raw = Mount::new().raw();
            raw.send(good().with("Sec-WebSocket-Key", key).bytes()).await;
            let head = raw.head().await.expect("an answer");
            assert_eq!((head.status, head.text("sec-websocket-accept")), (101, Some(accept)));
            assert_eq!(head.text("upgrade"), Some("websocket"));
            assert_eq!(head.text("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_is_answered_if_it_was_offered() {
    let name = "Sec-WebSocket-Protocol";
    for (what, lines, answered) in [
        ("none offered", good(), None),
        ("one that we do not know", good().with(name, "graphql-ws"), None),
        ("one that only looks like ours", good().with(name, "realtime.v10"), None),
        ("ours in another case, which is another", good().with(name, "Realtime.V1"), None),
        ("ours", good().with(name, "realtime.v1"), Some("realtime.v1")),
        ("ours among others", good().with(name, "chat, realtime.v1 , superchat"), Some("realtime.v1")),
        ("ours in the second line", good().with(name, "chat").and(name, "realtime.v1"), Some("realtime.v1")),
        ("ours twice", good().with(name, "realtime.v1, realtime.v1"), Some("realtime.v1")),
    ] {
        let says = async {
            let mut raw = Mount::new().raw();
            raw.send(lines.bytes()).await;
            let head = raw.head().await.expect("an answer");
            assert_eq!((head.status, head.text("sec-websocket-protocol")), (101, answered), "{what}");
            assert_eq!(
                head.headers.get_all("sec-websocket-protocol").iter().count(),
                answered.iter().count()
            );
            // The mode is what was answered: only realtime.v1 opens with a control.
            let said = raw.for_a_while(std::time::Duration::from_secs(1)).await;
            assert_eq!(said.windows(5).any(|at| at == b"$open"), answered.is_some(), "{what}");
        };
        if answered.is_some() {
            twin_async("P-WS-05", what, says).await;
        } else {
            case_async("P-WS-05", what, says).await;
        }
    }
    refused(
        "P-WS-05",
        400,
        vec![
            ("an offer that is no token", good().with(name, "realtime v1")),
            ("an offer of nothing", good().with(name, "")),
            ("an offer of bytes above 0x7F", good().with(name, [0xE9])),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_origin_is_403_before_a_source_is_made() {
    refused(
        "P-WS-06",
        403,
        vec![
            ("a foreign origin", good().with("Origin", "https://evil.example")),
            ("the origin null", good().with("Origin", "null")),
            (
                "two origins",
                good().with("Origin", "http://realtime.test").and("Origin", "http://realtime.test"),
            ),
            (
                "a foreign origin that offers realtime.v1",
                Lines::v1("/events").with("Origin", "https://evil.example"),
            ),
        ],
    )
    .await;
    accepted(
        "P-WS-06",
        vec![
            ("its own origin", good().with("Origin", "http://realtime.test")),
            ("no origin and no cookie, as a client that is no browser", good()),
        ],
    )
    .await;
    for (what, who, status) in
        [("credentials of nobody", "nobody", 401), ("credentials of somebody else", "somebody else", 403)]
    {
        case_async("P-WS-06", what, async {
            let mount = Mount::new();
            let (said, _) = mount.shaken(&good().with("Authorization", who)).await;
            assert_eq!(
                (said, mount.requests()),
                (status, 0),
                "refused by the source's maker, before the 101"
            );
        })
        .await;
    }
    twin_async("P-WS-06", "a named origin", async {
        let origins = Origins::default().allow("https://app.example");
        let mount = Mount::with(Config { origins, ..Config::default() });
        let (said, _raw) = mount.shaken(&good().with("Origin", "https://app.example")).await;
        assert_eq!(said, 101);
    })
    .await;
}

/// What a bare echo sends back to a message that came with the request.
async fn echoed(raw: &mut Raw) -> String {
    loop {
        let frame = raw.frame().await.expect("an echo");
        if frame.first == 0x81 && !frame.text().contains("\"$") {
            return frame.text().to_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_request_are_the_first_frame() {
    let message = frame(0x81, "early bird");
    case_async("P-WS-07", "a frame in the segment of the request", async {
        let mut raw = Mount::new().raw();
        raw.send(good().followed_by(&message)).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        assert_eq!(echoed(&mut raw).await, "early bird");
    })
    .await;
    case_async("P-WS-07", "half a frame in the segment of the request", async {
        for half in 0..message.len() {
            let mut raw = Mount::new().raw();
            raw.send(good().followed_by(&message[..half])).await;
            assert_eq!(raw.head().await.map(|head| head.status), Some(101));
            raw.send(&message[half..]).await;
            assert_eq!(echoed(&mut raw).await, "early bird", "cut at {half}");
        }
    })
    .await;
    case_async("P-WS-07", "request and frame byte by byte", async {
        let mut raw = Mount::new().raw();
        raw.trickle(good().followed_by(&message)).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        assert_eq!(echoed(&mut raw).await, "early bird");
    })
    .await;
    case_async("P-WS-07", "three messages and a close in the segment of the request", async {
        let mut raw = Mount::new().raw();
        let mut all = [frame(0x81, "a"), frame(0x81, "b"), frame(0x81, "c")].concat();
        all.extend(frame(0x89, "then"));
        raw.send(good().followed_by(&all)).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        for text in ["a", "b", "c"] {
            assert_eq!(echoed(&mut raw).await, text);
        }
    })
    .await;
}

/// Over a real socket the connection is taken from under hyper, and what it had read comes in another way.
#[tokio::test]
async fn bytes_behind_the_request_are_the_first_frame_on_a_socket_too() {
    case_async("P-WS-07", "a frame in the segment of the request, over TCP", async {
        let mount = Mount::new();
        let tcp = TcpHost::bind(mount.host.clone()).await.expect("a port");
        let mut raw = Raw::over(tcp.dialer().dial().await.expect("a connection"));
        raw.send(good().followed_by(frame(0x81, "early bird"))).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        assert_eq!(echoed(&mut raw).await, "early bird");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http_1_0_knows_no_upgrade_and_a_body_is_none() {
    case_async("P-WS-08", "Upgrade over HTTP/1.0 is ignored", async {
        let mount = Mount::new();
        mount.publish(1..=1);
        let mut raw = mount.raw();
        raw.send(Lines::upgrade("/events?offset=-1").first("GET /events?offset=-1 HTTP/1.0").bytes()).await;
        let head = raw.head().await.expect("an answer");
        assert_eq!((head.status, head.text("content-type")), (200, Some("application/json")));
        assert_eq!((head.text("upgrade"), head.text("sec-websocket-accept")), (None, None));
        assert!(raw.body(&head).await.starts_with(b"{\"events\":[{"));
    })
    .await;
    let next = Lines::get("/events?offset=-1").bytes();
    for (what, lines, body) in [
        ("a body by its length", good().with("Content-Length", "5"), b"hello".to_vec()),
        (
            "a body in chunks",
            good().with("Transfer-Encoding", "chunked"),
            b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
        ),
        (
            "a body that looks like a request",
            good().with("Content-Length", next.len().to_string()),
            next.clone(),
        ),
        ("a body that looks like a frame", good().with("Content-Length", "7"), frame(0x81, "x")),
    ] {
        case_async("P-WS-08", what, async {
            let mount = Mount::new();
            let mut raw = mount.raw();
            raw.send(lines.followed_by([&body[..], &next].concat())).await;
            let head = raw.head().await.expect("an answer");
            assert_eq!(head.status, 400, "{what}");
            raw.body(&head).await;
            // In step: the one request behind the body is answered once, or the connection is closed.
            if let Some(head) = raw.head().await {
                assert_eq!(head.status, 200, "{what}");
                raw.body(&head).await;
            }
            raw.half_close().await;
            assert_eq!(raw.rest().await, "", "{what}: nothing of the body was taken for a request");
            assert!(mount.made() <= 1, "{what}");
        })
        .await;
    }
    accepted("P-WS-08", vec![("a length of 0", good().with("Content-Length", "0"))]).await;
}

#[tokio::test(start_paused = true)]
async fn an_extension_is_declined_and_a_malformed_offer_is_refused() {
    let name = "Sec-WebSocket-Extensions";
    let twice = "permessage-deflate; client_max_window_bits, permessage-deflate";
    for (what, lines) in [
        ("permessage-deflate", good().with(name, "permessage-deflate; client_max_window_bits")),
        ("the same offer twice", good().with(name, twice)),
        ("two lines of offers", good().with(name, "a").and(name, "b; c=d")),
        ("the offer constructor, that felled ws", good().with(name, "constructor")),
        ("an offer with a quoted parameter", good().with(name, "a; b=\"c\"")),
        ("an offer with the parameter __proto__", good().with(name, "permessage-deflate; __proto__=1")),
    ] {
        twin_async("P-WS-09", what, async {
            let mut raw = Mount::new().raw();
            raw.send(lines.bytes()).await;
            let head = raw.head().await.expect("an answer");
            assert_eq!((head.status, head.text("sec-websocket-extensions")), (101, None), "{what}");
        })
        .await;
    }
    refused(
        "P-WS-09",
        400,
        vec![
            ("an offer without a name", good().with(name, "; a=b")),
            ("an offer that is no token", good().with(name, "a b")),
            ("a parameter without a name", good().with(name, "a; =1")),
            ("a parameter without a value", good().with(name, "a; b=")),
            ("a quote that is not closed", good().with(name, "a; b=\"c")),
            ("bytes above 0x7F", good().with(name, [0xFF, 0xFE])),
            ("nothing at all", good().with(name, "")),
        ],
    )
    .await;
}
