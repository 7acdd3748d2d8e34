//! The body of every transport behind its head: what was given out is whole events, and they lead on.

use std::cell::RefCell;

use http_body_util::BodyExt;
use realtime_tests::client::sse_parser::Parser;
use tower::ServiceExt;

use crate::limit::{polled, sweep};
use crate::world::{EARLY, Kind, LATE, World, request};

/// What is said in whole blocks, and where the reader would go on from.
fn blocks(bytes: &[u8]) -> (usize, String) {
    // The stream begins with a line that belongs to no event.
    let is_whole =
        bytes.ends_with(b"\n\n") || bytes.starts_with(b"retry: ") && !bytes.trim_ascii().contains(&b'\n');
    assert!(bytes.is_empty() || is_whole, "half a block: {:?}", String::from_utf8_lossy(bytes));
    let mut parser = Parser::default();
    let (mut events, mut place) = (0, "-1".to_owned());
    for block in parser.feed(bytes) {
        events += usize::from(block.event.as_ref().is_some_and(|(name, _)| name == "tick"));
        if !block.last_id.is_empty() {
            place = block.last_id;
        }
    }
    (events, place)
}

/// The same in lines of envelopes.
fn lines(bytes: &[u8]) -> (usize, String) {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "half a line: {:?}", String::from_utf8_lossy(bytes));
    let (mut events, mut place) = (0, "-1".to_owned());
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let envelope: serde_json::Value = serde_json::from_slice(line).unwrap();
        events += usize::from(envelope["event"] == "tick");
        if let Some(id) = envelope["id"].as_str() {
            place = id.to_owned();
        }
    }
    (events, place)
}

/// A page is one piece, or nothing.
fn page(bytes: &[u8]) -> (usize, String) {
    if bytes.is_empty() {
        return (0, "-1".to_owned());
    }
    let page: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    (page["events"].as_array().unwrap().len(), page["next"].as_str().unwrap().to_owned())
}

type Told = fn(&[u8]) -> (usize, String);

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_has_said_whole_events_and_leaves_nothing() {
    let bodies: [(&str, &str, Told, usize, usize); 3] = [
        ("an event stream", "text/event-stream", blocks, LATE, EARLY + LATE),
        ("lines of a poll", "application/x-ndjson", lines, 1, EARLY),
        ("a page of a poll", "application/json", page, 1, EARLY),
    ];
    for (what, accept, told, least, all) in bodies {
        for kind in Kind::ALL {
            let (what, whole) = (format!("the body of {what} of a {kind:?}"), RefCell::new(0));
            sweep(&what, least, async |polls| {
                let world = World::new(kind);
                let asked = request("/?offset=-1", &[("accept", accept)]);
                let mut body = world.service.clone().oneshot(asked).await.unwrap().into_body();
                let going = world.goes_on();
                let bytes = RefCell::new(Vec::new());
                let reading = async {
                    while let Some(Ok(frame)) = body.frame().await {
                        bytes.borrow_mut().extend_from_slice(frame.data_ref().unwrap());
                        tokio::task::yield_now().await;
                    }
                };
                let is_done = polled(reading, polls).await.is_some();
                drop(body);
                world.is_left(&what);
                going.await.unwrap();
                let (seen, place) = told(&bytes.borrow());
                world.loses_nothing(&what, &place, seen).await;
                *whole.borrow_mut() = seen;
                is_done
            })
            .await;
            assert_eq!(whole.into_inner(), all, "{what}: at the end all were told");
        }
    }
}
