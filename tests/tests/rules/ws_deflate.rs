//! P-PD-01..06 and A-07: permessage-deflate through the real server, over HTTP/1.1 and HTTP/2 (RFC 7692).

use std::time::{Duration, Instant};

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use http::Request;
use realtime_core::Event;
use realtime_tests::client::h2;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Compression, CursorKeys, WebSocketConfig, WebSocketTransport, builder};

use crate::mount::{Mount, log};
use crate::raw::{Frame, Lines, Raw, close, frame};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const NO_CONTEXT: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const TEXT: u8 = 0xC1;
const BINARY: u8 = 0xC2;

fn mount() -> Mount {
    let sockets = WebSocketConfig { compression: Compression::Deflate, ..WebSocketConfig::default() };
    Mount::of(builder().transports((WebSocketTransport(sockets),)), log())
}

fn offering(offer: &str) -> Lines {
    Lines::upgrade("/events").with("Sec-WebSocket-Extensions", offer)
}

/// Opens in bare mode, and gives what is said of extensions.
async fn opened(mount: &Mount, offer: &str) -> (Option<String>, Raw) {
    let mut raw = mount.raw();
    raw.send(offering(offer).bytes()).await;
    let head = raw.head().await.expect("an answer");
    assert_eq!(head.status, 101, "{offer}");
    (head.text("sec-websocket-extensions").map(str::to_owned), raw)
}

async fn connected(mount: &Mount, offer: &str) -> (Option<String>, Raw) {
    let request = Request::get("/events")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-extensions", offer)
        .body(())
        .expect("a request");
    let (answer, stream) = h2::connect(&mount.host.dialer(), request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let said =
        answer.headers().get("sec-websocket-extensions").map(|said| said.to_str().expect("text").to_owned());
    (said, Raw::over(stream.expect("200 has a stream")))
}

/// What a client deflates.
fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut state = Compress::new(Level::default(), false);
    let mut out = Vec::with_capacity(plain.len() + 1000);
    state.compress_vec(plain, &mut out, FlushCompress::Sync).expect("deflate");
    out.truncate(out.len() - 4);
    out
}

/// What a client makes of ours, with nothing kept from before.
fn inflated(frame: &Frame, window_bits: u8) -> Vec<u8> {
    let mut state = Decompress::new_with_window_bits(false, window_bits);
    let mut plain = Vec::with_capacity(1 << 20);
    let whole = [&frame.payload[..], &[0, 0, 0xFF, 0xFF]].concat();
    state.decompress_vec(&whole, &mut plain, FlushDecompress::Sync).expect("it inflates");
    plain
}

fn long(n: u64) -> Event {
    Event::text("long", format!("{n}: {}", "the same again, ".repeat(200))).expect("an event")
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_can_be_kept_is_answered_and_no_other() {
    let kept = |bits: &str| Some(format!("{NO_CONTEXT}{bits}"));
    for (rule, offer, answer) in [
        ("P-PD-01", "permessage-deflate", kept("")),
        ("P-PD-01", OFFER, kept("")),
        ("P-PD-01", "permessage-deflate; unknown, permessage-deflate", kept("")),
        ("P-PD-01", "permessage-deflate; unknown", None),
        ("P-PD-01", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("P-PD-01", "permessage-deflate; server_no_context_takeover=1", None),
        ("P-PD-01", "permessage-bzip2", None),
        ("P-PD-02", "permessage-deflate; server_max_window_bits=15", kept("; server_max_window_bits=15")),
        ("P-PD-02", "permessage-deflate; server_max_window_bits=9", kept("; server_max_window_bits=9")),
        ("P-PD-02", "permessage-deflate; client_max_window_bits=8", kept("")),
        ("P-PD-02", "permessage-deflate; server_max_window_bits=8", None),
        ("P-PD-02", "permessage-deflate; server_max_window_bits=16", None),
        ("P-PD-02", "permessage-deflate; server_max_window_bits=09", None),
        ("P-PD-02", "permessage-deflate; server_max_window_bits", None),
    ] {
        let says = async {
            let mount = mount();
            assert_eq!(opened(&mount, offer).await.0, answer, "{offer}");
            assert_eq!(connected(&mount, offer).await.0, answer, "{offer} over HTTP/2");
        };
        match answer {
            Some(_) => twin_async(rule, offer, says).await,
            None => case_async(rule, offer, says).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_bit_is_taken_on_the_first_frame_alone_and_only_where_it_was_agreed_on() {
    let hello = deflated(b"hello");
    let parts = |first: u8, then: u8| [frame(first, &hello[..2]), frame(then, &hello[2..])].concat();
    let whole = frame(TEXT, &hello);
    for (what, offer, wire, code) in [
        ("nothing was offered", "x", whole.clone(), Some(1002)),
        ("a deflated message", OFFER, whole, None),
        ("a deflated message in two frames", OFFER, parts(0x41, 0x80), None),
        ("the bit on a continuation", OFFER, parts(0x41, 0xC0), Some(1002)),
        ("the bit on a ping", OFFER, frame(0xC9, "p"), Some(1002)),
        ("another bit beside it", OFFER, frame(TEXT | 0x20, &hello), Some(1002)),
    ] {
        let says = async {
            for over_h2 in [false, true] {
                let mount = mount();
                let (_, mut raw) =
                    if over_h2 { connected(&mount, offer).await } else { opened(&mount, offer).await };
                raw.send(&wire).await;
                match code {
                    Some(code) => assert_eq!(raw.close().await.expect("a Close").0, code, "{what}"),
                    None => assert_eq!(raw.frame().await.expect("an echo").text(), "hello", "{what}"),
                }
            }
        };
        match code {
            Some(_) => case_async("P-PD-03", what, says).await,
            None => twin_async("P-PD-03", what, says).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_end_in_any_legal_way_and_in_no_other() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let rows: [(&str, &[u8], Result<&str, u16>); 8] = [
        ("a block", &hello, Ok("Hello")),
        ("a stored block", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], Ok("Hello")),
        ("BFINAL", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], Ok("Hello")),
        (
            "two blocks",
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            Ok("Hello"),
        ),
        ("the empty message", &[0x00], Ok("")),
        ("a stream that was cut", &hello[..4], Err(1007)),
        ("a block of no kind", &[0x06], Err(1007)),
        ("text that is not UTF-8 once inflated", &deflated(b"\xff\xfe"), Err(1007)),
    ];
    for (what, payload, then) in rows {
        let says = async {
            let (_, mut raw) = opened(&mount(), OFFER).await;
            raw.send(frame(TEXT, payload)).await;
            match then {
                Ok(text) => assert_eq!(raw.frame().await.expect("an echo").text(), text, "{what}"),
                Err(code) => assert_eq!(raw.close().await.expect("a Close").0, code, "{what}"),
            }
        };
        match then {
            Ok(_) => twin_async("P-PD-04", what, says).await,
            Err(_) => case_async("P-PD-04", what, says).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_stands_alone_and_is_the_same_for_all() {
    for (offer, bits) in [(OFFER, 15), ("permessage-deflate; server_max_window_bits=9", 9)] {
        case_async("P-PD-05", &format!("events to two readers by {offer}"), async {
            let mount = mount();
            let (_, mut one) = opened(&mount, offer).await;
            let (_, mut other) = connected(&mount, offer).await;
            for n in 1..=3 {
                mount.log.publish(long(n)).expect("the log is open");
                let (ours, theirs) =
                    (one.frame().await.expect("an event"), other.frame().await.expect("an event"));
                assert_eq!(ours, theirs);
                assert_eq!(ours.first, TEXT);
                assert!(ours.payload.len() < 200, "{} bytes", ours.payload.len());
                assert_eq!(inflated(&ours, bits), &long(n).payload().bytes()[..]);
            }
        })
        .await;
    }
    case_async("P-PD-05", "a client's second message may not refer to its first", async {
        let (_, mut raw) = opened(&mount(), OFFER).await;
        let mut state = Compress::new(Level::best(), false);
        let mut out = Vec::with_capacity(4096);
        let words = b"it was said before";
        state.compress_vec(words, &mut out, FlushCompress::Sync).expect("deflate");
        let first = out.len();
        state.compress_vec(words, &mut out, FlushCompress::Sync).expect("deflate");
        raw.send(frame(TEXT, &out[..first - 4])).await;
        assert_eq!(raw.frame().await.expect("an echo").payload, &words[..]);
        raw.send(frame(TEXT, &out[first..out.len() - 4])).await;
        assert_eq!(raw.close().await.expect("a Close").0, 1007);
    })
    .await;
    twin_async("P-PD-05", "who offered nothing, and what is short, is sent plain", async {
        let mount = mount();
        let (_, mut plain) = opened(&mount, "x").await;
        let (_, mut deflates) = opened(&mount, OFFER).await;
        mount.log.publish(long(1)).expect("the log is open");
        assert_eq!(plain.frame().await.expect("an event").payload, long(1).payload().bytes());
        assert_eq!(deflates.frame().await.expect("an event").first, TEXT);
        mount.log.publish(Event::text("short", "hi").expect("an event")).expect("the log is open");
        for raw in [&mut plain, &mut deflates] {
            assert_eq!(raw.frame().await.expect("an event"), Frame { first: 0x81, payload: "hi".into() });
            raw.send(close(1000, "")).await;
        }
    })
    .await;
}

/// A length would tell how much of a tag stands in an attacker's text, RFC 7692, section 8.
#[tokio::test(start_paused = true)]
async fn no_tag_is_deflated_beside_other_peoples_text() {
    for (what, is_signed, protocol, is_deflated) in [
        ("signed cursors by realtime.v1", true, Some("realtime.v1"), false),
        ("signed cursors, which bare frames have none of", true, None, true),
        ("plain cursors by realtime.v1", false, Some("realtime.v1"), true),
        ("plain cursors, bare", false, None, true),
    ] {
        let says = async {
            let sockets = WebSocketConfig { compression: Compression::Deflate, ..WebSocketConfig::default() };
            let mut builder = builder().transports((WebSocketTransport(sockets),));
            if is_signed {
                builder = builder.cursor_keys(CursorKeys::new([7; 32]).expect("32 bytes"));
            }
            let mount = Mount::of(builder, log());
            let mut lines = offering(OFFER);
            let mut request = Request::get("/events")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-extensions", OFFER);
            if let Some(protocol) = protocol {
                lines = lines.with("Sec-WebSocket-Protocol", protocol);
                request = request.header("sec-websocket-protocol", protocol);
            }
            let mut one = mount.raw();
            one.send(lines.bytes()).await;
            let head = one.head().await.expect("an answer");
            let (answer, stream) = h2::connect(&mount.host.dialer(), request.body(()).expect("a request"))
                .await
                .expect("an answer");
            assert_eq!((head.status, answer.status().as_u16()), (101, 200));
            assert_eq!(head.text("sec-websocket-protocol"), protocol);
            let expected = is_deflated.then_some(NO_CONTEXT);
            assert_eq!(head.text("sec-websocket-extensions"), expected, "{what}");
            let said =
                answer.headers().get("sec-websocket-extensions").map(|said| said.to_str().expect("text"));
            assert_eq!(said, expected, "{what} over HTTP/2");
            mount.log.publish(long(1)).expect("the log is open");
            for mut raw in [one, Raw::over(stream.expect("200 has a stream"))] {
                // Controls are short, and come first.
                let event = loop {
                    let frame = raw.frame().await.expect("a frame");
                    if frame.payload.len() > 1_000 || frame.first == TEXT {
                        break frame;
                    }
                };
                let plain = if is_deflated { inflated(&event, 15) } else { event.payload.to_vec() };
                assert_eq!(event.first, if is_deflated { TEXT } else { 0x81 }, "{what}");
                let text = String::from_utf8(plain).expect("text");
                assert!(text.contains("1: the same again, "), "{what}: {text}");
                // `{"id":"C-T",..`: the tag of a signed cursor.
                let id = text.strip_prefix("{\"id\":\"").and_then(|rest| rest.split('"').next());
                assert_eq!(id.is_some_and(|id| id.contains('-')), is_signed && protocol.is_some(), "{text}");
            }
        };
        match is_deflated {
            true => twin_async("P-PD-05", what, says).await,
            false => case_async("P-PD-05", what, says).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_inflated_bytes_and_nothing_is_on_by_default() {
    let limit = 64 * 1024;
    for (what, bytes, code) in
        [("one byte above the limit", limit + 1, Some(1009)), ("as many bytes as may be", limit, None)]
    {
        let says = async {
            let (_, mut raw) = opened(&mount(), OFFER).await;
            raw.send(frame(BINARY, deflated(&vec![7; bytes]))).await;
            match code {
                Some(code) => assert_eq!(raw.close().await.expect("a Close").0, code, "{what}"),
                None => assert_eq!(raw.frame().await.expect("an echo").payload.len(), bytes, "{what}"),
            }
        };
        match code {
            Some(_) => case_async("P-PD-06", what, says).await,
            None => twin_async("P-PD-06", what, says).await,
        }
    }
    case_async("P-PD-06", "a mount that was not told to deflates with nobody", async {
        assert_eq!(opened(&Mount::new(), OFFER).await.0, None);
        assert_eq!(connected(&Mount::new(), OFFER).await.0, None);
    })
    .await;
    twin_async("A-07", "noise that deflate makes longer", async {
        let (_, mut raw) = opened(&mount(), OFFER).await;
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..limit).map(|_| random.u8(..)).collect();
        raw.send(frame(BINARY, deflated(&noise))).await;
        assert_eq!(raw.frame().await.expect("an echo").payload, noise);
    })
    .await;
    let bombs = [
        ("a frame of 1 MiB that is 1 GiB of zeros", vec![0; 1 << 20]),
        ("60 MiB of zeros in 60 KiB", deflated(&vec![0; 60 << 20])),
        ("10,000 stored blocks of nothing", [0, 0, 0, 0xff, 0xff].repeat(10_000)),
        ("30,000 streams that end", [3, 0].repeat(30_000)),
    ];
    for (what, payload) in bombs {
        case_async("A-07", what, async {
            let (_, mut raw) = opened(&mount(), OFFER).await;
            let begun = Instant::now();
            raw.send(frame(BINARY, payload)).await;
            assert_eq!(raw.close().await.expect("a Close").0, 1009, "{what}");
            // What it costs is measured closer by the room's own tests: here a whole server runs beside it.
            assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
        })
        .await;
    }
}
