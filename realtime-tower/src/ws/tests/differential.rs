//! Our reader beside tungstenite's, on the same bytes: well-formed sequences, and the same with something broken.

use super::foreign::{self, Relation};
use super::{LIMITS, masked, read};
use crate::ws::codec::code;

/// Text of one to three bytes a character, often empty, now and then long enough for a 16-bit length.
fn words(random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes_max = *random.choice(&[0, 1, 5, 30, 125, LIMITS.message_bytes_max]).unwrap();
    let mut text = String::new();
    while text.len() + 3 <= bytes_max {
        text.push(random.char('\u{20}'..'\u{20ff}'));
    }
    text.into_bytes()
}

fn control(random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes = *random.choice(&[0, 1, 2, 30, 124, 125]).unwrap();
    let payload: Vec<u8> = (0..bytes).map(|_| random.u8(..)).collect();
    masked(*random.choice(&[0x89, 0x8A]).unwrap(), &payload)
}

fn close(random: &mut fastrand::Rng) -> Vec<u8> {
    let code: u16 = *random.choice(&[1000, 1001, 1003, 1011, 1013, 3000, 4999]).unwrap();
    let body = [&code.to_be_bytes()[..], "done é".as_bytes()].concat();
    masked(0x88, if random.bool() { &body } else { b"" })
}

/// Some frames that a well-behaved client could send.
fn sequence(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 0..random.usize(1..5) {
        let whole = words(random);
        let opcode = *random.choice(&[0x1, 0x2]).unwrap();
        let parts = random.usize(1..=LIMITS.fragments_max as usize);
        let mut rest = &whole[..];
        for part in 1..=parts {
            let take = if part == parts { rest.len() } else { random.usize(..=rest.len()) };
            let first = if part == 1 { opcode } else { 0 } | if part == parts { 0x80 } else { 0 };
            frames.push(masked(first, &rest[..take]));
            rest = &rest[take..];
            if random.u8(..3) == 0 {
                frames.push(control(random));
            }
        }
    }
    if random.u8(..3) == 0 {
        frames.push(close(random));
    }
    frames
}

/// Breaks something: a bit of a head, a byte anywhere, the number, the order, the end.
fn broken(random: &mut fastrand::Rng, mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    for _ in 0..random.usize(1..3) {
        let at = random.usize(..frames.len());
        let len = frames[at].len();
        match random.u8(..6) {
            kind @ 0..=1 if len > 1 => frames[at][usize::from(kind)] ^= 1 << random.u8(..8),
            2 if len > 0 => frames[at][random.usize(..len)] = random.u8(..),
            3 => frames.insert(at, frames[at].clone()),
            4 => frames.swap(0, at),
            _ => frames[at].truncate(random.usize(..=len)),
        }
    }
    frames.concat()
}

fn pieces<'a>(random: &mut fastrand::Rng, mut wire: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !wire.is_empty() {
        let (piece, rest) = wire.split_at(random.usize(1..=wire.len().min(40)));
        pieces.push(piece);
        wire = rest;
    }
    pieces
}

#[derive(Default, Debug)]
struct Seen {
    read: u32,
    refused: u32,
    refused_by_another_name: u32,
    excused: u32,
}

fn compare(seed: u64, random: &mut fastrand::Rng, wire: &[u8], seen: &mut Seen) {
    let ours = read(LIMITS, [wire]);
    assert_eq!(read(LIMITS, pieces(random, wire)), ours, "seed {seed}: cut otherwise: {wire:02x?}");
    match foreign::compare(ours, wire) {
        Relation::Read => seen.read += 1,
        Relation::Refused => seen.refused += 1,
        Relation::RefusedByAnotherName => {
            seen.refused += 1;
            seen.refused_by_another_name += 1;
        }
        Relation::Excused => seen.excused += 1,
    }
}

#[test]
fn reads_and_refuses_what_another_implementation_does() {
    // P-WF-01 to P-WF-05, P-WF-07
    let mut seen = Seen::default();
    for seed in 0..10_000 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let frames = sequence(random);
        let before = seen.read;
        compare(seed, random, &frames.concat(), &mut seen);
        assert_eq!(seen.read, before + 1, "seed {seed}: a well-formed sequence is read");
        let wire = broken(random, frames);
        compare(seed, random, &wire, &mut seen);
    }
    assert!(seen.read > 10_000 && seen.refused > 5_000, "both sides are reached: {seen:?}");
    assert!(seen.excused < seen.refused / 5, "excuses stay rare: {seen:?}");
    assert!(seen.refused_by_another_name < seen.refused / 20, "the code is mostly the same: {seen:?}");
}

#[test]
fn the_known_differences_are_real() {
    let long_form = [&[0x82, 0xFE, 0, 1][..], &super::KEY, b"x"].concat();
    let mut fragments = masked(0x02, b"");
    for _ in 0..LIMITS.fragments_max {
        fragments.extend(masked(0x00, b""));
    }
    let unfinished = &masked(0x81, b"\xff more")[..7];
    let rows = [
        ("long form", &long_form[..], 1002),
        ("fragments", &fragments, 1008),
        ("unfinished", unfinished, 1007),
    ];
    for (difference, wire, code) in rows {
        assert_eq!(read(LIMITS, [wire]).violation.map(|why| why.code), Some(code), "{difference}");
        assert_eq!(foreign::read(wire).1, None, "{difference}");
    }
    let bad_gateway = masked(0x88, &1014_u16.to_be_bytes());
    assert_eq!(read(LIMITS, [&bad_gateway[..]]).violation, None);
    assert_eq!(foreign::read(&bad_gateway).1, Some(code::PROTOCOL));
}
