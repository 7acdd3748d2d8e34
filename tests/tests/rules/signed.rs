//! A-12, D-09, D-12: a mount that signs its cursors takes those that it gave for the same thing to the same reader, and says
//! one and the same 400 to every other text, on every transport.

use std::future::ready;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use realtime_core::{Keep, Log, TopicSet};
use realtime_tests::client::{Carry, Http, Place, Reader, Seen, Signing, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Body, CursorKeys, CursorScope, Principal, builder};
use tower::ServiceBuilder;

use crate::bad_input::malformed;
use crate::mount::{EPOCH, at, tick};
use crate::raw::{Lines, Raw};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

fn keys(key: [u8; 32]) -> CursorKeys {
    CursorKeys::new(key).expect("32 bytes")
}

/// A log read by room and tenant, whoever is somebody being let in.
struct Signed {
    log: Log,
    host: Host,
}

impl Signed {
    fn new(keys: CursorKeys, kept: usize, events: u64) -> Self {
        let keep = Keep::history().entries(kept);
        let log = Log::builder().epoch(EPOCH).keep(TopicSet::all(), keep).build();
        for n in 1..=events {
            log.publish(tick(n)).expect("the log is open");
        }
        let source = log.clone();
        let make = move |parts: Parts| {
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            let is_nobody = parts.headers.get("authorization").is_some_and(|who| who == "nobody");
            ready(if is_nobody { Err(refused) } else { Ok(source.clone()) })
        };
        let (service, _handle) = builder().cursor_keys(keys).make_source(make).service();
        let service = ServiceBuilder::new().map_request(bind).service(service);
        Self { log, host: Host::with(Protocol::Auto, service) }
    }

    fn target(&self, way: Way, reader: Who) -> Target {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-tenant", reader.tenant), ("x-user", reader.user)] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if reader.user == "nobody" {
            headers.insert("authorization", HeaderValue::from_static("nobody"));
        }
        Target { http: way.0, headers, ..Target::new(self.host.dialer(), reader.path) }
    }

    async fn seen(&self, way: Way, reader: Who, carry: Carry, token: &str) -> Vec<Seen> {
        let target = Target { carry, ..self.target(way, reader) };
        seen(way.1, &target, Place::After(token.to_owned())).await
    }

    /// What this reader is given to come back with after the n-th event.
    async fn token(&self, reader: Who, n: usize) -> String {
        let target = self.target((Http::One, Transport::Poll), reader);
        let seen = seen(Transport::Poll, &target, Place::Earliest).await;
        let ids: Vec<_> = seen.iter().filter_map(|seen| seen.event()?.id.clone()).collect();
        ids[n - 1].clone()
    }
}

async fn seen(transport: Transport, target: &Target, place: Place) -> Vec<Seen> {
    let mut reader = Reader::connect(transport, target, place).await;
    reader.collect_until(Seen::caught_up).await
}

/// As the application's own layer would, from a session.
fn bind(mut request: Request<Incoming>) -> Request<Incoming> {
    let of =
        |name: &str| request.headers().get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let scope = [of("x-tenant"), request.uri().path().as_bytes().to_vec()].join(&0);
    let user = Some(of("x-user")).filter(|user| !user.is_empty()).map(Principal::new);
    request.extensions_mut().insert(CursorScope::new(scope));
    user.map(|user| request.extensions_mut().insert(user));
    request
}

/// Who reads what.
#[derive(Clone, Copy, Debug)]
struct Who {
    tenant: &'static str,
    path: &'static str,
    user: &'static str,
}

const ANN: Who = Who { tenant: "acme", path: "/rooms/1", user: "ann" };

type Way = (Http, Transport);

fn ways() -> impl Iterator<Item = Way> {
    Http::ALL.into_iter().flat_map(|http| Transport::ALL.map(|transport| (http, transport)))
}

/// The status and the body of a refusal; none where it is none.
fn refusal(seen: &[Seen]) -> Option<(u16, Bytes)> {
    match seen {
        [Seen::Refused { status, body, .. }] => Some((status.as_u16(), body.clone())),
        _ => None,
    }
}

fn gap(seen: &[Seen]) -> Option<(&str, Option<&str>)> {
    seen.iter().find_map(|seen| match seen {
        Seen::Gap(gap) => Some((gap.reason.as_str(), gap.from.as_deref())),
        _ => None,
    })
}

fn events(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.event().is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_was_not_given_to_this_reader_is_400_and_the_same_400() {
    let mount = Signed::new(keys(NEW).also(OLD).expect("two"), 100, 5);
    let stranger = Signed::new(keys([3; 32]), 100, 5);
    let (own, next) = (mount.token(ANN, 3).await, mount.token(ANN, 4).await);
    let (cursor, tag) = own.split_once('-').expect("a tag");
    let mut forged = own.clone().into_bytes();
    let last = forged.last_mut().expect("bytes");
    *last = if *last == b'A' { b'Q' } else { b'A' };
    let wrong = [
        ("without a tag", cursor.to_owned()),
        ("without a tag, of the future", at(1_000)),
        ("without a tag, of another epoch", at(3).replace("8f3a", "0000")),
        ("with a forged tag", String::from_utf8(forged).expect("ASCII")),
        ("with a tag of zeros", format!("{cursor}-{}", "A".repeat(22))),
        ("with the tag of another place", format!("{}-{tag}", next.split_once('-').expect("a tag").0)),
        ("moved to the future", format!("{}-{tag}", at(1_000))),
        ("moved to another epoch", own.replace("8f3a", "0000")),
        ("with half a tag", own[..own.len() - 11].to_owned()),
        ("with two tags", format!("{own}-{tag}")),
        ("in upper case", own.to_uppercase()),
        ("with the padding of base64", format!("{own}==")),
        ("of another topic", mount.token(Who { path: "/rooms/2", ..ANN }, 3).await),
        ("of another tenant", mount.token(Who { tenant: "other", ..ANN }, 3).await),
        ("of another user", mount.token(Who { user: "bob", ..ANN }, 3).await),
        ("of another server, by its key", stranger.token(ANN, 3).await),
    ];
    let mut said = None;
    for (what, token) in &wrong {
        for (rule, (way, carry)) in
            ways().flat_map(|way| [("A-12", (way, Carry::Header)), ("D-09", (way, Carry::Query))])
        {
            case_async(rule, &format!("signed: a cursor {what}, by {way:?}"), async {
                let (status, body) = refusal(&mount.seen(way, ANN, carry, token).await).expect("a refusal");
                assert_eq!(status, 400, "{token}");
                // Nobody learns which part was wrong.
                assert_eq!(said.get_or_insert_with(|| body.clone()), &body, "{token}");
            })
            .await;
        }
    }
    for (rule, (way, carry)) in
        ways().flat_map(|way| [("A-12", (way, Carry::Header)), ("D-09", (way, Carry::Query))])
    {
        twin_async(rule, &format!("signed: the reader's own, by {way:?}"), async {
            let seen = mount.seen(way, ANN, carry, &own).await;
            assert_eq!((events(&seen), gap(&seen)), (2, None), "{seen:?}");
        })
        .await;
    }
    assert_eq!(mount.log.tail().to_string(), at(5));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_cursor_at_all_is_400_on_a_mount_that_signs() {
    let mount = Signed::new(keys(NEW), 100, 5);
    let own = mount.token(ANN, 3).await;
    let more = ["%00", "%0D%0A", "%20", "%FF", "%C3%A9", "=", ",", "-1"].map(|more| format!("{own}{more}"));
    for text in malformed().into_iter().chain(more) {
        case_async("A-12", &format!("signed: {text:.60}"), async {
            for way in ways() {
                let target = mount.target(way, ANN);
                let target = Target { path: format!("{}?offset={text}", target.path), ..target };
                let refused = refusal(&seen(way.1, &target, Place::Default).await);
                // A head of 16 KiB is all that h2 takes.
                let expected = if way.0 == Http::Two && text.len() > 16 * 1024 { 431 } else { 400 };
                assert_eq!(refused.map(|(status, _)| status), Some(expected), "{text:.60} by {way:?}");
            }
        })
        .await;
    }
    for (what, path, sent, status) in [
        ("two parameters", format!("?offset={own}&offset={own}"), vec![], 400),
        ("two aliases", format!("?offset={own}&last_event_id={own}"), vec![], 400),
        ("two headers", String::new(), vec![own.clone(), own.clone()], 400),
        ("a list in one header", String::new(), vec![format!("{own}, {own}")], 400),
        ("a header without its tag beside a good query", format!("?offset={own}"), vec![at(3)], 400),
        ("a good header beside rubbish, which is not parsed", "?offset=x".to_owned(), vec![own.clone()], 200),
        ("an empty header beside a good query", format!("?offset={own}"), vec![String::new()], 200),
        ("-1", "?offset=-1".to_owned(), vec![], 200),
        ("now", "?offset=now".to_owned(), vec![], 200),
        ("last-2", "?offset=last-2".to_owned(), vec![], 200),
        ("nothing", String::new(), vec![], 200),
    ] {
        let ask = async {
            let way = (Http::One, Transport::Poll);
            let target = mount.target(way, ANN);
            let target = Target { path: format!("{}{path}", target.path), ..target };
            let request = target.request(Method::GET, &Place::Default);
            let request = sent.iter().fold(request, |request, id| request.header("last-event-id", id));
            let answer = target.send(request, "").await.expect("an answer");
            assert_eq!(answer.status.as_u16(), status, "{what}");
        };
        let what = format!("signed: {what}");
        if status == 400 {
            case_async("A-12", &what, ask).await
        } else {
            twin_async("A-12", &what, ask).await
        }
    }
    case_async("A-12", "signed: NUL, CR LF, UTF-16, bytes above 0x7F and 1 MiB in the header", async {
        let values: [Vec<u8>; 6] = [
            [own.as_bytes(), b"\0"].concat(),
            [own.as_bytes(), b"\r\nLast-Event-ID: x"].concat(),
            own.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            [b"\xEF\xBB\xBF", own.as_bytes()].concat(),
            [own.as_bytes(), b"\x80"].concat(),
            own.bytes().cycle().take(1 << 20).collect(),
        ];
        for value in values {
            let mut raw = Raw::over(mount.host.connect());
            let lines = Lines::get("/rooms/1").with("x-tenant", "acme").with("x-user", "ann");
            raw.send(lines.with("Last-Event-ID", &value).bytes()).await;
            let status = raw.head().await.expect("an answer").status;
            assert!(matches!(status, 400 | 431), "{status} for {:.40?}", value);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_with_a_right_tag_that_leads_nowhere_is_a_gap() {
    // As after a restart: what an earlier life of the server has signed is still to be told from what nobody has.
    let mount = Signed::new(keys(OLD), 4, 10);
    let anybody = Who { user: "", ..ANN };
    let signing = Signing::new(OLD).scope("acme\0/rooms/1");
    let foreign = at(3).replace("8f3a", "0000");
    for way in ways() {
        for (what, cursor, reason) in [
            ("old", at(2), "trimmed"),
            ("of the future", at(40), "epoch"),
            ("of the far future, in the long form", at(u128::MAX), "epoch"),
            ("of another epoch", foreign.clone(), "epoch"),
        ] {
            case_async("A-12", &format!("signed: {what}, a gap, by {way:?}"), async {
                let token = signing.signed(&cursor);
                let seen = mount.seen(way, anybody, Carry::Header, &token).await;
                assert_eq!(gap(&seen), Some((reason, Some(&*token))), "{seen:?}");
                assert_eq!(events(&seen), 4, "all that is retained");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_brought_in_and_dropped_without_losing_a_place() {
    let [before, ahead, both, after] =
        [keys(OLD), keys(OLD).also(NEW).expect("two"), keys(NEW).also(OLD).expect("two"), keys(NEW)]
            .map(|keys| Signed::new(keys, 100, 5));
    let (of_old, of_new) = (before.token(ANN, 3).await, after.token(ANN, 3).await);
    assert_eq!((ahead.token(ANN, 3).await, both.token(ANN, 3).await), (of_old.clone(), of_new.clone()));
    for way in ways() {
        for (what, mount, token, is_taken) in [
            ("the new key's before it is known", &before, &of_new, false),
            ("the new key's once it is known", &ahead, &of_new, true),
            ("the old key's while both are", &both, &of_old, true),
            ("the old key's after it is dropped", &after, &of_old, false),
        ] {
            let ask = async {
                let seen = mount.seen(way, ANN, Carry::Header, token).await;
                assert_eq!(refusal(&seen).map(|(status, _)| status), (!is_taken).then_some(400), "{seen:?}");
                assert_eq!(events(&seen), if is_taken { 2 } else { 0 });
            };
            let what = format!("{what}, by {way:?}");
            if is_taken { twin_async("A-12", &what, ask).await } else { case_async("A-12", &what, ask).await }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_is_authorised_as_a_first_connect_and_a_cursor_is_no_credential() {
    let mount = Signed::new(keys(NEW), 100, 5);
    let own = mount.token(ANN, 3).await;
    let moved = own.replace(&at(3), &at(4));
    let nobody = Who { user: "nobody", ..ANN };
    for way in ways() {
        for (what, token) in [("right", &own), ("wrong", &moved)] {
            case_async("D-12", &format!("a {what} cursor of somebody who may not read, by {way:?}"), async {
                let seen = mount.seen(way, nobody, Carry::Header, token).await;
                // The application speaks first: whether the cursor is right is not to be learnt.
                assert_eq!(refusal(&seen).map(|(status, _)| status), Some(401), "{token}: {seen:?}");
            })
            .await;
        }
        for (what, other) in [
            ("another user's", Who { user: "bob", ..ANN }),
            ("another tenant's", Who { tenant: "other", ..ANN }),
            ("another topic's", Who { path: "/rooms/2", ..ANN }),
        ] {
            case_async("D-12", &format!("{what} cursor with good credentials, by {way:?}"), async {
                let seen = mount.seen(way, other, Carry::Header, &own).await;
                assert_eq!(refusal(&seen).map(|(status, _)| status), Some(400), "{seen:?}");
            })
            .await;
        }
        twin_async("D-12", &format!("the reader's own cursor, by {way:?}"), async {
            let seen = mount.seen(way, ANN, Carry::Header, &own).await;
            assert_eq!((events(&seen), gap(&seen)), (2, None));
        })
        .await;
    }
    case_async("D-12", "HEAD looks at the cursor too, and gives none", async {
        let target = mount.target((Http::One, Transport::Poll), ANN);
        for (token, status) in [(own.clone(), 200), (at(3), 400), (own.replace("-", "-A"), 400)] {
            let answer =
                target.send(target.request(Method::HEAD, &Place::After(token)), "").await.expect("an answer");
            assert_eq!((answer.status.as_u16(), answer.header("stream-next-offset")), (status, None));
        }
    })
    .await;
}
