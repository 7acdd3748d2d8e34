//! The clients that users test with, against the mount they were made for: every transport, every control, and what
//! they say when something else comes.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use realtime_core::envelope::EndReason;
use realtime_core::{Event, GapReason, Keep, Log, Start, Topic, TopicSet};
use realtime_tower::testing::{self, Message, Outcome, Page, SseReader, Unexpected};
use realtime_tower::{
    All, Body, Config, CursorKeys, Data, Fixed, Handle, Inbound, NoUplink, Pings, PollTransport, Realtime,
    SseConfig, SseTransport, Uplink, UplinkError, WebSocketTransport, builder, uplink_fn,
};
use tower::ServiceExt;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Service<U = NoUplink> = Realtime<All, Fixed<Log>, U>;

fn service(log: &Log) -> (Service, Handle) {
    builder()
        .source(log.clone())
        .config(Config { default_start: Start::Earliest, ..Config::default() })
        .service()
}

fn echo(log: &Log) -> Service<impl Uplink> {
    let echo = uplink_fn(|message: Inbound| async move {
        match message.name() {
            "refuse" => Err(UplinkError::new(StatusCode::TOO_MANY_REQUESTS, "slower, please")),
            _ => Ok(message.as_str().map(|text| format!("Roger that! {text}"))),
        }
    });
    builder().source(log.clone()).uplink(echo).service().0
}

fn get(uri: &str) -> http::request::Builder {
    Request::get(uri)
}

async fn sse(service: Service, uri: &str) -> Result<SseReader> {
    let request = get(uri).header("accept", "text/event-stream").body(Body::empty())?;
    Ok(testing::sse(service.oneshot(request).await?).await?)
}

async fn page(service: Service, request: http::request::Builder) -> Result<Page> {
    Ok(testing::page(service.oneshot(request.body(Body::empty())?).await?).await?)
}

/// Three events of three kinds, the second on a topic.
fn three() -> Result<(Log, Vec<realtime_core::Cursor>)> {
    let log = Log::new();
    let cursors = log.publish_all([
        Event::json("tick", &serde_json::json!({ "n": 1 }))?,
        Event::text("note", "a\nb \"c\"")?.with_topic(Topic::new("notes")?),
        Event::json("message", "text in JSON")?,
    ])?;
    Ok((log, cursors))
}

#[tokio::test(start_paused = true)]
async fn every_transport_reads_the_same_events() -> Result {
    let (log, cursors) = three()?;
    let (service, _handle) = service(&log);
    let json = page(service.clone(), get("/")).await?;
    let lines = page(service.clone(), get("/").header("accept", "application/x-ndjson")).await?;
    assert_eq!((json.next, json.up_to_date, json.closed), (cursors[2], true, false));
    assert_eq!((&lines.events, lines.next), (&json.events, json.next));
    assert_eq!(json.events[1].topic(), Some("notes"));

    let mut stream = sse(service.clone(), "/").await?;
    let mut socket = testing::web_socket(service, get("/").body(Body::empty())?).await?;
    for (event, id) in json.events.iter().zip(&cursors) {
        assert_eq!(event.id(), Some(*id));
        assert_eq!(&socket.event().await?, event);
        let streamed = stream.event().await?;
        assert_eq!((streamed.id(), streamed.name()), (event.id(), event.name()));
    }
    assert_eq!(json.events[0].json::<serde_json::Value>()?["n"], 1);
    assert_eq!(json.events[1].text()?, "a\nb \"c\"");
    assert_eq!((json.events[2].name(), json.events[2].text()?), ("message", "text in JSON".to_owned()));
    assert_eq!(stream.place(), Some(cursors[2]));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_sse_reader_sees_every_control() -> Result {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
    let first = log.publish(Event::text("note", "lost")?)?;
    log.publish_all([Event::text("note", "lost too")?, Event::text("note", "")?])?;
    let (service, handle) = service(&log);
    let mut stream = sse(service, &format!("/?offset={first}")).await?;
    let Some(Message::Open { cursor, outcome, heartbeat }) = stream.next().await? else {
        return Err("expected $open".into());
    };
    assert_eq!((cursor, outcome, heartbeat), (first, Outcome::Gap, Duration::from_secs(15)));
    assert_eq!(stream.place(), None, "an $open with a gap has no id");
    let Some(Message::Gap(gap)) = stream.next().await? else { return Err("expected $gap".into()) };
    assert_eq!((gap.reason, gap.from, stream.place()), (GapReason::Trimmed, Some(first), Some(gap.to)));
    assert_eq!(stream.event().await?.text()?, "");
    assert_eq!(stream.next().await?, Some(Message::Live(log.tail())));
    assert_eq!(stream.next().await?, Some(Message::Ping(Some(log.tail()))));
    let (drained, end) = tokio::join!(handle.drain(Duration::from_secs(5)), async {
        let end = stream.next().await;
        (end, stream.next().await)
    });
    let Some(Message::End { reason: EndReason::Drain, cursor, retry: Some(_) }) = end.0? else {
        return Err("expected $end with a time to come back".into());
    };
    assert_eq!((cursor, end.1?), (Some(log.tail()), None));
    drop(stream);
    assert_eq!(drained.told, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_sse_reader_reads_envelopes_and_visible_pings_too() -> Result {
    let log = Log::new();
    log.publish(Event::binary("blob", vec![0, 255])?)?;
    let config = SseConfig { data: Data::Envelope, pings: Pings::Events, ..SseConfig::default() };
    let (service, _handle) = builder()
        .source(log.clone())
        .transports((SseTransport(config),))
        .default_start(Start::Earliest)
        .service();
    let request = get("/").header("accept", "text/event-stream").body(Body::empty())?;
    let mut stream = testing::sse(service.oneshot(request).await?).await?;
    let event = stream.event().await?;
    assert_eq!((event.name(), event.binary()), ("blob", Some(&Bytes::from_static(&[0, 255]))));
    assert_eq!(stream.next().await?, Some(Message::Live(log.tail())));
    assert_eq!(stream.next().await?, Some(Message::Ping(Some(log.tail()))));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn pages_without_news_and_the_end_are_pages() -> Result {
    let (log, cursors) = three()?;
    let (service, _handle) = service(&log);
    let at_tail = format!("/?offset={}", cursors[2]);
    let empty = page(service.clone(), get(&at_tail)).await?;
    assert_eq!((empty.status, empty.events.len(), empty.next), (StatusCode::OK, 0, cursors[2]));
    let etag = empty.etag.ok_or("a page without a gap has an ETag")?;
    let known = page(service.clone(), get(&at_tail).header("if-none-match", &etag)).await?;
    assert_eq!((known.status, known.next), (StatusCode::NOT_MODIFIED, cursors[2]));
    let waited = page(service.clone(), get(&at_tail).header("prefer", "wait=20")).await?;
    assert_eq!((waited.status, waited.next), (StatusCode::NO_CONTENT, cursors[2]));
    log.close();
    let closed = page(service.clone(), get(&at_tail).header("prefer", "wait=20")).await?;
    assert_eq!((closed.status, closed.closed, closed.up_to_date), (StatusCode::OK, true, true));
    let lines = page(service, get("/?offset=last-1").header("accept", "application/x-ndjson")).await?;
    assert_eq!((lines.events.len(), lines.closed, lines.next), (1, true, cursors[2]));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_is_answered_and_nothing_is_lost_meanwhile() -> Result {
    let log = Log::new();
    let mut socket = testing::web_socket(echo(&log), get("/").body(Body::empty())?).await?;
    let id = log.publish(Event::json("tick", &1)?)?;
    assert_eq!(socket.ask("hello", &"you").await?.json::<String>()?, "Roger that! \"you\"");
    let refused = socket.ask("refuse", &()).await?;
    assert_eq!(refused.answer, Err((StatusCode::TOO_MANY_REQUESTS, "slower, please".to_owned())));
    assert!(refused.json::<String>().unwrap_err().to_string().contains("slower, please"));
    assert_eq!(socket.event().await?.id(), Some(id));
    socket.close(1000, "bye").await?;
    let mut last = None;
    while let Some(message) = socket.next().await? {
        last = Some(message);
    }
    assert_eq!(last, Some(Message::Close { code: 1000, reason: String::new() }));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_bare_web_socket_has_payloads_pings_and_a_reason_to_resume_by() -> Result {
    let log = Log::new();
    let mut socket = testing::bare_web_socket(echo(&log), get("/").body(Body::empty())?).await?;
    assert!(!socket.head().headers.contains_key("sec-websocket-protocol"));
    assert_eq!(socket.next().await?, Some(Message::Ping(None)));
    socket.send_text("hello").await?;
    assert_eq!(socket.event().await?.text()?, "Roger that! hello");
    socket.send_binary([1, 2]).await?;
    log.publish(Event::binary("blob", vec![7; 70_000])?)?;
    assert_eq!(socket.event().await?.binary().map(Bytes::len), Some(70_000));
    log.close();
    let reason = log.tail().to_string();
    assert_eq!(socket.next().await?, Some(Message::Close { code: 1000, reason }));
    assert_eq!(socket.next().await?, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_was_not_expected_is_said() -> Result {
    let log = Log::new();
    let (service, _handle) = service(&log);
    let refused: Vec<Unexpected> = vec![
        testing::page(service.clone().oneshot(get("/?offset=x").body(Body::empty())?).await?)
            .await
            .unwrap_err(),
        testing::sse(service.clone().oneshot(get("/?offset=x").body(Body::empty())?).await?)
            .await
            .unwrap_err(),
        testing::web_socket(service.clone(), get("/?offset=x").body(Body::empty())?).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST), "{error:?}");
        assert!(error.to_string().contains("not a cursor"), "{error:?}");
    }
    // A poll's page is no stream, and a stream no page.
    let poll = service.clone().oneshot(get("/").body(Body::empty())?).await?;
    assert_eq!(testing::sse(poll).await.unwrap_err().status(), Some(StatusCode::OK));
    log.close();
    let mut stream = sse(service.clone(), "/?offset=-1").await;
    if let Ok(stream) = &mut stream {
        return Err(format!("an ended source is 204 to SSE, not {:?}", stream.head()).into());
    }
    let mut socket = testing::web_socket(service, get("/").body(Body::empty())?).await?;
    let error = socket.event().await.unwrap_err();
    assert!(error.to_string().contains("End"), "{error:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn waiting_for_what_never_comes_ends() -> Result {
    let log = Log::new();
    let (service, _handle) = service(&log);
    let began = tokio::time::Instant::now();
    assert!(sse(service.clone(), "/").await?.event().await.is_err());
    let mut socket = testing::web_socket(service, get("/").body(Body::empty())?).await?;
    assert!(socket.event().await.is_err());
    assert!(began.elapsed() > Duration::from_secs(3600), "hours of heartbeats, in no time");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_mount_without_web_sockets_refuses_one() -> Result {
    let (service, _handle) = builder().source(Log::new()).transports((PollTransport::default(),)).service();
    let request = get("/").header("accept", "text/html").body(Body::empty())?;
    let error = testing::web_socket(service, request).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_ACCEPTABLE));
    // Its twin has them.
    let (service, _handle) =
        builder().source(Log::new()).transports((WebSocketTransport::default(),)).service();
    let request = get("/").header("accept", "text/html").body(Body::empty())?;
    assert!(testing::web_socket(service, request).await.is_ok());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_signs_is_read_by_place_and_come_back_to_by_token() -> Result {
    let (log, cursors) = three()?;
    let keys = CursorKeys::new([7; 32])?;
    let service: Service = builder().source(log.clone()).cursor_keys(keys).service().0;

    let first = page(service.clone(), get("/?offset=-1")).await?;
    assert_eq!((first.next, first.events[0].id()), (cursors[2], Some(cursors[0])));
    assert!(first.token.starts_with(&format!("{}-", cursors[2])), "{}", first.token);
    log.publish(Event::json("tick", &4)?)?;
    let second = page(service.clone(), get("/").header("last-event-id", &first.token)).await?;
    assert_eq!(second.events[0].json::<u64>()?, 4);

    log.publish(Event::json("tick", &5)?)?;
    let mut stream = sse(service.clone(), &format!("/?offset={}", second.token)).await?;
    assert_eq!(stream.event().await?.json::<u64>()?, 5);
    log.publish(Event::json("tick", &6)?)?;
    let offset = format!("/?offset={}", stream.token().ok_or("an event has a place")?);
    let mut socket = testing::web_socket(service.clone(), get(&offset).body(Body::empty())?).await?;
    assert_eq!(socket.event().await?.json::<u64>()?, 6);
    let offset = format!("/?offset={}", socket.token().ok_or("an event has a place")?);
    let (place, last) = (stream.place(), page(service.clone(), get(&offset)).await?);
    assert_eq!((place, last.status, last.events.len()), (Some(cursors[2].at(5)), StatusCode::OK, 0));

    let plain = get("/").header("last-event-id", cursors[2].to_string()).body(Body::empty())?;
    assert_eq!(service.oneshot(plain).await?.status(), StatusCode::BAD_REQUEST);
    Ok(())
}

/// A wait that is dropped while it answers the Close: the runtime lets no task write that has used up its turn.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_does_not_lose_the_close() -> Result {
    let log = Log::new();
    let (service, _handle) = service(&log);
    let mut socket = testing::web_socket(service, get("/").body(Body::empty())?).await?;
    log.close();
    while !matches!(socket.next().await?, Some(Message::End { .. })) {}
    let done = std::future::poll_fn(|cx| {
        while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
        Poll::Ready(pin!(socket.next()).poll(cx))
    });
    let close = match done.await {
        Poll::Ready(message) => message?,
        Poll::Pending => socket.next().await?,
    };
    assert!(matches!(close, Some(Message::Close { code: 1000, .. })), "{close:?}");
    assert_eq!(socket.next().await?, None);
    Ok(())
}
