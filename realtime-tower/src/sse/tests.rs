//! The bytes of an event stream, exactly.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use proptest::prelude::*;
use realtime_core::envelope::{Control, EndReason};
use realtime_core::{Event, Gap, GapReason, Log, Opened, Topic};
use tower_service::Service as _;

use super::codec;
use super::config::Data;
use crate::fixture::{at, entry, signed};
use crate::signed::CursorForm;
use crate::{Body, Realtime, Session};

/// Cursors as they are.
fn plain() -> CursorForm {
    CursorForm::default()
}

fn text(event: Event) -> String {
    String::from_utf8(codec::payload(&entry(12, event)).to_vec()).unwrap()
}

fn id() -> String {
    at(12).to_string()
}

#[test]
fn an_event_is_its_id_its_name_and_its_data() {
    let id = id();
    let cases = [
        (
            Event::json("tick", &serde_json::json!({ "n": 12 })),
            format!("id: {id}\nevent: tick\ndata: {{\"n\":12}}\n\n"),
        ),
        // The default name has no line.
        (Event::json("message", &1), format!("id: {id}\ndata: 1\n\n")),
        (Event::text("message", "plain"), format!("id: {id}\ndata: plain\n\n")),
        // One that looks like a field, or begins with a space, is data all the same.
        (Event::text("a: b", " id: 7"), format!("id: {id}\nevent: a: b\ndata:  id: 7\n\n")),
        (Event::binary("blob", vec![0, 255, 10]), format!("id: {id}\nevent: blob\ndata: AP8K\n\n")),
    ];
    for (event, bytes) in cases {
        assert_eq!(text(event.unwrap()), bytes);
    }
}

#[test]
fn every_line_has_a_field_of_its_own_and_each_end_of_a_line_is_one() {
    let cases = [
        ("", "data: \n"),
        ("a", "data: a\n"),
        ("a\nb", "data: a\ndata: b\n"),
        ("a\rb", "data: a\ndata: b\n"),
        ("a\r\nb", "data: a\ndata: b\n"),
        ("a\n\nb", "data: a\ndata: \ndata: b\n"),
        ("a\r\rb", "data: a\ndata: \ndata: b\n"),
        ("a\n\rb", "data: a\ndata: \ndata: b\n"),
        ("a\r\n\r\nb", "data: a\ndata: \ndata: b\n"),
        ("\n", "data: \ndata: \n"),
        ("a\n", "data: a\ndata: \n"),
        ("\r\n", "data: \ndata: \n"),
        ("data: x\n\nid: 7", "data: data: x\ndata: \ndata: id: 7\n"),
        ("\u{2028}\u{85}", "data: \u{2028}\u{85}\n"),
    ];
    for (payload, data) in cases {
        let expected = format!("id: {}\n{data}\n", id());
        assert_eq!(text(Event::text("message", payload).unwrap()), expected, "{payload:?}");
    }
}

#[test]
fn an_envelope_is_one_line_with_the_id_inside_and_out() {
    let event = Event::text("note", "a\nb").unwrap().with_topic(Topic::new("t").unwrap());
    let bytes = codec::in_envelope(&entry(12, event));
    let id = id();
    let data = format!(r#"{{"id":"{id}","event":"note","topic":"t","data":"a\nb"}}"#);
    assert_eq!(bytes, format!("id: {id}\nevent: note\ndata: {data}\n\n"));
}

#[test]
fn controls_repeat_a_place_and_an_open_with_a_gap_has_none() {
    let (c, to) = (at(2), at(8));
    let gap = Gap::new(GapReason::Trimmed, Some(c), to);
    let open = |opened, resumed| Control::Open { opened, resumed, heartbeat: Duration::from_secs(15) };
    let cases = [
        (
            open(Opened::new(c), true),
            format!(
                "id: {c}\nevent: $open\ndata: {{\"cursor\":\"{c}\",\"outcome\":\"resumed\",\"heartbeatMs\":15000}}\n\n"
            ),
        ),
        (
            open(Opened::new(c).with_gap(gap), true),
            format!(
                "event: $open\ndata: {{\"cursor\":\"{c}\",\"outcome\":\"gap\",\"heartbeatMs\":15000}}\n\n"
            ),
        ),
        (
            Control::Gap(gap),
            format!(
                "id: {to}\nevent: $gap\ndata: {{\"reason\":\"trimmed\",\"from\":\"{c}\",\"to\":\"{to}\"}}\n\n"
            ),
        ),
        (Control::Live(to), format!("id: {to}\nevent: $live\ndata: {{\"cursor\":\"{to}\"}}\n\n")),
        (Control::Ping(to), format!("id: {to}\nevent: $ping\ndata: {{\"cursor\":\"{to}\"}}\n\n")),
    ];
    for (control, bytes) in cases {
        assert_eq!(codec::control(&control, Data::Payload, &plain()), bytes);
    }
}

#[test]
fn a_stream_begins_beats_and_ends_as_browsers_want_it() {
    let c = at(2);
    assert_eq!(codec::preamble(Duration::from_millis(2000)), "retry: 2000\n");
    assert_eq!(codec::beat(Some(c), &plain()), format!(":\nid: {c}\n\n"));
    assert_eq!(codec::beat(None, &plain()), ":\n\n");
    let end = |cursor, reason, retry| {
        let end = Control::End { cursor, reason, retry };
        String::from_utf8(codec::end(&end, retry, Data::Payload, &plain()).to_vec()).unwrap()
    };
    assert_eq!(
        end(Some(c), EndReason::Closed, None),
        format!("id: {c}\nevent: $end\ndata: {{\"reason\":\"closed\",\"retry\":false}}\n\n")
    );
    assert_eq!(
        end(None, EndReason::Drain, Some(Duration::from_millis(1500))),
        "retry: 1500\nevent: $end\ndata: {\"reason\":\"drain\",\"retry\":1500}\n\n"
    );
}

#[test]
fn a_signed_block_is_the_same_with_the_readers_ids_and_what_follows_them_is_shared() {
    let cursors = signed();
    let long = "x".repeat(1000);
    for position in [12, u128::MAX] {
        for (name, text) in [("message", "a\nb"), ("tick", ""), ("note", &long)] {
            let entry = entry(position, Event::text(name, text).unwrap());
            for (form, block) in [
                (Data::Payload, codec::payload(&entry)),
                (Data::PayloadOrBase64, codec::payload(&entry)),
                (Data::Envelope, codec::in_envelope(&entry)),
            ] {
                let (ids, rest) = codec::signed(&entry, &block, form, &cursors);
                let whole = String::from_utf8([ids, rest.clone()].concat()).unwrap();
                let (plain, tagged) = (at(position).to_string(), cursors.text(at(position)));
                assert_eq!(whole, String::from_utf8_lossy(&block).replace(&plain, &tagged));
                assert!(block.as_ptr_range().contains(&rest.as_ptr()), "shared");
                let (ids, _) = codec::signed(&entry, &block, form, &cursors);
                let bytes = ids.len();
                assert_eq!(ids.try_into_mut().unwrap().capacity(), bytes, "one allocation, none to spare");
            }
        }
    }
    assert_eq!(codec::beat(Some(at(2)), &cursors), format!(":\nid: {}\n\n", cursors.text(at(2))));
    for form in [Data::Payload, Data::Envelope] {
        let gap = Control::Gap(Gap::new(GapReason::Trimmed, Some(at(2)), at(8)));
        let plain = codec::control(&gap, form, &plain());
        let tagged = String::from_utf8_lossy(&plain)
            .replace(&at(2).to_string(), &cursors.text(at(2)))
            .replace(&at(8).to_string(), &cursors.text(at(8)));
        assert_eq!(codec::control(&gap, form, &cursors), tagged);
    }
}

/// What a reader from the beginning is handed, piece by piece, up to where it would wait.
/// A stream from the first event on.
async fn stream(log: &Log, session: Option<Session>) -> Body {
    let mut request = Request::get("/?offset=-1").header("accept", "text/event-stream");
    if let Some(extensions) = request.extensions_mut() {
        session.map(|session| extensions.insert(session));
    }
    let mut service = Realtime::new(log.clone());
    service.call(request.body(Body::empty()).unwrap()).await.unwrap().into_body()
}

/// The pieces with events that it has at once.
fn taken(body: &mut Body) -> Vec<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut pieces = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) = http_body::Body::poll_frame(Pin::new(body), &mut cx) {
        pieces.push(frame.into_data().unwrap());
    }
    // Controls have a name.
    pieces.retain(|piece| piece.starts_with(b"id: ") && !piece.windows(8).any(|text| text == b"event: $"));
    pieces
}

async fn pieces(log: &Log, session: Option<Session>) -> Vec<Bytes> {
    taken(&mut stream(log, session).await)
}

#[tokio::test(start_paused = true)]
async fn events_that_are_there_leave_together_whole_and_in_order() {
    let forever = || Some(Session::expires_in(Duration::from_secs(3600)));
    for (count, bytes, together) in [(1, 10, 1), (16, 128, 1), (3, 3_000, 3), (3, 1_900, 2), (2, 40_000, 2)] {
        let log = Log::new();
        let text = "x".repeat(bytes);
        let blocks: Vec<_> = (0..count)
            .map(|n| {
                let text = format!("{n}{text}");
                let cursor = log.publish(Event::text("message", &*text).unwrap()).unwrap();
                format!("id: {cursor}\ndata: {text}\n\n")
            })
            .collect();
        let pieces = pieces(&log, None).await;
        assert_eq!(pieces.len(), together, "{count} of {bytes}");
        assert!(pieces.iter().all(|piece| piece.starts_with(b"id: ") && piece.ends_with(b"\n\n")));
        assert_eq!(pieces.concat(), blocks.concat().as_bytes());
        // Each is looked at before it is said, where a session may end in between.
        let limited = self::pieces(&log, forever()).await;
        assert_eq!(limited, blocks);
        // One alone is shared by all who read it.
        let again = self::pieces(&log, forever()).await;
        assert!(limited.iter().zip(&again).all(|(one, other)| one.as_ptr() == other.as_ptr()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_holds_one_copy_and_else_what_is_shared() {
    let log = Log::new();
    let burst = || {
        for n in 0..8 {
            log.publish(Event::json("message", &n).unwrap()).unwrap();
        }
    };
    let mut body = stream(&log, None).await;
    let mut held = Vec::new();
    for pieces in [1, 8, 8] {
        burst();
        let taken = taken(&mut body);
        assert_eq!(taken.len(), pieces);
        held.extend(taken);
    }
    let shared = pieces(&log, Some(Session::expires_in(Duration::from_secs(3600)))).await;
    assert!(held[1..].iter().zip(&shared[8..]).all(|(one, other)| one.as_ptr() == other.as_ptr()));
    // The host has written them, and looks for more.
    drop(held);
    assert_eq!(taken(&mut body), Vec::<Bytes>::new());
    burst();
    assert_eq!(taken(&mut body).len(), 1);
}

/// What a client makes of a block: WHATWG HTML, section 9.2.6, for one event.
fn read_back(block: &str) -> (Option<String>, Option<String>, String) {
    let (mut id, mut event, mut data) = (None, None, Vec::new());
    for line in block.replace("\r\n", "\n").split(['\n', '\r']) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "id" => id = Some(value),
            "event" => event = Some(value),
            "data" => data.push(value),
            _ => assert_eq!(field, ""),
        }
    }
    (id, event, data.join("\n"))
}

proptest! {
    #[test]
    fn any_text_reads_back_with_its_line_ends_as_lf(payload in "[a-c: \r\n\u{feff}é]{0,40}", name in "[a-z: ]{1,8}") {
        let block = text(Event::text(name.clone(), payload.clone()).unwrap());
        prop_assert_eq!(block.matches("\n\n").count(), 1, "one block");
        let (id, event, data) = read_back(&block);
        prop_assert_eq!(id, Some(self::id()));
        prop_assert_eq!(event, Some(name));
        prop_assert_eq!(data, payload.replace("\r\n", "\n").replace('\r', "\n"));
    }
}
