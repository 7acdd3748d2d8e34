//! D-14: a POST with an `Idempotency-Key` has its effect once, and each retry gets the first answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use realtime_core::Log;
use realtime_tests::client::Target;
use realtime_tests::host::Host;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{
    Body, Config, Handle, Inbound, IntoReply, OnceConfig, Principal, Reply, Uplink, UplinkError, builder,
    uplink_fn,
};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, service_fn};

use crate::mount::{Answered, ask};
use crate::raw::{Lines, Raw};

const JSON: (&str, &str) = ("content-type", "application/json");
const KEY: (&str, &str) = ("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

/// How long `slow` takes.
const SLOW: Duration = Duration::from_secs(5);

/// A shop: each message has the effect that the count goes up by one, and its answer says the count.
struct Shop {
    host: Host,
    handle: Handle,
    effects: Arc<AtomicUsize>,
    /// Nobody is let in any more.
    closed: Arc<AtomicBool>,
}

impl Shop {
    fn new() -> Self {
        Self::with(OnceConfig::default())
    }

    fn with(once: OnceConfig) -> Self {
        let (effects, closed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let asked = closed.clone();
        let (service, handle) = builder()
            .config(Config { once, body_wait: Duration::from_secs(2), ..Config::default() })
            .make_source(move |_: Parts| {
                let source = if asked.load(Ordering::SeqCst) { Err(denied()) } else { Ok(Log::new()) };
                std::future::ready(source)
            })
            .uplink(counting(&effects))
            .service();
        Self { host: Host::new(service), handle, effects, closed }
    }

    fn effects(&self) -> usize {
        self.effects.load(Ordering::SeqCst)
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &'static str) -> Answered {
        post(&self.host, path, headers, body).await
    }

    /// The usual message.
    async fn order(&self) -> Answered {
        self.post("/events", &[JSON, KEY], "7").await
    }
}

async fn post(host: &Host, path: &str, headers: &[(&str, &str)], body: &'static str) -> Answered {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    ask(&Target::new(host.dialer(), path), Method::POST, &headers, body).await
}

fn counting(effects: &Arc<AtomicUsize>) -> impl Uplink + use<> {
    let effects = effects.clone();
    uplink_fn(move |message: Inbound| {
        let effects = effects.clone();
        async move { counted(&message, &effects).await }
    })
}

async fn counted(message: &Inbound, effects: &AtomicUsize) -> Result<Reply, UplinkError> {
    let count = || effects.fetch_add(1, Ordering::SeqCst) + 1;
    match message.name() {
        "text" => format!("effect {}", count()).into_reply(),
        "bytes" => Bytes::from(vec![0xFF, 0, 10, u8::try_from(count()).expect("few")]).into_reply(),
        "empty" => String::new().into_reply().inspect(|_| _ = count()),
        "nothing" => ().into_reply().inspect(|_| _ = count()),
        "long" => format!("{:>1000}", count()).into_reply(),
        "refused" => Err(UplinkError::new(StatusCode::FORBIDDEN, format!("no, for the {}. time", count()))),
        "not now" => Err(UplinkError::new(StatusCode::SERVICE_UNAVAILABLE, format!("not {}", count()))),
        "panic" => panic!("after effect {}", count()),
        "slow" => {
            sleep(SLOW).await;
            serde_json::json!({ "effect": count() }).into_reply()
        }
        _ => serde_json::json!({ "effect": count() }).into_reply(),
    }
}

fn denied() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// All that an answer says, but for when it was said and that it was said before.
fn said(answer: &Answered) -> (u16, HeaderMap, &[u8]) {
    let mut headers = answer.headers.clone();
    ["date", "idempotent-replayed"].iter().for_each(|name| drop(headers.remove(*name)));
    (answer.status, headers, &answer.body)
}

fn is_replayed(answer: &Answered) -> bool {
    answer.text("idempotent-replayed") == Some("true")
}

#[tokio::test(start_paused = true)]
async fn a_retry_gets_the_first_answer() {
    for (what, path, status, media) in [
        ("JSON", "/events?event=order", 200, Some("application/json")),
        ("text", "/events?event=text", 200, Some("text/plain; charset=utf-8")),
        ("an empty text", "/events?event=empty", 200, Some("text/plain; charset=utf-8")),
        ("bytes", "/events?event=bytes", 200, Some("application/octet-stream")),
        ("nothing, which is 204", "/events?event=nothing", 204, None),
        ("a refusal of the handler", "/events?event=refused", 403, Some("application/problem+json")),
    ] {
        case_async("D-14", &format!("again, byte for byte: {what}"), async {
            let shop = Shop::new();
            let first = shop.post(path, &[JSON, KEY], "7").await;
            assert_eq!((first.status, first.media(), is_replayed(&first)), (status, media, false));
            for _ in 0..3 {
                sleep(Duration::from_secs(100)).await;
                let again = shop.post(path, &[JSON, KEY], "7").await;
                assert_eq!(said(&again), said(&first));
                assert!(is_replayed(&again));
            }
            assert_eq!(shop.effects(), 1);
        })
        .await;
    }
    twin_async("D-14", "without a key, and with another, each is a message of its own", async {
        let shop = Shop::new();
        for (n, headers) in
            [&[JSON][..], &[JSON], &[JSON, KEY], &[JSON, ("idempotency-key", "\"b\"")]].iter().enumerate()
        {
            let answer = shop.post("/events", headers, "7").await;
            assert_eq!((answer.json()["effect"].as_u64(), is_replayed(&answer)), (Some(n as u64 + 1), false));
        }
    })
    .await;
    case_async("D-14", "a handler that says not now has done nothing, and is asked again", async {
        let shop = Shop::new();
        for n in 1..3 {
            let answer = shop.post("/events?event=not%20now", &[JSON, KEY], "7").await;
            assert_eq!((answer.status, answer.json()["title"].as_str()), (503, Some(&*format!("not {n}"))));
        }
    })
    .await;
    case_async("D-14", "through a layer, as through a service", async {
        let effects = Arc::<AtomicUsize>::default();
        let (layer, _handle) = builder().source(Log::new()).uplink(counting(&effects)).layer();
        let page = service_fn(|_: Request<_>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Body::from("a page")))
        });
        let host = Host::new(ServiceBuilder::new().layer(layer).service(page));
        let first = post(&host, "/events", &[JSON, KEY], "7").await;
        let again = post(&host, "/events", &[JSON, KEY], "7").await;
        assert_eq!((said(&again), is_replayed(&again)), (said(&first), true));
        assert_eq!(effects.load(Ordering::SeqCst), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_one_string() {
    let long = "x".repeat(128);
    for (what, first, again) in [
        ("quoted and bare", "\"k-1\"", "k-1"),
        ("of 128 bytes", &*format!("\"{long}\""), &*long),
        ("a quote and a backslash", r#""a\"\\b""#, r#""a\"\\b""#),
        ("what would be a list, were it bare", "\"a, b; c\"", "\"a, b; c\""),
    ] {
        twin_async("D-14", &format!("a key: {what}"), async {
            let shop = Shop::new();
            let first = shop.post("/events", &[JSON, ("idempotency-key", first)], "7").await;
            let again = shop.post("/events", &[JSON, ("idempotency-key", again)], "7").await;
            assert_eq!((first.status, is_replayed(&again), shop.effects()), (200, true, 1));
        })
        .await;
    }
    for (what, sent) in [
        ("empty", &[""][..]),
        ("an empty string", &["\"\""]),
        ("129 bytes", &[&*format!("{long}x")]),
        ("129 bytes in quotes", &[&*format!("\"{long}x\"")]),
        ("no closing quote", &["\"a"]),
        ("two strings", &["\"a\", \"b\""]),
        ("a list that a proxy joined", &["a, a"]),
        ("a parameter", &["\"a\";b=1"]),
        ("a tab", &["\"a\tb\""]),
        ("bytes that are no ASCII", &["caf\u{e9}"]),
        ("an escape of nothing", &["\"\\a\""]),
        ("two headers", &["\"a\"", "\"b\""]),
        ("two headers, alike", &["\"a\"", "\"a\""]),
    ] {
        case_async("D-14", &format!("no key, 400 before any effect: {what}"), async {
            let shop = Shop::new();
            let headers: Vec<_> = sent.iter().map(|sent| ("idempotency-key", *sent)).chain([JSON]).collect();
            let answer = shop.post("/events", &headers, "7").await;
            assert_eq!((answer.status, shop.effects()), (400, 0));
            assert!(sent.iter().all(|sent| sent.len() < 100 || !answer.json().to_string().contains(sent)));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_first_runs_a_retry_is_409() {
    case_async("D-14", "409 and when to come back; then the first answer", async {
        let shop = Shop::new();
        let slow = "/events?event=slow";
        let later = async {
            sleep(SLOW / 2).await;
            shop.post(slow, &[JSON, KEY], "7").await
        };
        let (first, early) = tokio::join!(shop.post(slow, &[JSON, KEY], "7"), later);
        assert_eq!((first.status, early.status, is_replayed(&early)), (200, 409, false));
        let wait: u64 = early.text("retry-after").expect("when").parse().expect("seconds");
        assert!((1..=3).contains(&wait), "{wait}");
        let again = shop.post(slow, &[JSON, KEY], "7").await;
        assert_eq!((said(&again), is_replayed(&again), shop.effects()), (said(&first), true, 1));
    })
    .await;
    case_async("D-14", "of a hundred at once one is handled", async {
        for path in ["/events", "/events?event=slow"] {
            let shop = Shop::new();
            let answers = join_all((0..100).map(|_| shop.post(path, &[JSON, KEY], "7"))).await;
            assert_eq!(shop.effects(), 1);
            let mut first = answers.iter().filter(|answer| answer.status == 200 && !is_replayed(answer));
            let body = &first.next().expect("the one").body;
            assert!(first.next().is_none());
            assert!(answers.iter().all(|answer| answer.status == 409 || answer.body == body), "{answers:?}");
        }
    })
    .await;
    case_async("D-14", "another body, or another event, under a known key is 422", async {
        let shop = Shop::new();
        let first = shop.order().await;
        for (path, body) in [("/events", "8"), ("/events?event=text", "7"), ("/events", "\"7\"")] {
            let other = shop.post(path, &[JSON, KEY], body).await;
            assert_eq!((other.status, is_replayed(&other)), (422, false));
        }
        let same = shop.post("/events?event=message", &[JSON, KEY], " 7\r\n").await;
        assert_eq!((said(&same), shop.effects()), (said(&first), 1));
    })
    .await;
}

/// A message on a connection of its own, whose answer is not waited for.
async fn sent(shop: &Shop, event: &str) -> Raw {
    let mut raw = Raw::over(shop.host.connect());
    let lines = Lines::of(&format!("POST /events?event={event} HTTP/1.1")).with("Host", "realtime.test");
    let lines = lines.with(JSON.0, JSON.1).with(KEY.0, KEY.1).with("Content-Length", "1");
    raw.send(lines.followed_by("7")).await;
    raw
}

#[tokio::test(start_paused = true)]
async fn a_handler_ends_what_it_has_begun() {
    case_async("D-14", "its client goes in the middle: it runs on, and the retry has its answer", async {
        let shop = Shop::new();
        let raw = sent(&shop, "slow").await;
        sleep(SLOW / 2).await;
        drop(raw);
        shop.host.all_gone().await;
        assert_eq!(shop.effects(), 0, "it went before");
        assert_eq!(shop.post("/events?event=slow", &[JSON, KEY], "7").await.status, 409);
        sleep(SLOW).await;
        let again = shop.post("/events?event=slow", &[JSON, KEY], "7").await;
        assert_eq!((again.status, is_replayed(&again), shop.effects()), (200, true, 1));
        assert_eq!(again.json()["effect"], 1);
    })
    .await;
    case_async("D-14", "a drain waits for it, and no longer than it may", async {
        for (deadline, effects) in [(SLOW * 2, 1), (SLOW / 4, 0)] {
            let shop = Shop::new();
            let raw = sent(&shop, "slow").await;
            sleep(SLOW / 2).await;
            drop(raw);
            let start = Instant::now();
            shop.handle.drain(deadline).await;
            assert_eq!(shop.effects(), effects);
            assert_eq!(start.elapsed().as_millis(), deadline.min(SLOW / 2).as_millis());
        }
    })
    .await;
    case_async("D-14", "a handler that panics has been run: 500, now and again", async {
        let shop = Shop::new();
        let first = shop.post("/events?event=panic", &[JSON, KEY], "7").await;
        let again = shop.post("/events?event=panic", &[JSON, KEY], "7").await;
        assert_eq!((first.status, said(&again), is_replayed(&again)), (500, said(&first), true));
        assert_eq!(shop.effects(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_known_of_one_principal_at_one_url() {
    let ann = ("authorization", "Bearer ann");
    for (what, path, headers) in [
        ("another Authorization", "/events?a=1", &[("authorization", "Bearer bob")][..]),
        ("none", "/events?a=1", &[]),
        ("a cookie beside it", "/events?a=1", &[ann, ("cookie", "id=1"), ("origin", "http://realtime.test")]),
        ("another path", "/other?a=1", &[ann]),
        ("another query", "/events?a=2", &[ann]),
        ("no query", "/events", &[ann]),
    ] {
        twin_async("D-14", &format!("the same key is another message: {what}"), async {
            let shop = Shop::new();
            let first = shop.post("/events?a=1", &[JSON, KEY, ann], "7").await;
            let other = shop.post(path, &[&[JSON, KEY], headers].concat(), "7").await;
            assert_eq!((first.status, other.status, is_replayed(&other)), (200, 200, false));
            assert_eq!((other.json()["effect"].as_u64(), shop.effects()), (Some(2), 2));
        })
        .await;
    }
    case_async("D-14", "who the application says it is decides, whatever the token", async {
        let effects = Arc::<AtomicUsize>::default();
        let (service, _handle) = builder().source(Log::new()).uplink(counting(&effects)).service();
        let named = ServiceBuilder::new().map_request(|mut request: Request<_>| {
            if let Some(user) = request.headers().get("x-user").cloned() {
                request.extensions_mut().insert(Principal::new(user.as_bytes()));
            }
            request
        });
        let host = Host::new(named.service(service));
        for (user, token, replayed) in
            [("ann", "old", false), ("ann", "new", true), ("bob", "new", false), ("bob", "old", true)]
        {
            let headers = [JSON, KEY, ("x-user", user), ("authorization", token)];
            assert_eq!(is_replayed(&post(&host, "/events", &headers, "7").await), replayed, "{user} {token}");
        }
        assert_eq!(effects.load(Ordering::SeqCst), 2);
    })
    .await;
    case_async("D-14", "who may no longer do it is not told what was said", async {
        let shop = Shop::new();
        assert_eq!(shop.order().await.status, 200);
        shop.closed.store(true, Ordering::SeqCst);
        let refused = shop.order().await;
        assert_eq!((refused.status, is_replayed(&refused), &refused.body[..]), (401, false, &b""[..]));
        shop.closed.store(false, Ordering::SeqCst);
        assert!(is_replayed(&shop.order().await));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_never_reached_the_handler_leaves_no_trace() {
    let long = String::leak(format!("\"{}\"", "x".repeat(64 * 1024)));
    for (what, headers, body, status) in [
        ("of another type", &[KEY, ("content-type", "text/plain")][..], "7", 415),
        ("too large", &[KEY, JSON], &*long, 413),
        ("no JSON", &[KEY, JSON], "{", 400),
        ("from another origin", &[KEY, JSON, ("origin", "https://evil.example")], "7", 403),
    ] {
        twin_async("D-14", &format!("a key is new after what was refused: {what}"), async {
            let shop = Shop::new();
            assert_eq!(shop.post("/events", headers, body).await.status, status);
            let answer = shop.order().await;
            assert_eq!((answer.status, is_replayed(&answer), shop.effects()), (200, false, 1));
        })
        .await;
    }
    twin_async(
        "D-14",
        "a key is new after a body that broke off, came too late or had no right to be",
        async {
            for broken in ["off", "late", "unauthorised"] {
                let shop = Shop::new();
                shop.closed.store(broken == "unauthorised", Ordering::SeqCst);
                let mut raw = Raw::over(shop.host.connect());
                let lines =
                    Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test").with(JSON.0, JSON.1);
                raw.send(lines.with(KEY.0, KEY.1).with("Content-Length", "2").followed_by("7")).await;
                match broken {
                    "off" => drop(raw),
                    "late" => assert_eq!(raw.head().await.map(|head| head.status), Some(408)),
                    _ => assert_eq!(raw.head().await.map(|head| head.status), Some(401)),
                }
                shop.closed.store(false, Ordering::SeqCst);
                let answer = shop.order().await;
                assert_eq!(
                    (answer.status, is_replayed(&answer), shop.effects()),
                    (200, false, 1),
                    "{broken}"
                );
            }
        },
    )
    .await;
}

/// The n-th key.
async fn order_by(shop: &Shop, n: usize, event: &str) -> Answered {
    shop.post(&format!("/events?event={event}"), &[JSON, ("idempotency-key", &n.to_string())], "7").await
}

#[tokio::test(start_paused = true)]
async fn the_window_is_bounded() {
    case_async("D-14", "in seconds, from the answer", async {
        for (waited, replayed) in [(59_999, true), (60_001, false)] {
            let shop = Shop::with(OnceConfig { keep: Duration::from_secs(60), ..OnceConfig::default() });
            order_by(&shop, 1, "slow").await;
            sleep(Duration::from_millis(waited)).await;
            assert_eq!(is_replayed(&order_by(&shop, 1, "slow").await), replayed, "{waited} ms");
        }
    })
    .await;
    case_async("D-14", "in keys: the oldest answer goes first", async {
        let shop = || Shop::with(OnceConfig { keys_max: 3, ..OnceConfig::default() });
        for (keys, first, replayed) in [(3, 1, true), (4, 1, false), (4, 2, true)] {
            let shop = shop();
            for n in 1..=keys {
                order_by(&shop, n, "order").await;
            }
            assert_eq!(is_replayed(&order_by(&shop, first, "order").await), replayed, "{keys} keys, {first}");
        }
    })
    .await;
    case_async("D-14", "in bytes of answers, and one that is too large is told of", async {
        for (bytes, first, second) in [(2_000, 200, 200), (1_999, 0, 200), (1_000, 0, 200), (999, 410, 410)] {
            let shop = Shop::with(OnceConfig { answer_bytes_max: bytes, ..OnceConfig::default() });
            for n in 1..=2 {
                let answer = order_by(&shop, n, "long").await;
                assert_eq!((answer.status, answer.body.len()), (200, 1_000), "the first is told it whole");
            }
            // The second first: to ask for one that was forgotten has an effect.
            for (n, status) in [(2, second), (1, first)] {
                let again = order_by(&shop, n, "long").await;
                let replayed = if is_replayed(&again) { again.status } else { 0 };
                assert_eq!(replayed, status, "{bytes} bytes, key {n}");
            }
        }
    })
    .await;
    case_async("D-14", "in handlers that run: none is forgotten, one more is told to come back", async {
        for once in [
            OnceConfig { running_max: 2, ..OnceConfig::default() },
            OnceConfig { keys_max: 2, ..OnceConfig::default() },
        ] {
            let shop = Shop::with(once);
            let more = async {
                sleep(SLOW / 2).await;
                let full = order_by(&shop, 3, "order").await;
                assert!(full.text("retry-after").is_some());
                let without = shop.post("/events", &[JSON], "7").await;
                assert_eq!(without.status, 200, "who has no key needs no place");
                (full.status, order_by(&shop, 1, "slow").await.status)
            };
            let (first, second, more) =
                tokio::join!(order_by(&shop, 1, "slow"), order_by(&shop, 2, "slow"), more);
            assert_eq!((first.status, second.status, more), (200, 200, (503, 409)));
            assert_eq!((order_by(&shop, 3, "order").await.status, shop.effects()), (200, 4));
        }
    })
    .await;
}
