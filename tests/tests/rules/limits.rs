//! A-15 and P-PX-04: nobody takes all the places, and each comes back whatever became of its reader.

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, header};
use hyper::body::Incoming;
use realtime_axum::Realtime;
use realtime_core::Log;
use realtime_tests::client::{Http, Place, Reader, Seen, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Handle, Peer, Principal, Proxies, builder};
use tokio::time::sleep;
use tower::ServiceBuilder;

use crate::raw::{Lines, Raw};

/// What the tests' own layer takes the peer's address and the user from.
const PEER: &str = "x-test-peer";
const USER: &str = "x-test-user";

const SECOND: Duration = Duration::from_secs(1);

/// Every way of being there for longer than a moment.
const WAYS: [(Transport, Http); 6] = [
    (Transport::LongPoll, Http::One),
    (Transport::LongPoll, Http::Two),
    (Transport::Sse, Http::One),
    (Transport::Sse, Http::Two),
    (Transport::WebSocket, Http::One),
    (Transport::WebSocket, Http::Two),
];

/// A mount behind a layer that says who the peer and the user are.
struct App {
    host: Host,
    handle: Handle,
}

fn told(mut request: Request<Incoming>) -> Request<Incoming> {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let peer = text(PEER).map(|peer| Peer(SocketAddr::new(peer.parse().expect("an address"), 4711)));
    let user = text(USER).map(Principal::new);
    peer.map(|peer| request.extensions_mut().insert(peer));
    user.map(|user| request.extensions_mut().insert(user));
    request
}

impl App {
    fn new(config: Config) -> Self {
        let log = Log::new();
        let (service, handle) = builder()
            .config(config)
            .make_source(move |parts: Parts| {
                let text = parts.headers.get("x-test-source").map(HeaderValue::as_bytes);
                assert!(text != Some(b"panics"), "the maker of sources");
                ready(if text == Some(b"refuses") { Err(refused()) } else { Ok(log.clone()) })
            })
            .service();
        let service = ServiceBuilder::new().map_request(told).service(service);
        Self { host: Host::with(Protocol::Auto, service), handle }
    }

    fn target(&self, http: Http, headers: &[(&'static str, &str)]) -> Target {
        let mut target = Target { http, wait_s: 20, ..Target::new(self.host.dialer(), "/events") };
        for (name, value) in headers {
            target
                .headers
                .append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        target
    }

    /// A reader that was let in, and is there.
    async fn reads(&self, way: (Transport, Http), headers: &[(&'static str, &str)]) -> Waits {
        let before = self.readers();
        let mut reader = Reader::connect(way.0, &self.target(way.1, headers), Place::Live).await;
        let waits = tokio::spawn(async move {
            let first = reader.next().await;
            assert!(!matches!(first, Some(Seen::Refused { .. }) | None), "it was let in: {first:?}");
            reader.collect_until(|_| false).await;
        });
        for _ in 0..1_000 {
            if self.readers() > before {
                return Waits(waits);
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("{way:?} {headers:?} was not let in");
    }

    /// Asserts that a reader is sent away as its transport can be, and keeps its place.
    async fn sends_away(&self, way: (Transport, Http), headers: &[(&'static str, &str)]) {
        let before = self.readers();
        let mut reader = Reader::connect(way.0, &self.target(way.1, headers), Place::Live).await;
        let seen = reader.collect_until(|_| false).await;
        let is_told = match &seen[..] {
            [Seen::Refused { status, headers, .. }] => {
                let seconds = headers
                    .get(header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                *status == 429 && seconds.is_some_and(|seconds| seconds >= 1) && way.0 != Transport::Sse
            }
            [Seen::End { reason, retry_ms: Some(_), .. }] => reason == "source" && way.0 == Transport::Sse,
            _ => false,
        };
        assert!(is_told, "{way:?} {headers:?}: {seen:?}");
        assert_eq!(self.readers(), before, "{way:?}");
    }

    fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    async fn is_empty(&self, what: &str) {
        for _ in 0..1_000 {
            if self.readers() == 0 {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: {} places did not come back", self.readers());
    }
}

fn refused() -> http::Response<realtime_tower::Body> {
    let mut response = http::Response::new(realtime_tower::Body::empty());
    *response.status_mut() = http::StatusCode::UNAUTHORIZED;
    response
}

/// A reader that waits; dropping it drops its connection.
struct Waits(tokio::task::JoinHandle<()>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn per_address(max: usize) -> Config {
    Config { readers_per_address_max: Some(max), ..Config::default() }
}

fn per_principal(max: usize) -> Config {
    Config { readers_per_principal_max: Some(max), ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn an_address_and_a_principal_have_so_many_places() {
    for way in WAYS {
        for (what, config, name, one, same, other) in [
            ("an address", per_address(2), PEER, "203.0.113.9", "::ffff:203.0.113.9", "203.0.113.8"),
            (
                "a /64 of IPv6",
                per_address(2),
                PEER,
                "2001:db8:1:2::1",
                "2001:db8:1:2:ffff::9",
                "2001:db8:1:3::1",
            ),
            ("a principal", per_principal(2), USER, "ann", "ann", "bob"),
        ] {
            let app = App::new(config);
            let (first, second) =
                (app.reads(way, &[(name, one)]).await, app.reads(way, &[(name, same)]).await);
            case_async("A-15", &format!("{way:?}: the third of {what}"), async {
                app.sends_away(way, &[(name, one)]).await;
                app.sends_away(way, &[(name, same)]).await;
            })
            .await;
            twin_async(
                "A-15",
                &format!("{way:?}: the second of {what}, another, and the third in the place of one"),
                async {
                    let other = app.reads(way, &[(name, other)]).await;
                    drop(first);
                    for _ in 0..1_000 {
                        if app.readers() == 2 {
                            break;
                        }
                        sleep(Duration::from_millis(1)).await;
                    }
                    let third = app.reads(way, &[(name, one)]).await;
                    app.sends_away(way, &[(name, one)]).await;
                    drop((second, third, other));
                    app.is_empty(what).await;
                },
            )
            .await;
        }
    }
    twin_async(
        "A-15",
        "as many as one likes where no limit is set, as behind a proxy that nobody has named",
        async {
            let app = App::new(Config::default());
            let mut readers = Vec::new();
            for _ in 0..40 {
                readers.push(app.reads(WAYS[2], &[(PEER, "10.0.0.1"), (USER, "ann")]).await);
            }
            assert_eq!(app.readers(), 40);
        },
    )
    .await;
    twin_async("A-15", "a limit by address, where the host tells none, counts nobody", async {
        let app = App::new(per_address(1));
        let readers = [app.reads(WAYS[2], &[]).await, app.reads(WAYS[2], &[]).await];
        assert_eq!(app.readers() as usize, readers.len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_address_is_believed_of_a_named_proxy_alone() {
    const FORWARDED: &str = "x-forwarded-for";
    let config = || Config { proxies: Proxies::default().trust([10, 0, 0, 1]), ..per_address(1) };
    for way in WAYS {
        case_async("P-PX-04", &format!("{way:?}: X-Forwarded-For of a peer that nobody has named"), async {
            let app = App::new(config());
            let _first = app.reads(way, &[(PEER, "192.0.2.7"), (FORWARDED, "203.0.113.1")]).await;
            app.sends_away(way, &[(PEER, "192.0.2.7"), (FORWARDED, "203.0.113.2")]).await;
        })
        .await;
        case_async("P-PX-04", &format!("{way:?}: what a client writes before the proxy does"), async {
            let app = App::new(config());
            let _first =
                app.reads(way, &[(PEER, "10.0.0.1"), (FORWARDED, "198.51.100.1, 203.0.113.1")]).await;
            app.sends_away(way, &[(PEER, "10.0.0.1"), (FORWARDED, "198.51.100.2, 203.0.113.1")]).await;
            let two = [(PEER, "10.0.0.1"), (FORWARDED, "198.51.100.3"), (FORWARDED, "203.0.113.1")];
            app.sends_away(way, &two).await;
        })
        .await;
        twin_async("P-PX-04", &format!("{way:?}: two clients behind a named proxy"), async {
            let app = App::new(config());
            let _first = app.reads(way, &[(PEER, "10.0.0.1"), (FORWARDED, "203.0.113.1")]).await;
            let _second = app.reads(way, &[(PEER, "10.0.0.1"), (FORWARDED, "203.0.113.2")]).await;
            app.sends_away(way, &[(PEER, "10.0.0.1"), (FORWARDED, "203.0.113.2")]).await;
        })
        .await;
    }
}

/// Each place is taken and given back in one way, and then taken again.
#[tokio::test(start_paused = true)]
async fn a_place_comes_back_whatever_became_of_its_reader() {
    let config = || Config { readers_per_principal_max: Some(1), ..per_address(1) };
    let who = [(PEER, "203.0.113.9"), (USER, "ann")];
    for way in WAYS {
        case_async("A-15", &format!("{way:?}: a place comes back when the client breaks off"), async {
            let app = App::new(config());
            for _ in 0..20 {
                drop(app.reads(way, &who).await);
                app.is_empty("broken off").await;
            }
        })
        .await;
        case_async(
            "A-15",
            &format!("{way:?}: a place comes back when the maker refuses, and when it panics"),
            async {
                let app = App::new(config());
                for how in ["refuses", "panics", "refuses", "panics"] {
                    let mut headers = who.to_vec();
                    headers.push(("x-test-source", how));
                    let mut reader = Reader::connect(way.0, &app.target(way.1, &headers), Place::Live).await;
                    let seen = reader.collect_until(|_| false).await;
                    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Open { .. })), "{seen:?}");
                    app.is_empty(how).await;
                }
                drop(app.reads(way, &who).await);
            },
        )
        .await;
        case_async("A-15", &format!("{way:?}: a place comes back in a drain"), async {
            let app = App::new(config());
            let _reads = app.reads(way, &who).await;
            let drained = app.handle.drain(20 * SECOND).await;
            assert_eq!((drained.told, drained.left), (1, 0));
        })
        .await;
    }
    case_async("A-15", "a place comes back when a handshake is answered and nobody is there", async {
        let app = App::new(config());
        let lines = Lines::v1("/events").with(PEER, who[0].1).with(USER, who[1].1);
        for cut in [0, 1, 20, lines.bytes().len() - 1, lines.bytes().len()] {
            let mut raw = Raw::over(app.host.connect());
            raw.send(&lines.bytes()[..cut]).await;
            drop(raw);
            app.is_empty("a broken handshake").await;
        }
        drop(app.reads(WAYS[4], &who).await);
    })
    .await;
    case_async("A-15", "a handshake that never ends takes no place", async {
        let app = App::new(config());
        let lines = Lines::v1("/events").with(PEER, who[0].1).with(USER, who[1].1).bytes();
        let mut hangs = Raw::over(app.host.connect());
        hangs.send(&lines[..lines.len() - 2]).await;
        sleep(SECOND).await;
        let _reads = app.reads(WAYS[4], &who).await;
        app.sends_away(WAYS[4], &who).await;
    })
    .await;
}

/// Who the user is may be known only in the handler.
#[tokio::test(start_paused = true)]
async fn a_principal_that_the_handler_names_is_counted_too() {
    async fn events(
        State(log): State<Log>,
        parts: http::HeaderMap,
        rt: Realtime,
    ) -> axum::response::Response {
        rt.serve(log).principal(parts.get(USER).map_or(&b""[..], HeaderValue::as_bytes)).await
    }
    for way in WAYS {
        case_async("A-15", &format!("{way:?}: the second of a principal that the handler names"), async {
            let (mount, handle) = realtime_axum::mount().config(per_principal(1)).build();
            let router = Router::new().route("/events", mount.route(events)).with_state(Log::new());
            let app = App { host: Host::with(Protocol::Auto, router), handle };
            let first = app.reads(way, &[(USER, "ann")]).await;
            app.sends_away(way, &[(USER, "ann")]).await;
            let _other = app.reads(way, &[(USER, "bob")]).await;
            drop(first);
            while app.readers() > 1 {
                sleep(Duration::from_millis(1)).await;
            }
            drop(app.reads(way, &[(USER, "ann")]).await);
        })
        .await;
    }
}
