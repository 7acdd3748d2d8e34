//! G-16 and A-19: one gate, whatever the transport and the HTTP. Who may pass is a table, and so is by which way he comes.

use ::h2::ext::Protocol as Connects;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use realtime_tests::host::Host;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Hosts, Origins};
use tokio::time::{Duration, sleep};

use crate::cors::{APP, origins};
use crate::mount::Mount;
use crate::raw::{Lines, Raw};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    WebSocket,
    Sse,
    Poll,
    LongPoll,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    One,
    Two,
}

/// Every way in.
const WAYS: [(By, Over); 10] = [
    (By::WebSocket, Over::One),
    (By::WebSocket, Over::Two),
    (By::Sse, Over::One),
    (By::Sse, Over::Two),
    (By::Poll, Over::One),
    (By::Poll, Over::Two),
    (By::LongPoll, Over::One),
    (By::LongPoll, Over::Two),
    (By::Post, Over::One),
    (By::Post, Over::Two),
];

type Headers<'a> = Vec<(&'a str, &'a str)>;

/// What CORS does not keep out.
fn is_guarded(by: By) -> bool {
    matches!(by, By::WebSocket | By::Post)
}

/// What is answered to whom nothing is held against.
fn good((by, over): (By, Over)) -> u16 {
    if (by, over) == (By::WebSocket, Over::One) { 101 } else { 200 }
}

/// The path of a way, and the headers that make it this way.
fn asks((by, over): (By, Over)) -> (&'static str, Headers<'static>) {
    match (by, over) {
        (By::WebSocket, Over::One) => (
            "/events",
            vec![
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
        ),
        (By::WebSocket, Over::Two) => ("/events", vec![("sec-websocket-version", "13")]),
        (By::Sse, _) => ("/events", vec![("accept", "text/event-stream")]),
        // There is an event, so that nothing waits.
        (By::Poll, _) => ("/events?offset=-1", vec![]),
        (By::LongPoll, _) => ("/events?offset=-1", vec![("prefer", "wait=5")]),
        (By::Post, _) => ("/events", vec![("content-type", "application/json")]),
    }
}

/// Whom a request is addressed to: the host of its target (`:authority`), and its lines of `Host`.
struct To<'a> {
    target: Option<&'a str>,
    hosts: &'a [&'a str],
}

/// The mount's own name, as each HTTP says it.
fn to_us(over: Over) -> To<'static> {
    match over {
        Over::One => To { target: None, hosts: &["realtime.test"] },
        Over::Two => To { target: Some("realtime.test"), hosts: &[] },
    }
}

/// The status and headers of the answer.
async fn asked(host: &Host, way: (By, Over), to: &To<'_>, more: &[(&str, &str)]) -> (u16, HeaderMap) {
    let (path, own) = asks(way);
    // What the row says of a header stands in the place of our own.
    let own =
        own.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| name.eq_ignore_ascii_case(other)));
    let headers: Vec<_> = own.chain(more.iter().copied()).filter(|(_, value)| *value != "-").collect();
    match way.1 {
        Over::One => asked_by_one(host, way.0, path, to, &headers).await,
        Over::Two => asked_by_two(host, way.0, path, to, &headers).await,
    }
}

async fn asked_by_one(
    host: &Host,
    by: By,
    path: &str,
    to: &To<'_>,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let method = if by == By::Post { "POST" } else { "GET" };
    let target = to.target.map_or(path.to_owned(), |host| format!("http://{host}{path}"));
    let lines = Lines::of(&format!("{method} {target} HTTP/1.1"));
    let lines = to.hosts.iter().fold(lines, |lines, host| lines.and("Host", host));
    let mut lines = headers.iter().fold(lines, |lines, (name, value)| lines.and(name, value));
    if by == By::Post {
        lines = lines.and("content-length", "1");
    }
    let mut raw = Raw::over(host.connect());
    raw.send(lines.followed_by(if by == By::Post { "1" } else { "" })).await;
    let head = raw.head().await.expect("an answer");
    (head.status, head.headers)
}

async fn asked_by_two(
    host: &Host,
    by: By,
    path: &str,
    to: &To<'_>,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let (sender, connection) = ::h2::client::handshake(host.connect()).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    while !sender.is_extended_connect_protocol_enabled() {
        sleep(Duration::from_millis(1)).await;
    }
    let authority = to.target.expect("HTTP/2 has an authority");
    let mut request = Request::builder().version(Version::HTTP_2).uri(format!("http://{authority}{path}"));
    request = match by {
        By::WebSocket => request.method(Method::CONNECT).extension(Connects::from_static("websocket")),
        By::Post => request.method(Method::POST),
        _ => request,
    };
    let mut request = request.body(()).expect("a request");
    for (name, value) in to.hosts.iter().map(|host| ("host", *host)).chain(headers.iter().copied()) {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        request.headers_mut().append(name.expect("a name"), value.expect("a value"));
    }
    let mut sender = sender.ready().await.expect("it is open");
    let ends = !is_guarded(by);
    let (answer, mut up) = sender.send_request(request, ends).expect("a request that may be sent");
    if by == By::Post {
        up.send_data(Bytes::from_static(b"1"), true).expect("it is open");
    }
    let (head, body) = answer.await.expect("an answer").into_parts();
    drop((body, up));
    driver.abort();
    (head.status.as_u16(), head.headers)
}

fn mount(config: Config) -> Mount {
    let mount = Mount::with(config);
    mount.publish(1..=1);
    mount
}

#[tokio::test(start_paused = true)]
async fn a_page_passes_by_every_way_or_by_none() {
    for (what, headers, may) in origins() {
        for way in WAYS {
            let label = format!("{way:?}: {what}");
            let passes = async {
                let mount = mount(Config { origins: Origins::default().allow(APP), ..Config::default() });
                let (status, answer) = asked(&mount.host, way, &to_us(way.1), &headers).await;
                let allows = answer.keys().any(|name| name.as_str().starts_with("access-control-allow"));
                let heard = mount.heard().len();
                let expected = match (may || !is_guarded(way.0), way.0) {
                    (true, By::Post) => (good(way), 1, 1),
                    (true, _) => (good(way), 1, 0),
                    (false, _) => (403, 0, 0),
                };
                assert_eq!((status, mount.made(), heard), expected, "{label}");
                assert!(!allows, "{label}: credentials are the CORS layer's to allow");
            };
            let rule = if what.contains("sibling") { "A-02" } else { "A-01" };
            if may || !is_guarded(way.0) {
                twin_async(rule, &label, passes).await;
            } else {
                case_async(rule, &label, passes).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_form_can_send_is_no_message() {
    let json = "application/json";
    for over in [Over::One, Over::Two] {
        let way = (By::Post, over);
        for (what, headers, status) in [
            ("text/plain", vec![("content-type", "text/plain")], 415),
            (
                "text/plain that says JSON",
                vec![("content-type", "text/plain; charset=application/json")],
                415,
            ),
            ("a form", vec![("content-type", "application/x-www-form-urlencoded")], 415),
            ("a form with files", vec![("content-type", "multipart/form-data; boundary=x")], 415),
            ("no type", vec![("content-type", "-")], 415),
            ("an empty type", vec![("content-type", "")], 415),
            ("two types", vec![("content-type", json), ("content-type", "text/plain")], 415),
            ("two types in one line", vec![("content-type", "text/plain, application/json")], 415),
            (
                "a foreign page with JSON",
                vec![("origin", "https://evil.example"), ("content-type", json)],
                403,
            ),
            ("cross-site", vec![("sec-fetch-site", "cross-site"), ("content-type", json)], 403),
            ("same-site", vec![("sec-fetch-site", "same-site"), ("content-type", json)], 403),
            ("a cookie and no origin", vec![("cookie", "a=1"), ("content-type", json)], 403),
            ("null, as a sandboxed page sends it", vec![("origin", "null"), ("content-type", json)], 403),
        ] {
            case_async("A-20", &format!("{way:?}: {what}"), async {
                let mount = mount(Config::default());
                let (said, _) = asked(&mount.host, way, &to_us(over), &headers).await;
                assert_eq!((said, mount.made(), mount.heard().len()), (status, 0, 0), "{way:?}: {what}");
            })
            .await;
        }
        for (what, headers) in [
            ("JSON", vec![("content-type", json)]),
            ("JSON with a charset", vec![("content-type", "application/json; charset=utf-8")]),
            ("a kind of JSON", vec![("content-type", "application/vnd.app+json")]),
            (
                "JSON of our own page",
                vec![("content-type", json), ("origin", "http://realtime.test"), ("cookie", "a=1")],
            ),
            ("JSON that is typed in", vec![("content-type", json), ("sec-fetch-site", "none")]),
        ] {
            twin_async("A-20", &format!("{way:?}: {what}"), async {
                let mount = mount(Config::default());
                let (said, _) = asked(&mount.host, way, &to_us(over), &headers).await;
                assert_eq!((said, mount.heard().len()), (200, 1), "{way:?}: {what}");
            })
            .await;
        }
    }
    case_async("A-20", "a POST without a body has no effect", async {
        let mount = mount(Config::default());
        let answer = mount.post("/events", &[("content-type", json)], "").await;
        assert_eq!((answer.status, mount.heard().len()), (400, 0));
    })
    .await;
}

/// Whom requests are addressed to, and what is said to that.
fn addressed() -> Vec<(&'static str, Over, To<'static>, Option<u16>)> {
    let one = |what, hosts, refused| (what, Over::One, To { target: None, hosts }, refused);
    let full = |what, target, hosts, refused| (what, Over::One, To { target: Some(target), hosts }, refused);
    let two = |what, target, hosts, refused| (what, Over::Two, To { target: Some(target), hosts }, refused);
    vec![
        one("localhost", &["localhost:3000"][..], None),
        one("127.0.0.1", &["127.0.0.1:3000"], None),
        one("[::1]", &["[::1]"], None),
        one("in capitals", &["LocalHost"], None),
        one("a host that is named", &["app.example:8443"], None),
        one("evil", &["evil.example"], Some(421)),
        one("evil with our port", &["evil.example:3000"], Some(421)),
        one("a name that begins with ours", &["localhost.evil.example"], Some(421)),
        one("a name that begins with our address", &["127.0.0.1.evil.example"], Some(421)),
        one("an address of the network", &["192.168.1.2"], Some(421)),
        one("0.0.0.0", &["0.0.0.0:3000"], Some(421)),
        one("[::]", &["[::]:3000"], Some(421)),
        one("a trailing dot", &["localhost."], Some(421)),
        one("a user in front", &["evil@localhost"], Some(400)),
        one("no Host", &[], Some(400)),
        one("an empty Host", &[""], Some(400)),
        one("two Hosts", &["localhost", "evil.example"], Some(400)),
        one("the same Host twice", &["localhost", "localhost"], Some(400)),
        one("two Hosts in one line", &["localhost, evil.example"], Some(400)),
        full("a target in full", "localhost", &["localhost"], None),
        full("a target that is evil", "evil.example", &["localhost"], Some(400)),
        full("a Host other than the target", "localhost", &["evil.example"], Some(400)),
        full("both evil", "evil.example", &["evil.example"], Some(421)),
        two("localhost", "localhost:3000", &[], None),
        two("[::1]", "[::1]:3000", &[], None),
        two("both the same", "localhost", &["localhost"], None),
        two("a host that is named", "app.example", &[], None),
        two("evil", "evil.example", &[], Some(421)),
        two("0.0.0.0", "0.0.0.0:3000", &[], Some(421)),
        two("an address of the network", "192.168.1.2", &[], Some(421)),
        two("a Host other than the authority", "localhost", &["evil.example"], Some(400)),
        two("an authority other than the Host", "evil.example", &["localhost"], Some(400)),
        two("two Hosts", "localhost", &["localhost", "localhost"], Some(400)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_named_is_asked_by_no_way() {
    for (what, over, to, refused) in addressed() {
        for way in WAYS.into_iter().filter(|way| way.1 == over) {
            let label = format!("{way:?}: {what}");
            let answered = async {
                let hosts = Hosts::loopback().allow("app.example");
                let mount = mount(Config { hosts, ..Config::default() });
                let (status, _) = asked(&mount.host, way, &to, &[]).await;
                let (made, heard) = (mount.made(), mount.heard().len());
                match refused {
                    Some(refused) => assert_eq!((status, made, heard), (refused, 0, 0), "{label}"),
                    None => assert_eq!((status, made), (good(way), 1), "{label}"),
                }
                assert!(refused.is_none() || mount.readers() == 0, "{label}");
            };
            if refused.is_some() {
                case_async("A-22", &label, answered).await;
            } else {
                twin_async("A-22", &label, answered).await;
            }
        }
    }
    case_async("A-22", "OPTIONS, HEAD and what no transport gives, of a host that is not named", async {
        let mount = mount(Config { hosts: Hosts::loopback(), ..Config::default() });
        for first in ["OPTIONS /events HTTP/1.1", "HEAD /events HTTP/1.1", "DELETE /events HTTP/1.1"] {
            let lines = Lines::get("/events").with("Host", "evil.example").first(first);
            assert_eq!(mount.shaken(&lines).await.0, 421, "{first}");
        }
    })
    .await;
    twin_async("A-22", "any host, where none is named, as behind a proxy", async {
        for way in WAYS {
            let mount = mount(Config::default());
            let to = match way.1 {
                Over::One => To { target: None, hosts: &["public.example"] },
                Over::Two => To { target: Some("public.example"), hosts: &[] },
            };
            assert_eq!(asked(&mount.host, way, &to, &[]).await.0, good(way), "{way:?}");
        }
    })
    .await;
}

/// Who authorises is asked once for each request, before anything is read, whatever the way in.
#[tokio::test(start_paused = true)]
async fn every_way_goes_through_the_same_gate() {
    for way in WAYS {
        for (who, status) in [("nobody", 401), ("somebody else", 403)] {
            case_async("A-19", &format!("{way:?}: {who} is {status} before anything is read"), async {
                let mount = mount(Config::default());
                let (said, _) = asked(&mount.host, way, &to_us(way.1), &[("authorization", who)]).await;
                assert_eq!((said, mount.made(), mount.heard().len()), (status, 1, 0), "{way:?}");
                assert_eq!((mount.requests(), mount.readers()), (0, 0), "{way:?}: nothing was read");
            })
            .await;
        }
        twin_async("A-19", &format!("{way:?}: somebody who may"), async {
            let mount = mount(Config::default());
            let (said, _) = asked(&mount.host, way, &to_us(way.1), &[("authorization", "ann")]).await;
            assert_eq!((said, mount.made()), (good(way), 1), "{way:?}");
        })
        .await;
    }
}
