use std::time::Duration;

use super::sse_parser::{Block, Parser};
use super::*;
use crate::fault::{Chunks, Cut, Plan, Way};
use crate::host::{Host, Protocol, TcpHost};
use crate::tiny::{Tiny, cursor};

const ENTRIES: u32 = 12;

fn events(seen: &[Seen]) -> Vec<(String, Vec<u8>)> {
    let events = seen.iter().filter_map(Seen::event);
    events.map(|event| (event.id.clone().unwrap(), event.data.clone())).collect()
}

fn truth(tiny: &Tiny) -> Vec<(String, Vec<u8>)> {
    tiny.entries.iter().map(|(id, data)| (id.clone(), data.clone().into_bytes())).collect()
}

#[tokio::test(start_paused = true)]
async fn resumes_on_every_pair_of_transports_after_every_event() {
    let tiny = Tiny { page_max: 5, ..Tiny::of(ENTRIES) };
    let host = Host::new(tiny.service());
    for carry in [Carry::Header, Carry::Query] {
        for (first, second) in Transport::pairs() {
            for stop in 1..=ENTRIES {
                let target = Target { carry, ..Target::new(host.dialer(), "/events") };
                let mut reader = Reader::connect(first, &target, Place::Earliest).await;
                let mut seen =
                    reader.collect_until(|s| s.event().is_some_and(|e| e.id == Some(cursor(stop)))).await;
                assert_eq!(reader.place(), &Place::After(cursor(stop)));
                let mut reader = reader.resume(second).await;
                seen.extend(reader.collect_until(Seen::caught_up).await);
                assert_eq!(events(&seen), truth(&tiny), "{first:?} to {second:?} after {stop}");
                assert_eq!(reader.place(), &Place::After(cursor(ENTRIES)));
            }
        }
    }
    host.all_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_moves_the_place_by_what_was_whole() {
    let tiny = Tiny { lost_to: Some(cursor(2)), ..Tiny::of(4) };
    let host = Host::new(tiny.service());
    for transport in Transport::ALL {
        let (plain, links) = host.dialer().through(|_| Plan::default());
        let start = Place::After(cursor(1));
        let mut reader = Reader::connect(transport, &Target::new(plain, "/e"), start.clone()).await;
        assert!(
            reader.collect_until(Seen::caught_up).await.iter().any(Seen::caught_up),
            "{transport:?}: {:?}",
            reader.over()
        );
        let length = links.nth(0).unwrap().bytes(Way::Down);
        drop(reader);
        for n in 0..length {
            let (dialer, _links) = host.dialer().through(move |nth| match nth {
                0 => Plan::default().cut(Way::Down, n, Cut::Fin),
                _ => Plan::default(),
            });
            let mut reader = Reader::connect(transport, &Target::new(dialer, "/e"), start.clone()).await;
            let mut seen = reader.collect_until(Seen::caught_up).await;
            if !seen.iter().any(Seen::caught_up) {
                assert!(
                    matches!(reader.over(), Some(Over::Cut(_))),
                    "{transport:?} at {n}: {:?}",
                    reader.over()
                );
                reader = reader.resume(transport).await;
                seen.extend(reader.collect_until(Seen::caught_up).await);
            }
            assert_eq!(events(&seen), truth(&tiny)[2..], "{transport:?} at {n}");
            let gaps =
                seen.iter().filter(|seen| matches!(seen, Seen::Gap(gap) if gap.to == cursor(2))).count();
            assert_eq!(gaps, 1, "{transport:?} at {n}: told once when whole, again when not");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn re_chunking_changes_nothing() {
    let tiny = Tiny::of(ENTRIES);
    let host = Host::with(Protocol::Auto, tiny.service());
    for transport in Transport::ALL {
        for chunks in [Chunks::Of(1), Chunks::Random { seed: 3, max: 9 }] {
            let plan = Plan::default().chunk(Way::Down, chunks.clone()).chunk(Way::Up, chunks);
            let (dialer, _links) = host.dialer().through(move |_| plan.clone());
            let mut reader = Reader::connect(transport, &Target::new(dialer, "/e"), Place::Earliest).await;
            assert_eq!(events(&reader.collect_until(Seen::caught_up).await), truth(&tiny), "{transport:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_moves_the_place_to_its_to_and_a_gapped_open_does_not() {
    let tiny = Tiny { lost_to: Some(cursor(7)), ..Tiny::of(ENTRIES) };
    let host = Host::new(tiny.service());
    let target = Target::new(host.dialer(), "/events");
    for transport in Transport::ALL {
        let mut reader = Reader::connect(transport, &target, Place::After(cursor(2))).await;
        let seen = reader.collect_until(|seen| matches!(seen, Seen::Open { .. } | Seen::Gap(_))).await;
        if let Some(Seen::Open { cursor: came, outcome, .. }) = seen.last() {
            assert_eq!((came, outcome.as_str()), (&cursor(2), "gap"));
            assert_eq!(reader.place(), &Place::After(cursor(2)));
            reader.collect_until(|seen| matches!(seen, Seen::Gap(_))).await;
        }
        assert_eq!(reader.place(), &Place::After(cursor(7)), "{transport:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_poll_is_answered_304_and_an_idle_long_poll_204() {
    let tiny = Tiny::of(2);
    let host = Host::new(tiny.service());
    for (transport, status) in [(Transport::Poll, 304), (Transport::LongPoll, 204)] {
        let mut reader = Reader::connect(transport, &Target::new(host.dialer(), "/e"), Place::Earliest).await;
        let seen = reader.collect_until(|seen| matches!(seen, Seen::Status { .. })).await;
        assert!(
            matches!(seen.last(), Some(Seen::Status { status: s, .. }) if s.as_u16() == status),
            "{seen:?}"
        );
        assert_eq!((events(&seen).len(), reader.place()), (2, &Place::After(cursor(2))));
    }
    let asked = tiny.asked.lock().unwrap();
    assert!(asked.last().unwrap().get("prefer").is_some_and(|prefer| prefer == "wait=25"));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_with_their_body_and_end_the_reader() {
    let host = Host::new(tower::service_fn(|_: ::http::Request<hyper::body::Incoming>| async {
        ::http::Response::builder().status(503).header("retry-after", "7").body("away".to_owned())
    }));
    for transport in Transport::ALL {
        let mut reader = Reader::connect(transport, &Target::new(host.dialer(), "/e"), Place::Live).await;
        let Some(Seen::Refused { status, headers, body }) = reader.next().await else {
            panic!("{transport:?}")
        };
        assert_eq!((status.as_u16(), headers["retry-after"].as_bytes()), (503, b"7".as_slice()));
        assert!(transport == Transport::WebSocket || body == "away");
        assert_eq!((reader.next().await, reader.over()), (None, Some(&Over::Clean)));
        assert_eq!(reader.place(), &Place::Live, "a refusal costs no place");
    }
}

#[tokio::test]
async fn real_sockets_and_a_killed_host() {
    let tiny = Tiny::of(ENTRIES);
    let tcp = TcpHost::bind(Host::new(tiny.service())).await.unwrap();
    let target = Target::new(tcp.dialer(), "/e");
    for transport in [Transport::Sse, Transport::WebSocket] {
        let mut reader = Reader::connect(transport, &target, Place::Earliest).await;
        assert_eq!(events(&reader.collect_until(Seen::caught_up).await), truth(&tiny));
        drop(reader);
    }
    tcp.host().all_gone().await;
    let mut sse = Reader::connect(Transport::Sse, &target, Place::Earliest).await;
    let mut ws = Reader::connect(Transport::WebSocket, &target, Place::Earliest).await;
    assert_eq!(tcp.host().open(), 2);
    tcp.host().kill();
    for reader in [&mut sse, &mut ws] {
        reader.collect_until(|_| false).await;
        assert!(matches!(reader.over(), Some(Over::Cut(_))), "{reader:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_answers_finish_and_takes_no_more() {
    for protocol in [Protocol::Http1, Protocol::Auto] {
        let host = Host::with(protocol, Tiny::of(ENTRIES).service());
        let (idle, mut sse) = (host.connect(), {
            let target = Target::new(host.dialer(), "/e");
            Reader::connect(Transport::Sse, &target, Place::Earliest).await
        });
        host.shutdown();
        tokio::task::yield_now().await;
        assert!(sse.collect_until(Seen::caught_up).await.iter().any(Seen::caught_up), "{protocol:?}");
        assert!(tokio::time::timeout(Duration::from_secs(9), sse.next()).await.is_err(), "it is not cut");
        host.kill();
        assert_eq!(sse.next().await, None);
        host.all_gone().await;
        drop(idle);
        let late = Reader::connect(Transport::Sse, &Target::new(host.dialer(), "/e"), Place::Live).await;
        assert!(matches!(late.over(), Some(Over::Cut(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_loses_nothing() {
    let tiny = Tiny::of(ENTRIES);
    let host = Host::new(tiny.service());
    for transport in Transport::ALL {
        let (dialer, links) = host.dialer().through(|_| Plan::default().stall(Way::Down, 400));
        let mut reader = Reader::connect(transport, &Target::new(dialer, "/e"), Place::Earliest).await;
        let mut seen = Vec::new();
        let wait = Duration::from_secs(5);
        while let Ok(Some(next)) = tokio::time::timeout(wait, reader.next()).await {
            seen.push(next);
        }
        assert!(events(&seen).len() < ENTRIES as usize);
        let polls = matches!(transport, Transport::Poll | Transport::LongPoll);
        let stalled = if polls {
            reader = reader.resume(Transport::Sse).await;
            links.last()
        } else {
            links.nth(0)
        };
        stalled.unwrap().release(Way::Down);
        seen.extend(reader.collect_until(Seen::caught_up).await);
        assert_eq!(events(&seen), truth(&tiny), "{transport:?}");
    }
}

#[test]
fn what_is_not_the_wire_is_broken() {
    let (good, broken) = ("an honest message", "a broken one");
    for (text, expected) in [
        (r#"{"id":"a.1","event":"$open","data":{"cursor":"a.1","outcome":"fresh","heartbeatMs":1}}"#, good),
        (r#"{"id":"a.1","event":"$open","data":{"cursor":"a.1","outcome":"gap","heartbeatMs":1}}"#, broken),
        (r#"{"event":"$open","data":{"cursor":"a.1","outcome":"gap","heartbeatMs":1}}"#, good),
        (r#"{"event":"$open","data":{"cursor":"a.1","outcome":"resumed","heartbeatMs":1}}"#, broken),
        (r#"{"id":"a.1","event":"$open","data":{"cursor":"a.1","outcome":"new","heartbeatMs":1}}"#, broken),
        (r#"{"id":"a.2","event":"$gap","data":{"reason":"trimmed","from":null,"to":"a.2"}}"#, good),
        (r#"{"id":"a.1","event":"$gap","data":{"reason":"trimmed","from":"a.1","to":"a.2"}}"#, broken),
        (r#"{"id":"a.1","event":"$gap","data":{"reason":"bored","from":null,"to":"a.1"}}"#, broken),
        (r#"{"id":"a.1","event":"$live","data":{"cursor":"a.1"}}"#, good),
        (r#"{"id":"a.1","event":"$ping","data":{"cursor":"a.2"}}"#, broken),
        (r#"{"id":"a.1","event":"$end","data":{"reason":"closed","retry":false}}"#, good),
        (r#"{"id":"a.1","event":"$end","data":{"reason":"closed","retry":"soon"}}"#, broken),
        (r#"{"ref":"7","event":"$reply","error":{"status":405,"title":"no uplink here"}}"#, good),
        (r#"{"id":"a.1","data":null}"#, good),
        (r#"{"id":"a.1"}"#, broken),
        (r#"{"data":1}"#, broken),
        (r#"{"id":"a.1","encoding":"base64","data":"AP8="}"#, good),
        (r#"{"id":"a.1","encoding":"base64","data":"AP8"}"#, broken),
        (r#"{"id":"a.1","encoding":"hex","data":"00ff"}"#, broken),
        (r#"{"id":"a.1","data":1"#, broken),
    ] {
        let seen = wire::message(text);
        assert_eq!(matches!(seen, Seen::Broken(_)), expected == broken, "{text} is {expected}: {seen:?}");
    }
    let event =
        wire::message(r#"{"id":"a.1","event":"x","topic":"t","key":"k","encoding":"base64","data":"AP8="}"#);
    let event = event.event().unwrap();
    assert_eq!((event.name.as_str(), event.data.as_slice(), event.binary), ("x", [0, 255].as_slice(), true));
    assert_eq!((event.topic.as_deref(), event.key.as_deref()), (Some("t"), Some("k")));
    let exact = wire::message(r#"{"id":"a.1","data":{ "b": 1.50,"a":"\u0041" }}"#);
    assert_eq!(exact.event().unwrap().data, br#"{ "b": 1.50,"a":"\u0041" }"#, "JSON stays byte for byte");
    assert_eq!(wire::message(r#"{"id":"a.1","data":"a\nb"}"#).event().unwrap().data, b"a\nb");

    assert!(wire::page(br#"{"events":[],"next":"a.1","upToDate":true,"closed":false}"#).is_ok());
    for page in [
        &br#"{"events":[],"next":"a.1","gap":{"reason":"trimmed","from":null,"to":"a.1"},"upToDate":true,"closed":false}"#[..],
        br#"{"events":[{"id":"a.1","event":"$live","data":{"cursor":"a.1"}}],"next":"a.1","upToDate":true,"closed":false}"#,
        br#"{"events":[],"upToDate":true,"closed":false}"#,
        br#"{"gap":null,"events":[],"next":"a.1","upToDate":true,"closed":false}"#,
    ] {
        assert!(wire::page(page).is_err(), "{}", String::from_utf8_lossy(page));
    }
}

fn blocks(text: &[u8]) -> Vec<Block> {
    Parser::default().feed(text)
}

fn fired(text: &str) -> Vec<(String, String, String)> {
    let fired = blocks(text.as_bytes()).into_iter();
    fired.filter_map(|block| block.event.map(|(name, data)| (name, data, block.last_id))).collect()
}

#[test]
fn event_stream_follows_the_standard() {
    for (text, expected) in [
        ("data: a\n\n", vec![("message", "a", "")]),
        (
            "data: a\r\rdata: b\r\n\r\ndata:c\n\n",
            vec![("message", "a", ""), ("message", "b", ""), ("message", "c", "")],
        ),
        ("\u{FEFF}data: a\n\n", vec![("message", "a", "")]),
        ("\u{FEFF}\u{FEFF}data: a\n\n", vec![]),
        ("data\n\ndata\ndata\n\ndata:", vec![("message", "", ""), ("message", "\n", "")]),
        (": comment\ndata:  two\n\n", vec![("message", " two", "")]),
        ("event: x\nid: 1\ndata: a\n\ndata: b\n\n", vec![("x", "a", "1"), ("message", "b", "1")]),
        (
            "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\n",
            vec![("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")],
        ),
        ("event: lost\n\ndata: a\n\n", vec![("message", "a", "")]),
        ("Data: a\ndata : b\n\n", vec![]),
        ("data: unfinished", vec![]),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|(n, d, i)| (n.to_owned(), d.to_owned(), i.to_owned())).collect();
        assert_eq!(fired(text), expected, "{text:?}");
    }
    let heartbeat = Block { event: None, last_id: "7".to_owned(), sets_id: true };
    assert_eq!(blocks(b": beat\nid: 7\n\n"), [heartbeat], "an id is committed without data");
    assert_eq!(blocks(b"id: 7\ndata: half"), []);
    assert_eq!(blocks(b"data: \xff\n\n")[0].event.as_ref().unwrap().1, "\u{FFFD}");
    let mut parser = Parser::default();
    parser.feed(b"retry: 30\nretry: +4\nretry:\nretry: 5x\n");
    assert_eq!(parser.retry_ms(), Some(30));
}

mod against_a_foreign_parser {
    use eventsource_stream::Eventsource;
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    // eventsource-stream 0.2.3 differs from the standard in five things, kept out of the property and said here:
    // a byte order mark makes it panic (it slices one byte off a character of three); a lone CR at the end of what has
    // arrived waits for the next byte, so a stream ends with LF here; ill-formed UTF-8 is an error; `retry: +5` counts;
    // and its last_event_id() does not move at a block without data, so ids are compared where events are.
    fn lines() -> impl Strategy<Value = String> {
        let value = "[ :a\0ä\u{2028}]{0,4}";
        let line = prop_oneof![
            (
                prop_oneof!["data", "event", "id", "Data", "datax", ""],
                prop_oneof![Just(":"), Just(": ")],
                value
            )
                .prop_map(|(field, colon, value)| format!("{field}{colon}{value}")),
            Just("data".to_owned()),
            Just("id".to_owned()),
            Just(String::new()),
            Just(String::new()),
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        proptest::collection::vec((line, end), 0..24)
            .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect::<String>() + ":\n")
    }

    proptest! {
        #[test]
        fn the_same_events_in_any_pieces(text in lines(), cuts in proptest::collection::vec(1_usize..9, 1..40)) {
            let (mut pieces, mut rest, mut cuts) = (Vec::new(), text.as_bytes(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rest.len().min(cuts.next().unwrap_or(1)));
                pieces.push(piece.to_vec());
                rest = tail;
            }
            let mut parser = Parser::default();
            let ours: Vec<_> = pieces.iter().flat_map(|piece| parser.feed(piece)).collect();
            prop_assert_eq!(&ours, &blocks(text.as_bytes()));
            let ours = ours.into_iter().filter_map(|b| b.event.map(|(name, data)| (name, data, b.last_id)));
            let theirs = stream::iter(pieces.into_iter().map(Ok::<_, ()>)).eventsource().collect::<Vec<_>>();
            let theirs = theirs.now_or_never().unwrap().into_iter().map(|event| {
                let event = event.unwrap();
                (event.event, event.data, event.id)
            });
            prop_assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
        }
    }
}
