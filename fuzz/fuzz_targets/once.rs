//! Two messages with keys: the handler runs once for one that is repeated, and is not kept from one that is another.
//!
//! Input: lines, for the first and the second: the two keys, targets, credentials, bodies. An empty one of the second's is
//! that of the first.

#![no_main]

use http::{HeaderValue, Request, Uri};
use http_body_util::BodyExt as _;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_fuzz::{Input, Mount, run};
use realtime_tower::Body;
use tower::ServiceExt as _;

#[derive(Debug, Clone, Default)]
struct Message<'a> {
    key: &'a [u8],
    target: &'a [u8],
    credentials: &'a [u8],
    body: &'a [u8],
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut input = Input::new(bytes);
    let (mut first, mut second) = (Message::default(), Message::default());
    let mut pair = || {
        let (one, other) = (input.line(), input.line());
        (one, if other.is_empty() { one } else { other })
    };
    (first.key, second.key) = pair();
    (first.target, second.target) = pair();
    (first.credentials, second.credentials) = pair();
    (first.body, second.body) = pair();
    let (Some(one), Some(other)) = (request(&first), request(&second)) else { return Corpus::Reject };
    let is_repeated = is_same(&first, one.uri(), &second, other.uri());
    let is_alike =
        first.body.trim_ascii() == second.body.trim_ascii() && name(one.uri()) == name(other.uri());
    let (one, other, heard) = run(answers(one, other));
    for (message, answer) in [(&first, &one), (&second, &other)] {
        assert!(matches!(answer.status, 200 | 400 | 422), "{answer:?}");
        assert!(key(message.key).is_some() || answer.status == 400, "{answer:?}");
    }
    let was_heard = one.status == 200;
    match (is_repeated && was_heard, is_alike) {
        (true, true) => {
            assert_eq!((other.status, &other.body), (one.status, &one.body));
            assert!(other.is_replayed && heard == 1, "{other:?} {heard}");
        }
        (true, false) => assert!(matches!(other.status, 422 | 400) && heard == 1, "{other:?} {heard}"),
        (false, _) => {
            assert!(!other.is_replayed && other.status != 422, "{other:?}");
            assert_eq!(heard, usize::from(was_heard) + usize::from(other.status == 200));
        }
    }
    Corpus::Keep
});

fn request(message: &Message<'_>) -> Option<Request<Body>> {
    let request = Request::post(Uri::try_from(message.target).ok()?)
        .header("content-type", "application/json")
        .header("idempotency-key", HeaderValue::from_bytes(message.key).ok()?)
        .header("authorization", HeaderValue::from_bytes(message.credentials).ok()?);
    request.body(Body::from(message.body.to_vec())).ok()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    is_replayed: bool,
    body: Vec<u8>,
}

async fn answers(one: Request<Body>, other: Request<Body>) -> (Answer, Answer, usize) {
    let (mount, service) = Mount::new();
    let mut answers = Vec::new();
    for request in [one, other] {
        let response = service.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        answers.push(Answer {
            status: head.status.as_u16(),
            is_replayed: head.headers.contains_key("idempotent-replayed"),
            body: body.collect().await.expect("a whole body").to_bytes().to_vec(),
        });
    }
    let other = answers.pop().expect("two");
    (answers.pop().expect("two"), other, mount.heard().len())
}

/// Whether the second is the first again: the same key from the same sender to the same place.
fn is_same(first: &Message<'_>, one: &Uri, second: &Message<'_>, other: &Uri) -> bool {
    let place = |uri: &Uri| {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        (uri.path().to_owned(), pairs.filter(|(name, _)| name != "event").collect::<Vec<_>>())
    };
    key(first.key).is_some()
        && key(first.key) == key(second.key)
        && first.credentials == second.credentials
        && place(one) == place(other)
}

/// `?event=`, which is a part of what is asked for; an empty one is none.
fn name(uri: &Uri) -> String {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let name = pairs.find(|(name, _)| name == "event").map(|(_, name)| name.into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or("message".into())
}

/// A key as `docs/wire.md` has it: one string in quotes, or bare where it needs none.
fn key(sent: &[u8]) -> Option<Vec<u8>> {
    let sent = sent.trim_ascii();
    let is_printable = |bytes: &[u8]| bytes.iter().all(|byte| (0x20..0x7F).contains(byte));
    let key = match sent.strip_prefix(b"\"") {
        None => {
            let is_bare = !sent.iter().any(|byte| b" \t\",;\\".contains(byte));
            is_bare.then(|| sent.to_vec())?
        }
        Some(quoted) => {
            let (inside, mut key) = (quoted.strip_suffix(b"\"")?, Vec::new());
            let mut bytes = inside.iter();
            while let Some(byte) = bytes.next() {
                key.push(match byte {
                    b'"' => return None,
                    b'\\' => *bytes.next().filter(|byte| matches!(byte, b'"' | b'\\'))?,
                    _ => *byte,
                });
            }
            key
        }
    };
    (is_printable(sent) && (1..=128).contains(&key.len())).then_some(key)
}
