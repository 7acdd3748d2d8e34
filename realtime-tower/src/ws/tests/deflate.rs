//! permessage-deflate: what is agreed on, what a client may send, and what we send, each beside its twin.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, Method, Version};
use realtime_core::{Cursor, Entry, Event};

use super::{LIMITS, Outcome, masked};
use crate::ws::deflate::{DEFLATE_BYTES_MIN, Refused, Window, deflate, deflated_bytes_max, inflate};
use crate::ws::inbound::{Assembler, InboundLimits, Item};
use crate::ws::messages::Mode;
use crate::ws::{codec, frames, handshake};

const DEFLATED_TEXT: u8 = 0xC1;
const DEFLATED_TEXT_OPEN: u8 = 0x41;
const DEFLATED_BINARY: u8 = 0xC2;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// "Hello" as RFC 7692, section 7.2.3, has it: in one block, in a stored one, as a stream that ends, and in two blocks.
const HELLO: [&[u8]; 4] = [
    &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
    &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
    &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
];

/// What another side deflates: as much as it takes, without the four bytes behind it.
fn foreign(plain: &[u8], level: u32) -> Vec<u8> {
    let mut state = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(2 * plain.len() + 100);
    state.compress_vec(plain, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// What another side, with a window of so many bits, makes of ours.
fn foreign_inflate(deflated: &[u8], window_bits: u8) -> Vec<u8> {
    let mut state = Decompress::new_with_window_bits(false, window_bits);
    let whole = [deflated, &[0, 0, 0xff, 0xff]].concat();
    let mut plain = Vec::with_capacity(1 << 20);
    let status = state.decompress_vec(&whole, &mut plain, FlushDecompress::Sync).unwrap();
    assert_eq!((status, state.total_in()), (Status::Ok, whole.len() as u64));
    plain
}

fn read<'a>(limits: InboundLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut inbound, mut outcome) = (Assembler::new(limits).with_deflate(), Outcome::default());
    for piece in pieces {
        inbound.feed(piece);
        loop {
            match inbound.next_item() {
                Ok(None) => break,
                Ok(Some(item)) => outcome.items.push(item),
                Err(why) => outcome.violation = Some(why),
            }
        }
    }
    assert!(outcome.violation.is_some() || inbound.held_bytes() == 0, "nothing is held between messages");
    outcome
}

/// Cut at every byte, it comes to these items and this refusal.
#[track_caller]
fn check(rule: &str, wire: &[u8], items: &[Item], violation: Option<u16>) {
    for cut in 0..=wire.len() {
        let Outcome { items: found, violation: why } = read(LIMITS, [&wire[..cut], &wire[cut..]]);
        assert_eq!(found, items, "{rule}, cut at {cut}");
        assert_eq!(why.map(|why| why.code), violation, "{rule}, cut at {cut}: {why:?}");
    }
}

fn text(text: &str) -> Item {
    Item::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn frames_of(parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
}

/// A number that no stream of deflate can be guessed from.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.u8(..)).collect()
}

/// Blocks of the dynamic kind that have nothing in them but their tables: 90 bits each, and the dearest to read.
fn tables(bytes: usize) -> Vec<u8> {
    // What block, how many lengths; the lengths of the code of lengths, for 18 and 1; 256 zeros, one, one; the end.
    let fields = [(0b100, 3), (0, 5), (0, 5), (14, 4)].into_iter();
    let fields = fields.chain((0..18).map(|at| (u32::from(at == 2 || at == 17), 3)));
    let fields = fields.chain([(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]);
    let block: Vec<bool> =
        fields.flat_map(|(value, bits)| (0..bits).map(move |bit| value >> bit & 1 == 1)).collect();
    assert_eq!(block.len(), 90);
    let mut all = block.into_iter().cycle();
    (0..bytes).map(|_| (0..8).map(|bit| u8::from(all.next() == Some(true)) << bit).sum()).collect()
}

#[test]
fn the_first_offer_that_can_be_kept_is_agreed_on() {
    const NO_CONTEXT: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let with = |bits: &str| format!("{NO_CONTEXT}; server_max_window_bits={bits}");
    let pmd = |parameters: &str| format!("permessage-deflate{parameters}");
    let rows: Vec<(String, Option<String>)> = vec![
        (pmd(""), Some(NO_CONTEXT.into())),
        (pmd("; client_max_window_bits"), Some(NO_CONTEXT.into())),
        (pmd("; client_max_window_bits=8"), Some(NO_CONTEXT.into())),
        (pmd("; client_max_window_bits=\"15\""), Some(NO_CONTEXT.into())),
        (pmd(";server_no_context_takeover ; client_no_context_takeover"), Some(NO_CONTEXT.into())),
        (pmd("; server_max_window_bits=15"), Some(with("15"))),
        (pmd("; server_max_window_bits=14"), Some(with("9"))),
        (pmd("; server_max_window_bits=9"), Some(with("9"))),
        (pmd("; server_max_window_bits=\"1\\0\""), Some(with("9"))),
        (pmd("; server_max_window_bits=8"), None),
        (pmd("; server_max_window_bits=7"), None),
        (pmd("; server_max_window_bits=16"), None),
        (pmd("; server_max_window_bits=010"), None),
        (pmd("; server_max_window_bits=09"), None),
        (pmd("; server_max_window_bits=1e1"), None),
        (pmd("; server_max_window_bits=115"), None),
        (pmd("; server_max_window_bits"), None),
        (pmd("; client_max_window_bits=16"), None),
        (pmd("; client_max_window_bits=0"), None),
        (pmd("; server_no_context_takeover=1"), None),
        (pmd("; client_no_context_takeover=true"), None),
        (pmd("; server_no_context_takeover; server_no_context_takeover"), None),
        (pmd("; client_max_window_bits; client_max_window_bits=9"), None),
        (pmd("; unknown"), None),
        (pmd("; __proto__=1"), None),
        ("permessage-bzip2".into(), None),
        ("x-webkit-deflate-frame, permessage-deflate".into(), Some(NO_CONTEXT.into())),
        (format!("{}, {}", pmd("; unknown"), pmd("; server_max_window_bits=9")), Some(with("9"))),
        (format!("{}, {}", pmd("; server_max_window_bits=8"), pmd("")), Some(NO_CONTEXT.into())),
        (format!("{}, {}", pmd(""), pmd("; server_max_window_bits=9")), Some(NO_CONTEXT.into())),
    ];
    for (offer, expected) in rows {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("host", "a.example"),
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-extensions", &offer),
            ] {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let method = if version == Version::HTTP_2 { Method::CONNECT } else { Method::GET };
            let handshake = handshake::check(&method, version, &headers).unwrap();
            let answer = handshake.deflate.map(|agreed| agreed.answer.to_owned());
            assert_eq!(answer, expected, "P-PD-01, P-PD-02: {offer} {version:?}");
        }
    }
}

#[test]
fn a_message_may_be_deflated_and_need_not() {
    for hello in HELLO {
        check("P-PD-04", &masked(DEFLATED_TEXT, hello), &[text("Hello")], None);
    }
    check("P-PD-04 plain", &masked(0x81, b"Hello"), &[text("Hello")], None);
    check("P-PD-04 empty", &masked(DEFLATED_TEXT, &[0]), &[text("")], None);
    check("P-PD-04 nothing", &masked(DEFLATED_TEXT, &[]), &[text("")], None);
    check("P-PD-04 ends at once", &masked(DEFLATED_TEXT, &HELLO[2][..7]), &[text("Hello")], None);
    let again = [HELLO[2], HELLO[0]].concat();
    check("P-PD-04 goes on behind its end", &masked(DEFLATED_TEXT, &again[..]), &[], Some(1007));
    let aligned = [&HELLO[2][..7], HELLO[0]].concat();
    check("P-PD-04 goes on behind its end", &masked(DEFLATED_TEXT, &aligned), &[text("HelloHello")], None);
}

#[test]
fn a_stream_that_goes_on_behind_its_end_may_refer_to_what_came_before() {
    // P-PD-04: "Hello" that ends, and a block that copies five bytes from five bytes back.
    let copy = {
        let mut state = Compress::new(Compression::best(), false);
        let mut out = Vec::with_capacity(1000);
        state.compress_vec(b"Hello", &mut out, FlushCompress::Sync).unwrap();
        let begun = out.len();
        state.compress_vec(b"Hello", &mut out, FlushCompress::Sync).unwrap();
        out[begun..out.len() - 4].to_vec()
    };
    assert!(copy.len() < 6, "it is no literal: {copy:02x?}");
    let wire = [&HELLO[2][..7], &copy].concat();
    check("P-PD-04", &masked(DEFLATED_TEXT, &wire), &[text("HelloHello")], None);
    check("P-PD-04 nothing to refer to", &masked(DEFLATED_TEXT, &copy), &[], Some(1007));
}

#[test]
fn the_bit_stands_on_the_first_frame_of_a_message_only() {
    let [hello, ..] = HELLO;
    let wire =
        frames_of(&[(DEFLATED_TEXT_OPEN, &hello[..3]), (0x89, b"p"), (MORE, b""), (LAST, &hello[3..])]);
    check("P-PD-03", &wire, &[Item::Ping(Bytes::from_static(b"p")), text("Hello")], None);
    for (first, rest) in [(0x40, "continuation"), (0xC0, "last"), (0xC9, "ping"), (0xC8, "close")] {
        let wire = frames_of(&[(DEFLATED_TEXT_OPEN, &hello[..3]), (first, &hello[3..])]);
        check(rest, &wire, &[], Some(1002));
    }
    // The twin: a plain message behind a deflated one is plain.
    let both = frames_of(&[(DEFLATED_TEXT, hello), (0x81, b"Hello"), (DEFLATED_TEXT, hello)]);
    check("P-PD-03", &both, &[text("Hello"), text("Hello"), text("Hello")], None);
    // Not agreed on.
    let found = super::read(LIMITS, [&masked(DEFLATED_TEXT, hello)[..]]);
    assert_eq!((found.items.len(), found.violation.map(|why| why.code)), (0, Some(1002)));
}

#[test]
fn a_stream_that_was_cut_or_is_none_is_1007() {
    for level in [0, 1, 6, 9] {
        let plain: Vec<u8> = (0..200_u8).map(|n| b"abcdefgh"[usize::from(n % 7)] ^ (n / 50)).collect();
        let deflated = foreign(&plain, level);
        assert_eq!(inflate(&deflated, 300), Ok(plain.clone()));
        for cut in 1..deflated.len() {
            match inflate(&deflated[..cut], 300) {
                Err(why) => assert_eq!(why, Refused::Invalid, "level {level}, cut at {cut}"),
                Ok(part) => {
                    assert_eq!((level, cut, part.len()), (0, 1, 0), "nothing but an empty message is whole")
                }
            }
        }
    }
    check("P-PD-04", &masked(DEFLATED_TEXT, &[0x06]), &[], Some(1007));
    check("P-PD-04", &masked(DEFLATED_BINARY, b"\xff\xff\xff"), &[], Some(1007));
    check(
        "P-PD-04 not stripped",
        &masked(DEFLATED_TEXT, &[HELLO[0], &[0, 0, 0xff, 0xff]].concat()),
        &[],
        Some(1007),
    );
}

#[test]
fn text_is_checked_once_it_is_inflated() {
    let wire = foreign("grün".as_bytes(), 6);
    check("P-WF-07", &masked(DEFLATED_TEXT, &wire), &[text("grün")], None);
    for bad in [&b"gr\xff"[..], b"gr\xc3"] {
        check("P-WF-07", &masked(DEFLATED_TEXT, &foreign(bad, 6)), &[], Some(1007));
        let bytes = Item::Binary(Bytes::copy_from_slice(bad));
        check("P-WF-07", &masked(DEFLATED_BINARY, &foreign(bad, 6)), &[bytes], None);
    }
}

#[test]
fn the_limit_counts_inflated_bytes() {
    // P-PD-06: at, below and above it.
    for (bytes, is_read) in [(299, true), (300, true), (301, false), (1_000_000, false)] {
        let plain = vec![b'x'; bytes];
        let (items, code) =
            if is_read { (vec![Item::Binary(plain.clone().into())], None) } else { (vec![], Some(1009)) };
        check("P-PD-06", &masked(DEFLATED_BINARY, &foreign(&plain, 6)), &items, code);
    }
    // What does not deflate is longer than what it holds, and is read all the same.
    let plain = noise(300);
    for level in [0, 1] {
        let deflated = foreign(&plain, level);
        assert!(deflated.len() > plain.len());
        check("P-PD-06", &masked(DEFLATED_BINARY, &deflated), &[Item::Binary(plain.clone().into())], None);
    }
    // A head alone is refused where no payload needs so many bytes.
    let bytes = deflated_bytes_max(300) + 1;
    let head = masked(DEFLATED_BINARY, &vec![0; bytes])[..8].to_vec();
    assert_eq!(read(LIMITS, [&head[..]]).violation.map(|why| why.code), Some(1009));
}

#[test]
fn a_bomb_is_refused_soon() {
    // A-07, under the limit that is there by default.
    let limits = InboundLimits::default();
    let bytes_max = deflated_bytes_max(limits.message_bytes_max);
    let one = |block: &[u8]| block.repeat(bytes_max / block.len());
    let zeros = foreign(&vec![0; 60 << 20], 9)[..bytes_max.min(60_000)].to_vec();
    let rows = [
        ("zeros", zeros, 1009),
        ("10,000 stored blocks of nothing", [0, 0, 0, 0xff, 0xff].repeat(10_000), 1009),
        ("empty fixed blocks", one(&[0x02, 0x08, 0x20, 0x80, 0x00]), 1009),
        ("streams that end", one(&[0x03, 0x00]), 1009),
        ("tables", tables(bytes_max), 1009),
    ];
    for (what, payload, code) in rows {
        let frame = masked(DEFLATED_BINARY, &payload);
        // The shortest of some: whoever else runs on the machine is no cost of ours.
        let times = std::array::from_fn::<_, 5, _>(|_| {
            let begun = Instant::now();
            let found = read(limits, [&frame[..]]);
            let took = begun.elapsed();
            assert_eq!((found.items.len(), found.violation.map(|why| why.code)), (0, Some(code)), "{what}");
            took
        });
        let took = times.into_iter().min().unwrap();
        assert!(took < Duration::from_millis(50), "{what}: {took:?}");
    }
    // Their twin: as many bytes that hold something.
    let plain = noise(limits.message_bytes_max);
    let found = read(limits, [&masked(DEFLATED_BINARY, &foreign(&plain, 1))[..]]);
    assert_eq!(found, Outcome { items: vec![Item::Binary(plain.into())], violation: None });
}

#[test]
fn what_we_deflate_another_side_inflates_by_the_window_that_was_agreed_on() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut gained = 0;
    for round in 0..400 {
        let bytes = random.usize(..if round % 10 == 0 { 200_000 } else { 2_000 });
        let words = random.usize(1..40);
        let plain: Vec<u8> =
            (0..bytes).map(|n| if random.u8(..4) == 0 { random.u8(..) } else { (n % words) as u8 }).collect();
        for (window, bits) in [(Window::Full, 15), (Window::Narrow, 9)] {
            let Some(deflated) = deflate(&plain, window) else { continue };
            gained += 1;
            assert!(deflated.len() < plain.len() && plain.len() >= DEFLATE_BYTES_MIN);
            assert_eq!(foreign_inflate(&deflated, bits), plain, "round {round}");
            assert_eq!(inflate(&deflated, plain.len()), Ok(plain.clone()), "round {round}");
            assert_eq!(inflate(&deflated, plain.len() - 1), Err(Refused::TooBig), "round {round}");
        }
    }
    assert!(gained > 400, "{gained}");
    assert_eq!(deflate(&[7; DEFLATE_BYTES_MIN - 1], Window::Full), None);
    assert!(deflate(&[7; DEFLATE_BYTES_MIN], Window::Full).is_some());
    assert_eq!(deflate(&noise(1000), Window::Full), None);
}

#[test]
fn an_event_is_deflated_once_and_stands_alone() {
    // P-PD-05: no context is taken over, so the second is the first's equal.
    for (mode, first) in [(Mode::V1, 0xC1), (Mode::Bare, 0xC1)] {
        let event = Event::text("note", "again and ".repeat(100)).unwrap();
        let entries = [1, 1].map(|position| Entry::new(Cursor::new(7, position), event.clone()));
        let (format, encode) = frames::of(mode, Some(Window::Full));
        let frame = entries[0].encoded(format, encode);
        assert_eq!(frame, entries[1].encoded(format, encode));
        assert_eq!(frame.as_ptr(), entries[0].encoded(format, encode).as_ptr(), "one for all");
        let (plain_format, plain) = frames::of(mode, None);
        let plain = entries[0].encoded(plain_format, plain);
        assert_eq!((frame[0], plain[0]), (first, 0x81));
        assert!(frame.len() * 4 < plain.len(), "{} of {}", frame.len(), plain.len());
        let payload = |frame: &Bytes| frame.slice(codec::head_len(frame)..);
        assert_eq!(foreign_inflate(&payload(&frame), 15), payload(&plain));
    }
    let short = Entry::new(Cursor::new(7, 1), Event::text("note", "hi").unwrap());
    let (_, encode) = frames::of(Mode::Bare, Some(Window::Narrow));
    assert_eq!(encode(&short), codec::text(b"hi"));
}
