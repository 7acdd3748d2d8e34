//! P-HT-04 and 05: what is unchanged, and what may be kept (RFC 9110, section 13; RFC 9111).

use http::Method;
use realtime_core::{Cursor, Keep, Log, TopicSet};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::builder;

use crate::mount::{Answered, Mount, at};
use crate::raw::Lines;
use crate::sse::open;

async fn etag(mount: &Mount, path: &str, accept: &str) -> String {
    mount.get(path, &[("accept", accept)]).await.text("etag").expect("an ETag").to_owned()
}

const JSON: &str = "application/json";

#[tokio::test(start_paused = true)]
async fn not_modified_is_for_what_is_unchanged() {
    let tail = format!("/events?offset={}", at(3));
    let full = || {
        let mount = Mount::new();
        mount.publish(1..=3);
        mount
    };
    let forms: [(&str, fn(&str) -> String); 6] = [
        ("the ETag as it was given, weak", |tag| tag.to_owned()),
        ("the same as a strong one: the comparison is weak", |tag| tag.trim_start_matches("W/").to_owned()),
        ("in a list", |tag| format!("\"a\", {tag} , W/\"b\"")),
        ("last in a list", |tag| format!("W/\"x,y\",{tag}")),
        ("a star", |_| "*".to_owned()),
        ("a star in a list", |_| "\"a\", *".to_owned()),
    ];
    for (what, form) in forms {
        case_async("P-HT-04", what, async {
            let mount = full();
            let tag = etag(&mount, &tail, JSON).await;
            assert!(tag.starts_with("W/\""), "{tag}");
            let answer = mount.get(&tail, &[("accept", JSON), ("if-none-match", &form(&tag))]).await;
            assert_eq!((answer.status, &answer.body[..]), (304, &b""[..]), "{what}");
            assert_eq!(answer.text("etag"), Some(tag.as_str()));
            assert_eq!(answer.text("cache-control"), Some("private, no-cache"));
            assert!(answer.list("vary").contains(&"accept".to_owned()));
            assert_eq!(
                answer.text("stream-next-offset"),
                Some(at(3).as_str()),
                "proxies swallow ETags, not places"
            );
            assert_eq!((answer.text("content-type"), answer.text("stream-up-to-date")), (None, Some("true")));
        })
        .await;
    }
    case_async("P-HT-04", "over two lines", async {
        let mount = full();
        let tag = etag(&mount, &tail, JSON).await;
        let answer = mount.get(&tail, &[("if-none-match", "\"a\""), ("if-none-match", &tag)]).await;
        assert_eq!(answer.status, 304);
    })
    .await;
    for (what, tag) in [
        ("another ETag", "W/\"x\""),
        ("rubbish", "x"),
        ("nothing", ""),
        ("an ETag cut short", "W/\"j-8f3a61c0d2e94b17.0000000000000003\""),
    ] {
        twin_async("P-HT-04", &format!("{what} does not match"), async {
            assert_eq!(full().get(&tail, &[("if-none-match", tag)]).await.status, 200);
        })
        .await;
    }
    twin_async("P-HT-04", "bytes above 0x7F do not match", async {
        let answer = full().ask(Method::GET, &tail, &[("if-none-match", b"W/\"\xFF\"")]).await;
        assert_eq!(answer.status, 200);
    })
    .await;
    twin_async("P-HT-04", "news is 200, whatever was known before, and even to a star", async {
        let mount = full();
        let tag = etag(&mount, &tail, JSON).await;
        mount.publish(4..=4);
        for known in [tag.as_str(), "*"] {
            let answer = mount.get(&tail, &[("if-none-match", known)]).await;
            assert_eq!((answer.status, answer.json()["events"].as_array().map(Vec::len)), (200, Some(1)));
        }
    })
    .await;
    twin_async("P-HT-04", "a gap is 200, without an ETag, even to a star", async {
        let mount = full();
        let foreign = Cursor::new(1, 1);
        let answer = mount.get(&format!("/events?offset={foreign}"), &[("if-none-match", "*")]).await;
        assert_eq!((answer.status, answer.text("etag")), (200, None));
        assert!(answer.body.starts_with(b"{\"gap\":{\"reason\":\"epoch\""));
    })
    .await;
    twin_async("P-HT-04", "the first sight of the end is 200, even to a star; seen once, it is 304", async {
        let mount = full();
        let tag = etag(&mount, &tail, JSON).await;
        mount.log.close();
        for known in [tag.as_str(), "*"] {
            let answer = mount.get(&tail, &[("if-none-match", known)]).await;
            assert_eq!((answer.status, &answer.json()["closed"]), (200, &true.into()), "{known}");
            assert_eq!(answer.text("stream-closed"), Some("true"));
        }
        let tag = etag(&mount, &tail, JSON).await;
        let answer = mount.get(&tail, &[("if-none-match", &tag)]).await;
        assert_eq!((answer.status, answer.text("stream-closed")), (304, Some("true")));
    })
    .await;
    case_async(
        "P-HT-04",
        "the ETag differs by media type, from, next and closed, and is the same for the same",
        async {
            let mount = full();
            let mut tags = vec![
                etag(&mount, &tail, JSON).await,
                etag(&mount, &tail, "application/x-ndjson").await,
                etag(&mount, &format!("/events?offset={}", at(2)), JSON).await,
                etag(&mount, "/events?offset=-1", JSON).await,
            ];
            assert_eq!(tags[0], etag(&mount, &tail, JSON).await);
            mount.publish(4..=4);
            tags.push(etag(&mount, &tail, JSON).await);
            mount.log.close();
            tags.push(etag(&mount, &tail, JSON).await);
            tags.sort_unstable();
            let all = tags.len();
            tags.dedup();
            assert_eq!(tags.len(), all, "{tags:?}");
        },
    )
    .await;
    twin_async("P-HT-04", "an ETag of JSON does not make lines unchanged", async {
        let mount = full();
        let tag = etag(&mount, &tail, JSON).await;
        let answer = mount.get(&tail, &[("accept", "application/x-ndjson"), ("if-none-match", &tag)]).await;
        assert_eq!(answer.status, 200);
    })
    .await;
}

fn cache(answer: &Answered) -> &str {
    answer.text("cache-control").expect("it is said, for silence would not mean no-store")
}

#[tokio::test(start_paused = true)]
async fn nothing_live_or_private_is_stored() {
    case_async("P-HT-05", "polls are the client's own, and asked about each time", async {
        let mount = Mount::new();
        mount.publish(1..=1);
        for accept in [JSON, "application/x-ndjson"] {
            assert_eq!(
                cache(&mount.get("/events?offset=-1", &[("accept", accept)]).await),
                "private, no-cache"
            );
        }
        let tag = etag(&mount, "/events", JSON).await;
        assert_eq!(cache(&mount.get("/events", &[("if-none-match", &tag)]).await), "private, no-cache");
    })
    .await;
    case_async("P-HT-05", "long-polls are stored by nobody, empty or not", async {
        let mount = Mount::new();
        assert_eq!(cache(&mount.get("/events", &[("prefer", "wait=1")]).await), "no-store");
        mount.publish(1..=1);
        let answer = mount.get("/events?offset=-1", &[("prefer", "wait=1")]).await;
        assert_eq!((answer.status, cache(&answer)), (200, "no-store"));
    })
    .await;
    case_async("P-HT-05", "streams are stored and transformed by nobody, their end neither", async {
        let mount = Mount::new();
        let answer = open(&mount, "/events", &[]).await;
        assert_eq!(answer.header("cache-control"), Some("no-store, no-transform"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        mount.log.close();
        let answer = open(&mount, "/events", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (204, Some("no-store")));
    })
    .await;
    case_async("P-HT-05", "no refusal and no answer to a message is stored", async {
        let mount = Mount::new();
        let json = [("content-type", JSON)];
        for answer in [
            mount.post("/events", &json, "1").await,
            mount.post("/events?event=quiet", &json, "1").await,
            mount.post("/events?event=refused", &json, "1").await,
            mount.post("/events", &[], "1").await,
            mount.get("/events?offset=x", &[]).await,
            mount.get("/events", &[("accept", "image/png")]).await,
            mount.ask(Method::PUT, "/events", &[]).await,
            mount.ask(Method::OPTIONS, "/events", &[]).await,
            mount.get("/events", &[("upgrade", "websocket")]).await,
        ] {
            assert_eq!(cache(&answer), "no-store", "{}", answer.status);
        }
    })
    .await;
    case_async("P-HT-05", "a 101 is stored by nobody", async {
        let mut raw = Mount::new().raw();
        raw.send(Lines::upgrade("/events").bytes()).await;
        let head = raw.head().await.expect("an answer");
        assert_eq!((head.status, head.text("cache-control")), (101, Some("no-store")));
    })
    .await;
    case_async("P-HT-05", "a page with a gap is no more to be kept than another", async {
        let keep = Keep::history().entries(2);
        let mount = Mount::of(builder(), Log::builder().epoch(1).keep(TopicSet::all(), keep).build());
        mount.publish(1..=5);
        let answer = mount.get(&format!("/events?offset={}", Cursor::new(1, 1)), &[]).await;
        assert!(answer.body.starts_with(b"{\"gap\":"));
        assert_eq!(cache(&answer), "private, no-cache");
    })
    .await;
}
