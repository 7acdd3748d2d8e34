//! who is slow, who floods, and who sends much in little. Floods are small here, and count;
//! what they cost in time and memory is measured elsewhere.

use std::time::Duration;

use http::Method;
use realtime_axum::ServeConfig;
use realtime_tests::dial::Conn;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, WAITING_BYTES_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::h2::{PREFACE, Served, frames, headers};
use crate::mount::{Mount, log};
use crate::raw::{Lines, Raw, frame, frame_of_length};
use crate::ws_frames::{BOTH, Mode};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends a byte a second, for ever, and gives how long the server stood it.
async fn trickle(mut io: Conn, first: &[u8], then: u8) -> Duration {
    let start = Instant::now();
    io.write_all(first).await.expect("it has just been opened");
    let mut answer = [0; 1024];
    loop {
        let _ = io.write_all(&[then]).await;
        if let Ok(Ok(0) | Err(_)) = timeout(Duration::from_secs(1), io.read(&mut answer)).await {
            return start.elapsed();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_not_waited_for() {
    let config = ServeConfig::default();
    for (what, first) in [
        ("a request line that does not end", &b"GET /"[..]),
        ("a header that does not end", b"GET /events HTTP/1.1\r\nhost: a\r\nx: "),
        ("a preface of HTTP/2 that does not end", b"PRI * HTTP/2.0\r\n\r\n"),
        ("nothing but the preface", PREFACE),
    ] {
        case_async("A-03", what, async {
            let served = Served::new(&log(), config.clone());
            let stood = trickle(served.knock(), first, b'x').await;
            assert!(stood <= config.head_wait + Duration::from_secs(1), "{what}: {stood:?}");
        })
        .await;
    }
    twin_async("A-03", "a head that takes its time, and is whole within it", async {
        let served = Served::new(&log(), config.clone());
        let mut raw = Raw::over(served.knock());
        for piece in ["GET /events ", "HTTP/1.1\r\nhost: a\r\n", "\r\n"] {
            sleep(config.head_wait / 4).await;
            raw.send(piece).await;
        }
        assert_eq!(raw.head().await.expect("an answer").status, 200);
    })
    .await;
    case_async("A-03", "a message at a byte a second is 408 when its time is over", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let head = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test");
        raw.send(head.with(JSON.0, JSON.1).with("Content-Length", "60000").bytes()).await;
        let start = Instant::now();
        let answer = loop {
            raw.send("1").await;
            if let Ok(head) = timeout(Duration::from_secs(1), raw.head()).await {
                break head.expect("an answer").status;
            }
        };
        assert_eq!((answer, mount.heard().len()), (408, 0));
        assert!(start.elapsed() <= Config::default().body_wait + Duration::from_secs(1));
    })
    .await;
    twin_async("A-03", "a message that is whole a moment before", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let head = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test");
        raw.send(head.with(JSON.0, JSON.1).with("Content-Length", "2").followed_by("1")).await;
        sleep(Config::default().body_wait - Duration::from_millis(1)).await;
        raw.send("2").await;
        assert_eq!(raw.head().await.expect("an answer").status, 200);
    })
    .await;
}

/// A message in so many fragments, of which the last one ends it or not.
fn fragments(count: usize, payload: &[u8], ends: bool) -> Vec<u8> {
    let one = |n: usize| {
        let fin = if ends && n + 1 == count { 0x80 } else { 0 };
        frame(fin | if n == 0 { 2 } else { 0 }, payload)
    };
    (0..count).flat_map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_in_pieces_is_bounded_as_a_whole() {
    let limit = Config::default().message_bytes_max;
    for (what, sent, code) in [
        ("a message that never ends, a byte a fragment", fragments(129, b"x", false), 1008),
        ("a message that never ends, nothing a fragment", fragments(129, b"", false), 1008),
        ("fragments that are together a byte too long", fragments(65, &vec![1; limit / 64], false), 1009),
    ] {
        case_async("A-06", what, async {
            for mode in BOTH {
                let mut raw = mode.open(&Mount::new()).await;
                raw.send(&sent).await;
                assert_eq!(raw.close().await.expect("a Close").0, code, "{what}");
            }
        })
        .await;
    }
    for (what, count, piece) in [
        ("as many fragments as may be", 128, 1),
        ("fragments that are together of the limit", 64, limit / 64),
    ] {
        twin_async("A-06", what, async {
            let mut raw = Mode::Bare.open(&Mount::new()).await;
            raw.send(fragments(count, &vec![1; piece], true)).await;
            assert_eq!(raw.frame().await.expect("an echo").payload.len(), count * piece);
        })
        .await;
    }
    case_async("A-06", "of large messages that wait for the handler a few are held", async {
        let served = Served::new(&log(), ServeConfig::default());
        let mut io = served.knock();
        io.write_all(&Lines::upgrade("/deaf").bytes()).await.expect("open");
        let message = frame(0x82, vec![1; limit]);
        let mut taken = 0;
        while let Ok(Ok(written)) = timeout(Duration::from_secs(1), io.write(&message[..4096])).await {
            taken += written;
            assert!(taken < 16 * limit, "it reads on");
            let rest = taken % message.len();
            if rest != 0 && rest + 4096 > message.len() {
                // To the end of this one: what comes next is a head again.
                let left = message.len() - rest;
                match timeout(Duration::from_secs(1), io.write_all(&message[rest..])).await {
                    Ok(Ok(())) => taken += left,
                    _ => break,
                }
            }
        }
        // One is handled, what waits may go over by one, one is being read, and the connection has 64 KiB.
        assert!(taken <= 4 * limit + WAITING_BYTES_MAX + 64 * 1024, "{taken}");
        assert!(taken >= 2 * limit, "{taken}: one at the handler, and one that waits");
    })
    .await;
    for length in [limit as u64 + 1, 1 << 32, (1 << 63) - 1] {
        case_async(
            "A-08",
            &format!("a frame of {length} bytes is 1009 at its head, as first and later"),
            async {
                for first in [&b""[..], &frame(0x02, "x")] {
                    let mut raw = Mode::V1.open(&Mount::new()).await;
                    raw.send(first).await;
                    let opcode = if first.is_empty() { 0x82 } else { 0x80 };
                    raw.send(frame_of_length(opcode, 127, length, b"")).await;
                    assert_eq!(raw.close().await.expect("a Close").0, 1009);
                }
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn floods_of_controls_end_their_own_connection() {
    for (what, one) in [
        ("pings", frame(0x89, "x")),
        ("pings of nothing", frame(0x89, "")),
        ("pongs that nobody asked for", frame(0x8A, "")),
    ] {
        case_async("A-09", &format!("a flood of {what} is 1008, and others go on"), async {
            for mode in BOTH {
                let mount = Mount::new();
                let (mut raw, mut other) = (mode.open(&mount).await, mode.open(&mount).await);
                raw.send(one.repeat(10_000)).await;
                assert_eq!(raw.close().await.expect("a Close").0, 1008, "{what}");
                mount.publish(1..=1);
                assert!(other.frame().await.expect("an event").text().contains("\"n\":1"));
            }
        })
        .await;
    }
    case_async("A-09", "of a flood of Closes the first is answered", async {
        let mut raw = Mode::Bare.open(&Mount::new()).await;
        raw.send(crate::raw::close(1000, "").repeat(1_000)).await;
        assert_eq!(raw.close().await, Some((1000, String::new())));
        assert_eq!(raw.rest().await, "");
    })
    .await;
    case_async("A-09", "of pings whose pongs cannot leave, few are answered", async {
        let mount = Mount::new();
        let host = mount.host.clone().buffer_bytes(256);
        let mut raw = Raw::over(host.connect());
        raw.send(Lines::upgrade("/events").bytes()).await;
        raw.head().await.expect("an answer");
        for n in 0..60 {
            raw.send(frame(0x89, [n; 125])).await;
        }
        let pongs = raw.for_a_while(Duration::from_secs(1)).await.len() / 127;
        assert!((1..60).contains(&pongs), "{pongs}");
    })
    .await;
    twin_async("A-09", "a burst of pings and pongs that may be", async {
        for one in [frame(0x89, "x"), frame(0x8A, "x")] {
            let mut raw = Mode::Bare.open(&Mount::new()).await;
            raw.send(one.repeat(60)).await;
            raw.send(frame(0x81, "hello")).await;
            while raw.frame().await.expect("open").first != 0x81 {}
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn much_in_little_is_refused_at_little_cost() {
    let names = "&topic=a".repeat(1_000_000);
    case_async("A-10", "a million topics in a URL", async {
        let mut raw = Mount::new().raw();
        let sending = raw.send(Lines::get(&format!("/events?offset=now{names}")).bytes());
        // It hangs up in the middle.
        let _ = timeout(Duration::from_secs(5), sending).await;
        let status = raw.head().await.map(|head| head.status);
        assert!(matches!(status, None | Some(400 | 414 | 431)), "{status:?}");
    })
    .await;
    for (what, body) in [
        ("a list of a million topics", format!("[{}0]", "0,".repeat(1_000_000))),
        ("8 MiB of line ends", "\n".repeat(8 << 20)),
        ("a million empty lists", format!("[{}[]]", "[],".repeat(1_000_000))),
        ("100,000 brackets", "[".repeat(100_000)),
    ] {
        for rule in ["A-10", "A-11"] {
            case_async(rule, &format!("{what} by POST is 413"), async {
                let mount = Mount::new();
                let answer = mount.post("/events", &[JSON], body.clone()).await;
                assert_eq!((answer.status, mount.heard().len()), (413, 0));
            })
            .await;
        }
    }
    case_async(
        "A-11",
        "60,000 brackets that close: the handler is told by its parser, by POST and by WebSocket",
        async {
            let mount = Mount::new();
            let body = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
            assert_eq!(mount.post("/events", &[JSON], body.clone()).await.status, 422);
            let mut raw = Mode::V1.open(&mount).await;
            raw.send(frame(0x81, format!("{{\"ref\":1,\"data\":{body}}}"))).await;
            let reply = raw.frame().await.expect("a reply");
            assert!(reply.text().contains("\"status\":422"), "{reply:?}");
            raw.send(frame(0x81, "{\"ref\":2,\"data\":[[]]}")).await;
            assert!(raw.frame().await.expect("it goes on").text().contains("\"ref\":2"));
        },
    )
    .await;
    twin_async("A-10", "a long URL, and a thousand topics in it", async {
        let mount = Mount::new();
        let path = format!("/events?offset=-1{}", &names[..60_000]);
        assert_eq!(mount.ask(Method::GET, &path, &[]).await.status, 200);
    })
    .await;
    twin_async("A-11", "20,000 numbers in a list, and a hundred brackets", async {
        let mount = Mount::new();
        let flat = format!("[{}0]", "0,".repeat(20_000));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        for body in [flat, deep] {
            assert_eq!(mount.post("/events", &[JSON], body.clone()).await.body, body);
        }
    })
    .await;
}

/// RST_STREAM(CANCEL).
fn reset(stream: u32) -> Vec<u8> {
    [&[0, 0, 4, 3, 0], &stream.to_be_bytes()[..], &[0, 0, 0, 8]].concat()
}

fn get(stream: u32, field: (&str, &str)) -> Vec<u8> {
    let pseudo =
        [(":method", "GET"), (":scheme", "http"), (":path", "/events?offset=now"), (":authority", "a")];
    headers(stream, &[&pseudo[..], &[field]].concat())
        .into_iter()
        .enumerate()
        // END_STREAM beside END_HEADERS.
        .map(|(at, byte)| if at == 4 { byte | 1 } else { byte })
        .collect()
}

/// Requests that are reset at once, on one connection; and such as wait first, so many at a time.
const RESETS: u32 = 100_000;
const WAITING: u32 = 10_000;
const WAVE: u32 = 50;

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_leave_no_reader() {
    for (what, field) in
        [("event streams", ("accept", "text/event-stream")), ("long-polls", ("prefer", "wait=25"))]
    {
        case_async(
            "A-23",
            &format!("{what}, reset as soon as they are asked for, end their connection"),
            async {
                let served = Served::new(&log(), ServeConfig::default());
                let mut io = served.knock();
                io.write_all(PREFACE).await.expect("open");
                let mut flood = Vec::new();
                for nth in 0..RESETS {
                    flood.extend(get(nth * 2 + 1, field));
                    flood.extend(reset(nth * 2 + 1));
                }
                let (mut down, mut up) = tokio::io::split(io);
                let sending = tokio::spawn(async move { drop(up.write_all(&flood).await) });
                let seen = frames(&mut down, Duration::from_millis(500)).await;
                assert!(sending.is_finished(), "nobody reads on");
                // GOAWAY, ENHANCE_YOUR_CALM.
                assert!(
                    seen.iter().any(|(kind, _, said)| *kind == 7 && said[4..8] == [0, 0, 0, 11]),
                    "{seen:?}"
                );
                assert_eq!(served.readers(), 0);
            },
        )
        .await;
        twin_async("A-23", &format!("{what} that are reset once they wait are let go of"), async {
            let served = Served::new(&log(), ServeConfig::default());
            let mut io = served.knock();
            io.write_all(PREFACE).await.expect("open");
            for wave in 0..WAITING / WAVE {
                let streams = (wave * WAVE..(wave + 1) * WAVE).map(|nth| nth * 2 + 1);
                for stream in streams.clone() {
                    io.write_all(&get(stream, field)).await.expect("open");
                }
                let _ = frames(&mut io, Duration::from_millis(10)).await;
                assert_eq!(served.readers(), u64::from(WAVE));
                for stream in streams {
                    io.write_all(&reset(stream)).await.expect("open");
                }
                let seen = frames(&mut io, Duration::from_millis(10)).await;
                assert!(!seen.iter().any(|(kind, ..)| *kind == 7), "{seen:?}");
                assert_eq!(served.readers(), 0);
            }
        })
        .await;
    }
}
