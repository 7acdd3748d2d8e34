//! Sessions that are written to together, over real sockets: nobody can tell.

use futures_util::future::join_all;
use realtime_core::{Event, Keep, Log, LogView, Source as _, Start, TopicSet};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::mount::Mount;
use crate::timer::within;
use crate::uplink::NoUplink;
use crate::ws::deflate::{Window, inflate};
use crate::ws::io::Tcp;

struct World {
    log: Log,
    mount: Arc<Mount>,
    listener: TcpListener,
}

/// The peer's end of a session.
struct Client {
    socket: TcpStream,
    read: Vec<u8>,
    session: JoinHandle<()>,
}

fn world(log: Log) -> World {
    let listener = socket();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(8).unwrap();
    World { log, mount: Mount::new(Config::default(), &["test"]), listener }
}

/// One that is soon full.
fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket
}

/// A log that keeps so many.
fn log_of(entries: usize) -> Log {
    Log::builder().keep(TopicSet::all(), Keep::history().entries(entries)).build()
}

fn note(n: u64) -> Event {
    Event::json("n", &n).unwrap()
}

impl World {
    async fn client(&self) -> Client {
        self.reader(self.log.topics(TopicSet::all()), NoUplink, Mode::V1, None).await
    }

    async fn clients(&self, count: usize) -> Vec<Client> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(self.client().await);
        }
        self.settled().await;
        clients
    }

    /// One that has been told that it is live.
    async fn reader<U: Uplink>(
        &self,
        view: LogView,
        uplink: U,
        mode: Mode,
        term: Option<crate::session::Session>,
    ) -> Client {
        self.reader_by(view, uplink, mode, term, None).await
    }

    /// One whose events are deflated by a window.
    async fn deflating(&self, mode: Mode, window: Window) -> Client {
        self.reader_by(self.log.topics(TopicSet::all()), NoUplink, mode, None, Some(window)).await
    }

    async fn reader_by<U: Uplink>(
        &self,
        view: LogView,
        uplink: U,
        mode: Mode,
        term: Option<crate::session::Session>,
        window: Option<Window>,
    ) -> Client {
        let (socket, accepted) =
            tokio::join!(socket().connect(self.listener.local_addr().unwrap()), self.listener.accept());
        let (accepted, _) = accepted.unwrap();
        // As servers do; else small frames wait for an acknowledgement, and a clock that is paused runs on.
        accepted.set_nodelay(true).unwrap();
        let io = Io::Tcp(Tcp::new(accepted));
        let mut permit = self.mount.admit(0).unwrap();
        term.into_iter().for_each(|term| permit.begin(term));
        let config = WebSocketConfig::default();
        let downlink =
            Downlink::new(Box::pin(view.subscribe(Start::Live)), None, permit, false, config.heartbeat);
        let messages = Messages::new(uplink, None, mode);
        let session = Session::new(io, Bytes::new(), downlink, messages, mode, window, config);
        let mut session = session.of(view.as_log());
        let session = tokio::spawn(async move { poll_fn(|cx| session.poll_over(cx)).await });
        let mut client = Client { socket: socket.unwrap(), read: Vec::new(), session };
        if mode == Mode::V1 {
            assert!(client.text().await.contains("$open"));
            assert!(client.text().await.contains("$live"));
        }
        client
    }

    /// Till all tasks have done what they can.
    async fn settled(&self) {
        for _ in 0..1_000 {
            yield_now().await;
        }
    }

    fn publish(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            self.log.publish(note(n)).unwrap();
        }
    }

    fn riders(&self) -> Vec<Option<usize>> {
        self.mount.views.riders()
    }
}

impl Client {
    /// The next frame of the server: its first byte and its payload. None when the connection has ended.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let (head, len) = match self.read.get(1) {
                Some(126) if self.read.len() >= 4 => {
                    (4, usize::from(u16::from_be_bytes([self.read[2], self.read[3]])))
                }
                Some(127) if self.read.len() >= 10 => {
                    (10, u64::from_be_bytes(self.read[2..10].try_into().unwrap()) as usize)
                }
                Some(len @ 0..=125) => (2, usize::from(*len)),
                _ => (usize::MAX, 0),
            };
            if self.read.len() >= head.saturating_add(len) {
                let rest = self.read.split_off(head + len);
                let frame = std::mem::replace(&mut self.read, rest);
                return Some((frame[0], frame[head..].to_vec()));
            }
            if !matches!(self.socket.read_buf(&mut self.read).await, Ok(1..)) {
                assert!(self.read.is_empty(), "cut in the middle of a frame: {:?}", self.read);
                return None;
            }
        }
    }

    /// The next message, inflated if it was deflated, pings left out.
    async fn text(&mut self) -> String {
        loop {
            match self.frame().await {
                Some((TEXT, text)) => return String::from_utf8(text).unwrap(),
                Some((DEFLATED, text)) => {
                    return String::from_utf8(inflate(&text, 1 << 20).unwrap()).unwrap();
                }
                Some((0x89, _)) => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// The next event's number.
    async fn number(&mut self) -> u64 {
        let text = self.text().await;
        number(&text).unwrap_or_else(|| panic!("no event: {text}"))
    }

    async fn numbers(&mut self, expected: impl IntoIterator<Item = u64>) {
        for n in expected {
            assert_eq!(self.number().await, n);
        }
    }

    async fn send(&mut self, first: u8, payload: &str) {
        self.socket.write_all(&frame(first, payload)).await.unwrap();
    }
}

fn number(text: &str) -> Option<u64> {
    let (_, data) = text.split_once("\"event\":\"n\",\"data\":")?;
    data.trim_start_matches('[').split([',', '}']).next()?.parse().ok()
}

fn deliveries(world: &World) -> u64 {
    world.mount.stats().of("test").unwrap().deliveries
}

#[tokio::test(start_paused = true)]
async fn those_who_read_the_same_are_written_to_together() {
    let world = world(Log::new());
    let mut clients = world.clients(100).await;
    assert_eq!(world.riders(), [Some(100)]);
    world.publish(1..=3);
    world.settled().await;
    world.publish(4..=4);
    for client in &mut clients {
        client.numbers(1..=4).await;
    }
    world.settled().await;
    assert_eq!((world.riders(), deliveries(&world)), (vec![Some(100)], 400));
    let bytes = world.mount.stats().of("test").unwrap().bytes;
    drop(clients);
    world.settled().await;
    assert_eq!((world.mount.views.len(), world.mount.readers()), (0, 0), "nothing is left behind");
    assert!(bytes > 400 * 60, "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn one_alone_reads_for_itself_until_somebody_comes_and_when_the_last_other_has_gone() {
    let world = world(Log::new());
    let mut first = world.client().await;
    world.settled().await;
    world.publish(1..=1);
    first.numbers(1..=1).await;
    assert_eq!(world.riders(), [None]);
    let mut second = world.client().await;
    world.settled().await;
    assert_eq!(world.riders(), [Some(2)]);
    world.publish(2..=2);
    first.numbers(2..=2).await;
    second.numbers(2..=2).await;
    drop(second);
    world.settled().await;
    assert_eq!(world.riders(), [None]);
    world.publish(3..=3);
    first.numbers(3..=3).await;
}

#[tokio::test(start_paused = true)]
async fn readers_of_other_topics_and_in_other_forms_share_nothing() {
    let world = world(Log::new());
    let all = || world.log.topics(TopicSet::all());
    let _a = world.reader(all(), NoUplink, Mode::V1, None).await;
    let _b = world.reader(all(), NoUplink, Mode::Bare, None).await;
    let _c = world.reader(world.log.topic("c"), NoUplink, Mode::V1, None).await;
    world.settled().await;
    assert_eq!(world.riders(), [None; 3]);
    assert_eq!(world.mount.views.len(), 3);
}

const DEFLATED: u8 = 0xC1;

/// Every third one so short that it is not deflated.
fn varied(n: u64) -> Event {
    let mut random = fastrand::Rng::with_seed(n);
    let bytes = if n.is_multiple_of(3) { 20 } else { 2_000 };
    let text: String = (0..bytes).map(|_| char::from(b'a' + random.u8(..16))).collect();
    Event::json("n", &(n, text)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn those_by_deflate_and_those_without_read_the_same_each_from_a_driver_of_its_format() {
    for mode in [Mode::V1, Mode::Bare] {
        let world = world(log_of(1_000));
        let plain = world.reader(world.log.topics(TopicSet::all()), NoUplink, mode, None).await;
        let mut clients = vec![(plain, TEXT)];
        for window in [Window::Full, Window::Full, Window::Narrow, Window::Narrow] {
            clients.push((world.deflating(mode, window).await, DEFLATED));
        }
        world.settled().await;
        let mut riders = world.riders();
        riders.sort();
        assert_eq!((riders, world.mount.views.len()), (vec![None, Some(2), Some(2)], 3));
        for n in 1..=60 {
            world.log.publish(varied(n)).unwrap();
            let said = String::from_utf8(varied(n).payload().bytes().to_vec()).unwrap();
            let mut bytes = Vec::new();
            for (client, by) in &mut clients {
                let (first, payload) = client.frame().await.unwrap();
                bytes.push(payload.len());
                let is_short = n.is_multiple_of(3);
                assert_eq!(first, if is_short { TEXT } else { *by }, "{n}");
                let text = if first == TEXT { payload } else { inflate(&payload, 1 << 20).unwrap() };
                let text = String::from_utf8(text).unwrap();
                match mode {
                    Mode::Bare => assert_eq!(text, said),
                    Mode::V1 => {
                        assert!(text.ends_with(&format!("\"event\":\"n\",\"data\":{said}}}")), "{text}")
                    }
                }
            }
            // To the byte what its fellow gets, and less than who is without, where it is deflated.
            assert!(bytes[1] == bytes[2] && bytes[3] == bytes[4], "{bytes:?}");
            assert_eq!(bytes[1] < bytes[0], !n.is_multiple_of(3), "{bytes:?}");
        }
        world.settled().await;
        let mut riders = world.riders();
        riders.sort();
        assert_eq!((riders, deliveries(&world)), (vec![None, Some(2), Some(2)], 5 * 60));
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_deflated_frame_holds_up_nobody_and_loses_nothing() {
    let world = world(log_of(1_000));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(world.deflating(Mode::V1, Window::Full).await);
    }
    world.settled().await;
    assert_eq!(world.riders(), [Some(3)]);
    let mut stalled = clients.pop().unwrap();
    for n in FLOOD {
        world.log.publish(varied(n)).unwrap();
        for client in &mut clients {
            client.numbers([n]).await;
        }
    }
    assert_eq!(world.riders(), [Some(2)], "the third was put off");
    stalled.numbers(FLOOD).await;
    world.settled().await;
    assert_eq!(world.riders(), [Some(3)], "and has boarded again");
    assert_eq!(deliveries(&world), 3 * FLOOD.count() as u64);
}

/// Whoever is answered alights in the middle of what is written, and boards again.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_alights_and_boards_again_loses_nothing_and_gets_nothing_twice() {
    // All of it is kept: a machine that is busy elsewhere leaves readers far behind.
    let keep = Keep::history().entries(2_000);
    let world = world(Log::builder().keep(TopicSet::all(), keep).build());
    let echo = || uplink_fn(|_: Inbound| async { "heard" });
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(world.reader(world.log.topics(TopicSet::all()), echo(), Mode::V1, None).await);
    }
    let log = world.log.clone();
    let publisher = tokio::spawn(async move {
        for n in 1..=2_000 {
            log.publish(note(n)).unwrap();
            if n % 7 == 0 {
                yield_now().await;
            }
        }
    });
    let read = clients.into_iter().enumerate().map(|(i, mut client)| async move {
        let (mut next, mut sent, mut heard) = (1, 0, 0);
        while next <= 2_000 || heard < sent {
            let text = client.text().await;
            match number(&text) {
                Some(n) => {
                    assert_eq!(n, next);
                    next += 1;
                    if n % (20 + i as u64) == 0 {
                        client.send(TEXT, r#"{"ref":1,"event":"m","data":1}"#).await;
                        sent += 1;
                    }
                }
                None if text.contains("heard") => heard += 1,
                None => panic!("{text}"),
            }
        }
        assert!(sent > 10);
        client
    });
    let clients = within(Duration::from_secs(60), join_all(read.map(tokio::spawn))).await.expect("in time");
    publisher.await.unwrap();
    assert_eq!(deliveries(&world), 40 * 2_000);
    for client in clients {
        let Client { socket, session, .. } = client.unwrap();
        drop(socket);
        session.await.unwrap();
    }
    assert_eq!(world.mount.views.len(), 0);
}

/// More than the buffers of a socket hold.
const FLOOD: std::ops::RangeInclusive<u64> = 1..=400;

fn large(n: u64) -> Event {
    Event::json("n", &(n, "x".repeat(4_000))).unwrap()
}

impl World {
    /// Publishes more than a socket holds, and reads it from all but the one that takes nothing.
    async fn flood(&self, reading: &mut [Client]) {
        for n in FLOOD {
            self.log.publish(large(n)).unwrap();
            for client in &mut *reading {
                client.numbers([n]).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_holds_up_nobody_and_loses_nothing() {
    let world = world(log_of(1_000));
    let mut clients = world.clients(3).await;
    let mut stalled = clients.pop().unwrap();
    world.flood(&mut clients).await;
    assert_eq!(world.riders(), [Some(2)], "the third was put off");
    stalled.numbers(FLOOD).await;
    world.settled().await;
    assert_eq!(world.riders(), [Some(3)], "and has boarded again");
    assert_eq!(deliveries(&world), 3 * FLOOD.count() as u64);
    assert_eq!(world.mount.stats().of("test").unwrap().evictions, 0);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_evicted_after_the_same_wait() {
    let world = world(log_of(1_000));
    let mut clients = world.clients(3).await;
    let mut stalled = clients.pop().unwrap();
    world.flood(&mut clients).await;
    let stalls = Instant::now();
    (&mut stalled.session).await.unwrap();
    let waited = stalls.elapsed();
    assert!(waited <= WebSocketConfig::default().write_wait, "{waited:?}");
    assert!(waited >= WebSocketConfig::default().write_wait - Duration::from_secs(1), "{waited:?}");
    assert_eq!(world.mount.stats().of("test").unwrap().evictions, 1);
    assert_eq!(world.riders(), [Some(2)]);
}

/// Whole frames up to some event, the gap, and all that is kept behind it.
#[tokio::test(start_paused = true)]
async fn who_takes_nothing_while_the_log_moves_on_is_told_of_the_gap() {
    let world = world(log_of(10));
    let mut clients = world.clients(3).await;
    let mut stalled = clients.pop().unwrap();
    world.flood(&mut clients).await;
    let (mut next, mut gaps) = (1, 0);
    while next <= *FLOOD.end() {
        let text = stalled.text().await;
        match number(&text) {
            Some(n) if n == next => next += 1,
            _ => {
                assert!(text.contains("$gap") && text.contains("overflow"), "{text}");
                gaps += 1;
                next = FLOOD.end() - 9;
            }
        }
    }
    assert_eq!(gaps, 1);
    world.settled().await;
    world.publish(401..=401);
    stalled.numbers(401..=401).await;
    assert_eq!((world.riders(), world.mount.stats().of("test").unwrap().gaps), (vec![Some(3)], 1));
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_the_source_is_told_to_each() {
    let world = world(Log::new());
    let mut clients = world.clients(5).await;
    world.publish(1..=1);
    world.settled().await;
    world.log.publish_gap().unwrap();
    world.publish(2..=2);
    for client in &mut clients {
        client.numbers(1..=1).await;
        let gap = client.text().await;
        assert!(gap.contains("$gap") && gap.contains("\"source\""), "{gap}");
        client.numbers(2..=2).await;
    }
    world.settled().await;
    assert_eq!((world.riders(), world.mount.stats().of("test").unwrap().gaps), (vec![Some(5)], 5));
}

#[tokio::test(start_paused = true)]
async fn a_close_in_the_middle_of_a_burst_is_answered_between_two_frames() {
    let world = world(log_of(1_000));
    let mut clients = world.clients(30).await;
    let mut leaving = clients.pop().unwrap();
    world.publish(1..=50);
    yield_now().await;
    leaving.send(CLOSE, "").await;
    world.publish(51..=100);
    let mut next = 1;
    let close = loop {
        match leaving.frame().await.expect("a Close is answered") {
            (TEXT, text) => {
                assert_eq!(number(std::str::from_utf8(&text).unwrap()), Some(next));
                next += 1;
            }
            close => break close,
        }
    };
    assert_eq!(close, (CLOSE, Vec::new()));
    assert_eq!(leaving.frame().await, None, "nothing comes behind it");
    leaving.session.await.unwrap();
    for client in &mut clients {
        client.numbers(1..=100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_finds_everybody_who_rides() {
    let world = world(Log::new());
    let mut clients = world.clients(100).await;
    world.publish(1..=1);
    let handle = crate::handle::Handle::new(world.mount.clone());
    let drained = tokio::spawn(async move { handle.drain(Duration::from_secs(10)).await });
    for client in &mut clients {
        client.numbers(1..=1).await;
        let end = client.text().await;
        assert!(end.contains("$end") && end.contains("drain"), "{end}");
        let (first, close) = client.frame().await.unwrap();
        let place = world.log.tail().to_string();
        assert_eq!((first, &close[..2], &close[2..]), (CLOSE, &1001_u16.to_be_bytes()[..], place.as_bytes()));
        client.send(CLOSE, "").await;
    }
    let drained = drained.await.unwrap();
    assert_eq!((drained.told, drained.left, world.mount.views.len()), (100, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_a_rider_whose_session_has_ended() {
    let world = world(Log::new());
    let (revocable, revoke) = crate::session::Session::revocable();
    let short = crate::session::Session::expires_in(Duration::from_secs(5));
    let all = || world.log.topics(TopicSet::all());
    let mut clients = world.clients(2).await;
    let mut revoked = world.reader(all(), NoUplink, Mode::V1, Some(revocable)).await;
    let mut expired = world.reader(all(), NoUplink, Mode::V1, Some(short)).await;
    world.settled().await;
    assert_eq!(world.riders(), [Some(4)]);
    world.publish(1..=1);
    world.settled().await;
    let place = world.log.tail().to_string();
    revoke.revoke();
    world.publish(2..=2);
    tokio::time::advance(Duration::from_secs(5)).await;
    world.publish(3..=3);
    for (client, had) in [(&mut revoked, 1), (&mut expired, 2)] {
        client.numbers(1..=had).await;
        let end = client.text().await;
        assert!(end.contains("$end") && end.contains("expired"), "{end}");
        let (first, close) = client.frame().await.unwrap();
        assert_eq!((first, &close[..2]), (CLOSE, &4401_u16.to_be_bytes()[..]));
        assert_eq!(close[2..] == *place.as_bytes(), had == 1);
    }
    for client in &mut clients {
        client.numbers(1..=3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_source_is_told_to_each() {
    let world = world(Log::new());
    let mut clients = world.clients(5).await;
    world.publish(1..=1);
    world.log.close();
    for client in &mut clients {
        client.numbers(1..=1).await;
        assert!(client.text().await.contains("closed"));
        assert_eq!(client.frame().await.map(|(first, _)| first), Some(CLOSE));
    }
}

/// One beat for all, counted from what was written last; the place moves past what the readers do not read.
#[tokio::test(start_paused = true)]
async fn silence_is_never_longer_than_the_heartbeat_and_tells_the_place() {
    let world = world(Log::new());
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(world.reader(world.log.topic("quiet"), NoUplink, Mode::V1, None).await);
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    world.settled().await;
    assert_eq!(world.riders(), [Some(3)]);
    for beat in 1..=2 {
        world.publish(1..=1);
        let begun = Instant::now();
        for client in &mut clients {
            let ping = client.text().await;
            assert!(ping.contains("$ping") && ping.contains(&world.log.tail().to_string()), "{ping}");
        }
        let silent = begun.elapsed();
        let longest = WebSocketConfig::default().heartbeat;
        assert!(silent <= longest && silent >= longest - Duration::from_secs(6), "{beat}: {silent:?}");
    }
    assert_eq!((world.riders(), deliveries(&world)), (vec![Some(3)], 0));
}

#[tokio::test(start_paused = true)]
async fn a_rider_that_gives_no_sign_of_life_is_found_in_the_same_time() {
    let world = world(Log::new());
    let begun = Instant::now();
    let mut clients = world.clients(3).await;
    let mut answering = clients.pop().unwrap();
    let answers = tokio::spawn(async move {
        while let Some((first, payload)) = answering.frame().await {
            if first == 0x89 {
                answering.send(0x8A, std::str::from_utf8(&payload).unwrap()).await;
            }
        }
    });
    for client in clients {
        client.session.await.unwrap();
    }
    let config = WebSocketConfig::default();
    assert_eq!(begun.elapsed(), config.ping + config.pong_wait);
    assert!(!answers.is_finished());
    assert_eq!((world.mount.readers(), world.riders()), (1, vec![None]));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_dropped_while_they_ride_leave_nothing_behind() {
    let world = world(Log::new());
    let mut clients = world.clients(20).await;
    world.publish(1..=100);
    yield_now().await;
    for client in clients.drain(..19) {
        client.session.abort();
    }
    clients[0].numbers(1..=100).await;
    world.settled().await;
    assert_eq!((world.mount.readers(), world.riders()), (1, vec![None]));
}
