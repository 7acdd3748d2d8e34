//! What the logs say, as `observe.md` has it: spans and fields, and what is never in them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use realtime_core::{
    BoxFeed, Delivery, Event, Keep, Log, Opened, Source, SourceError, SourceErrorKind, Start, TopicSet,
};
use realtime_tower::testing::{self, Message};
use realtime_tower::{
    Body, Config, CursorKeys, CursorScope, Inbound, MakeSource, NoUplink, Slow, Uplink, builder, uplink_fn,
};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Fields = BTreeMap<&'static str, String>;

/// One line of the log.
#[derive(Debug, Clone)]
struct Line {
    /// Name and fields of the span it stands in.
    span: Option<(&'static str, Fields)>,
    level: tracing::Level,
    fields: Fields,
}

impl Line {
    fn message(&self) -> &str {
        self.fields.get("message").map_or("", String::as_str)
    }

    /// The names of its fields, beside the message.
    fn names(&self) -> Vec<&str> {
        self.fields.keys().copied().filter(|name| *name != "message").collect()
    }
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Line>>>);

struct Read(Fields);

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut read = Read(Fields::new());
        attributes.record(&mut read);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(read.0);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        // Ours alone: the runtime underneath may log too.
        if !event.metadata().target().starts_with("realtime") {
            return;
        }
        let mut read = Read(Fields::new());
        event.record(&mut read);
        let span = context
            .event_span(event)
            .map(|span| (span.name(), span.extensions().get::<Fields>().cloned().unwrap_or_default()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Line {
            span,
            level: *event.metadata().level(),
            fields: read.0,
        });
    }
}

impl Capture {
    fn begin() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(capture.clone()));
        (capture, guard)
    }

    fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn messages(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.message().to_owned()).collect()
    }
}

fn get(uri: &str) -> Result<Request<Body>> {
    Ok(Request::get(uri).body(Body::empty())?)
}

fn sse(uri: &str) -> Result<Request<Body>> {
    Ok(Request::get(uri).header("accept", "text/event-stream").body(Body::empty())?)
}

/// A log that keeps one event, with three published: a reader after the first owes a gap.
fn trimmed() -> Result<(Log, String)> {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
    let first = log.publish(Event::text("note", "lost")?)?;
    log.publish_all([Event::text("note", "lost too")?, Event::text("note", "kept")?])?;
    Ok((log, first.to_string()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_connect_gap_and_end_in_the_span_of_its_reader() -> Result {
    for transport in ["sse", "websocket"] {
        let (capture, _guard) = Capture::begin();
        let (log, first) = trimmed()?;
        let (service, _handle) = builder().source(log.clone()).service();
        let uri = format!("/?offset={first}");
        if transport == "sse" {
            let mut stream = testing::sse(service.oneshot(sse(&uri)?).await?).await?;
            log.close();
            while stream.next().await?.is_some() {}
        } else {
            let mut socket = testing::web_socket(service, get(&uri)?).await?;
            log.close();
            while socket.next().await?.is_some() {}
        }
        let lines = capture.lines();
        assert_eq!(capture.messages(), ["connect", "gap", "end"], "{transport}");
        for line in &lines {
            let (name, fields) = line.span.clone().ok_or("a line stands in a span")?;
            assert_eq!((name, &*fields["transport"]), ("reader", transport));
        }
        let tail = log.tail().to_string();
        assert_eq!((lines[0].level, lines[0].names()), (tracing::Level::DEBUG, vec!["cursor", "outcome"]));
        assert_eq!((&*lines[0].fields["outcome"], &lines[0].fields["cursor"]), ("gap", &first));
        assert_eq!((lines[1].level, lines[1].names()), (tracing::Level::INFO, vec!["from", "reason", "to"]));
        assert_eq!((&*lines[1].fields["reason"], &lines[1].fields["from"]), ("trimmed", &first));
        assert_eq!((lines[2].level, lines[2].names()), (tracing::Level::DEBUG, vec!["cursor", "reason"]));
        assert_eq!((&*lines[2].fields["reason"], &lines[2].fields["cursor"]), ("closed", &tail));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_poll_connects_and_does_not_end() -> Result {
    for (transport, prefer) in [("poll", "wait=0"), ("long-poll", "wait=1")] {
        let (capture, _guard) = Capture::begin();
        let log = Log::new();
        let (service, _handle) = builder().source(log).service();
        let request = Request::get("/").header("prefer", prefer).body(Body::empty())?;
        testing::page(service.oneshot(request).await?).await?;
        let lines = capture.lines();
        assert_eq!(capture.messages(), ["connect"]);
        assert_eq!(lines[0].fields["outcome"], "fresh");
        assert_eq!(lines[0].span.as_ref().map(|(_, fields)| &*fields["transport"]), Some(transport));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_has_an_end_too() -> Result {
    let (capture, _guard) = Capture::begin();
    let log = Log::new();
    let (service, _handle) = builder().source(log.clone()).service();
    let mut stream = testing::sse(service.clone().oneshot(sse("/")?).await?).await?;
    stream.next().await?;
    drop(stream);
    let mut socket = testing::web_socket(service.clone(), get("/")?).await?;
    socket.next().await?;
    drop(socket);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(capture.messages(), ["connect", "end", "connect", "end"]);
    for line in capture.lines().iter().filter(|line| line.message() == "end") {
        assert_eq!((&*line.fields["reason"], &line.fields["cursor"]), ("gone", &log.tail().to_string()));
    }
    // One that left before it was told anything never came.
    drop(service.oneshot(sse("/")?).await?);
    assert_eq!(capture.messages().len(), 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_did_not_keep_up_is_said_to_be_evicted() -> Result {
    let (capture, _guard) = Capture::begin();
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
    let config = Config { slow: Slow::Disconnect, ..Config::default() };
    let (service, _handle) = builder().source(log.clone()).config(config).service();
    let mut stream = testing::sse(service.oneshot(sse("/")?).await?).await?;
    let Some(Message::Open { cursor, .. }) = stream.next().await? else { return Err("no $open".into()) };
    stream.next().await?;
    for _ in 0..3 {
        log.publish(Event::text("note", "too fast")?)?;
    }
    while stream.next().await?.is_some() {}
    let lines = capture.lines();
    assert_eq!(capture.messages(), ["connect", "evict"]);
    assert_eq!((lines[1].level, lines[1].names()), (tracing::Level::INFO, vec!["cursor"]));
    assert_eq!(lines[1].fields["cursor"], cursor.to_string());
    Ok(())
}

/// A source that opens, or does not, and then fails with somebody else's words.
struct Failing {
    opens: bool,
}

impl Source for Failing {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let here = realtime_core::Cursor::new(1, 1);
        let cause = "broker said: \u{1b}[31mred\r\n\u{202e}forged line";
        let open = self.opens.then(|| Ok(Delivery::Open(Opened::new(here))));
        let failure = Err(SourceError::new(SourceErrorKind::Failed, cause));
        Box::pin(futures_util::stream::iter(open.into_iter().chain([failure])))
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_warned_of_in_its_own_words_escaped() -> Result {
    for opens in [true, false] {
        for request in [get("/")?, sse("/")?] {
            let (capture, _guard) = Capture::begin();
            let (service, _handle) = builder().source(Failing { opens }).service();
            let response = service.oneshot(request).await?;
            if let Ok(mut stream) = testing::sse(response).await {
                while stream.next().await?.is_some() {}
            }
            let lines = capture.lines();
            let warned: Vec<_> = lines.iter().filter(|line| line.level == tracing::Level::WARN).collect();
            assert_eq!(warned.len(), 1, "{lines:?}");
            assert_eq!(
                (warned[0].message(), warned[0].names()),
                ("the source failed", vec!["cause", "error"])
            );
            assert_eq!(warned[0].span.as_ref().map(|(name, _)| *name), Some("reader"));
            let cause = &warned[0].fields["cause"];
            assert!(cause.contains(r"\u{1b}[31mred\r\n\u{202e}forged"), "{cause}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_source_that_takes_too_long_is_warned_of() -> Result {
    struct Never;
    impl Source for Never {
        type Feed = BoxFeed;
        fn subscribe(&self, _: Start) -> BoxFeed {
            Box::pin(futures_util::stream::pending())
        }
    }
    let (capture, _guard) = Capture::begin();
    let (service, _handle) = builder().source(Never).service();
    assert_eq!(service.oneshot(get("/")?).await?.status(), 503);
    assert_eq!(capture.messages(), ["the source took too long"]);
    Ok(())
}

/// Everything of a request that is the user's own, on every way through a mount: nothing of it is in the logs.
async fn ask_everything<M: MakeSource, U: Uplink>(
    service: realtime_tower::Realtime<realtime_tower::All, M, U>,
    cursor: &str,
) -> Result {
    let uri = format!("/hidden-path?token=hidden-token&event=hidden-name&offset={cursor}");
    let with =
        |method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str| -> Result<Request<Body>> {
            let request = Request::builder().method(method).uri(uri);
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            Ok(request
                .header("authorization", "hidden-header")
                .header("user-agent", "hidden-agent")
                .body(body.into())?)
        };
    for headers in
        [&[][..], &[("prefer", "wait=1")], &[("accept", "text/event-stream")], &[("accept", "hidden/type")]]
    {
        let response = service.clone().oneshot(with("GET", &uri, headers, "")?).await?;
        if let Ok(mut stream) = testing::sse(response).await {
            for _ in 0..4 {
                stream.next().await?;
            }
        }
    }
    for uri in ["/?offset=hidden-cursor", "/?live=hidden-transport"] {
        service.clone().oneshot(with("GET", uri, &[("last-event-id", "")], "")?).await?;
    }
    let json = [("content-type", "application/json")];
    service.clone().oneshot(with("POST", &uri, &json, "\"hidden-body\"")?).await?;
    service.clone().oneshot(with("POST", &uri, &json, "hidden-rubbish")?).await?;
    service.clone().oneshot(with("HIDDEN", &uri, &[], "")?).await?;
    let mut socket = testing::web_socket(service, with("GET", &uri, &[], "")?).await?;
    socket.send_text(r#"{"ref":"hidden-ref","event":"hidden-name","data":"hidden-data"}"#).await?;
    socket.send_text("hidden-rubbish").await?;
    for _ in 0..4 {
        socket.next().await?;
    }
    socket.close(4000, "hidden-reason").await?;
    while socket.next().await?.is_some() {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_request_is_logged_but_transport_and_cursor() -> Result {
    let (capture, _guard) = Capture::begin();
    let (log, first) = trimmed()?;
    let (service, _handle) = builder().source(log.clone()).service();
    ask_everything::<_, NoUplink>(service, &first).await?;
    let uplink = uplink_fn(|message: Inbound| async move { message.as_str().map(str::to_owned) });
    let (service, _handle) = builder().source(log).uplink(uplink).service();
    ask_everything(service, &first).await?;
    let lines = capture.lines();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        let text = format!("{line:?}").to_lowercase();
        assert!(!text.contains("hidden"), "{text}");
        assert!(!text.contains("lost"), "no payload: {text}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_origin_is_named_escaped_for_it_is_what_has_to_be_allowed() -> Result {
    let cases: [(&[u8], &str); 3] = [
        (b"https://evil.example", "https://evil.example"),
        (b"https://a\"b\tc", r#"https://a\"b\tc"#),
        ("https://\u{202e}live".as_bytes(), "unprintable"),
    ];
    for (origin, said) in cases {
        let (capture, _guard) = Capture::begin();
        let (service, _handle) = builder().source(Log::new()).service();
        let request = Request::get("/").header("origin", origin).body(Body::empty())?;
        let refused = testing::web_socket(service, request).await.unwrap_err();
        assert_eq!(refused.status(), Some(http::StatusCode::FORBIDDEN));
        let lines = capture.lines();
        assert_eq!((lines.len(), lines[0].level), (1, tracing::Level::WARN));
        assert_eq!(lines[0].fields["origin"], said);
        assert!(lines[0].message().contains("Origins::allow"), "{}", lines[0].message());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_per_event() -> Result {
    let mut counts = Vec::new();
    for events in [1, 500] {
        let (capture, _guard) = Capture::begin();
        let log = Log::new();
        let (service, _handle) = builder().source(log.clone()).service();
        let mut stream = testing::sse(service.clone().oneshot(sse("/")?).await?).await?;
        let mut socket = testing::web_socket(service.clone(), get("/")?).await?;
        for _ in 0..events {
            log.publish(Event::json("tick", &1)?)?;
            stream.event().await?;
            socket.event().await?;
        }
        testing::page(service.oneshot(get("/?offset=-1")?).await?).await?;
        drop((stream, socket));
        tokio::time::sleep(Duration::from_secs(1)).await;
        counts.push(capture.messages());
    }
    assert_eq!(counts[0], counts[1]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_signed_cursor_is_logged_without_its_tag_and_neither_key_nor_scope_is() -> Result {
    let (capture, _guard) = Capture::begin();
    let (log, first) = trimmed()?;
    let keys = CursorKeys::new("a key of more than thirty-two bytes")?;
    let (service, _handle) = builder().source(log.clone()).cursor_keys(keys).service();
    let in_scope = |mut request: Request<Body>| {
        request.extensions_mut().insert(CursorScope::new("the tenant's name"));
        request
    };
    let page = testing::page(service.clone().oneshot(in_scope(get("/?offset=-1")?)).await?).await?;
    log.publish_all([Event::text("note", "lost")?, Event::text("note", "kept")?])?;
    for request in [get(&format!("/?offset={}", page.token))?, sse(&format!("/?offset={}", page.token))?] {
        let response = service.clone().oneshot(in_scope(request)).await?;
        assert_eq!(response.status(), 200);
        if let Ok(mut stream) = testing::sse(response).await {
            while !matches!(stream.next().await?, Some(Message::Live(_))) {}
        }
    }
    let refused = service.clone().oneshot(in_scope(get(&format!("/?offset={first}"))?)).await?;
    assert_eq!(refused.status(), 400);
    let lines = capture.lines();
    assert!(lines.iter().any(|line| line.message() == "gap"), "{lines:?}");
    let (cursor, tag) = page.token.split_once('-').ok_or("a tag")?;
    let shown = format!("{lines:?}");
    assert!(shown.contains(cursor));
    for hidden in [tag, "thirty-two", "tenant"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    Ok(())
}
