//! Who asks for a poll, and how strongly.

use http::Request;

use super::PollTransport;
use crate::negotiate::{Ask, Asked};
use crate::transport::Room;

type Headers<'a> = &'a [(&'a str, &'a str)];

fn ask(uri: &str, headers: Headers<'_>) -> Ask {
    let request =
        headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    Ask::new(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn a_poll_is_what_accepts_json_and_asks_for_nothing_else() {
    let cases: [(&str, Headers<'_>, bool); 8] = [
        ("/", &[], true),
        ("/", &[("accept", "*/*")], true),
        ("/", &[("accept", "application/json")], true),
        ("/", &[("accept", "application/x-ndjson")], true),
        ("/", &[("accept", "text/html")], false),
        ("/", &[("accept", "application/json;q=0, */*")], true),
        ("/", &[("accept", "application/json;q=0")], false),
        ("/?live=sse", &[], false),
    ];
    for (uri, headers, is_asked) in cases {
        assert_eq!(
            PollTransport::default().asked(&ask(uri, headers)).is_some(),
            is_asked,
            "{uri} {headers:?}"
        );
    }
    assert_eq!(PollTransport::default().asked(&ask("/?live=poll", &[])), Some(Asked::OUTRIGHT));
}

#[test]
fn a_layer_takes_a_poll_only_by_name() {
    for (uri, is_unmistakable) in [("/", false), ("/?live=poll", true), ("/?live=sse", false)] {
        assert_eq!(PollTransport::default().is_unmistakable(&ask(uri, &[])), is_unmistakable, "{uri}");
    }
}

#[test]
fn named_json_is_asked_for_more_than_json_that_would_do() {
    let asked =
        |accept, prefer| PollTransport::default().asked(&ask("/", &[("accept", accept), ("prefer", prefer)]));
    assert!(asked("application/json", "") > asked("*/*", ""));
    assert!(
        asked("application/json", "wait=5") < asked("application/json", ""),
        "a wait means the other poll"
    );
}
