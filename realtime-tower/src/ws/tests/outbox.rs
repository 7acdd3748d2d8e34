//! What goes down: whole frames however the writes are cut, a pong between them only, nothing behind a Close.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proptest::prelude::*;
use realtime_core::Cursor;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};

use crate::ws::codec;
use crate::ws::io::Io;
use crate::ws::outbox::Outbox;

/// Takes what has been written, at most `bytes` of it.
fn read(peer: &mut DuplexStream, bytes: usize, into: &mut Vec<u8>) {
    let mut buffer = vec![0; bytes];
    let mut buffer = ReadBuf::new(&mut buffer);
    let mut cx = Context::from_waker(Waker::noop());
    let polled = std::pin::Pin::new(peer).poll_read(&mut cx, &mut buffer);
    assert!(matches!(polled, Poll::Ready(Ok(())) | Poll::Pending));
    into.extend_from_slice(buffer.filled());
}

/// Writes through a connection that takes `step` bytes at a time; `meanwhile` is told how many bytes are out before
/// each write. Returns all that came out at the other end.
fn written(outbox: &mut Outbox, step: usize, mut meanwhile: impl FnMut(&mut Outbox, usize)) -> Vec<u8> {
    let (io, mut peer) = tokio::io::duplex(step);
    let mut io = Io::Test(io);
    let (mut out, mut total) = (Vec::new(), 0);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        meanwhile(outbox, total);
        let mut wrote = 0;
        let polled = outbox.poll_write(&mut io, &mut cx, &mut wrote);
        total += wrote;
        read(&mut peer, step, &mut out);
        match polled {
            Poll::Ready(result) => {
                result.unwrap();
                assert_eq!(out.len(), total, "what it says to have written is what came");
                return out;
            }
            Poll::Pending => assert!(wrote > 0, "a connection with room takes something"),
        }
    }
}

fn cursor(position: u128) -> Cursor {
    Cursor::new(7, position)
}

fn frames(count: usize) -> Vec<Bytes> {
    (0..count).map(|n| codec::text("x".repeat(n * 3).as_bytes())).collect()
}

#[test]
fn partial_writes_lose_and_repeat_nothing() {
    let whole: Vec<u8> = frames(8).concat();
    for step in 1..=whole.len() {
        let mut outbox = Outbox::default();
        frames(8).into_iter().for_each(|frame| outbox.push(frame));
        assert_eq!(written(&mut outbox, step, |_, _| {}), whole, "{step} bytes at a time");
        assert!(outbox.is_empty() && outbox.has_room());
    }
}

#[test]
fn a_pong_stands_between_frames_only() {
    let whole: Vec<u8> = frames(4).concat();
    let pong = codec::pong(b"now");
    let boundaries: Vec<usize> = (0..=4).map(|n| frames(n).concat().len()).collect();
    for at in 0..whole.len() {
        let mut outbox = Outbox::default();
        frames(4).into_iter().for_each(|frame| outbox.push(frame));
        let mut is_asked = false;
        let out = written(&mut outbox, 1, |outbox, out| {
            if out == at && !is_asked {
                is_asked = true;
                outbox.pong(pong.clone());
            }
        });
        // As soon as the frame that has begun is out, before any other.
        let place = *boundaries.iter().find(|boundary| **boundary >= at).unwrap();
        let expected = [&whole[..place], &pong, &whole[place..]].concat();
        assert_eq!(out, expected, "asked after {at} bytes");
    }
}

/// A frame in two pieces, as signed ones are.
fn in_two() -> [Bytes; 2] {
    let frame = codec::text(br#"{"id":"C-tag","data":1}"#);
    [frame.slice(..14), frame.slice(14..)]
}

#[test]
fn a_frame_in_two_pieces_is_one_frame() {
    let frames = || [&[codec::text(b"before")][..], &in_two(), &in_two(), &[codec::text(b"after")]].concat();
    let whole = frames().concat();
    let lengths = frames().iter().map(Bytes::len).collect::<Vec<_>>();
    let ends = [0, 1, 3, 5, 6].map(|n| lengths[..n].iter().sum::<usize>());
    for at in 0..whole.len() {
        for is_close in [false, true] {
            let mut outbox = Outbox::default();
            frames().into_iter().for_each(|piece| outbox.push(piece));
            let (between, mut is_asked) = (codec::pong(b"now"), false);
            let out = written(&mut outbox, 1, |outbox, out| {
                if out == at && !is_asked {
                    is_asked = true;
                    if is_close {
                        outbox.close_now(between.clone());
                    } else {
                        outbox.pong(between.clone());
                    }
                }
            });
            let place = *ends.iter().find(|end| **end >= at).unwrap();
            let rest = if is_close { &[] } else { &whole[place..] };
            assert_eq!(out, [&whole[..place], &between, rest].concat(), "asked after {at} bytes");
        }
    }
}

#[test]
fn each_ping_is_answered_and_of_too_many_the_newest() {
    for (asked, answered) in
        [(1, vec![0]), (16, (0..16).collect()), (18, (0..15).chain([17]).collect::<Vec<u8>>())]
    {
        let mut outbox = Outbox::default();
        (0..asked).for_each(|n| outbox.pong(codec::pong(&[n])));
        assert!(!outbox.is_empty());
        let pongs: Vec<u8> = answered.iter().flat_map(|n| codec::pong(&[*n])).collect();
        for step in 1..=4 {
            let mut outbox = Outbox::default();
            outbox.push(codec::text(b"an event"));
            (0..asked).for_each(|n| outbox.pong(codec::pong(&[n])));
            assert_eq!(
                written(&mut outbox, step, |_, _| {}),
                [&pongs[..], &codec::text(b"an event")].concat()
            );
        }
        assert_eq!(written(&mut outbox, 100, |_, _| {}), pongs);
    }
}

/// A-09: who takes nothing is owed a few pongs, however often it asks and we try.
#[test]
fn pongs_that_could_not_leave_are_bounded() {
    let (ours, _peer) = tokio::io::duplex(2);
    let (mut io, mut wrote) = (Io::Test(ours), 0);
    let mut cx = Context::from_waker(Waker::noop());
    let mut outbox = Outbox::default();
    // Fills the connection, and ends with a frame.
    outbox.push(codec::text(b""));
    assert!(outbox.poll_write(&mut io, &mut cx, &mut wrote).is_ready());
    for n in 0..1000 {
        outbox.pong(codec::pong(format!("{n}").as_bytes()));
        assert!(outbox.poll_write(&mut io, &mut cx, &mut wrote).is_pending());
    }
    let mut expected: Vec<u8> = (0..15).flat_map(|n| codec::pong(format!("{n}").as_bytes())).collect();
    expected.extend_from_slice(&codec::pong(b"999"));
    assert_eq!(written(&mut outbox, 100, |_, _| {}), expected);
}

#[test]
fn nothing_stands_behind_a_close() {
    let mut outbox = Outbox::default();
    outbox.push(codec::text(b"before"));
    outbox.close(codec::close(1000, "C"));
    assert!(!outbox.has_room());
    outbox.push(codec::text(b"after"));
    outbox.pong(codec::pong(b"after"));
    outbox.close(codec::close(1001, "again"));
    outbox.close_now(codec::close(1002, "again"));
    let expected = [codec::text(b"before"), codec::close(1000, "C")].concat();
    assert_eq!(written(&mut outbox, 3, |_, _| {}), expected);
}

#[test]
fn a_close_at_once_finishes_the_frame_that_has_begun_and_drops_the_rest() {
    let all = frames(4);
    let whole = all.concat();
    let close = codec::close(1000, "");
    let ends: Vec<usize> = (1..=4).map(|n| frames(n).concat().len()).collect();
    for at in 0..whole.len() {
        let mut outbox = Outbox::default();
        all.iter().cloned().for_each(|frame| outbox.push(frame));
        let mut is_closed = false;
        let out = written(&mut outbox, 1, |outbox, out| {
            if out == at && !is_closed {
                is_closed = true;
                outbox.pong(codec::pong(b"owed no more"));
                outbox.close_now(close.clone());
            }
        });
        let begun =
            if at == 0 || ends.contains(&at) { at } else { *ends.iter().find(|end| **end > at).unwrap() };
        assert_eq!(out, [&whole[..begun], &close].concat(), "closed after {at} bytes");
    }
}

/// The place that a cut tells is that of the last frame which comes whole, wherever it falls, behind a Close too; a pong moves
/// none.
#[test]
fn a_cut_tells_the_place_of_what_comes_whole() {
    let all = frames(4);
    let close = codec::close(4401, "C");
    let ends: Vec<usize> = (0..=4).map(|n| frames(n).concat().len()).collect();
    for is_closing in [false, true] {
        for at in 0..=ends[4] {
            let mut outbox = Outbox::default();
            outbox.keep_places();
            outbox.leads_to(Some(cursor(0)));
            for (frame, n) in all.iter().cloned().zip(1..) {
                outbox.push(frame);
                outbox.leads_to(Some(cursor(n)));
            }
            if is_closing {
                outbox.close(codec::close(1001, "said too late"));
            }
            let mut place = None;
            let out = written(&mut outbox, 1, |outbox, out| {
                if out == at && place.is_none() {
                    outbox.pong(codec::pong(b"owed no more"));
                    place = outbox.cut();
                    outbox.close(close.clone());
                }
            });
            // Once all is out and nothing waits, there is no moment left to cut in.
            let Some(place) = place else {
                assert!(at == ends[4] && !is_closing, "closing {is_closing}, cut after {at} bytes");
                continue;
            };
            let whole = ends.iter().position(|end| *end >= at).unwrap();
            assert_eq!(
                out,
                [&all[..whole].concat(), &close[..]].concat(),
                "closing {is_closing}, cut after {at} bytes"
            );
            assert_eq!(place, Some(cursor(whole as u128)), "closing {is_closing}, cut after {at} bytes");
        }
    }
}

#[test]
fn who_has_heard_the_close_is_not_cut_off_and_who_waits_is_told_where_he_is() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.cut(), None, "no places were kept");
    outbox.keep_places();
    assert_eq!(outbox.cut(), Some(None), "nothing was said yet");
    outbox.push(codec::text(b"1"));
    outbox.leads_to(Some(cursor(1)));
    written(&mut outbox, 100, |_, _| {});
    outbox.leads_to(Some(cursor(2)));
    assert_eq!(outbox.cut(), Some(Some(cursor(2))), "a place that moved without a frame");
    outbox.close(codec::close(1000, ""));
    written(&mut outbox, 100, |_, _| {});
    assert_eq!(outbox.cut(), None);
}

#[test]
fn it_is_full_at_a_count_and_at_a_weight() {
    let mut outbox = Outbox::default();
    for n in 0..64 {
        assert!(outbox.has_room(), "{n} frames");
        outbox.push(codec::text(b""));
    }
    assert!(!outbox.has_room());
    written(&mut outbox, 1000, |_, _| {});
    assert!(outbox.has_room());
    outbox.push(codec::binary(&vec![0; 64 * 1024 - 11]));
    assert!(outbox.has_room(), "below");
    outbox.push(codec::binary(&[0; 10]));
    assert!(!outbox.has_room(), "beyond");
}

#[test]
fn a_connection_that_takes_nothing_more_is_an_error() {
    let (io, peer) = tokio::io::duplex(8);
    drop(peer);
    let mut outbox = Outbox::default();
    outbox.push(codec::text(b"into the void"));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = outbox.poll_write(&mut Io::Test(io), &mut cx, &mut 0);
    assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Pong(u8),
}

proptest! {
    /// Whatever comes while whatever has gone out: every frame in order, each pong that is there a whole frame
    /// between them.
    #[test]
    fn frames_stay_whole_and_in_order(
        steps in proptest::collection::vec(
            (0usize..200, prop_oneof![(0usize..70).prop_map(Step::Push), any::<u8>().prop_map(Step::Pong)]),
            1..20,
        ),
        room in 1usize..40,
    ) {
        let mut outbox = Outbox::default();
        outbox.push(codec::text(b"first"));
        let mut steps = steps;
        steps.sort_by_key(|(at, _)| *at);
        let mut steps = std::collections::VecDeque::from(steps);
        let mut pushed = vec![codec::text(b"first")];
        let out = written(&mut outbox, room, |outbox, out| {
            while steps.front().is_some_and(|(at, _)| *at <= out) {
                match steps.pop_front() {
                    Some((_, Step::Push(size))) => {
                        let frame = codec::text("y".repeat(size).as_bytes());
                        pushed.push(frame.clone());
                        outbox.push(frame);
                    }
                    Some((_, Step::Pong(byte))) => outbox.pong(codec::pong(&[byte])),
                    None => {}
                }
            }
        });
        let mut rest = &out[..];
        let mut texts = Vec::new();
        while let [first, length, ..] = *rest {
            let (frame, behind) = rest.split_at(2 + usize::from(length));
            match first & 0x0f {
                1 => texts.push(Bytes::copy_from_slice(frame)),
                _ => prop_assert_eq!((first, length), (0x8a, 1)),
            }
            rest = behind;
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(texts, pushed);
    }
}
