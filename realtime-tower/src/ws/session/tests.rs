mod riding;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use realtime_core::Opened;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;
use crate::config::Config;
use crate::fixture::{Script, at, events, feed, permit};
use crate::uplink::{Inbound, uplink_fn};
use crate::ws::deflate::{self, Window};

/// A session that has opened, the peer's end of its connection, and what its feed is told by.
fn session<U: Uplink>(
    uplink: U,
    mode: Mode,
    buffer_bytes: usize,
) -> (Session<impl Feed, U>, DuplexStream, Script) {
    session_by(None, uplink, mode, buffer_bytes)
}

/// The same by permessage-deflate, where a window is named.
fn session_by<U: Uplink>(
    window: Option<Window>,
    uplink: U,
    mode: Mode,
    buffer_bytes: usize,
) -> (Session<impl Feed, U>, DuplexStream, Script) {
    let (ours, theirs) = duplex(buffer_bytes);
    let (script, feed) = feed();
    let (_, permit) = permit(Config::default());
    let downlink = Downlink::new(feed, Some(Opened::new(at(0))), permit, false, Duration::from_secs(15));
    let messages = Messages::new(uplink, None, mode);
    let config = WebSocketConfig::default();
    (Session::new(Io::Test(ours), Bytes::new(), downlink, messages, mode, window, config), theirs, script)
}

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length <= 125).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload.as_bytes()].concat()
}

const CLOSE: u8 = 0x88;
const TEXT: u8 = 0x81;

/// A handler that begins when it is called, and ends when the test says so.
type Held = Arc<Mutex<Option<oneshot::Receiver<()>>>>;

fn held() -> (impl Uplink, oneshot::Sender<()>, Arc<AtomicUsize>) {
    let (go, gone) = oneshot::channel();
    let (held, done) = (Held::new(Mutex::new(Some(gone))), Arc::<AtomicUsize>::default());
    let counted = done.clone();
    let uplink = uplink_fn(move |_: Inbound| {
        let (gone, done) = (held.lock().unwrap().take(), counted.clone());
        async move {
            if let Some(gone) = gone {
                let _ = gone.await;
            }
            done.fetch_add(1, Ordering::Relaxed);
            "done"
        }
    });
    (uplink, go, done)
}

/// A handler that answers at once, and how often it has.
fn counting() -> (impl Uplink, Arc<AtomicUsize>) {
    let handled = Arc::<AtomicUsize>::default();
    let counted = handled.clone();
    let uplink = uplink_fn(move |_: Inbound| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { "heard" }
    });
    (uplink, handled)
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_is_taken_in() {
    let (uplink, handled) = counting();
    let (mut session, peer, _script) = session(uplink, Mode::Bare, 1 << 20);
    let (mut answers, mut flood) = tokio::io::split(peer);
    flood.write_all(&frame(TEXT, "").repeat(100_000)).await.unwrap();
    tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
    while handled.load(Ordering::Relaxed) < 100_000 {
        poll_fn(|cx| Poll::Ready(session.poll_over(cx).is_ready())).await;
        let bytes = session.assembler.held_bytes();
        assert!(bytes <= 16 * 1024, "{bytes} are held");
        yield_now().await;
    }
}

/// Deflated, 64 KiB are a hundred bytes: so many of them fit into what is read at once.
#[tokio::test(start_paused = true)]
async fn a_turn_is_bounded_by_what_messages_hold_and_not_by_what_they_weigh() {
    let (uplink, handled) = counting();
    let (mut session, peer, _script) = session_by(Some(Window::Full), uplink, Mode::Bare, 1 << 20);
    let bytes = session.downlink.permit().config().message_bytes_max;
    let deflated = deflate::deflate(&vec![b' '; bytes], Window::Full).unwrap();
    let (mut answers, mut flood) = tokio::io::split(peer);
    let head = [TEXT | 0x40, 0x80 | u8::try_from(deflated.len()).unwrap(), 0, 0, 0, 0];
    flood.write_all(&[&head[..], &deflated].concat().repeat(100)).await.unwrap();
    tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
    while handled.load(Ordering::Relaxed) < 100 {
        let before = handled.load(Ordering::Relaxed);
        poll_fn(|cx| Poll::Ready(session.poll_over(cx).is_ready())).await;
        let taken = (handled.load(Ordering::Relaxed) - before) * bytes;
        assert!(taken <= TAKEN_BYTES_MAX + bytes, "{taken} bytes in one turn");
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_close_is_handled() {
    let (uplink, go, done) = held();
    let (mut session, mut peer, _script) = session(uplink, Mode::Bare, 1 << 16);
    peer.write_all(&[frame(TEXT, "a"), frame(TEXT, "b"), frame(CLOSE, "")].concat()).await.unwrap();
    let session = tokio::spawn(async move { poll_fn(|cx| session.poll_over(cx)).await });
    let mut said = Vec::new();
    peer.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, [CLOSE, 0], "the peer waits for no handler, and is not answered behind the Close");
    assert_eq!(done.load(Ordering::Relaxed), 0);
    go.send(()).unwrap();
    session.await.unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 2);
}

/// RFC 6455, section 7.1.7: what comes behind the broken frame is not looked at; what came whole before it is.
#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_broken_frame_is_answered_first_and_for_a_while() {
    let broken = [frame(TEXT, "a"), frame(0xF1, "x"), frame(TEXT, "b")].concat();
    for is_answered in [true, false] {
        let (uplink, go, done) = held();
        let (mut session, mut peer, script) = session(uplink, Mode::Bare, 1 << 16);
        peer.write_all(&broken).await.unwrap();
        let start = Instant::now();
        let session = tokio::spawn(async move { poll_fn(|cx| session.poll_over(cx)).await });
        yield_now().await;
        script.send(events(1..=1)).unwrap();
        let mut go = Some(go);
        if is_answered {
            tokio::time::sleep(Duration::from_secs(1)).await;
            go.take().unwrap().send(()).unwrap();
        }
        let mut said = Vec::new();
        peer.read_to_end(&mut said).await.unwrap();
        let reply: &[u8] = if is_answered { &[0x81, 4, b'd', b'o', b'n', b'e'] } else { &[] };
        assert_eq!(said[..reply.len()], *reply);
        let [first, length, code @ ..] = &said[reply.len()..] else { panic!("no Close: {said:?}") };
        assert_eq!(
            (*first, usize::from(*length)),
            (CLOSE, code.len()),
            "no event, no second answer: {said:?}"
        );
        assert_eq!(code[..2], 1002_u16.to_be_bytes());
        assert_eq!(done.load(Ordering::Relaxed), usize::from(is_answered));
        let waited = if is_answered { Duration::from_secs(1) } else { WebSocketConfig::default().close_wait };
        assert_eq!(start.elapsed(), waited);
        drop(peer);
        session.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_is_dropped_a_while_after_a_close() {
    let (uplink, _go, done) = held();
    let (mut session, mut peer, _script) = session(uplink, Mode::Bare, 1 << 16);
    peer.write_all(&[frame(TEXT, "a"), frame(CLOSE, "")].concat()).await.unwrap();
    let start = Instant::now();
    poll_fn(|cx| session.poll_over(cx)).await;
    assert_eq!((start.elapsed(), done.load(Ordering::Relaxed)), (WebSocketConfig::default().close_wait, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_goes_on_while_its_peer_takes_nothing() {
    let (uplink, go, done) = held();
    let (mut session, mut peer, script) = session(uplink, Mode::Bare, 64);
    peer.write_all(&frame(TEXT, "a")).await.unwrap();
    let session = tokio::spawn(async move { poll_fn(|cx| session.poll_over(cx)).await });
    yield_now().await;
    script.send(events(1..=200)).unwrap();
    yield_now().await;
    go.send(()).unwrap();
    yield_now().await;
    assert_eq!(done.load(Ordering::Relaxed), 1, "it may hold what others wait for");
    drop(script);
    let mut said = Vec::new();
    peer.read_to_end(&mut said).await.unwrap_or_default();
    assert_eq!(said.windows(6).filter(|frame| frame == b"\x81\x04done").count(), 1, "the reply waited");
    session.abort();
}

#[tokio::test(start_paused = true)]
async fn a_handler_goes_on_behind_our_own_close() {
    let (uplink, go, done) = held();
    let (mut session, mut peer, script) = session(uplink, Mode::Bare, 1 << 16);
    peer.write_all(&frame(TEXT, "a")).await.unwrap();
    let session = tokio::spawn(async move { poll_fn(|cx| session.poll_over(cx)).await });
    yield_now().await;
    drop(script);
    yield_now().await;
    go.send(()).unwrap();
    yield_now().await;
    assert_eq!(done.load(Ordering::Relaxed), 1);
    peer.write_all(&frame(CLOSE, "")).await.unwrap();
    session.await.unwrap();
}
