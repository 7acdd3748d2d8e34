//! What stands on a page, and what the answer says without one.

use std::task::Waker;

use proptest::prelude::*;
use realtime_core::{GapReason, SourceErrorKind};

use super::*;
use crate::config::Config;
use crate::fixture::{Item, at, batch, events, feed, feed_of, permit, signed};

const PATIENCE: Duration = Duration::from_secs(2);

fn limits(events_max: usize, bytes_max: usize) -> PageLimits {
    PageLimits { events_max: events_max.try_into().unwrap(), bytes_max }
}

fn opened() -> Opened {
    Opened::new(at(0))
}

fn gap(from: u128, to: u128) -> Gap {
    Gap::new(GapReason::Trimmed, Some(at(from)), at(to))
}

async fn filled(limits: PageLimits, items: impl IntoIterator<Item = Item>) -> Page {
    let mut page = Page::new(&opened());
    page.fill(&mut feed_of(items), limits, PATIENCE).await.unwrap();
    page
}

/// Status, body and the ETag of an answer.
fn answered(page: &Page, media: Media, if_none_match: &[&str], empty: u16) -> (u16, String, Option<String>) {
    let mut request = http::Request::builder();
    for tag in if_none_match {
        request = request.header(http::header::IF_NONE_MATCH, *tag);
    }
    let tags = Ask::new(&request.body(()).unwrap().into_parts().0).if_none_match;
    let (_mount, permit) = permit(Config::default());
    let response = page.answer(
        media,
        &tags,
        &Heads::new(StatusCode::from_u16(empty).unwrap(), "no-store", None),
        &permit,
    );
    let (head, mut body) = response.into_parts();
    let mut text = String::new();
    let mut cx = std::task::Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = http_body::Body::poll_frame(Pin::new(&mut body), &mut cx) {
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let etag = head.headers.get(ETAG).map(|etag| etag.to_str().unwrap().to_owned());
    (head.status.as_u16(), text, etag)
}

fn json(page: &Page) -> serde_json::Value {
    let (status, body, _) = answered(page, Media::Json, &[], 200);
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_signed_page_is_the_same_with_a_tag_on_every_cursor() {
    let cursors = signed();
    let tagged = |text: &str| {
        (0..=4).fold(text.to_owned(), |text, n| text.replace(&at(n).to_string(), &cursors.text(at(n))))
    };
    let mut lossy = Page::new(&Opened::new(at(1)).with_gap(gap(1, 2)));
    lossy
        .fill(&mut feed_of([events(3..=4), Ok(Delivery::Live(at(4)))]), limits(9, 999), PATIENCE)
        .await
        .unwrap();
    let whole = filled(limits(2, 1000), [events(1..=3)]).await;
    let ended = filled(limits(9, 1000), []).await;
    for page in [lossy, whole, ended] {
        for media in [Media::Json, Media::NdJson] {
            let (_, plain, etag) = answered(&page, media, &[], 200);
            let next = cursors.text(page.next);
            let body = page.body(media, &next, &cursors);
            assert_eq!(std::str::from_utf8(&body), Ok(&*tagged(&plain)));
            let signed_etag = if page.gap.is_none() { page.etag(media, &next, &cursors) } else { None };
            assert_eq!(
                signed_etag.as_ref().and_then(|etag| etag.to_str().ok()),
                etag.as_deref().map(tagged).as_deref()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_one_event_is_written_like_any_other() {
    for (has_gap, up_to_date, closed) in
        [(false, true, false), (false, false, false), (false, true, true), (true, true, false)]
    {
        let opened = if has_gap { opened().with_gap(gap(0, 4)) } else { opened() };
        let (script, mut feed) = feed();
        script.send(Ok(Delivery::Events(batch(5..=5, up_to_date)))).unwrap();
        if !closed {
            script.send(events(6..=6)).unwrap();
        }
        drop(script);
        let mut page = Page::new(&opened);
        page.fill(&mut feed, limits(1, 1000), PATIENCE).await.unwrap();
        (page.up_to_date, page.closed) = (up_to_date, closed);
        let message = envelope::event(batch(5..=5, true).iter().next().unwrap());
        let message = std::str::from_utf8(&message).unwrap();
        let told = if has_gap { format!("\"gap\":{},", envelope::gap(&gap(0, 4))) } else { String::new() };
        let next = at(5);
        let expected = format!(
            r#"{{{told}"events":[{message}],"next":"{next}","upToDate":{up_to_date},"closed":{closed}}}"#
        );
        let (_, body, etag) = answered(&page, Media::Json, &[], 200);
        assert_eq!(body, expected);
        let of = format!("W/\"j-{}-{next}-{}\"", at(0), u8::from(closed));
        assert_eq!(etag, (!has_gap).then_some(of));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_where_its_events_do() {
    // Below, at and above the limit of three.
    for (count, on_page, is_cut) in [(2, 2, false), (3, 3, false), (4, 3, true)] {
        let page = filled(limits(3, 1000), [events(1..=count), Ok(Delivery::Live(at(count)))]).await;
        assert_eq!((page.events as u128, page.next), (on_page, at(on_page)), "{count} events");
        // The feed ends here, so that a page that was not cut has seen the end too.
        assert_eq!((page.up_to_date, page.closed), (!is_cut, !is_cut), "{count} events");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_at_its_limit_knows_whether_more_follows() {
    for (behind, up_to_date) in [(Ok(Delivery::Live(at(3))), true), (events(4..=4), false)] {
        let (script, mut feed) = feed();
        script.send(events(1..=3)).unwrap();
        script.send(behind).unwrap();
        let mut page = Page::new(&opened());
        page.fill(&mut feed, limits(3, 1000), PATIENCE).await.unwrap();
        assert_eq!((page.events, page.next, page.up_to_date, page.closed), (3, at(3), up_to_date, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_where_its_bytes_do_but_has_one_event_at_least() {
    // Payloads of one byte weigh two each.
    for (bytes_max, on_page) in [(0, 1), (1, 1), (3, 1), (4, 2), (5, 2), (6, 3), (100, 5)] {
        let page = filled(limits(100, bytes_max), [events(1..=5)]).await;
        assert_eq!((page.events, page.next), (on_page, at(on_page as u128)), "{bytes_max} bytes");
    }
    // Over several batches all the same.
    let page = filled(limits(100, 4), [events(1..=1), events(2..=2), events(3..=3)]).await;
    assert_eq!((page.events, page.next, page.up_to_date), (2, at(2), false));
}

#[tokio::test(start_paused = true)]
async fn a_gap_stands_at_the_head_as_the_first_key() {
    let mut page = Page::new(&opened().with_gap(gap(0, 4)));
    page.fill(&mut feed_of([events(5..=5)]), PageLimits::default(), PATIENCE).await.unwrap();
    let (_, body, etag) = answered(&page, Media::Json, &["*"], 200);
    assert!(body.starts_with(r#"{"gap":{"reason":"trimmed","from":"#), "{body}");
    assert_eq!(etag, None, "an answer with a gap has no ETag, and is never 304");
    assert_eq!((json(&page)["gap"]["to"].clone(), page.next), (at(4).to_string().into(), at(5)));
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_the_feed_says_first_stands_at_the_head_too() {
    let page = filled(PageLimits::default(), [Ok(Delivery::Gap(gap(0, 4))), events(5..=5)]).await;
    assert_eq!((json(&page)["gap"]["from"].clone(), page.events), (at(0).to_string().into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_mid_page_ends_the_page_before_it() {
    let page =
        filled(PageLimits::default(), [events(1..=2), Ok(Delivery::Gap(gap(2, 5))), events(6..=6)]).await;
    assert_eq!(
        (page.gap.as_deref().copied(), page.events, page.next, page.up_to_date),
        (None, 2, at(2), false)
    );
    // Two gaps in a row are two pages.
    let gaps = [Ok(Delivery::Gap(gap(0, 3))), Ok(Delivery::Gap(gap(3, 5)))];
    let page = filled(PageLimits::default(), gaps).await;
    assert_eq!((page.gap.as_deref().copied(), page.next, page.up_to_date), (Some(gap(0, 3)), at(3), false));
}

#[tokio::test(start_paused = true)]
async fn a_gap_behind_the_tail_ends_the_page_too() {
    let items = [Ok(Delivery::Events(batch(1..=2, true))), Ok(Delivery::Gap(gap(2, 5)))];
    let page = filled(PageLimits::default(), items).await;
    assert_eq!((page.gap.as_deref().copied(), page.next, page.up_to_date), (None, at(2), false));
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_news_is_left_for_the_next_page() {
    let fail = || Err(SourceError::new(SourceErrorKind::Failed, "broken"));
    let page = filled(PageLimits::default(), [events(1..=2), fail()]).await;
    assert_eq!((page.events, page.next, page.up_to_date), (2, at(2), false));
    // Without news there is nothing to answer with.
    let mut page = Page::new(&opened());
    let failed = page.fill(&mut feed_of([fail()]), PageLimits::default(), PATIENCE).await;
    assert_eq!(failed.unwrap_err().map(|error| error.kind()), Some(SourceErrorKind::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_gives_nothing_in_time_is_away_and_one_that_gave_something_is_not() {
    for (items, is_away) in [(vec![], true), (vec![events(1..=2)], false)] {
        let (script, mut feed) = feed();
        items.into_iter().for_each(|item| script.send(item).unwrap());
        let mut page = Page::new(&opened());
        let began = tokio::time::Instant::now();
        let filled = page.fill(&mut feed, PageLimits::default(), PATIENCE).await;
        assert_eq!((filled.is_err(), began.elapsed()), (is_away, PATIENCE));
    }
}

#[tokio::test(start_paused = true)]
async fn what_reaches_the_tail_is_answered_without_a_wait_for_more() {
    for (events_max, is_cut) in [(3, false), (2, true)] {
        let (script, mut feed) = feed();
        script.send(Ok(Delivery::Events(batch(1..=3, true)))).unwrap();
        let mut page = Page::new(&opened());
        let began = tokio::time::Instant::now();
        page.fill(&mut feed, limits(events_max, 1000), PATIENCE).await.unwrap();
        assert_eq!((page.events, page.up_to_date, began.elapsed()), (events_max, !is_cut, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn news_the_end_and_a_drain_end_a_wait_and_a_moved_place_does_not() {
    let second = Duration::from_secs(1);
    let cases: [(Option<Item>, bool, u64, usize); 5] = [
        (Some(events(1..=1)), false, 1, 1),
        (Some(Ok(Delivery::Gap(gap(0, 4)))), false, 1, 0),
        (Some(Ok(Delivery::Live(at(9)))), false, 20, 0),
        (None, false, 1, 0),
        (Some(Ok(Delivery::Live(at(9)))), true, 1, 0),
    ];
    for (item, is_drained, seconds, count) in cases {
        let (script, mut feed) = feed();
        let (mount, mut permit) = permit(Config::default());
        script.send(Ok(Delivery::Live(at(0)))).unwrap();
        let mut page = Page::new(&opened());
        page.fill(&mut feed, PageLimits::default(), PATIENCE).await.unwrap();
        let began = tokio::time::Instant::now();
        let label = format!("{item:?} {is_drained}");
        let later = async {
            tokio::time::sleep(second).await;
            // Dropping the script, which is what no item stands for, ends the feed.
            let kept = item.map(|item| script.send(item).map(|()| script)).transpose().unwrap();
            if is_drained {
                mount.close().into_iter().for_each(crate::mount::Told::tell);
            }
            tokio::time::sleep(20 * second).await;
            kept
        };
        let waited = page.wait(&mut feed, PageLimits::default(), &mut permit, 20 * second);
        let (waited, took) = tokio::select! {
            waited = waited => (waited, began.elapsed().as_secs()),
            _ = later => panic!("{label}: waits for ever"),
        };
        waited.unwrap();
        assert_eq!((took, page.events), (seconds, count), "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moved_place_is_told_without_news() {
    let (script, mut feed) = feed();
    script.send(Ok(Delivery::Live(at(9)))).unwrap();
    let mut page = Page::new(&opened());
    page.fill(&mut feed, PageLimits::default(), PATIENCE).await.unwrap();
    assert_eq!((page.next, page.has_news(), page.up_to_date), (at(9), false, true));
}

#[tokio::test(start_paused = true)]
async fn the_status_says_what_the_client_does_not_have() {
    let (script, mut quiet) = feed();
    script.send(Ok(Delivery::Live(at(0)))).unwrap();
    let mut empty = Page::new(&opened());
    empty.fill(&mut quiet, PageLimits::default(), PATIENCE).await.unwrap();
    let news = filled(PageLimits::default(), [Ok(Delivery::Events(batch(1..=1, true)))]).await;
    let closed = filled(PageLimits::default(), []).await;
    let lost = filled(PageLimits::default(), [Ok(Delivery::Gap(gap(0, 4)))]).await;
    let tag = |page: &Page| answered(page, Media::Json, &[], 200).2;
    let (of_empty, of_closed) = (tag(&empty).unwrap(), tag(&closed).unwrap());
    assert_ne!(of_empty, of_closed, "the first sight of the end is another answer");
    assert_eq!(tag(&lost), None);
    let strong = of_empty.trim_start_matches("W/").to_owned();
    let listed = format!("\"other\", {of_empty}");

    // The page, what the client has, the status of a poll and of a long-poll.
    let cases: [(&Page, &[&str], u16, u16); 12] = [
        (&empty, &[], 200, 204),
        (&empty, &[&of_empty], 304, 304),
        (&empty, &[&strong], 304, 304),
        (&empty, &[&listed], 304, 304),
        (&empty, &["\"other\"", &of_empty], 304, 304),
        (&empty, &["*"], 304, 304),
        (&empty, &[&of_closed], 200, 204),
        (&closed, &[&of_empty], 200, 200),
        (&closed, &[&of_closed], 304, 304),
        (&closed, &["*"], 200, 200),
        (&news, &["*"], 200, 200),
        (&lost, &["*"], 200, 200),
    ];
    for (index, (page, tags, poll, long_poll)) in cases.into_iter().enumerate() {
        let (status, body, _) = answered(page, Media::Json, tags, 200);
        assert_eq!((status, body.is_empty()), (poll, poll != 200), "case {index}, {tags:?}");
        let (status, body, _) = answered(page, Media::Json, tags, 204);
        assert_eq!((status, body.is_empty()), (long_poll, long_poll != 200), "case {index}, {tags:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_says_the_form_the_place_and_what_is_known_of_the_tail() {
    let (mount, permit) = permit(Config::default());
    let heads = Heads::new(StatusCode::NO_CONTENT, "no-cache", None);
    for (media, form) in [(Media::Json, "application/json"), (Media::NdJson, "application/x-ndjson")] {
        for (up_to_date, closed) in [(false, false), (true, false), (true, true)] {
            let mut page = filled(limits(1, 100), [events(1..=2)]).await;
            (page.up_to_date, page.closed) = (up_to_date, closed);
            let response = page.answer(media, &Tags::default(), &heads, &permit);
            let said = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(said(CONTENT_TYPE).as_deref(), Some(form));
            assert_eq!(said(CACHE_CONTROL).as_deref(), Some("no-cache"));
            assert_eq!(said(headers::NEXT_OFFSET), Some(at(1).to_string()));
            assert_eq!(said(headers::UP_TO_DATE).as_deref(), up_to_date.then_some("true"));
            assert_eq!(said(headers::CLOSED).as_deref(), closed.then_some("true"));
        }
    }
    let empties = |mount: &crate::mount::Mount| mount.stats().of("test").unwrap().empties;
    assert_eq!(empties(&mount), 0);
    let (script, mut feed) = feed();
    script.send(Ok(Delivery::Live(at(0)))).unwrap();
    let mut empty = Page::new(&opened());
    empty.fill(&mut feed, PageLimits::default(), PATIENCE).await.unwrap();
    let response = empty.answer(Media::Json, &Tags::default(), &heads, &permit);
    assert_eq!((response.status().as_u16(), response.headers().get(CONTENT_TYPE)), (204, None));
    assert_eq!(empties(&mount), 1);
}

/// Else it is copied while it grows, or holds more than it says for as long as the client reads.
#[tokio::test(start_paused = true)]
async fn a_page_of_several_is_written_into_a_buffer_that_fits() {
    for count in [2, 60] {
        let page = filled(PageLimits::default(), [events(1..=count)]).await;
        for media in [Media::Json, Media::NdJson] {
            let cursors = CursorForm::default();
            let len = page.body(media, &cursors.text(page.next), &cursors).len();
            assert!((len..2 * len + 128).contains(&page.room()), "{} for {len}", page.room());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_etag_tells_media_from_next_and_closed_apart() {
    let pages = [
        filled(limits(1, 100), [events(1..=2)]).await,
        filled(limits(2, 100), [events(1..=3)]).await,
        filled(limits(2, 100), [events(1..=2)]).await,
    ];
    let mut tags: Vec<_> = pages
        .iter()
        .flat_map(|page| [Media::Json, Media::NdJson].map(|media| answered(page, media, &[], 200).2.unwrap()))
        .collect();
    assert!(tags.iter().all(|tag| tag.starts_with("W/\"") && tag.ends_with('"')), "weak: {tags:?}");
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn lines_are_the_messages_of_v1_and_the_last_has_the_place() {
    let lines = |page: &Page| {
        let body = answered(page, Media::NdJson, &[], 200).1;
        assert!(body.ends_with('\n'));
        let read = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        body.lines().map(read).collect::<Vec<_>>()
    };
    let names = |lines: &[serde_json::Value]| lines.iter().map(|l| l["event"].clone()).collect::<Vec<_>>();
    let closed = lines(&filled(PageLimits::default(), [events(1..=2)]).await);
    assert_eq!(names(&closed), ["n", "n", "$end"]);
    assert_eq!((&closed[2]["id"], &closed[2]["data"]["retry"]), (&at(2).to_string().into(), &false.into()));
    let cut = lines(&filled(limits(1, 100), [events(1..=2)]).await);
    assert_eq!((names(&cut), &cut[1]["id"]), (vec!["n".into(), "$ping".into()], &at(1).to_string().into()));
    let (script, mut feed) = feed();
    script.send(Ok(Delivery::Gap(gap(0, 4)))).unwrap();
    script.send(Ok(Delivery::Live(at(9)))).unwrap();
    let mut page = Page::new(&opened());
    page.fill(&mut feed, PageLimits::default(), PATIENCE).await.unwrap();
    let live = lines(&page);
    assert_eq!(
        (names(&live), &live[1]["id"]),
        (vec!["$gap".into(), "$live".into()], &at(9).to_string().into())
    );
}

/// Of two that are accepted alike, the higher rank is meant.
#[test]
fn a_poll_that_is_named_beats_a_stream_and_a_wait_or_no_wish_does_not() {
    for (headers, expected) in [
        (&[][..], RANK_WAITING),
        (&[("accept", "*/*")], RANK_WAITING),
        (&[("accept", "application/json")], RANK_STREAM + 1),
        (&[("accept", "application/json"), ("prefer", "wait=0")], RANK_STREAM + 1),
        (&[("accept", "application/json"), ("prefer", "wait=5")], RANK_LEAST),
        (&[("prefer", "wait=5")], RANK_LEAST),
    ] {
        let request = http::Request::get("/");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let ask = Ask::new(&request.body(()).unwrap().into_parts().0);
        let (_, accepted) = Media::accepted(&ask).unwrap();
        assert_eq!(rank(&ask, accepted), expected, "{headers:?}");
    }
    const { assert!(RANK_LEAST < RANK_WAITING && RANK_WAITING < RANK_STREAM) };
}

#[test]
fn a_source_that_fails_is_away_for_as_long_as_it_says_or_the_mount_does() {
    let (_mount, permit) = permit(Config { retry: Duration::from_secs(1000), ..Config::default() });
    let error = || SourceError::new(SourceErrorKind::Failed, "broken");
    for (error, least) in [
        (None, 1000),
        (Some(error()), 1000),
        (Some(error().with_retry_after(Duration::from_secs(5000))), 5000),
    ] {
        let response = failed(error, &permit);
        assert_eq!(response.status(), 503);
        let retry = response.headers()[http::header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        assert!((least..=2 * least).contains(&retry), "{retry} of {least}");
    }
}

#[test]
fn a_form_is_chosen_by_weight_and_json_where_they_are_equal() {
    let cases = [
        (None, Some(Media::Json)),
        (Some("*/*"), Some(Media::Json)),
        (Some("application/json, application/x-ndjson"), Some(Media::Json)),
        (Some("application/json;q=0.5, application/x-ndjson"), Some(Media::NdJson)),
        (Some("application/x-ndjson"), Some(Media::NdJson)),
        (Some("application/json;q=0, application/x-ndjson;q=0.1"), Some(Media::NdJson)),
        (Some("text/html"), None),
    ];
    for (accept, media) in cases {
        let mut request = http::Request::get("/");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let ask = Ask::new(&request.body(()).unwrap().into_parts().0);
        assert_eq!(Media::accepted(&ask).map(|(media, _)| media), media, "{accept:?}");
    }
}

proptest! {
    /// Page after page, whatever the bounds and however the source cuts its batches: every event once, in order.
    #[test]
    fn pages_one_after_another_are_the_source(
        cuts in proptest::collection::vec(1u128..6, 1..12),
        events_max in 1usize..7,
        bytes_max in 0usize..20,
    ) {
        let total: u128 = cuts.iter().sum();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = runtime.block_on(async {
            let (mut seen, mut place, mut rounds) = (Vec::new(), 0, 0);
            loop {
                rounds += 1;
                assert!(rounds <= total + 2, "each page gets further");
                let mut first = 1;
                let batches = cuts.iter().filter_map(|cut| {
                    let (from, to) = (first.max(place + 1), first + cut - 1);
                    first += cut;
                    (from <= to).then(|| events(from..=to))
                });
                let mut page = Page::new(&Opened::new(at(place)));
                let read = page.fill(&mut feed_of(batches), limits(events_max, bytes_max), PATIENCE).await;
                assert!(read.is_ok() && page.events <= events_max);
                seen.extend(page.first.iter().chain(&page.rest).flatten().map(|entry| entry.cursor().position()));
                place = page.next.position();
                if page.closed {
                    return seen;
                }
            }
        });
        prop_assert_eq!(seen, (1..=total).collect::<Vec<_>>());
    }
}
