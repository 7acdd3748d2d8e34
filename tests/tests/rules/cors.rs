//! P-CO, A-01, A-02, A-20 and A-22: pages of other origins.
//!
//! Reads are the CORS layer's, laid around the mount; WebSocket and uplink have no wall but the mount's own Origin check.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use realtime_tests::client::Target;
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Origins, Realtime};
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::mount::{Answered, Mount, ask, log, tick};
use crate::raw::{Lines, Raw};

pub(crate) const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";

/// The headers that a page may send, and those that it must be able to read.
const SENT: [&str; 6] =
    ["last-event-id", "if-none-match", "prefer", "content-type", "authorization", "idempotency-key"];
const READ: [&str; 5] = ["stream-next-offset", "stream-up-to-date", "stream-closed", "etag", "retry-after"];

/// The mount behind a CORS layer that lets one origin in, with its cookies.
fn behind_cors() -> Host {
    let log = log();
    log.publish(tick(1)).expect("open");
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list([HeaderValue::from_static(APP)]))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(SENT.map(HeaderName::from_static))
        .max_age(Duration::from_secs(600));
    Host::with(Protocol::Auto, ServiceBuilder::new().layer(cors).service(Realtime::new(log)))
}

async fn of(host: &Host, method: Method, path: &str, headers: &[(&str, &str)]) -> Answered {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    ask(&Target::new(host.dialer(), path), method, &headers, "").await
}

#[tokio::test(start_paused = true)]
async fn credentials_never_meet_a_wildcard() {
    for (what, origin) in
        [("a foreign origin", EVIL), ("null", "null"), ("one that ends alike", "https://evilapp.example")]
    {
        case_async("P-CO-01", &format!("{what} is told of no access"), async {
            for headers in [&[][..], &[("accept", "application/x-ndjson")], &[("prefer", "wait=1")]] {
                let headers = [&[("origin", origin), ("cookie", "session=1")][..], headers].concat();
                let answer = of(&behind_cors(), Method::GET, "/events?offset=-1", &headers).await;
                assert_eq!(answer.status, 200, "reads are CORS's matter, and no 403");
                assert_eq!(answer.text("access-control-allow-origin"), None);
                assert!(answer.list("vary").contains(&"origin".to_owned()));
            }
        })
        .await;
    }
    twin_async("P-CO-01", "the origin that is let in is echoed, with its credentials, and no star", async {
        let headers = [("origin", APP), ("cookie", "session=1")];
        let answer = of(&behind_cors(), Method::GET, "/events?offset=-1", &headers).await;
        assert_eq!(answer.text("access-control-allow-origin"), Some(APP));
        assert_eq!(answer.text("access-control-allow-credentials"), Some("true"));
        for name in ["origin", "accept", "prefer", "last-event-id"] {
            assert!(answer.list("vary").contains(&name.to_owned()), "the layer's Vary and ours: {name}");
        }
    })
    .await;
    case_async(
        "P-CO-01",
        "the mount itself lets nobody in: without a layer there is no such header",
        async {
            let mount = Mount::new();
            let answer = mount.get("/events", &[("origin", EVIL)]).await;
            let ours = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-allow"));
            assert_eq!((answer.status, ours.count()), (200, 0));
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_page_can_read_the_cursor_headers() {
    let paths: [(&str, &[(&str, &str)]); 6] = [
        ("/events?offset=-1", &[]),
        ("/events", &[("prefer", "wait=1")]),
        ("/events", &[("if-none-match", "*")]),
        ("/events?offset=x", &[]),
        ("/events", &[("accept", "image/png")]),
        ("/events?live=poll", &[("accept", "application/x-ndjson")]),
    ];
    for (path, headers) in paths {
        case_async("P-CO-02", &format!("exposed on the answer to {path} {headers:?}"), async {
            let headers = [&[("origin", APP)][..], headers].concat();
            let answer = of(&behind_cors(), Method::GET, path, &headers).await;
            let exposed = answer.list("access-control-expose-headers");
            for name in READ {
                assert!(exposed.contains(&name.to_owned()), "{} does not expose {name}", answer.status);
            }
        })
        .await;
    }
    case_async("P-CO-02", "a preflight allows what a client of ours sends, and lasts", async {
        let asked = SENT.join(",");
        let preflight = [
            ("origin", APP),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", &asked),
        ];
        let answer = of(&behind_cors(), Method::OPTIONS, "/events", &preflight).await;
        assert!(answer.status < 300);
        let allowed = answer.list("access-control-allow-headers");
        assert!(SENT.iter().all(|name| allowed.contains(&(*name).to_owned())), "{allowed:?}");
        assert_eq!(answer.text("access-control-max-age"), Some("600"));
        assert_eq!(answer.text("access-control-allow-origin"), Some(APP));
    })
    .await;
    case_async("P-CO-02", "refusals keep their CORS headers, or a page sees a network error alone", async {
        for (path, headers, status) in [
            ("/events?offset=x", &[][..], 400),
            ("/events", &[("accept", "image/png")], 406),
            ("/events?live=morse", &[], 406),
        ] {
            let headers = [&[("origin", APP)][..], headers].concat();
            let answer = of(&behind_cors(), Method::GET, path, &headers).await;
            assert_eq!((answer.status, answer.text("access-control-allow-origin")), (status, Some(APP)));
        }
        let answer = of(&behind_cors(), Method::DELETE, "/events", &[("origin", APP)]).await;
        assert_eq!((answer.status, answer.text("access-control-allow-origin")), (405, Some(APP)));
    })
    .await;
}

/// Who asks, and whether a WebSocket and a message may pass. The mount's host is realtime.test, and the app is named.
pub(crate) fn origins() -> Vec<(&'static str, Vec<(&'static str, &'static str)>, bool)> {
    let cookie = ("cookie", "session=1");
    let with = |origin: &'static str| vec![("origin", origin), cookie];
    vec![
        ("the same origin", with("http://realtime.test"), true),
        ("the same host by https, as behind a proxy that ends TLS", with("https://realtime.test"), true),
        ("the same host in capitals", with("HTTP://REALTIME.TEST"), true),
        ("a named origin", with(APP), true),
        ("a named origin in capitals", with("https://APP.example"), true),
        ("no origin and no cookie: no browser", vec![], true),
        ("no origin, but a cookie", vec![cookie], false),
        ("null", with("null"), false),
        ("an empty origin", with(""), false),
        ("evil", with(EVIL), false),
        ("our name in front of another", with("https://realtime.test.evil.example"), false),
        ("our name at the end of another", with("https://evilrealtime.test"), false),
        ("a sibling, as SameSite lets through", with("http://blog.realtime.test"), false),
        ("our parent", with("http://test"), false),
        ("another port", with("http://realtime.test:8080"), false),
        ("another port of the named", with("https://app.example:8443"), false),
        ("another scheme of the named", with("http://app.example"), false),
        ("a scheme that is none of a page", with("ftp://realtime.test"), false),
        ("a trailing dot", with("http://realtime.test."), false),
        ("a user", with("http://realtime.test@evil.example"), false),
        ("a user in front of us", with("http://evil@realtime.test"), false),
        ("a path", with("http://realtime.test/x"), false),
        ("a backslash", with("http://realtime.test\\.evil.example"), false),
        ("no scheme", with("realtime.test"), false),
        ("two origins", vec![("origin", "http://realtime.test"), ("origin", EVIL), cookie], false),
        ("two origins in one line", with("http://realtime.test, https://evil.example"), false),
        ("a space in front", with("https://evil.example http://realtime.test"), false),
        (
            "X-Forwarded-Host of nobody we named",
            vec![("origin", EVIL), ("x-forwarded-host", "evil.example"), cookie],
            false,
        ),
        (
            "a sibling that says it is same-site",
            vec![("origin", "http://blog.realtime.test"), ("sec-fetch-site", "same-site"), cookie],
            false,
        ),
        (
            "no origin, but a browser's word that it is from elsewhere",
            vec![("sec-fetch-site", "cross-site")],
            false,
        ),
        (
            "no origin, but a browser's word that it is a sibling",
            vec![("sec-fetch-site", "same-site")],
            false,
        ),
        ("no origin, and a browser's word that it is our own", vec![("sec-fetch-site", "same-origin")], true),
    ]
}

fn guarded() -> Mount {
    Mount::with(Config { origins: Origins::default().allow(APP), ..Config::default() })
}

#[tokio::test(start_paused = true)]
async fn only_listed_pages_open_a_websocket_or_send() {
    for (what, headers, may) in origins() {
        let web_socket = async {
            let mount = guarded();
            let lines =
                headers.iter().fold(Lines::v1("/events"), |lines, (name, value)| lines.and(name, value));
            let (status, _raw) = mount.shaken(&lines).await;
            assert_eq!((status, mount.made()), if may { (101, 1) } else { (403, 0) }, "{what}, a WebSocket");
        };
        let uplink = async {
            let mount = guarded();
            let json = [&[("content-type", "application/json")][..], &headers].concat();
            let sent = mount.post("/events", &json, "1").await;
            let expected = if may { (200, 1, 1) } else { (403, 0, 0) };
            assert_eq!((sent.status, mount.made(), mount.heard().len()), expected, "{what}, a message");
        };
        // A-02 is the sibling, A-20 the message, P-CO-03 and A-01 all of them.
        let rules: &[&str] =
            if what.contains("sibling") { &["P-CO-03", "A-01", "A-02"] } else { &["P-CO-03", "A-01"] };
        let (web_socket, uplink) =
            (futures_util::FutureExt::shared(web_socket), futures_util::FutureExt::shared(uplink));
        for rule in rules {
            let (ws, up) = (format!("WebSocket: {what}"), format!("message: {what}"));
            if may {
                twin_async(rule, &ws, web_socket.clone()).await;
                twin_async(rule, &up, uplink.clone()).await;
            } else {
                case_async(rule, &ws, web_socket.clone()).await;
                case_async(rule, &up, uplink.clone()).await;
            }
        }
        if may {
            twin_async("A-20", &format!("message: {what}"), uplink).await;
        } else {
            case_async("A-20", &format!("message: {what}"), uplink).await;
        }
    }
    twin_async("A-02", "the host itself", async {
        assert_eq!(
            guarded().shaken(&Lines::v1("/events").with("origin", "http://realtime.test")).await.0,
            101
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reads_are_not_ours_to_refuse() {
    for (what, headers, _) in origins() {
        twin_async("A-01", &format!("a read: {what}, is no 403 and no credentials"), async {
            let mount = guarded();
            mount.publish(1..=1);
            mount.log.close();
            for accept in ["application/json", "text/event-stream"] {
                let headers = [&[("accept", accept)][..], &headers].concat();
                let answer = mount.get("/events?offset=-1", &headers).await;
                let allowed =
                    answer.headers.keys().any(|name| name.as_str().starts_with("access-control-allow"));
                assert_eq!((answer.status, allowed), (200, false), "{what}");
            }
        })
        .await;
    }
    twin_async("A-01", "every page, where the mount says so", async {
        let mount = Mount::with(Config { origins: Origins::default().allow_any(), ..Config::default() });
        assert_eq!(
            mount.shaken(&Lines::v1("/events").with("origin", EVIL).with("cookie", "a=b")).await.0,
            101
        );
    })
    .await;
}

/// Which names a server answers to is its owner's to say (`Hosts`, see `gate.rs`); where he has not, a page of a name that an attacker
/// bound to our address gets no further than to read.
#[tokio::test(start_paused = true)]
async fn a_rebound_name_is_no_name_of_ours() {
    for (what, lines, status) in [
        ("no Host", Lines::v1("/events").without("Host").with("Origin", "http://realtime.test"), 403),
        (
            "two Hosts",
            Lines::v1("/events").and("Host", "evil.example").with("Origin", "http://realtime.test"),
            400,
        ),
        (
            "a Host that is none",
            Lines::v1("/events").with("Host", "a/b").with("Origin", "http://realtime.test"),
            403,
        ),
        (
            "a Host other than the page's",
            Lines::v1("/events").with("Host", "127.0.0.1:80").with("Origin", EVIL),
            403,
        ),
        (
            "an address of ours, from a page of a name",
            Lines::v1("/events").with("Host", "[::1]").with("Origin", EVIL),
            403,
        ),
    ] {
        case_async("A-22", what, async {
            let mount = Mount::new();
            assert_eq!((mount.shaken(&lines).await.0, mount.made()), (status, 0), "{what}");
        })
        .await;
    }
    twin_async("A-22", "an address, from a page of that address", async {
        for host in ["127.0.0.1:3000", "[::1]:3000"] {
            let lines = Lines::v1("/events").with("Host", host).with("Origin", format!("http://{host}"));
            let mut raw = Raw::over(Mount::new().host.connect());
            raw.send(lines.bytes()).await;
            assert_eq!(raw.head().await.map(|head| head.status), Some(101), "{host}");
        }
    })
    .await;
}
