//! A-18, D-12 and G-29: an authorisation that ends while it is being used.
//!
//! A layer in front of the mount knows tokens and what each is good for, as an application does. Every way of reading loses
//! its right in mid replay, while it waits, and by a word; nothing comes after that, and whoever comes back with another
//! token has lost nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderValue, Method, Request, header};
use realtime_core::{Event, Keep, Log, TopicSet};
use realtime_tests::client::{Http, Place, Reader, Seen, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Body, Handle, Inbound, Session, builder, uplink_fn};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};

use crate::mount::{Answered, ask};
use crate::raw::{Lines, Raw, frame};

const SECOND: Duration = Duration::from_secs(1);

/// Every way of reading, a bare WebSocket too.
const WAYS: [(Transport, Http, Option<&str>); 10] = [
    (Transport::Poll, Http::One, None),
    (Transport::Poll, Http::Two, None),
    (Transport::LongPoll, Http::One, None),
    (Transport::LongPoll, Http::Two, None),
    (Transport::Sse, Http::One, None),
    (Transport::Sse, Http::Two, None),
    (Transport::WebSocket, Http::One, Some("realtime.v1")),
    (Transport::WebSocket, Http::Two, Some("realtime.v1")),
    (Transport::WebSocket, Http::One, None),
    (Transport::WebSocket, Http::Two, None),
];

type Way = (Transport, Http, Option<&'static str>);

fn is_stream(way: Way) -> bool {
    matches!(way.0, Transport::Sse | Transport::WebSocket)
}

/// A mount behind a layer that knows tokens.
struct App {
    log: Log,
    host: Host,
    handle: Handle,
    tokens: Arc<Mutex<HashMap<&'static str, Session>>>,
    /// Sources that were made, and messages that a handler began with.
    made: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    /// A handler takes one to end.
    may_end: Arc<Semaphore>,
}

impl App {
    fn new() -> Self {
        let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(10_000)).build();
        let (made, begun) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (may_end, tokens) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<HashMap<_, Session>>>::default());
        let (source, counted) = (log.clone(), made.clone());
        let (handled, ends) = (begun.clone(), may_end.clone());
        let (service, handle) = builder()
            .make_source(move |_: Parts| {
                counted.fetch_add(1, Ordering::Relaxed);
                ready(Ok(source.clone()))
            })
            .uplink(uplink_fn(move |_: Inbound| {
                handled.fetch_add(1, Ordering::Relaxed);
                let ends = ends.clone();
                async move {
                    ends.acquire().await.expect("it is never closed").forget();
                    "done"
                }
            }))
            .service();
        let known = tokens.clone();
        let layer = ServiceBuilder::new().map_request(move |mut request: Request<hyper::body::Incoming>| {
            let token = request.headers().get(header::AUTHORIZATION).and_then(|token| token.to_str().ok());
            let session = token.and_then(|token| known.lock().expect("nobody panics").get(token).cloned());
            request.extensions_mut().extend(
                session
                    .map(|session| {
                        let mut extensions = http::Extensions::new();
                        extensions.insert(session);
                        extensions
                    })
                    .unwrap_or_default(),
            );
            request
        });
        // What waits is held by the server, so that a reader that rests is in the middle of its replay.
        let host = Host::with(Protocol::Auto, layer.service(service)).buffer_bytes(4 * 1024);
        Self { log, host, handle, tokens, made, begun, may_end }
    }

    fn grant(&self, token: &'static str, session: Session) {
        self.tokens.lock().expect("nobody panics").insert(token, session);
    }

    fn publish(&self, numbers: std::ops::Range<u64>, bytes: usize) {
        for n in numbers {
            let event = Event::text("n", format!("{n:0>bytes$}")).expect("a name");
            self.log.publish(event).expect("the log is open");
        }
    }

    fn target(&self, way: Way, token: &'static str) -> Target {
        let mut target = Target::new(self.host.dialer(), "/events");
        (target.http, target.subprotocol) = (way.1, way.2);
        target.headers.insert(header::AUTHORIZATION, HeaderValue::from_static(token));
        target
    }

    async fn reader(&self, way: Way, token: &'static str, place: Place) -> Reader {
        Reader::connect(way.0, &self.target(way, token), place).await
    }

    async fn post(&self, token: &'static str) -> Answered {
        let target = self.target((Transport::Poll, Http::One, None), token);
        ask(&target, Method::POST, &[("content-type", b"application/json")], "1").await
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn written(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.bytes).sum()
    }

    fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }
}

/// The numbers of the events among what was seen.
fn numbers(seen: &[Seen]) -> Vec<u64> {
    let text = |seen: &Seen| seen.event().map(|event| String::from_utf8_lossy(&event.data).into_owned());
    seen.iter().filter_map(text).map(|text| text.trim_start_matches('0').parse().unwrap_or(0)).collect()
}

async fn until_number(reader: &mut Reader, number: u64) -> Vec<Seen> {
    reader.collect_until(|seen| numbers(std::slice::from_ref(seen)) == [number]).await
}

/// Asserts that it ends as the wire says that an authorisation does, and gives the place.
fn assert_expired(way: Way, seen: &[Seen], place: &Place) {
    let place = place.cursor();
    let ends = match (way.0, seen) {
        (Transport::Sse, [.., Seen::End { reason, retry_ms: None, .. }]) => reason == "expired",
        (
            Transport::WebSocket,
            [.., Seen::End { reason, retry_ms: None, cursor }, Seen::Close { code: 4401, reason: at }],
        ) => reason == "expired" && Some(&**at) == place && cursor.as_deref() == place,
        (Transport::WebSocket, [.., Seen::Close { code: 4401, reason }]) => {
            way.2.is_none() && Some(&**reason) == place
        }
        (_, [.., Seen::Refused { status, headers, .. }]) => {
            *status == 401 && headers.contains_key(header::WWW_AUTHENTICATE)
        }
        _ => false,
    };
    assert!(ends, "{way:?} at {place:?} ends by {:?}", seen.iter().rev().take(2).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_mid_replay_ends_it_there_and_loses_nothing() {
    // More than the buffers on the way hold, HTTP/2's windows included.
    const ALL: u64 = 3_000;
    const BYTES: usize = 2_500;
    for way in WAYS {
        case_async("A-18", &format!("{way:?}: a deadline in mid replay"), async {
            let app = App::new();
            app.publish(0..ALL, BYTES);
            app.grant("old", Session::expires_in(10 * SECOND));
            let mut reader = app.reader(way, "old", Place::Earliest).await;
            let mut seen = until_number(&mut reader, 20).await;
            sleep(10 * SECOND).await;
            let written = app.written();
            seen.extend(reader.collect_until(|_| false).await);
            let got = numbers(&seen);
            assert!(got.len() < ALL as usize, "{way:?}: the replay was over before the deadline");
            // What is written after it is the rest of a frame that had begun, and the end.
            let after = app.written() - written;
            assert!(after < BYTES as u64 + 500, "{way:?}: {after} bytes after the deadline");
            assert_expired(way, &seen, reader.place());
            assert_eq!(app.readers(), 0, "{way:?}");

            app.grant("new", Session::expires_in(3600 * SECOND));
            let mut again = app.reader(way, "new", reader.place().clone()).await;
            let rest = until_number(&mut again, ALL - 1).await;
            let all = [got, numbers(&rest)].concat();
            assert!(all.iter().copied().eq(0..ALL), "{way:?}: lost or repeated: {} of {ALL}", all.len());
        })
        .await;
    }
}

/// Waits for the tail: a bare WebSocket is told none, and has come when it is counted.
async fn at_the_tail(app: &App, way: Way, reader: &mut Reader) -> Vec<Seen> {
    match way {
        (Transport::Poll | Transport::LongPoll, ..) => until_number(reader, 0).await,
        (_, _, None) if way.0 == Transport::WebSocket => until_number(reader, 0).await,
        _ => {
            let seen = reader.collect_until(Seen::caught_up).await;
            assert_eq!(app.readers(), 1);
            seen
        }
    }
}

/// What a reader sees that waits at the tail when its right ends in 10 seconds, and when that was.
async fn parked(app: &App, way: Way, end: impl AsyncFnOnce()) -> (Reader, Vec<Seen>, Duration) {
    app.publish(0..1, 1);
    let began = Instant::now();
    let mut reader = app.reader(way, "old", Place::Earliest).await;
    let mut seen = at_the_tail(app, way, &mut reader).await;
    let reading = async {
        let mut at = None;
        while let Some(next) = reader.next().await {
            // An answer of 204 tells a long-poll that its wait is over; the next is refused.
            let is_end = match next {
                Seen::End { .. } | Seen::Close { .. } | Seen::Refused { .. } => true,
                Seen::Status { .. } => way.0 == Transport::LongPoll,
                _ => false,
            };
            at = at.or(is_end.then(|| began.elapsed()));
            seen.push(next);
        }
        at.expect("it has ended")
    };
    let (at, ()) = tokio::join!(reading, async {
        sleep(9 * SECOND).await;
        assert_eq!(app.readers(), u64::from(way.0 != Transport::Poll), "{way:?} waits");
        end().await;
        sleep(2 * SECOND).await;
        app.publish(1..2, 1);
    });
    (reader, seen, at)
}

#[tokio::test(start_paused = true)]
async fn a_right_that_ends_ends_the_wait_and_whoever_comes_back_has_lost_nothing() {
    for way in WAYS {
        for is_revoked in [false, true] {
            let what = if is_revoked { "revoked" } else { "a deadline" };
            case_async("A-18", &format!("{way:?}: {what} while it waits"), async {
                let app = App::new();
                let (session, revoke) = Session::revocable();
                app.grant("old", if is_revoked { session } else { Session::expires_in(10 * SECOND) });
                let (reader, seen, at) = parked(&app, way, async || {
                    sleep(SECOND).await;
                    if is_revoked {
                        revoke.revoke();
                    }
                })
                .await;
                assert_expired(way, &seen, reader.place());
                assert_eq!(numbers(&seen), [0], "{way:?}: nothing after it");
                // A poll finds out when it asks again.
                let slack = if way.0 == Transport::Poll { 1_001 } else { 10 };
                let late = at.saturating_sub(10 * SECOND);
                assert!(at >= 10 * SECOND && late < Duration::from_millis(slack), "{way:?}: {at:?}");
                if way.0 == Transport::LongPoll {
                    let [.., Seen::Status { status, headers }, Seen::Refused { .. }] = &seen[..] else {
                        panic!("{way:?}: {seen:?}")
                    };
                    assert_eq!(
                        (status.as_u16(), headers["stream-next-offset"].to_str().ok()),
                        (204, reader.place().cursor())
                    );
                }
                let made = app.made.load(Ordering::Relaxed);
                let mut again = app.reader(way, "old", reader.place().clone()).await;
                let refused = again.collect_until(|_| false).await;
                assert!(
                    matches!(&refused[..], [Seen::Refused { status, .. }] if *status == 401),
                    "{refused:?}"
                );
                assert_eq!(
                    app.made.load(Ordering::Relaxed),
                    made,
                    "{way:?}: no source for a right that has ended"
                );

                app.grant("new", Session::expires_in(3600 * SECOND));
                let mut again = app.reader(way, "new", reader.place().clone()).await;
                let rest = until_number(&mut again, 1).await;
                assert_eq!(numbers(&rest), [1], "{way:?}");
            })
            .await;
        }
        twin_async("A-18", &format!("{way:?}: a right that lasts, whose grips are all gone"), async {
            let app = App::new();
            let (session, revoke) = Session::revocable();
            app.grant("old", session.and(Session::expires_in(3600 * SECOND)));
            drop(revoke);
            app.publish(0..1, 1);
            let mut reader = app.reader(way, "old", Place::Earliest).await;
            let mut seen = at_the_tail(&app, way, &mut reader).await;
            let (rest, ()) = tokio::join!(until_number(&mut reader, 1), async {
                sleep(100 * SECOND).await;
                app.publish(1..2, 1);
            });
            seen.extend(rest);
            assert_eq!(numbers(&seen), [0, 1]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_word_ends_all_of_a_user_and_nobody_else() {
    case_async("A-18", "all streams of one user end by one word, another's go on", async {
        let app = App::new();
        let (session, revoke) = Session::revocable();
        app.grant("ann", session);
        app.grant("bob", Session::revocable().0);
        app.publish(0..1, 1);
        let mut streams = Vec::new();
        for (way, token) in
            WAYS.into_iter().filter(|way| is_stream(*way)).flat_map(|way| [(way, "ann"), (way, "bob")])
        {
            let mut reader = app.reader(way, token, Place::Earliest).await;
            until_number(&mut reader, 0).await;
            streams.push((way, token, reader));
        }
        revoke.revoke();
        app.publish(1..2, 1);
        for (way, token, mut reader) in streams {
            if token == "bob" {
                until_number(&mut reader, 1).await;
            } else {
                let seen = reader.collect_until(|_| false).await;
                assert_expired(way, &seen, reader.place());
                assert_eq!(numbers(&seen), [] as [u64; 0]);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_does_not_matter() {
    case_async("A-18", "an hour by the monotonic clock, while the wall clock stands still", async {
        let app = App::new();
        let (began, wall) = (Instant::now(), SystemTime::now());
        app.grant("old", Session::expires_in(3600 * SECOND));
        let way = (Transport::Sse, Http::One, None);
        let mut reader = app.reader(way, "old", Place::Live).await;
        let seen = loop {
            // Hours of heartbeats, one at a time.
            match reader.next().await {
                Some(seen @ Seen::End { .. }) => break seen,
                Some(_) => {}
                None => panic!("it ends by a word"),
            }
        };
        assert!(matches!(seen, Seen::End { reason, .. } if reason == "expired"));
        assert_eq!(began.elapsed().as_secs(), 3600);
        assert!(wall.elapsed().is_ok_and(|passed| passed < 1800 * SECOND), "time is paused here");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_message_reaches_a_handler_after_it() {
    for http in [Http::One, Http::Two] {
        for subprotocol in [Some("realtime.v1"), None] {
            let way = (Transport::WebSocket, http, subprotocol);
            case_async("A-18", &format!("{way:?}: messages that wait for the handler when it ends"), async {
                let app = App::new();
                app.grant("old", Session::expires_in(10 * SECOND));
                let mut reader = app.reader(way, "old", Place::Live).await;
                let socket = reader.web_socket().expect("a WebSocket");
                for n in 0..4 {
                    socket.send(&n.to_string(), "say", "1").await.expect("it is open");
                }
                sleep(9 * SECOND).await;
                assert_eq!(app.begun(), 1, "one at a time");
                sleep(2 * SECOND).await;
                app.may_end.add_permits(4);
                let seen = reader.collect_until(|_| false).await;
                let ends = seen.iter().any(|seen| matches!(seen, Seen::Close { code: 4401, .. }));
                let replies =
                    seen.iter().filter(|seen| matches!(seen, Seen::Control { .. } | Seen::Event(_))).count();
                assert_eq!((ends, replies, app.begun()), (true, 0, 1), "{seen:?}");
            })
            .await;
        }
    }
    case_async("A-18", "a WebSocket that speaks on after its end", async {
        let app = App::new();
        app.may_end.add_permits(10);
        app.grant("old", Session::expires_in(10 * SECOND));
        let mut raw = Raw::over(app.host.connect());
        raw.send(Lines::v1("/events").with("authorization", "old").bytes()).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        raw.send(frame(0x81, r#"{"ref":1,"data":1}"#)).await;
        sleep(11 * SECOND).await;
        assert_eq!(app.begun(), 1);
        raw.send(frame(0x81, r#"{"ref":2,"data":1}"#)).await;
        assert!(matches!(raw.close().await, Some((4401, _))));
        assert!(raw.rest().await.is_empty() && app.begun() == 1);
    })
    .await;
    case_async("A-18", "a message whose body came too late, and one that was sent too late", async {
        let app = App::new();
        app.may_end.add_permits(10);
        app.grant("old", Session::expires_in(5 * SECOND));
        let mut raw = Raw::over(app.host.connect());
        let head =
            Lines::of("POST /events HTTP/1.1").with("host", "realtime.test").with("authorization", "old");
        raw.send(head.with("content-type", "application/json").with("content-length", "1").bytes()).await;
        sleep(6 * SECOND).await;
        raw.send("1").await;
        assert_eq!((raw.head().await.map(|head| head.status), app.begun()), (Some(401), 0));
        assert_eq!((app.post("old").await.status, app.begun()), (401, 0));
    })
    .await;
    twin_async("A-18", "a message that the handler began with in time is answered for", async {
        let app = App::new();
        app.grant("old", Session::expires_in(5 * SECOND));
        let (answer, ()) = tokio::join!(app.post("old"), async {
            sleep(6 * SECOND).await;
            app.may_end.add_permits(1);
        });
        assert_eq!((answer.status, &*answer.body), (200, &b"done"[..]));
    })
    .await;
}

/// G-29: 100,000 replays, each with a good cursor, under a right that has ended.
#[tokio::test(start_paused = true)]
async fn a_right_that_has_ended_replays_nothing() {
    const REPLAYS: usize = 100_000;
    let log = Log::new();
    let first = log.publish(Event::text("n", "0").unwrap()).unwrap().to_string();
    log.publish(Event::text("n", "1").unwrap()).unwrap();
    let made = Arc::<AtomicUsize>::default();
    let counted = made.clone();
    let (service, _handle) = builder()
        .make_source(move |_: Parts| {
            counted.fetch_add(1, Ordering::Relaxed);
            ready(Ok(log.clone()))
        })
        .service();
    let (ended, revoke) = Session::revocable();
    revoke.revoke();
    let ask = async |n: usize, session: &Session| -> Result<u16, Infallible> {
        let request = Request::get("/").header("last-event-id", &first).extension(session.clone());
        let request = match n % 4 {
            0 => request,
            1 => request.header("prefer", "wait=5"),
            2 => request.header("accept", "text/event-stream"),
            _ => request.method("HEAD"),
        };
        let request = request.body(Body::empty()).expect("a request");
        Ok(service.clone().oneshot(request).await?.status().as_u16())
    };
    case_async("D-12", "100,000 resumes under a right that has ended", async {
        for n in 0..REPLAYS {
            assert_eq!(ask(n, &ended).await, Ok(401), "{n}");
        }
        assert_eq!(made.load(Ordering::Relaxed), 0, "no source was made");
    })
    .await;
    twin_async("D-12", "a resume under one that lasts", async {
        let lasts = Session::expires_in(SECOND);
        for n in 0..4 {
            assert_eq!(ask(n, &lasts).await, Ok(200), "{n}");
        }
        assert_eq!(made.load(Ordering::Relaxed), 4);
    })
    .await;
}

/// The two other ways by which a session comes in, where it is known only behind the layers.
#[tokio::test(start_paused = true)]
async fn a_maker_and_a_handler_may_say_how_long() {
    use axum::Router;
    use realtime_axum::Realtime;

    let log = Log::new();
    let guarded = log.clone();
    let (by_maker, _handle) = builder()
        .make_source(move |_: Parts| ready(Ok(Session::expires_in(10 * SECOND).guard(guarded.clone()))))
        .service();
    let source = log.clone();
    let by_handler = Router::new().route(
        "/events",
        realtime_axum::route(move |rt: Realtime| {
            let source = source.clone();
            async move { rt.session(Session::expires_in(10 * SECOND)).serve(source).await }
        }),
    );
    let over = Router::new().route(
        "/events",
        realtime_axum::route(|rt: Realtime| async {
            rt.session(Session::expires_in(Duration::ZERO)).serve(Log::new()).await
        }),
    );
    let hosts = [
        ("a maker", Host::with(Protocol::Auto, by_maker)),
        ("a handler", Host::with(Protocol::Auto, by_handler)),
    ];
    for (who, host) in &hosts {
        for way in WAYS.into_iter().filter(|way| is_stream(*way)) {
            case_async("A-18", &format!("{way:?}: {who} says how long"), async {
                let mut target = Target::new(host.dialer(), "/events");
                (target.http, target.subprotocol) = (way.1, way.2);
                let began = Instant::now();
                let mut reader = Reader::connect(way.0, &target, Place::Live).await;
                let seen = reader.collect_until(|_| false).await;
                assert_expired(way, &seen, reader.place());
                assert_eq!(began.elapsed().as_secs(), 10);
            })
            .await;
        }
    }
    case_async("A-18", "a handler finds that it is over", async {
        let target = Target::new(Host::with(Protocol::Auto, over).dialer(), "/events");
        let answer = ask(&target, Method::GET, &[], "").await;
        assert_eq!((answer.status, answer.media()), (401, Some("application/problem+json")));
    })
    .await;
}
