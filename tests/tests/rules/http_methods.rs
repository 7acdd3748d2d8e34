//! P-HT-01 to 03: methods, and one URL that answers by `Accept` (RFC 9110).

use std::convert::Infallible;

use futures_util::FutureExt;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use realtime_tests::client::{Place, Target};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Body, Config, LongPollTransport, PollTransport, RealtimeLayer, SseTransport, builder};
use tower::{ServiceBuilder, ServiceExt};

use crate::mount::{Mount, log};

fn sorted(mut list: Vec<String>) -> String {
    list.sort_unstable();
    list.join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_told_the_right_ones() {
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "QUERY", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        for (what, mount, allow) in [
            ("two-way", Mount::new(), "get head options post"),
            ("one-way", Mount::deaf(), "get head options"),
        ] {
            case_async("P-HT-01", &format!("{method} of a mount that is {what}"), async {
                let answer = mount.ask(method.clone(), "/events", &[("accept", b"text/event-stream")]).await;
                assert_eq!((answer.status, mount.made()), (405, 0));
                assert_eq!(sorted(answer.list("allow")), allow);
                assert_eq!(answer.text("cache-control"), Some("no-store"));
            })
            .await;
        }
    }
    case_async("P-HT-01", "POST where nobody listens, whatever it carries", async {
        for media in ["application/json", "text/plain", ""] {
            let mount = Mount::deaf();
            let answer = mount.post("/events", &[("content-type", media)], "{}").await;
            assert_eq!((answer.status, mount.made()), (405, 0));
            assert_eq!(sorted(answer.list("allow")), "get head options");
        }
    })
    .await;
    case_async("P-HT-01", "OPTIONS is 204 with Allow, without authentication and without a source", async {
        for (mount, allow) in [(Mount::new(), "get head options post"), (Mount::deaf(), "get head options")] {
            for headers in
                [&[][..], &[("authorization", &b"nobody"[..])], &[("accept", b"text/event-stream")]]
            {
                let answer = mount.ask(Method::OPTIONS, "/events?offset=rubbish", headers).await;
                assert_eq!((answer.status, mount.made(), &answer.body[..]), (204, 0, &b""[..]));
                assert_eq!(sorted(answer.list("allow")), allow);
                assert_eq!((answer.text("stream-next-offset"), answer.text("content-type")), (None, None));
            }
        }
    })
    .await;
    twin_async("P-HT-01", "GET, HEAD and POST are what Allow says", async {
        let mount = Mount::new();
        assert_eq!(mount.get("/events", &[]).await.status, 200);
        assert_eq!(mount.ask(Method::HEAD, "/events", &[]).await.status, 200);
        assert_eq!(mount.post("/events", &[("content-type", "application/json")], "1").await.status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn head_neither_subscribes_nor_waits_nor_counts() {
    for (what, path, headers) in [
        ("a poll", "/events", &[][..]),
        ("a poll of lines", "/events", &[("accept", &b"application/x-ndjson"[..])]),
        ("a long-poll", "/events", &[("prefer", b"wait=20")]),
        ("a stream", "/events", &[("accept", b"text/event-stream")]),
        ("a poll from the beginning", "/events?offset=-1", &[]),
    ] {
        case_async(
            "P-HT-02",
            &format!("{what}: the headers of the GET, but no place, no flag, no permit"),
            async {
                let mount = Mount::with(Config { readers_max: 1, ..Config::default() });
                mount.publish(1..=3);
                let head = mount.ask(Method::HEAD, path, headers).await;
                assert_eq!(
                    (mount.made(), mount.readers(), mount.requests()),
                    (1, 0, 0),
                    "{what}: made, not subscribed"
                );
                let target = Target::new(mount.host.dialer(), path);
                let mut request = target.request(Method::GET, &Place::Default);
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                if what == "a long-poll" {
                    mount.publish(4..=4);
                }
                let got = tokio::spawn(async move { target.send(request, "").await });
                if what == "a long-poll" {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    mount.publish(5..=5);
                }
                let got = got.await.expect("a task").expect("an answer");
                assert_eq!((head.status, got.status.as_u16(), &head.body[..]), (200, 200, &b""[..]));
                for name in
                    ["content-type", "cache-control", "vary", "x-accel-buffering", "x-content-type-options"]
                {
                    assert_eq!(head.text(name), got.header(name), "{what}: {name}");
                }
                for name in ["stream-next-offset", "stream-up-to-date", "stream-closed", "etag"] {
                    assert_eq!(head.text(name), None, "{what}: {name}");
                }
            },
        )
        .await;
    }
    case_async("P-HT-02", "it is answered where no reader is let in, and takes nobody's place", async {
        let mount = Mount::with(Config { readers_max: 0, ..Config::default() });
        assert_eq!(mount.ask(Method::HEAD, "/events", &[]).await.status, 200);
    })
    .await;
    case_async("P-HT-02", "a length that is not known is not said, rather than 0", async {
        let mut raw = Mount::new().raw();
        raw.send("HEAD /events HTTP/1.1\r\nHost: realtime.test\r\n\r\n").await;
        let head = raw.head().await.expect("an answer");
        assert_eq!((head.status, head.text("content-length")), (200, None));
    })
    .await;
    case_async("P-HT-02", "authorisation speaks on HEAD as on GET, and so does a bad cursor", async {
        let mount = Mount::new();
        assert_eq!(mount.ask(Method::HEAD, "/events", &[("authorization", b"nobody")]).await.status, 401);
        assert_eq!(mount.ask(Method::HEAD, "/events?offset=rubbish", &[]).await.status, 400);
        assert_eq!(mount.ask(Method::HEAD, "/events", &[("accept", b"image/png")]).await.status, 406);
    })
    .await;
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

#[tokio::test(start_paused = true)]
async fn one_url_answers_by_accept() {
    for (path, accept, media) in [
        ("/events", None, JSON),
        ("/events", Some("*/*"), JSON),
        ("/events", Some("application/json"), JSON),
        ("/events", Some("application/*"), JSON),
        ("/events", Some("APPLICATION/JSON"), JSON),
        ("/events", Some("text/html, application/xhtml+xml, */*;q=0.8"), JSON),
        ("/events", Some("application/x-ndjson"), LINES),
        ("/events", Some("application/x-ndjson, application/json;q=0.9"), LINES),
        ("/events", Some("application/x-ndjson, application/json"), JSON),
        ("/events", Some("application/json;q=0, */*"), LINES),
        ("/events", Some("text/event-stream"), SSE),
        ("/events", Some("text/*"), SSE),
        ("/events", Some("text/event-stream, */*"), SSE),
        ("/events", Some("text/event-stream, application/json"), JSON),
        ("/events", Some("application/json, text/event-stream"), JSON),
        ("/events", Some("text/event-stream, application/json;q=0.9"), SSE),
        ("/events", Some("text/event-stream;q=0.5, application/json;q=0.6"), JSON),
        ("/events", Some("text/event-stream;q=0.5, */*;q=0.4"), SSE),
        ("/events", Some("text/event-stream;q=0, */*"), JSON),
        ("/events", Some("text/event-stream; q=0.001"), SSE),
        ("/events", Some("image/png, application/json;q=0.1"), JSON),
        ("/events?live=sse", None, SSE),
        ("/events?live=sse", Some("*/*"), SSE),
        ("/events?live=sse", Some("text/event-stream;q=0.1, application/json"), SSE),
        ("/events?live=poll", Some("*/*"), JSON),
    ] {
        twin_async("P-HT-03", &format!("{path} with Accept {accept:?} is {media}"), async {
            let mount = Mount::new();
            mount.publish(1..=1);
            mount.log.close();
            let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
            let path = path.replace('?', "?offset=-1&");
            let path = if path.contains('?') { path } else { format!("{path}?offset=-1") };
            let answer = mount.get(&path, &headers).await;
            assert_eq!((answer.status, answer.media()), (200, Some(media)));
            assert!(answer.list("vary").contains(&"accept".to_owned()));
        })
        .await;
    }
    for (path, accept) in [
        ("/events", "text/html"),
        ("/events", "image/*"),
        ("/events", "application/json;q=0"),
        ("/events", "*/*;q=0"),
        ("/events", "application/json;q=0, application/x-ndjson;q=0, text/event-stream;q=0, */*"),
        ("/events", ""),
        ("/events", "rubbish"),
        ("/events", "application/json;q=2"),
        ("/events?live=sse", "application/json"),
        ("/events?live=long-poll", "text/event-stream"),
        ("/events?live=poll", "text/event-stream"),
        ("/events?live=morse", "*/*"),
    ] {
        case_async("P-HT-03", &format!("{path} with Accept {accept:?} is 406"), async {
            let mount = Mount::new();
            let answer = mount.get(path, &[("accept", accept)]).await;
            assert_eq!((answer.status, mount.made(), mount.readers()), (406, 0, 0));
            assert!(answer.list("vary").contains(&"accept".to_owned()), "a refusal varies too");
        })
        .await;
    }
    case_async(
        "P-HT-03",
        "Vary names Accept, Prefer and Last-Event-ID on 304, 204 and every refusal",
        async {
            let mount = Mount::new();
            let etag = mount.get("/events", &[]).await.text("etag").expect("an ETag").to_owned();
            for (answer, status) in [
                (mount.get("/events", &[("if-none-match", &etag)]).await, 304),
                (mount.get("/events", &[("prefer", "wait=1")]).await, 204),
                (mount.get("/events?offset=x", &[]).await, 400),
                (mount.get("/events", &[("accept", "image/png")]).await, 406),
                (mount.ask(Method::PUT, "/events", &[]).await, 405),
                (mount.post("/events", &[("content-type", "text/plain")], "x").await, 415),
            ] {
                assert_eq!(answer.status, status);
                for name in ["accept", "prefer", "last-event-id"] {
                    assert!(answer.list("vary").contains(&name.to_owned()), "{status}: {name}");
                }
            }
        },
    )
    .await;
    twin_async("P-HT-03", "a mount without a transport answers by those that it has", async {
        let stream = Mount::of(builder().transports((SseTransport::default(),)), log());
        let polls =
            Mount::of(builder().transports((LongPollTransport::default(), PollTransport::default())), log());
        stream.log.close();
        assert_eq!(stream.get("/events", &[("accept", JSON)]).await.status, 406);
        assert_eq!(polls.get("/events", &[("accept", SSE)]).await.status, 406);
        // Where streams are all there is, whoever does not mind is given one: here its end.
        assert_eq!(stream.get("/events", &[]).await.status, 204);
    })
    .await;
}

/// A page, with a mount laid around it.
fn layered() -> Host {
    let page = tower::service_fn(|request: Request<hyper::body::Incoming>| async move {
        let said = format!("{} {}", request.method(), request.uri());
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let said = format!("{said} {}", String::from_utf8_lossy(&body));
        Ok::<_, Infallible>(
            Response::builder().header("x-page", "yes").body(Body::from(said)).expect("a response"),
        )
    });
    Host::with(Protocol::Auto, ServiceBuilder::new().layer(RealtimeLayer::new(log())).service(page))
}

#[tokio::test(start_paused = true)]
async fn a_layer_claims_only_what_is_unmistakable() {
    for (what, method, path, headers) in [
        ("a page", Method::GET, "/", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")][..]),
        ("a page by curl", Method::GET, "/", &[("accept", "*/*")]),
        ("JSON", Method::GET, "/", &[("accept", "application/json")]),
        ("a page of many", Method::GET, "/?offset=20", &[("accept", "text/html,*/*;q=0.8")]),
        ("a page of many, by curl", Method::GET, "/?offset=20", &[]),
        ("JSON of many", Method::GET, "/?offset=20&limit=10", &[("accept", "application/json")]),
        ("a page of many, with an empty place", Method::GET, "/?offset=20", &[("last-event-id", "")]),
        ("the first page of many", Method::GET, "/?offset=", &[("accept", "text/html,*/*;q=0.8")]),
        ("a form", Method::POST, "/", &[("content-type", "application/x-www-form-urlencoded")]),
        ("JSON, sent", Method::POST, "/", &[("content-type", "application/json")]),
        ("OPTIONS", Method::OPTIONS, "/", &[("accept", "text/event-stream")]),
        ("DELETE", Method::DELETE, "/", &[]),
        ("another preference", Method::GET, "/", &[("prefer", "respond-async")]),
        ("an upgrade to something else", Method::GET, "/", &[("upgrade", "h2c"), ("connection", "upgrade")]),
    ] {
        twin_async("P-HT-03", &format!("a layer leaves alone: {what}"), async {
            let target = Target::new(layered().dialer(), path);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let answer = crate::mount::ask(&target, method.clone(), &headers, "the body").await;
            assert_eq!((answer.status, answer.text("x-page")), (200, Some("yes")));
            assert_eq!(answer.body, format!("{method} {path} the body"));
            assert_eq!((answer.text("vary"), answer.text("cache-control")), (None, None), "byte for byte");
        })
        .await;
    }
    for (what, path, headers) in [
        ("SSE, named", "/", &[("accept", "text/event-stream")][..]),
        ("a wait", "/", &[("prefer", "wait=1")]),
        ("a transport, named", "/?live=poll", &[]),
        ("a cursor", "/?offset=-1", &[]),
        ("SSE, with a cursor that is none", "/?offset=20", &[("accept", "text/event-stream")]),
        ("a wait, with a cursor that is none", "/?offset=20", &[("prefer", "wait=1")]),
        ("a transport, with a cursor that is none", "/?offset=20&live=poll", &[]),
        ("a cursor as a header", "/", &[("last-event-id", "now")]),
        ("a cursor that is none, as a header", "/", &[("last-event-id", "20")]),
    ] {
        case_async("P-HT-03", &format!("a layer claims: {what}"), async {
            let target = Target::new(layered().dialer(), path);
            let mut request = target.request(Method::GET, &Place::Default);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = target.send(request, "").await.expect("an answer");
            assert_eq!((answer.header("x-page"), answer.header("vary").is_some()), (None, true));
            assert_eq!(answer.status == 400, what.contains("that is none"), "{}", answer.status);
        })
        .await;
    }
    twin_async("P-HT-03", "a layer under a service that is asked without a host", async {
        let page = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::from("page")))
        });
        let service = ServiceBuilder::new().layer(RealtimeLayer::new(log())).service(page);
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let answer = service.oneshot(request).now_or_never().expect("at once").expect("an answer");
        assert!(answer.headers().is_empty());
    })
    .await;
}
