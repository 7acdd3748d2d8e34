//! A-21: nothing that lets anybody in, or stands for who he is, is written to a log. A-14: and nothing that came in forges a line of it.
//!
//! All that tracing tells at every level, spans too, while requests that carry secrets in every place that may have one succeed,
//! are refused and fail. A process of its own: what tracing listens for is one thing for all threads.

#[path = "../rules/mount.rs"]
#[expect(dead_code, reason = "what the rules need of it")]
mod mount;
#[path = "../rules/raw.rs"]
#[expect(dead_code, reason = "what the rules need of it")]
mod raw;

use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Method, Request};
use hyper::body::Incoming;
use realtime_axum::Realtime;
use realtime_core::{Delivery, Log, Source, SourceError, SourceErrorKind, SourceExt, Start};
use realtime_tests::client::{Http, Place, Reader, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::case_async;
use realtime_tower::{Config, Hosts, Session, builder};
use tokio::time::sleep;
use tower::ServiceBuilder;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::mount::{Mount, ask, at};
use crate::raw::{Lines, Raw, frame};

/// What stands in every secret here.
const SECRET: &str = "s3cr3t";

/// What was written.
#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// Headers with a secret in each place that is for one.
const HEADERS: [(&str, &str); 5] = [
    ("authorization", "Bearer s3cr3t-bearer"),
    ("cookie", "session=s3cr3t-cookie"),
    ("origin", "http://realtime.test"),
    ("idempotency-key", "\"s3cr3t-key\""),
    ("x-api-key", "s3cr3t-api"),
];

fn path() -> String {
    "/events?token=s3cr3t-query&access_token=s3cr3t-access".to_owned()
}

fn target(host: &Host, http: Http) -> Target {
    let mut target = Target { http, wait_s: 2, ..Target::new(host.dialer(), path()) };
    for (name, value) in HEADERS {
        target.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    target
}

async fn send(host: &Host, method: Method, headers: &[(&str, &str)], body: &'static str) -> u16 {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    ask(&target(host, Http::One), method, &headers, body).await.status
}

/// A handshake whose token is one of the subprotocols, as browsers have to send it.
fn handshake() -> Lines {
    let lines = Lines::v1(&path()).with("Sec-WebSocket-Protocol", "realtime.v1, s3cr3t-protocol");
    HEADERS.iter().fold(lines, |lines, (name, value)| lines.with(name, value))
}

/// Fails as soon as it is read.
struct Fails;

impl Source for Fails {
    type Feed = stream::Once<std::future::Ready<Result<Delivery, SourceError>>>;

    fn subscribe(&self, _: Start) -> Self::Feed {
        stream::once(ready(Err(SourceError::new(SourceErrorKind::Failed, "the disk is full"))))
    }
}

/// What looks like a cursor with a signature, in each place that a cursor may come in.
fn signed() -> String {
    format!("{}.s3cr3tc0ffee", at(1))
}

async fn succeed() {
    let mount = Mount::new();
    mount.publish(1..=3);
    for http in [Http::One, Http::Two] {
        for transport in Transport::ALL {
            for place in [Place::Earliest, Place::After(at(1))] {
                let mut reader = Reader::connect(transport, &target(&mount.host, http), place).await;
                assert!(reader.next().await.is_some());
            }
        }
    }
    for _ in 0..2 {
        assert_eq!(send(&mount.host, Method::POST, &[("content-type", "application/json")], "1").await, 200);
    }
    assert_eq!(send(&mount.host, Method::HEAD, &[], "").await, 200);
    let (status, mut raw) = mount.shaken(&handshake()).await;
    assert_eq!(status, 101);
    raw.send(frame(0x81, r#"{"ref":"s3cr3t-ref","event":"x","data":"s3cr3t-data"}"#)).await;
    mount.handle.drain(Duration::from_secs(10)).await;
    assert!(matches!(raw.close().await, Some((1001, _))));
}

async fn be_refused() {
    let mount = Mount::new();
    for (method, headers, status) in [
        (Method::GET, vec![("last-event-id", signed())], 400),
        (Method::GET, vec![("accept", "image/s3cr3t".to_owned())], 406),
        (Method::DELETE, vec![], 405),
        (Method::OPTIONS, vec![], 204),
        (Method::POST, vec![("content-type", "text/s3cr3t".to_owned())], 415),
        (Method::POST, vec![("content-type", "application/json".to_owned())], 400),
        (
            Method::POST,
            vec![
                ("idempotency-key", "s3cr3t-other".to_owned()),
                ("content-type", "application/json".to_owned()),
            ],
            400,
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(send(&mount.host, method, &headers, "s3cr3t, no JSON").await, status, "{headers:?}");
    }
    for (lines, status) in [
        (handshake().with("Origin", "https://evil.example"), 403),
        (handshake().with("Authorization", "nobody"), 401),
        (handshake().with("Sec-WebSocket-Key", "s3cr3t"), 400),
        (handshake().with("Last-Event-ID", signed()), 400),
    ] {
        assert_eq!(mount.shaken(&lines).await.0, status, "{lines:?}");
    }
    let named = Mount::with(Config { hosts: Hosts::loopback(), ..Config::default() });
    assert_eq!(named.shaken(&handshake()).await.0, 421);
    let full = Mount::with(Config { readers_max: 0, ..Config::default() });
    assert_eq!(full.shaken(&handshake()).await.0, 503);
    let counted = Mount::with(Config { readers_per_address_max: Some(1), ..Config::default() });
    assert_eq!(counted.shaken(&handshake()).await.0, 101);
    // Broken frames, and a connection that breaks off.
    let (_, mut raw) = mount.shaken(&handshake()).await;
    raw.send(frame(0xF1, "s3cr3t")).await;
    assert!(matches!(raw.close().await, Some((1002, _))));
    drop(mount.shaken(&handshake()).await);
    sleep(Duration::from_secs(1)).await;
}

async fn fail() {
    let mount = Mount::over(Fails.boxed(), Config::default());
    for transport in Transport::ALL {
        let mut reader = Reader::connect(transport, &target(&mount.host, Http::One), Place::Earliest).await;
        assert!(reader.next().await.is_some());
    }
    let (service, _handle) = builder()
        .make_source(|_: http::request::Parts| {
            ready(Ok(Session::expires_in(Duration::from_secs(1)).guard(Log::new())))
        })
        .service();
    let host = Host::with(Protocol::Auto, service);
    let mut reader = Reader::connect(Transport::Sse, &target(&host, Http::One), Place::Live).await;
    reader.collect_until(|_| false).await;
    // A layer that takes the connection away, and with it what a WebSocket needs.
    let taken = ServiceBuilder::new()
        .map_request(|mut request: Request<Incoming>| {
            request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
            request
        })
        .service(realtime_tower::Realtime::new(Log::new()));
    let mut raw = Raw::over(Host::new(taken).connect());
    raw.send(handshake().bytes()).await;
    assert_eq!(raw.head().await.map(|head| head.status), Some(501));
    // A route that is made wrongly, and an application that has its handler's arguments written down.
    async fn handler(rt: Realtime) -> axum::response::Response {
        tracing::info!(?rt, "an application's own line");
        rt.serve(Log::new()).await
    }
    let router = Router::new()
        .route("/events", realtime_axum::route(handler))
        .route("/wrong/{token}", axum::routing::any(handler));
    let host = Host::with(Protocol::Auto, router);
    let mut raw = Raw::over(host.connect());
    raw.send(handshake().bytes()).await;
    assert_eq!(raw.head().await.map(|head| head.status), Some(101));
    let wrong = Target { path: "/wrong/s3cr3t-path".to_owned(), ..target(&host, Http::One) };
    assert_eq!(ask(&wrong, Method::GET, &[], "").await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_forged_line_is_written_to_a_log() {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(written.clone())
        .finish();
    // Once: what is listened to is remembered for all threads, so that two at a time would miss lines.
    let _guard = tracing::subscriber::set_default(subscriber);
    no_secret(&written).await;
    no_forged_line(&written).await;
}

async fn no_secret(written: &Written) {
    case_async("A-21", "requests with secrets in every place succeed, are refused and fail", async {
        succeed().await;
        be_refused().await;
        fail().await;
        let text = written.text();
        // What others in the process write of a request is theirs: HTTP/2 below us names what it sends.
        let ours: Vec<_> =
            text.lines().filter(|line| line.contains("realtime_") || line.contains(" secrets: ")).collect();
        for said in [
            "connect",
            "resumed",
            "end",
            "drain",
            "expired",
            "the source failed",
            "reader",
            "a client broke the protocol",
            "refused a page of another origin",
            "refused a request for another host",
            "the host tells none",
            "the host gives no upgrade",
            "this route has no mount",
            "an application's own line",
        ] {
            assert!(ours.iter().any(|line| line.contains(said)), "{said:?} was not said: vacuous");
        }
        let leaks: Vec<_> = ours.iter().filter(|line| line.to_ascii_lowercase().contains(SECRET)).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    })
    .await;
}

/// What a terminal obeys, what turns text around, and what looks like a line of its own, where HTTP lets it through.
const HOSTILE: &[u8] = b"\xC2\x9B31m\xC2\x85\xE2\x80\xAE\xE2\x81\xA6 INFO forged";

/// The same, escaped for a URL, with C0 as well.
const HOSTILE_PATH: &str = "%1B%5B31m%0D%0A%C2%9B%E2%80%AE";

/// Control characters, those of 0x80 to 0x9F too, and what reorders a line.
fn is_forging(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

async fn no_forged_line(written: &Written) {
    written.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    case_async(
        "A-14",
        "C0, C1 and bidi in path, headers, subprotocol, messages and Close: escaped or not told",
        async {
            let mount = Mount::new();
            mount.publish(1..=1);
            let path = format!("/events?event={HOSTILE_PATH}&x={HOSTILE_PATH}");
            for name in
                ["user-agent", "accept", "prefer", "origin", "referer", "cookie", "last-event-id", "host"]
            {
                let lines = Lines::v1(&path).with(name, HOSTILE);
                for lines in [lines.clone().without("upgrade"), lines] {
                    mount.shaken(&lines).await;
                }
            }
            mount
                .shaken(
                    &Lines::v1(&path).with("Sec-WebSocket-Protocol", [b"realtime.v1, ", HOSTILE].concat()),
                )
                .await;
            mount.post(&path, &[("content-type", "application/json")], "\"\u{9B}\"").await;
            let mut broken = Vec::new();
            for bytes in [
                frame(0x81, "{\"ref\":\"\u{9B}\u{202E}\",\"event\":\"\\u001b[31m\"}"),
                frame(0x88, [&[0x0F, 0xA0], HOSTILE].concat()),
                frame(0xF1, HOSTILE),
            ] {
                let (status, mut raw) = mount.shaken(&Lines::v1("/events")).await;
                raw.send(&bytes).await;
                broken.push((status, raw));
                sleep(Duration::from_secs(1)).await;
            }
            assert!(broken.iter().all(|(status, _)| *status == 101));
            let named = Mount::with(Config { hosts: Hosts::loopback(), ..Config::default() });
            named.shaken(&Lines::v1("/events").with("host", HOSTILE)).await;
            let text = written.text();
            for said in ["refused a page of another origin", "a client broke the protocol", "connect"] {
                assert!(text.contains(said), "{said:?} was not said: vacuous");
            }
            let forged: Vec<_> = text.split('\n').filter(|line| line.contains(is_forging)).collect();
            assert!(forged.is_empty(), "{forged:#?}");
            assert!(text.lines().all(|line| !line.starts_with(" INFO forged")));
        },
    )
    .await;
}
