//! P-LP: polling and long-polling (RFC 6202, RFC 7240).

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use realtime_core::{Event, SourceExt, Topic};
use realtime_tests::client::{Http, Place, Target};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{
    Config, LongPollConfig, LongPollTransport, PageLimits, PollConfig, PollTransport, builder,
};
use tokio::time::Instant;

use crate::mount::{Answered, Mount, ask, at, log};

/// Waits at the tail, and how long that took.
async fn waited(mount: &Mount, path: &str, headers: &[(&str, &str)]) -> (Answered, Duration) {
    let start = Instant::now();
    let answer = mount.get(path, headers).await;
    (answer, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_within_thirty_seconds() {
    case_async("P-LP-01", "an hour asked for is clamped to 30 s, and said so", async {
        for ask in ["wait=3600", "wait=31", "wait=99999999999999999999"] {
            let (answer, took) = waited(&Mount::new(), "/events", &[("prefer", ask)]).await;
            assert_eq!((answer.status, answer.text("preference-applied")), (204, Some("wait=30")), "{ask}");
            assert_eq!(took, Duration::from_secs(30));
        }
    })
    .await;
    case_async(
        "P-LP-01",
        "by default 25 s, a little less for each so that they do not come back as one",
        async {
            let mount = Mount::new();
            let asked = (0..32).map(|_| waited(&mount, "/events?live=long-poll", &[]));
            let mut took: Vec<_> =
                join_all(asked).await.into_iter().map(|(_, took)| took.as_secs()).collect();
            assert!(took.iter().all(|took| (20..=25).contains(took)), "{took:?}");
            took.sort_unstable();
            took.dedup();
            assert!(took.len() > 1, "all alike: {took:?}");
        },
    )
    .await;
    twin_async("P-LP-01", "29 s asked for are waited", async {
        let (answer, took) = waited(&Mount::new(), "/events", &[("prefer", "wait=29")]).await;
        assert_eq!((answer.status, answer.text("preference-applied")), (204, Some("wait=29")));
        assert_eq!(took, Duration::from_secs(29));
    })
    .await;
    twin_async("P-LP-01", "a mount that knows its middleboxes may wait longer", async {
        let config = LongPollConfig { wait_max: Duration::from_secs(55), ..LongPollConfig::default() };
        let mount = Mount::of(builder().transports((LongPollTransport(config),)), log());
        let (_, took) = waited(&mount, "/events", &[("prefer", "wait=100")]).await;
        assert_eq!(took, Duration::from_secs(55));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_wait_is_204_with_its_place() {
    case_async("P-LP-02", "204 with place and flag, stored by nobody", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let path = format!("/events?offset={}", at(3));
        let (answer, took) = waited(&mount, &path, &[("prefer", "wait=5")]).await;
        assert_eq!((answer.status, took), (204, Duration::from_secs(5)));
        assert_eq!(answer.text("stream-next-offset"), Some(at(3).as_str()));
        assert_eq!(answer.text("stream-up-to-date"), Some("true"));
        assert_eq!(answer.text("cache-control"), Some("no-store"));
        assert_eq!((answer.text("content-type"), &answer.body[..]), (None, &b""[..]));
        assert!(answer.list("vary").contains(&"prefer".to_owned()));
    })
    .await;
    case_async("P-LP-02", "304 where If-None-Match matched, with the same headers", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let path = format!("/events?offset={}", at(3));
        let etag = mount.get(&path, &[]).await.text("etag").expect("an ETag").to_owned();
        let (answer, took) = waited(&mount, &path, &[("prefer", "wait=5"), ("if-none-match", &etag)]).await;
        assert_eq!((answer.status, took), (304, Duration::from_secs(5)), "it waits first");
        assert_eq!(answer.text("stream-next-offset"), Some(at(3).as_str()));
        assert_eq!(
            (answer.text("cache-control"), answer.text("etag")),
            (Some("no-store"), Some(etag.as_str()))
        );
    })
    .await;
    case_async("P-LP-02", "a place that a filter moved comes back with the 204", async {
        let log = log();
        let mount =
            Mount::over(log.clone().filter(|event| event.name() != "tick").boxed(), Config::default());
        let asked = tokio::spawn({
            let mount = mount.clone();
            async move { waited(&mount, &format!("/events?offset={}", at(0)), &[("prefer", "wait=5")]).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        log.publish(crate::mount::tick(1)).expect("open");
        let (answer, took) = asked.await.expect("an answer");
        assert_eq!((answer.status, took), (204, Duration::from_secs(5)), "the move alone is no news");
        assert_eq!(answer.text("stream-next-offset"), Some(at(1).as_str()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn news_is_answered_at_once_and_in_batches() {
    let limits =
        |events: usize, bytes_max| PageLimits { events_max: events.try_into().expect("not 0"), bytes_max };
    let mount = |page| {
        let long = LongPollTransport(LongPollConfig { page, ..LongPollConfig::default() });
        Mount::of(builder().transports((long, PollTransport(PollConfig { page }))), log())
    };
    case_async("P-LP-03", "what is past the cursor is not waited for", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let (answer, took) = waited(&mount, "/events?offset=-1", &[("prefer", "wait=20")]).await;
        assert_eq!((answer.status, took), (200, Duration::ZERO));
        let page = answer.json();
        assert_eq!(page["events"].as_array().map(Vec::len), Some(3));
        assert_eq!((&page["next"], &page["upToDate"]), (&at(3).into(), &true.into()));
    })
    .await;
    case_async("P-LP-03", "what comes during the wait ends it", async {
        let mount = Mount::new();
        let asked = tokio::spawn({
            let mount = mount.clone();
            async move { waited(&mount, "/events", &[("prefer", "wait=20")]).await }
        });
        tokio::time::sleep(Duration::from_secs(7)).await;
        mount.publish(1..=1);
        let (answer, took) = asked.await.expect("an answer");
        assert_eq!((answer.status, took), (200, Duration::from_secs(7)));
        assert_eq!(answer.json()["events"][0]["data"]["n"], 1);
        assert_eq!(answer.text("preference-applied"), Some("wait=20"));
    })
    .await;
    for (what, page, first) in [
        ("a page of at most 10 events", limits(10, 1 << 20), 10),
        ("a page of at most 81 bytes", limits(1_000, 81), 10),
        ("one event, however large", limits(1_000, 1), 1),
    ] {
        for prefer in [&[][..], &[("prefer", "wait=20")]] {
            case_async("P-LP-03", what, async {
                let mount = mount(page);
                mount.publish(1..=25);
                let mut offset = "-1".to_owned();
                let mut seen = Vec::new();
                loop {
                    let (answer, took) = waited(&mount, &format!("/events?offset={offset}"), prefer).await;
                    assert_eq!((answer.status, took), (200, Duration::ZERO));
                    let page = answer.json();
                    let events = page["events"].as_array().expect("events");
                    if seen.is_empty() {
                        assert_eq!(events.len(), first, "{what}");
                    }
                    seen.extend(events.iter().map(|event| event["data"]["n"].as_u64().expect("a number")));
                    offset = page["next"].as_str().expect("a place").to_owned();
                    assert_eq!(Some(offset.as_str()), answer.text("stream-next-offset"));
                    assert_eq!(answer.text("stream-up-to-date").is_some(), page["upToDate"] == true);
                    assert_eq!(events.last().map(|event| &event["id"]), Some(&page["next"]));
                    if page["upToDate"] == true {
                        break;
                    }
                }
                assert_eq!(seen, (1..=25).collect::<Vec<_>>(), "{what}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_keeps_no_place_for_a_client() {
    case_async("P-LP-04", "the same cursor gets the same page again, on a new connection", async {
        let mount = Mount::new();
        mount.publish(1..=5);
        let path = format!("/events?offset={}", at(2));
        let first = mount.get(&path, &[("prefer", "wait=5")]).await;
        mount.publish(6..=6);
        let again = mount.get(&path, &[("prefer", "wait=5")]).await;
        let ids = |answer: &Answered| {
            let page = answer.json();
            page["events"]
                .as_array()
                .expect("events")
                .iter()
                .map(|event| event["id"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&first), (3..=5).map(|n| at(n).into()).collect::<Vec<serde_json::Value>>());
        assert_eq!(ids(&again), (3..=6).map(|n| at(n).into()).collect::<Vec<serde_json::Value>>());
    })
    .await;
    case_async("P-LP-04", "an answer whose client is gone before it comes is given to the next", async {
        let mount = Mount::new();
        let path = format!("/events?offset={}", at(0));
        {
            let asked = mount.get(&path, &[("prefer", "wait=20")]);
            assert!(tokio::time::timeout(Duration::from_secs(1), asked).await.is_err());
        }
        mount.publish(1..=1);
        let answer = mount.get(&path, &[("prefer", "wait=20")]).await;
        assert_eq!(answer.json()["events"][0]["id"], at(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_its_wait() {
    case_async("P-LP-05", "waiter, subscription and permit are gone as soon as the client is", async {
        let mount = Mount::new();
        let topic = Topic::new("room").expect("a topic");
        let view = Mount::over(mount.log.topic("room").boxed(), Config::default());
        let asked = view.get("/events", &[("prefer", "wait=20")]);
        assert!(tokio::time::timeout(Duration::from_secs(1), asked).await.is_err());
        let start = Instant::now();
        view.host.all_gone().await;
        assert_eq!((start.elapsed(), view.readers(), mount.log.readers(&topic)), (Duration::ZERO, 0, 0));
    })
    .await;
    case_async("P-LP-05", "two polls at one cursor both succeed", async {
        let mount = Mount::new();
        let both = tokio::spawn({
            let mount = mount.clone();
            async move {
                let poll = || mount.get("/events", &[("prefer", "wait=20")]);
                tokio::join!(poll(), poll())
            }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(mount.readers(), 2);
        mount.publish(1..=1);
        let (one, other) = both.await.expect("answers");
        assert_eq!((one.status, &one.body), (200, &other.body));
        assert_eq!(mount.readers(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn head_and_options_never_wait() {
    for method in [Method::HEAD, Method::OPTIONS] {
        for (path, headers) in [
            ("/events", &[("prefer", &b"wait=20"[..])][..]),
            ("/events?live=long-poll", &[]),
            ("/events?live=sse", &[]),
        ] {
            case_async("P-LP-06", &format!("{method} of {path}"), async {
                let mount = Mount::new();
                let start = Instant::now();
                let answer = mount.ask(method.clone(), path, headers).await;
                assert_eq!((start.elapsed(), mount.readers()), (Duration::ZERO, 0));
                assert!(answer.status < 300 && answer.body.is_empty());
            })
            .await;
        }
    }
    case_async("P-LP-06", "six long-polls that wait do not keep a message of the uplink out", async {
        let mount = Mount::new();
        let waiting = tokio::spawn({
            let mount = mount.clone();
            async move { join_all((0..6).map(|_| mount.get("/events", &[("prefer", "wait=20")]))).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        let sent = mount.post("/events", &[("content-type", "application/json")], "1").await;
        assert_eq!((sent.status, start.elapsed()), (200, Duration::ZERO));
        mount.log.publish(Event::json("tick", &1).expect("JSON")).expect("open");
        assert!(waiting.await.expect("answers").iter().all(|answer| answer.status == 200));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn prefer_wait_is_clamped_and_acknowledged() {
    for (what, prefer, applied) in [
        ("a whole number", &["wait=10"][..], 10),
        ("beside other preferences", &["respond-async, wait=4; foo=\"bar\", return=minimal"], 4),
        ("in any case, with spaces", &["Wait = 6"], 6),
        ("of two the first counts", &["wait=3, wait=9"], 3),
        ("of two lines the first counts", &["wait=3", "wait=9"], 3),
        ("more than the most", &["wait=31"], 30),
    ] {
        twin_async("P-LP-07", what, async {
            let headers: Vec<_> = prefer.iter().map(|value| ("prefer", *value)).collect();
            let (answer, took) = waited(&Mount::new(), "/events", &headers).await;
            assert_eq!((answer.status, took), (204, Duration::from_secs(applied)), "{what}");
            assert_eq!(answer.text("preference-applied"), Some(format!("wait={applied}").as_str()), "{what}");
            assert!(answer.list("vary").contains(&"prefer".to_owned()));
        })
        .await;
    }
    for (what, prefer) in [
        ("0 is a poll", "wait=0"),
        ("a negative number is ignored", "wait=-1"),
        ("a fraction is ignored", "wait=1.5"),
        ("no number is ignored", "wait=soon"),
        ("an exponent is ignored", "wait=1e3"),
        ("nothing is ignored", "wait="),
        ("no value is ignored", "wait"),
        ("of two the first is bad", "wait=x, wait=9"),
        ("another preference", "waiting=9"),
    ] {
        case_async("P-LP-07", what, async {
            let (answer, took) = waited(&Mount::new(), "/events", &[("prefer", prefer)]).await;
            assert_eq!((answer.status, took), (200, Duration::ZERO), "{what}");
            assert_eq!(answer.text("preference-applied"), None, "{what}");
            assert!(answer.list("vary").contains(&"prefer".to_owned()), "it had a say all the same");
        })
        .await;
    }
    case_async("P-LP-07", "0 beside live=long-poll does not wait either", async {
        let (answer, took) = waited(&Mount::new(), "/events?live=long-poll", &[("prefer", "wait=0")]).await;
        assert_eq!((answer.status, took), (204, Duration::ZERO));
        assert_eq!(answer.text("preference-applied"), Some("wait=0"));
    })
    .await;
    case_async("P-LP-07", "bytes above 0x7F are ignored", async {
        let mount = Mount::new();
        let answer = mount.ask(Method::GET, "/events", &[("prefer", b"wait=\xFF")]).await;
        assert_eq!(
            (answer.status, mount.target().request(Method::GET, &Place::Default).body(()).is_ok()),
            (200, true)
        );
    })
    .await;
}

/// Every way in which a wait ends without news, and its answer.
async fn empty_waits(http: Http) -> Vec<(&'static str, Answered)> {
    let tail = |mount: &Mount| Target {
        http,
        ..Target::new(mount.host.dialer(), format!("/events?offset={}", at(1)))
    };
    let mount = Mount::new();
    mount.publish(1..=1);
    type Headers = &'static [(&'static str, &'static [u8])];
    const WAIT: Headers = &[("prefer", b"wait=5")];
    let at_tail = |query: &str, headers: Headers| {
        let target = Target { path: format!("{}{query}", tail(&mount).path), ..tail(&mount) };
        async move { ask(&target, Method::GET, headers, "").await }
    };
    let mut answers = vec![
        ("Prefer: wait", at_tail("", WAIT).await),
        ("?live=long-poll", at_tail("&live=long-poll", &[]).await),
        ("?live=long-poll that does not wait", at_tail("&live=long-poll", &[("prefer", b"wait=0")]).await),
        ("304", at_tail("", &[("prefer", b"wait=5"), ("if-none-match", b"*")]).await),
        (
            "a client that says it wants to store",
            at_tail("", &[("prefer", b"wait=5"), ("cache-control", b"max-age=60")]).await,
        ),
    ];
    let moved =
        Mount::over(mount.log.clone().filter(|event| event.name() != "tick").boxed(), Config::default());
    let target = Target { path: format!("/events?offset={}", at(0)), ..tail(&moved) };
    answers.push(("a place that a filter moved", ask(&target, Method::GET, WAIT, "").await));
    let (waits, handle) = (tail(&mount), mount.handle.clone());
    let waits = tokio::spawn(async move { ask(&waits, Method::GET, WAIT, "").await });
    while mount.readers() == 0 {
        tokio::task::yield_now().await;
    }
    handle.drain(Duration::from_secs(1)).await;
    answers.push(("a drain", waits.await.expect("an answer")));
    answers
}

#[tokio::test(start_paused = true)]
async fn a_shared_cache_never_loops_on_an_empty_answer() {
    for http in Http::ALL {
        for (what, answer) in empty_waits(http).await {
            case_async(
                "P-LP-08",
                &format!("{what}: stored by nobody, with the place to go on from, {http:?}"),
                async {
                    assert!(matches!(answer.status, 204 | 304), "{what}: {}", answer.status);
                    assert_eq!(answer.text("cache-control"), Some("no-store"), "{what}");
                    assert_eq!(answer.text("stream-next-offset"), Some(at(1).as_str()), "{what}");
                    // What a cache may go by instead, were it to overlook that.
                    for name in ["age", "expires", "last-modified"] {
                        assert_eq!(answer.text(name), None, "{what}: {name}");
                    }
                    assert!(
                        answer.list("vary").contains(&"prefer".to_owned()),
                        "{what}: a poll is another answer"
                    );
                },
            )
            .await;
        }
    }
}
