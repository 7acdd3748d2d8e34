//! Frames from a client, one rule a row, each refusal beside its passing twin, each cut at every byte.

use bytes::Bytes;

use super::{KEY, LIMITS, Outcome, masked, read, read_cut_anywhere};
use crate::ws::inbound::{Assembler, InboundLimits, Item, Violation};

const TEXT: u8 = 0x81;
const TEXT_OPEN: u8 = 0x01;
const BINARY: u8 = 0x82;
const BINARY_OPEN: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

fn text(text: &str) -> Item {
    Item::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn binary(bytes: &[u8]) -> Item {
    Item::Binary(Bytes::copy_from_slice(bytes))
}

fn closed(code: impl Into<Option<u16>>, reason: &str) -> Item {
    Item::Close { code: code.into(), reason: reason.to_owned() }
}

fn close_body(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// A masked head with a length written as given, whether or not it is the shortest or the truth.
fn head(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first][..], length, &KEY].concat()
}

fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
}

/// `Ok` is what must come out, `Err` the code of the refusal after these items.
#[track_caller]
fn check(rule: &str, wire: &[u8], items: &[Item], violation: Option<u16>) {
    let Outcome { items: found, violation: why } = read_cut_anywhere(LIMITS, wire);
    assert_eq!(found, items, "{rule}");
    assert_eq!(why.map(|why| why.code), violation, "{rule}: {why:?}");
}

#[test]
fn masks_bits_opcodes_and_lengths() {
    let unmasked = |first: u8| vec![first, 0x01, b'a'];
    check("P-WF-01", &masked(TEXT, b"a"), &[text("a")], None);
    check("P-WF-01", &unmasked(TEXT), &[], Some(1002));
    check("P-WF-01", &unmasked(PING), &[], Some(1002));
    check("P-WF-01", &unmasked(CLOSE), &[], Some(1002));
    for rsv in [0x40, 0x20, 0x10, 0x70] {
        for first in [TEXT, BINARY, PING, CLOSE] {
            check("P-WF-02", &masked(first | rsv, b""), &[], Some(1002));
        }
    }
    for opcode in 0x0..=0xF {
        let known = matches!(opcode, 0x1 | 0x2 | 0x8 | 0x9 | 0xA);
        let found = read_cut_anywhere(LIMITS, &masked(0x80 | opcode, b""));
        assert_eq!(found.violation.map(|why| why.code), (!known).then_some(1002), "P-WF-02: {opcode:x}");
        assert_eq!(found.items.len(), usize::from(known), "P-WF-02: {opcode:x}");
    }
    let (b125, b126) = (vec![7; 125], vec![7; 126]);
    check("P-WF-02", &masked(BINARY, &b125), &[binary(&b125)], None);
    check("P-WF-02", &masked(BINARY, &b126), &[binary(&b126)], None);
    check("P-WF-02 non-minimal 16", &head(BINARY, &[0xFE, 0, 125]), &[], Some(1002));
    check("P-WF-02 non-minimal 64", &head(BINARY, &[0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), &[], Some(1002));
    check("P-WF-02 top bit", &head(BINARY, &[0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0]), &[], Some(1002));
}

#[test]
fn sixty_four_bit_lengths_are_read() {
    // P-WF-02: the twins of the refusals above, where a limit lets them through.
    let limits = InboundLimits { message_bytes_max: 70_000, ..LIMITS };
    for bytes in [0xFFFF, 0x1_0000, 70_000] {
        let payload = vec![b'x'; bytes];
        let wire = masked(BINARY, &payload);
        let whole = read(limits, [&wire[..]]);
        assert_eq!(whole, Outcome { items: vec![binary(&payload)], violation: None });
        for piece_bytes in [1, 13, 4096] {
            assert_eq!(read(limits, wire.chunks(piece_bytes)), whole, "{bytes} in pieces of {piece_bytes}");
        }
        for cut in 0..20 {
            assert_eq!(read(limits, [&wire[..cut], &wire[cut..]]), whole, "{bytes} cut at {cut}");
        }
    }
}

#[test]
fn fragments_and_controls_between_them() {
    let a_ping_b = frames(&[(TEXT_OPEN, b"a"), (PING, b"p"), (LAST, b"b")]);
    check("P-WF-03", &a_ping_b, &[Item::Ping(Bytes::from_static(b"p")), text("ab")], None);
    check("P-WF-03", &frames(&[(BINARY_OPEN, b""), (MORE, b""), (LAST, b"")]), &[binary(b"")], None);
    check(
        "P-WF-03",
        &frames(&[(TEXT_OPEN, b"a"), (LAST, b"b"), (TEXT, b"c")]),
        &[text("ab"), text("c")],
        None,
    );
    check("P-WF-03", &frames(&[(TEXT_OPEN, b"a"), (TEXT, b"b")]), &[], Some(1002));
    check("P-WF-03", &frames(&[(BINARY_OPEN, b"a"), (TEXT_OPEN, b"b")]), &[], Some(1002));
    check("P-WF-03", &frames(&[(LAST, b"a")]), &[], Some(1002));
    check("P-WF-03", &frames(&[(MORE, b"a")]), &[], Some(1002));
    check("P-WF-03", &frames(&[(TEXT, b"a"), (LAST, b"b")]), &[text("a")], Some(1002));
}

#[test]
fn controls_are_short_and_whole() {
    let (most, over) = (vec![b'p'; 125], vec![b'p'; 126]);
    check("P-WF-04", &masked(PING, &most), &[Item::Ping(Bytes::from(most.clone()))], None);
    check("P-WF-04", &masked(PONG, &most), &[Item::Pong(Bytes::from(most))], None);
    for first in [PING, PONG, CLOSE] {
        check("P-WF-04", &masked(first, &over), &[], Some(1002));
        check("P-WF-04", &masked(first & 0x7F, b""), &[], Some(1002));
        check("P-WF-04", &head(first, &[0xFF, 0, 0, 0, 0, 0, 1, 0, 0]), &[], Some(1002));
    }
}

#[test]
fn close_bodies() {
    check("P-WF-05", &masked(CLOSE, b""), &[closed(None, "")], None);
    check("P-WF-05", &masked(CLOSE, &close_body(1000, "né".as_bytes())), &[closed(1000, "né")], None);
    let long = "r".repeat(123);
    check("P-WF-05", &masked(CLOSE, &close_body(1001, long.as_bytes())), &[closed(1001, &long)], None);
    check("P-WF-05", &masked(CLOSE, b"\x03"), &[], Some(1002));
    check("P-WF-05", &masked(CLOSE, &close_body(1000, b"n\xc3")), &[], Some(1007));
    let allowed = [1000..=1003, 1007..=1014, 3000..=4999];
    for code in 0..=u16::MAX {
        let fine = allowed.iter().any(|range| range.contains(&code));
        let Outcome { items, violation } = read(LIMITS, [&masked(CLOSE, &code.to_be_bytes())[..]]);
        assert_eq!(items, if fine { vec![closed(code, "")] } else { vec![] }, "P-WF-05: {code}");
        assert_eq!(violation.map(|why| why.code), (!fine).then_some(1002), "P-WF-05: {code}");
    }
}

#[test]
fn nothing_after_a_close_is_interpreted() {
    let after = [frames(&[(TEXT, b"a"), (CLOSE, b""), (TEXT, b"b")]), vec![0xFF; 9]].concat();
    check("P-WF-05", &after, &[text("a"), closed(None, "")], None);
    let in_message = frames(&[(TEXT_OPEN, b"a"), (CLOSE, b""), (LAST, b"b")]);
    check("P-WF-05", &in_message, &[closed(None, "")], None);
    let broken = frames(&[(TEXT, b"\xff"), (TEXT, b"b"), (CLOSE, b"")]);
    check("P-WF-07", &broken, &[], Some(1007));
}

#[test]
fn text_is_utf8_over_all_its_fragments() {
    let word = "κόσμε😀";
    for cut in 0..=word.len() {
        let (head, tail) = word.as_bytes().split_at(cut);
        check(
            "P-WF-07",
            &frames(&[(TEXT_OPEN, head), (PING, b""), (LAST, tail)]),
            &[Item::Ping(Bytes::new()), text(word)],
            None,
        );
        check(
            "P-WF-07",
            &frames(&[(BINARY_OPEN, tail), (LAST, head)]),
            &[binary(&[tail, head].concat())],
            None,
        );
    }
    let wrong: [&[u8]; 7] = [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"a\x80",
        b"\xe2\x82",
    ];
    for wrong in wrong {
        check("P-WF-07", &masked(TEXT, wrong), &[], Some(1007));
        check("P-WF-07", &masked(BINARY, wrong), &[binary(wrong)], None);
        check("P-WF-07", &frames(&[(TEXT_OPEN, b"a"), (MORE, wrong), (LAST, b"b")]), &[], Some(1007));
    }
    check("P-WF-07", &frames(&[(TEXT_OPEN, b"\xe2\x82"), (LAST, b"")]), &[], Some(1007));
    check("P-WF-07", &frames(&[(TEXT_OPEN, b"\xe2\x82"), (LAST, b"\xac")]), &[text("€")], None);
}

/// The index of the byte that brought the violation, when fed one by one.
fn refused_at(limits: InboundLimits, wire: &[u8]) -> Option<(usize, Violation)> {
    let mut inbound = Assembler::new(limits);
    for (index, byte) in wire.iter().enumerate() {
        inbound.feed(&[*byte]);
        loop {
            match inbound.next_item() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(violation) => return Some((index, violation)),
            }
        }
    }
    None
}

#[test]
fn wrong_text_is_refused_at_the_byte_that_proves_it() {
    // P-WF-07, Autobahn 6.4.1 to 6.4.4: the second byte of F4 90 is beyond U+10FFFF, whatever may follow.
    let good = "κόσμε".as_bytes();
    let bad: &[u8] = b"\xf4\x90\x80\x80";
    let rows: [(&str, Vec<u8>, usize); 4] = [
        (
            "6.4.1",
            frames(&[(TEXT_OPEN, good), (MORE, bad), (LAST, b"edited")]),
            masked(MORE, good).len() + 6 + 1,
        ),
        (
            "6.4.2",
            frames(&[(TEXT_OPEN, &[good, b"\xf4"].concat()), (MORE, b"\x90\x80\x80")]),
            6 + good.len() + 1 + 6,
        ),
        ("6.4.3", masked(TEXT, &[good, bad, b"edited"].concat()), 6 + good.len() + 1),
        ("6.4.4", masked(TEXT, &[good, b"\xf4\x90"].concat()), 6 + good.len() + 1),
    ];
    for (case, wire, expected) in rows {
        let (index, violation) = refused_at(LIMITS, &wire).unwrap();
        assert_eq!((index, violation.code), (expected, 1007), "{case}");
    }
    let whole = [good, "\u{10FFFF}".as_bytes(), b"edited"].concat();
    assert_eq!(refused_at(LIMITS, &masked(TEXT, &whole)), None);
}

#[test]
fn a_message_has_at_most_so_many_bytes() {
    // A-08: at, below and above the limit, in one frame and in several.
    let (below, at, above) = (vec![1; 299], vec![1; 300], vec![1; 301]);
    check("A-08", &masked(BINARY, &below), &[binary(&below)], None);
    check("A-08", &masked(BINARY, &at), &[binary(&at)], None);
    check("A-08", &masked(BINARY, &above), &[], Some(1009));
    check("A-08", &frames(&[(BINARY_OPEN, &at[..200]), (LAST, &at[200..])]), &[binary(&at)], None);
    check("A-08", &frames(&[(BINARY_OPEN, &at[..200]), (LAST, &at[199..])]), &[], Some(1009));
    check("A-08", &frames(&[(BINARY, &at), (BINARY, &at)]), &[binary(&at), binary(&at)], None);
    let tiny = InboundLimits { message_bytes_max: 0, fragments_max: 1 };
    let outcome = read(tiny, [&frames(&[(PING, &at[..125]), (TEXT, b""), (TEXT, b"a")])[..]]);
    assert_eq!(outcome.items.len(), 2, "a limit on messages is none on controls");
    assert_eq!(outcome.violation.map(|why| why.code), Some(1009));
}

#[test]
fn a_message_too_big_is_refused_on_its_header() {
    // A-08: nothing of the payload was sent, and nothing was reserved for it.
    let lengths: [&[u8]; 3] = [
        &[0xFE, 0x01, 0x2D],
        &[0xFF, 0, 0, 0, 1, 0, 0, 0, 0],
        &[0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ];
    for length in lengths {
        let mut inbound = Assembler::new(LIMITS);
        inbound.feed(&head(BINARY, length));
        assert_eq!(inbound.next_item().unwrap_err().code, 1009, "{length:02x?}");
        assert_eq!(inbound.held_bytes(), 0, "{length:02x?}");
    }
    // In a later fragment the header alone is within the frame limit, and only the sum is not.
    let wire = [masked(BINARY_OPEN, &[0; 200]), head(LAST, &[0x80 | 101])].concat();
    let (index, violation) = refused_at(LIMITS, &wire).unwrap();
    assert_eq!((index, violation.code), (wire.len() - 1, 1009));
    let mut twin = Assembler::new(LIMITS);
    twin.feed(&[masked(BINARY_OPEN, &[0; 200]), head(LAST, &[0x80 | 100])].concat());
    assert_eq!(twin.next_item(), Ok(None));
    assert!(!twin.is_done());
}

#[test]
fn a_message_has_at_most_so_many_fragments() {
    // A-06: empty ones count, controls between them do not.
    let parts = |more: usize| {
        let mut parts = vec![(TEXT_OPEN, &b""[..])];
        parts.extend(std::iter::repeat_n([(PING, &b""[..]), (MORE, &b""[..])], more).flatten());
        parts.push((LAST, b"z"));
        frames(&parts)
    };
    let pings = |count| std::iter::repeat_n(Item::Ping(Bytes::new()), count);
    check("A-06", &parts(1), &pings(1).chain([text("z")]).collect::<Vec<_>>(), None);
    check("A-06", &parts(2), &pings(2).chain([text("z")]).collect::<Vec<_>>(), None);
    check("A-06", &parts(3), &pings(3).collect::<Vec<_>>(), Some(1008));
    let many = std::iter::once(masked(TEXT_OPEN, b"")).chain(std::iter::repeat_n(masked(MORE, b""), 100_000));
    let flood: Vec<u8> = many.flatten().collect();
    let (index, violation) = refused_at(InboundLimits::default(), &flood).unwrap();
    assert_eq!((index, violation.code), (6 * 129 - 1, 1008), "the 129th fragment");
}

#[test]
fn an_idle_connection_holds_no_heap() {
    let mut inbound = Assembler::new(InboundLimits::default());
    assert_eq!(inbound.held_bytes(), 0);
    let wire =
        frames(&[(PING, b"p"), (TEXT, &[b'a'; 5000]), (TEXT_OPEN, &[b'b'; 400]), (LAST, b"c"), (PONG, b"")]);
    for piece_bytes in [1, 7, 1000, wire.len()] {
        for piece in wire.chunks(piece_bytes) {
            inbound.feed(piece);
            while inbound.next_item().unwrap().is_some() {}
        }
        assert_eq!(inbound.held_bytes(), 0, "after pieces of {piece_bytes}");
    }
    // A head that is cut is kept in the struct, but for its first byte or a part of its length.
    let frame = masked(TEXT, &[b'a'; 300]);
    for (cut, held) in [(0, 0), (1, 8), (2, 0), (3, 8), (4, 0), (5, 0), (8, 0)] {
        let mut inbound = Assembler::new(InboundLimits::default());
        inbound.feed(&frame[..cut]);
        assert_eq!(inbound.next_item(), Ok(None));
        assert!(inbound.held_bytes() <= held, "cut at {cut}: {}", inbound.held_bytes());
    }
}

#[test]
fn a_message_given_away_is_not_held_as_well() {
    // Whether or not more has come behind it: else a slow handler and a slow sender would each keep the other's bytes.
    for tail in [0, 1, 5, 100] {
        let wire = [masked(TEXT, &[b'a'; 200]), masked(TEXT, &[b'b'; 200])[..tail].to_vec()].concat();
        let mut inbound = Assembler::new(LIMITS);
        inbound.feed(&wire);
        let Ok(Some(Item::Text(message))) = inbound.next_item() else { panic!("the first message is whole") };
        assert_eq!(inbound.next_item(), Ok(None));
        assert!(message.is_unique(), "{tail} bytes behind it");
        inbound.feed(&masked(TEXT, &[b'b'; 200])[tail..]);
        assert_eq!(inbound.next_item(), Ok(Some(Item::Text(Bytes::from_static(&[b'b'; 200])))));
    }
}

#[test]
fn a_message_in_parts_holds_no_more_than_twice_the_limit() {
    // A-06: the worst a client can do is to send nearly all of the largest message and stop.
    let limits = InboundLimits::default();
    let wire = frames(&[
        (BINARY_OPEN, &vec![0; limits.message_bytes_max / 2 + 1]),
        (LAST, &vec![0; limits.message_bytes_max / 2 - 1]),
    ]);
    for piece_bytes in [1, 100, 4096] {
        let mut inbound = Assembler::new(limits);
        let mut most = 0;
        for piece in wire[..wire.len() - 1].chunks(piece_bytes) {
            inbound.feed(piece);
            assert_eq!(inbound.next_item(), Ok(None));
            most = most.max(inbound.held_bytes());
        }
        assert!(most <= 2 * limits.message_bytes_max, "{most} in pieces of {piece_bytes}");
        inbound.feed(&wire[wire.len() - 1..]);
        assert!(matches!(inbound.next_item(), Ok(Some(Item::Binary(_)))));
        assert_eq!(inbound.next_item(), Ok(None));
        assert_eq!(inbound.held_bytes(), 0);
    }
}

#[test]
fn after_the_end_everything_is_ignored_and_dropped() {
    for end in [masked(CLOSE, b""), masked(TEXT, b"\xff")] {
        let mut inbound = Assembler::new(LIMITS);
        inbound.feed(&[frames(&[(TEXT_OPEN, b"a")]), end, masked(TEXT, b"b")].concat());
        assert!(!inbound.is_done());
        let _last = inbound.next_item();
        assert!(inbound.is_done());
        assert_eq!(inbound.next_item(), Ok(None));
        inbound.feed(&masked(TEXT, b"c"));
        assert_eq!(inbound.next_item(), Ok(None));
        assert_eq!(inbound.held_bytes(), 0);
    }
}

#[test]
fn the_state_of_a_connection_is_small() {
    assert!(size_of::<Assembler>() <= 256, "{}", size_of::<Assembler>());
}
