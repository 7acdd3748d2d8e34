//! How long a wait is, and who asks for one.

use std::time::Duration;

use http::Request;

use super::reply::applied;
use super::{LongPollConfig, LongPollTransport};
use crate::negotiate::Ask;
use crate::transport::Room;

type Headers<'a> = &'a [(&'a str, &'a str)];

fn ask(uri: &str, headers: Headers<'_>) -> Ask {
    let request =
        headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    Ask::new(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn a_wait_is_what_was_asked_for_up_to_the_most() {
    let transport =
        LongPollTransport(LongPollConfig { wait_max: Duration::from_secs(30), ..Default::default() });
    for (asked, seconds) in [("1", 1), ("29", 29), ("30", 30), ("31", 30), ("99999999999999999999", 30)] {
        let ask = ask("/", &[("prefer", &format!("wait={asked}"))]);
        assert_eq!(transport.wait(&ask), Duration::from_secs(seconds), "{asked}");
    }
}

#[test]
fn a_wait_that_was_not_asked_for_is_the_default_jittered_downwards_in_whole_seconds() {
    let waits: Vec<_> =
        (0..1_000).map(|_| LongPollTransport::default().wait(&ask("/", &[])).as_secs()).collect();
    assert!(waits.iter().all(|wait| (20..=25).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "not all of them come back at once");
    let tiny = LongPollConfig { wait: Duration::from_millis(1), ..LongPollConfig::default() };
    assert_eq!(LongPollTransport(tiny).wait(&ask("/", &[])), Duration::from_secs(1), "one at least");
}

#[test]
fn the_wait_that_was_applied_is_told_in_seconds() {
    for seconds in (0..1_100).chain([u64::from(u32::MAX), u64::MAX]) {
        assert_eq!(applied(Duration::from_secs(seconds)), format!("wait={seconds}"));
    }
}

#[test]
fn a_long_poll_is_asked_for_by_prefer_or_by_name() {
    let cases: [(&str, Headers<'_>, bool, bool); 9] = [
        ("/", &[], false, false),
        ("/", &[("prefer", "wait=5")], true, true),
        ("/", &[("prefer", "respond-async")], false, false),
        ("/?live=long-poll", &[], true, true),
        ("/?live=long-poll", &[("accept", "application/json")], true, true),
        ("/?live=long-poll", &[("accept", "text/html")], false, true),
        ("/?live=poll", &[("prefer", "wait=5")], false, true),
        ("/", &[("prefer", "wait=5"), ("accept", "text/html")], false, true),
        // A plain poll in the end, and yet plainly meant for us.
        ("/", &[("prefer", "wait=0")], false, true),
    ];
    for (uri, headers, is_asked, is_unmistakable) in cases {
        let ask = ask(uri, headers);
        let transport = LongPollTransport::default();
        assert_eq!(transport.asked(&ask).is_some(), is_asked, "{uri} {headers:?}");
        assert_eq!(transport.is_unmistakable(&ask), is_unmistakable, "{uri} {headers:?}");
    }
}
