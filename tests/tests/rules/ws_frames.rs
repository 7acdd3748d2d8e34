//! P-WF-01..05 and 07: frames from a client, byte for byte, on an open connection (RFC 6455, section 5).

use std::time::Duration;

use http::Request;
use realtime_tests::client::h2;
use realtime_tests::host::TcpHost;
use realtime_tests::rules::{case_async, twin_async};

use crate::mount::Mount;
use crate::raw::{Frame, Lines, Raw, close, frame, frame_of_length};

/// How the connection speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    V1,
    Bare,
}

pub(crate) const BOTH: [Mode; 2] = [Mode::V1, Mode::Bare];

/// How it is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Opening {
    /// HTTP/1.1.
    Upgrade,
    /// HTTP/2 (RFC 8441).
    Connect,
}

const OPENINGS: [Opening; 2] = [Opening::Upgrade, Opening::Connect];

impl Mode {
    pub(crate) fn lines(self, path: &str) -> Lines {
        if self == Self::V1 { Lines::v1(path) } else { Lines::upgrade(path) }
    }

    /// Opens, and reads what opens the stream.
    pub(crate) async fn open(self, mount: &Mount) -> Raw {
        self.opened(Opening::Upgrade, mount).await
    }

    async fn opened(self, opening: Opening, mount: &Mount) -> Raw {
        let mut raw = if opening == Opening::Upgrade {
            let (status, raw) = mount.shaken(&self.lines("/events")).await;
            assert_eq!(status, 101);
            raw
        } else {
            let mut request = Request::get("/events").header("sec-websocket-version", "13");
            if self == Self::V1 {
                request = request.header("sec-websocket-protocol", "realtime.v1");
            }
            let request = request.body(()).expect("a request");
            let (answer, stream) = h2::connect(&mount.host.dialer(), request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            Raw::over(stream.expect("200 has a stream"))
        };
        if self == Self::V1 {
            for name in ["$open", "$live"] {
                let frame = raw.frame().await.expect("a control");
                assert!(frame.text().contains(name), "{frame:?}");
            }
        }
        raw
    }
}

/// What is sent, and what then happens.
enum Then {
    /// The server closes with this code, and answers nothing else.
    Closes(u16),
    /// It echoes this text, and then closes with this code.
    SaysAndCloses(&'static str, u16),
    /// It goes on: a message is echoed, and no close was sent.
    GoesOn,
    /// A pong with this payload, and it goes on.
    Pongs(&'static [u8]),
    /// It echoes this text, and goes on.
    Says(&'static str),
}

use Then::{Closes, GoesOn, Pongs, Says, SaysAndCloses};

/// Puts each to the server in both modes over both protocols: what closes is a case, what does not is a twin.
async fn check(rule: &str, table: Vec<(&str, Vec<u8>, Then)>) {
    for (what, bytes, then) in table {
        let says = async {
            for (mode, opening) in BOTH.into_iter().flat_map(|mode| OPENINGS.map(|opening| (mode, opening))) {
                let mount = Mount::new();
                let mut raw = mode.opened(opening, &mount).await;
                raw.send(&bytes).await;
                judge(&mut raw, mode, &format!("{what}, by {opening:?}"), &then).await;
                drop(raw);
                mount.host.all_gone().await;
                assert_eq!(mount.readers(), 0, "{what}, by {opening:?}");
            }
        };
        if matches!(then, Closes(_) | SaysAndCloses(..)) {
            case_async(rule, what, says).await;
        } else {
            twin_async(rule, what, says).await;
        }
    }
}

async fn judge(raw: &mut Raw, mode: Mode, what: &str, then: &Then) {
    match then {
        Pongs(payload) => hears(raw, mode, what, 0x8A, payload).await,
        Says(text) | SaysAndCloses(text, _) => hears(raw, mode, what, 0x81, text.as_bytes()).await,
        Closes(_) | GoesOn => {}
    }
    if let Closes(code) | SaysAndCloses(_, code) = then {
        let frame = raw.frame().await.unwrap_or_else(|| panic!("{what} in {mode:?}: no Close"));
        assert_eq!(frame.close().map(|(code, _)| code), Some(*code), "{what} in {mode:?}: {frame:?}");
        raw.send(close(*code, "")).await;
        assert_eq!(raw.rest().await, "", "{what} in {mode:?}: nothing follows a Close");
        return;
    }
    raw.send(frame(0x89, "still there?")).await;
    assert_eq!(said(raw).await, Frame { first: 0x8A, payload: "still there?".into() }, "{what} in {mode:?}");
}

async fn hears(raw: &mut Raw, mode: Mode, what: &str, first: u8, payload: &[u8]) {
    let frame = said(raw).await;
    assert_eq!(frame.first, first, "{what} in {mode:?}: {frame:?}");
    if first == 0x8A || mode == Mode::Bare {
        assert_eq!(frame.payload, payload, "{what} in {mode:?}");
    } else {
        // The bare text is no envelope: it reached the handler's door whole, and was answered there.
        assert!(frame.text().contains("$reply"), "{what} in {mode:?}: {frame:?}");
    }
}

/// The next frame that is no heartbeat.
async fn said(raw: &mut Raw) -> Frame {
    loop {
        let frame = raw.frame().await.expect("the connection is open");
        if frame.first != 0x89 && !frame.payload.windows(5).any(|at| at == b"$ping") {
            return frame;
        }
    }
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

#[tokio::test(start_paused = true)]
async fn a_client_masks() {
    check(
        "P-WF-01",
        vec![
            ("an unmasked text", unmasked(0x81, b"hello"), Closes(1002)),
            ("an unmasked empty text", unmasked(0x81, b""), Closes(1002)),
            ("an unmasked ping", unmasked(0x89, b"hello"), Closes(1002)),
            ("an unmasked close", unmasked(0x88, &[0x03, 0xE8]), Closes(1002)),
            ("a masked text", frame(0x81, "hello"), Says("hello")),
        ],
    )
    .await;
    case_async("P-WF-01", "a server's frames are not masked, at any length", async {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let mount = Mount::new();
            let mut raw = Mode::Bare.open(&mount).await;
            let text = "x".repeat(len);
            mount
                .log
                .publish(realtime_core::Event::text("t", text.clone()).expect("an event"))
                .expect("open");
            // `frame` asserts that it is not masked and has its length in the shortest form.
            let frame = raw.frame().await.expect("an event");
            assert_eq!((frame.first, frame.text() == text), (0x81, true), "{len}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_is_exact() {
    let mut table = vec![
        ("RSV1 on a text", frame(0xC1, "x"), Closes(1002)),
        ("RSV2 on a text", frame(0xA1, "x"), Closes(1002)),
        ("RSV3 on a text", frame(0x91, "x"), Closes(1002)),
        ("RSV1 on a ping", frame(0xC9, "x"), Closes(1002)),
        ("a length with its top bit set", frame_of_length(0x82, 127, 1 << 63, b""), Closes(1002)),
        ("the largest length there is", frame_of_length(0x82, 127, u64::MAX, b""), Closes(1002)),
        ("5 as two bytes", frame_of_length(0x81, 126, 5, b"hello"), Closes(1002)),
        ("125 as two bytes", frame_of_length(0x82, 126, 125, &[0; 125]), Closes(1002)),
        ("5 as eight bytes", frame_of_length(0x81, 127, 5, b"hello"), Closes(1002)),
        ("65535 as eight bytes", frame_of_length(0x82, 127, 65_535, b""), Closes(1002)),
        ("0 as eight bytes", frame_of_length(0x81, 127, 0, b""), Closes(1002)),
        ("a length over the limit, without its body", frame_of_length(0x82, 127, 65_537, b""), Closes(1009)),
        ("2^32 bytes, announced", frame_of_length(0x82, 127, 1 << 32, b""), Closes(1009)),
        ("2^63-1 bytes, announced", frame_of_length(0x82, 127, (1 << 63) - 1, b""), Closes(1009)),
        ("125 as one byte", frame(0x89, [b'x'; 125]), Pongs(&[b'x'; 125])),
        (
            "RSV2 behind a whole message",
            [frame(0x81, "hello"), frame(0xA1, "x")].concat(),
            SaysAndCloses("hello", 1002),
        ),
        (
            "a reserved opcode behind a whole message, with a ping to follow",
            [frame(0x81, "hello"), frame(0x85, "x"), frame(0x89, "")].concat(),
            SaysAndCloses("hello", 1002),
        ),
    ];
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        table.push(("a reserved opcode", frame(0x80 | opcode, "x"), Closes(1002)));
    }
    check("P-WF-02", table).await;
    twin_async("P-WF-02", "126 as two bytes, 65535 as two and 65536 as eight", async {
        for len in [126, 65_535, 65_536] {
            let mount = Mount::new();
            let mut raw = Mode::Bare.open(&mount).await;
            raw.send(frame(0x82, vec![7; len])).await;
            let echo = said(&mut raw).await;
            assert_eq!((echo.first, echo.payload.len()), (0x82, len));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fragments_keep_their_order() {
    let parts = |frames: &[(u8, &str)]| {
        frames.iter().flat_map(|(first, text)| frame(*first, text)).collect::<Vec<_>>()
    };
    check(
        "P-WF-03",
        vec![
            ("a text inside a message", parts(&[(0x01, "a"), (0x81, "b")]), Closes(1002)),
            ("the start of a message inside another", parts(&[(0x01, "a"), (0x02, "b")]), Closes(1002)),
            ("a continuation of nothing", parts(&[(0x80, "a")]), Closes(1002)),
            ("the start of a continuation of nothing", parts(&[(0x00, "a")]), Closes(1002)),
            ("a continuation behind the last", parts(&[(0x81, "a"), (0x80, "b")]).split_off(7), Closes(1002)),
            (
                "a continuation of nothing behind a message in fragments",
                parts(&[(0x01, "hel"), (0x80, "lo"), (0x00, "a"), (0x80, "b")]),
                SaysAndCloses("hello", 1002),
            ),
            ("a fragmented ping", parts(&[(0x09, "a")]), Closes(1002)),
            ("fragments", parts(&[(0x01, "he"), (0x00, "ll"), (0x80, "o")]), Says("hello")),
            ("empty fragments", parts(&[(0x01, ""), (0x00, "hello"), (0x00, ""), (0x80, "")]), Says("hello")),
            (
                "128 fragments",
                [frame(0x01, "hello"), frame(0x00, "").repeat(126), frame(0x80, "")].concat(),
                Says("hello"),
            ),
            ("129 fragments", [frame(0x01, ""), frame(0x00, "").repeat(128)].concat(), Closes(1008)),
        ],
    )
    .await;
    twin_async("P-WF-03", "a ping between fragments, answered before the message is whole", async {
        for mode in BOTH {
            let mut raw = mode.open(&Mount::new()).await;
            raw.send(parts(&[(0x01, "he"), (0x89, "in between")])).await;
            assert_eq!(said(&mut raw).await, Frame { first: 0x8A, payload: "in between".into() });
            raw.send(frame(0x80, "llo")).await;
            let echo = said(&mut raw).await;
            assert!(echo.text() == "hello" || echo.text().contains("$reply"), "{echo:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_control_is_short_and_whole() {
    check(
        "P-WF-04",
        vec![
            ("a ping of 126 bytes", frame(0x89, [b'x'; 126]), Closes(1002)),
            ("a pong of 126 bytes", frame(0x8A, [b'x'; 126]), Closes(1002)),
            ("a close of 126 bytes", frame(0x88, [&[0x03, 0xE8][..], &[b'x'; 124]].concat()), Closes(1002)),
            ("a ping without FIN", frame(0x09, "x"), Closes(1002)),
            ("a close without FIN", frame(0x08, [0x03, 0xE8]), Closes(1002)),
            ("a ping", frame(0x89, "Hello"), Pongs(b"Hello")),
            ("an empty ping", frame(0x89, ""), Pongs(b"")),
            ("a ping of 125 bytes", frame(0x89, [b'x'; 125]), Pongs(&[b'x'; 125])),
            ("a ping of bytes that are no text", frame(0x89, [0, 0xFF, 0xFE]), Pongs(&[0, 0xFF, 0xFE])),
            ("a pong that nobody asked for", frame(0x8A, "Hello"), GoesOn),
        ],
    )
    .await;
    case_async("P-WF-04", "no pong behind a Close", async {
        for mode in BOTH {
            let mut raw = mode.open(&Mount::new()).await;
            raw.send([close(1000, ""), frame(0x89, "too late")].concat()).await;
            let frame = raw.frame().await.expect("a Close");
            assert_eq!(frame.close(), Some((1000, "")));
            assert_eq!(raw.rest().await, "");
        }
    })
    .await;
    case_async("P-WF-04", "a flood of pings is 1008 (A-09)", async {
        for mode in BOTH {
            let mut raw = mode.open(&Mount::new()).await;
            raw.send(frame(0x89, "x").repeat(200)).await;
            let (code, _) = raw.close().await.expect("a Close");
            assert_eq!(code, 1008);
        }
    })
    .await;
    twin_async("P-WF-04", "as many pings as may be, and twenty a second after", async {
        let mut raw = Mode::Bare.open(&Mount::new()).await;
        raw.send(frame(0x89, "x").repeat(60)).await;
        for n in 0..60 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            raw.send(frame(0x89, format!("{n}"))).await;
        }
        loop {
            let frame = raw.frame().await.expect("open");
            assert_eq!(frame.first, 0x8A);
            if frame.text() == "59" {
                break;
            }
        }
    })
    .await;
    twin_async(
        "P-WF-04",
        "of pings that came together each is answered, in order, by who can take it",
        async {
            for opening in OPENINGS {
                let mut raw = Mode::Bare.opened(opening, &Mount::new()).await;
                raw.send((0..10).flat_map(|n| frame(0x89, format!("{n}"))).collect::<Vec<_>>()).await;
                for n in 0..10 {
                    assert_eq!(said(&mut raw).await, Frame { first: 0x8A, payload: format!("{n}").into() });
                }
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_body_is_legal() {
    let mut table = vec![
        ("a body of one byte", frame(0x88, [3]), Closes(1002)),
        ("a reason that is not UTF-8", close(1000, [0xCE, 0xBA, 0xE1, 0xBD]), Closes(1007)),
        ("a reason with a surrogate", close(1000, [0xED, 0xA0, 0x80]), Closes(1007)),
    ];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        table.push(("a code that is never sent", close(code, "bye"), Closes(1002)));
    }
    check("P-WF-05", table).await;
    for (what, sent, echoed) in [
        ("no body", frame(0x88, ""), 0),
        ("a code alone", close(1000, ""), 1000),
        ("a reason of 123 bytes", close(1000, [b'x'; 123]), 1000),
        ("a reason of several bytes a letter", close(1001, "träumt"), 1001),
        ("1003", close(1003, ""), 1003),
        ("1014", close(1014, ""), 1014),
        ("3000", close(3000, ""), 3000),
        ("4999", close(4999, ""), 4999),
    ] {
        twin_async("P-WF-05", what, async {
            for mode in BOTH {
                let mut raw = mode.open(&Mount::new()).await;
                raw.send(&sent).await;
                let frame = raw.frame().await.expect("a Close");
                assert_eq!(frame.close(), Some((echoed, "")), "{what}");
                assert_eq!(raw.rest().await, "", "the server closes the connection");
            }
        })
        .await;
    }
    case_async("P-WF-05", "our reason is a cursor, within 123 bytes", async {
        let mount = Mount::new();
        let mut raw = Mode::Bare.open(&mount).await;
        mount.publish(1..=1);
        assert_eq!(raw.frame().await.expect("an event").text(), "{\"n\":1}");
        raw.send(frame(0x83, "")).await;
        let (code, reason) = raw.close().await.expect("a Close");
        assert_eq!((code, reason.as_str(), reason.len() <= 123), (1002, crate::mount::at(1).as_str(), true));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn text_is_utf8_across_fragments() {
    let kappa = "κόσμε".as_bytes();
    check(
        "P-WF-07",
        vec![
            ("a byte that begins nothing", frame(0x81, [b'a', 0x80]), Closes(1007)),
            ("an overlong slash", frame(0x81, [0xC0, 0xAF]), Closes(1007)),
            ("a surrogate", frame(0x81, [0xED, 0xA0, 0x80]), Closes(1007)),
            ("beyond the last code point", frame(0x81, [0xF4, 0x90, 0x80, 0x80]), Closes(1007)),
            ("a text that ends inside a letter", frame(0x81, &kappa[..3]), Closes(1007)),
            (
                "a bad byte in the second of three fragments, the third not sent",
                [frame(0x01, kappa), frame(0x00, [0xF4, 0x90])].concat(),
                Closes(1007),
            ),
            (
                "a bad byte inside a frame that has not come whole",
                frame(0x81, [kappa, &[0xF4, 0x90], &[b'x'; 40]].concat())[..6 + 13].to_vec(),
                Closes(1007),
            ),
            (
                "a letter cut between fragments",
                [frame(0x01, &kappa[..3]), frame(0x80, &kappa[3..])].concat(),
                Says("κόσμε"),
            ),
            ("the last code point", frame(0x81, "\u{10FFFF}"), Says("\u{10FFFF}")),
            ("a NUL", frame(0x81, "\0"), Says("\0")),
        ],
    )
    .await;
    twin_async("P-WF-07", "binary need not be UTF-8", async {
        let mut raw = Mode::Bare.open(&Mount::new()).await;
        raw.send(frame(0x82, [0xFF, 0x00, 0xC0])).await;
        assert_eq!(
            said(&mut raw).await,
            Frame { first: 0x82, payload: bytes::Bytes::from_static(&[0xFF, 0x00, 0xC0]) }
        );
    })
    .await;
    twin_async("P-WF-07", "a letter cut at every byte of the wire", async {
        let sent = [frame(0x01, &kappa[..3]), frame(0x80, &kappa[3..])].concat();
        for cut in 0..sent.len() {
            let mut raw = Mode::Bare.open(&Mount::new()).await;
            raw.send(&sent[..cut]).await;
            tokio::task::yield_now().await;
            raw.send(&sent[cut..]).await;
            assert_eq!(said(&mut raw).await.text(), "κόσμε", "cut at {cut}");
        }
    })
    .await;
}

/// What holds in memory holds over the socket that is taken from under hyper.
#[tokio::test]
async fn the_same_over_a_socket() {
    for (rule, what, bytes, code) in [
        ("P-WF-01", "an unmasked text, over TCP", unmasked(0x81, b"x"), 1002),
        ("P-WF-02", "RSV1, over TCP", frame(0xC1, "x"), 1002),
        ("P-WF-03", "a continuation of nothing, over TCP", frame(0x80, "x"), 1002),
        ("P-WF-07", "text that is not UTF-8, over TCP", frame(0x81, [0xFF]), 1007),
    ] {
        case_async(rule, what, async {
            let tcp = TcpHost::bind(Mount::new().host.clone()).await.expect("a port");
            let mut raw = Raw::over(tcp.dialer().dial().await.expect("a connection"));
            raw.send(Lines::upgrade("/events").followed_by(&bytes)).await;
            assert_eq!(raw.head().await.map(|head| head.status), Some(101));
            assert_eq!(raw.close().await.map(|(said, _)| said), Some(code), "{what}");
            assert_eq!(raw.rest().await, "");
        })
        .await;
    }
}
