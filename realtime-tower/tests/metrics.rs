//! The metrics that `observe.md` names, and no others.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use realtime_core::{Event, Keep, Log, TopicSet};
use realtime_tower::{Body, Config, Slow, builder, testing};
use tower::ServiceExt;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A page, a stream that is told of a gap and ends, one that is evicted, and a socket that is left.
async fn everything() -> Result {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
    let first = log.publish(Event::json("n", &1)?)?;
    log.publish_all([Event::json("n", &2)?, Event::json("n", &3)?])?;
    let config = Config { slow: Slow::Disconnect, ..Config::default() };
    let (service, _handle) = builder().source(log.clone()).config(config).service();
    let sse = |uri: String| Request::get(uri).header("accept", "text/event-stream").body(Body::empty());

    testing::page(service.clone().oneshot(Request::get("/").body(Body::empty())?).await?).await?;
    let after_first = sse(format!("/?offset={first}"))?;
    let mut told = testing::sse(service.clone().oneshot(after_first).await?).await?;
    let mut slow = testing::sse(service.clone().oneshot(sse("/".to_owned())?).await?).await?;
    let mut left = testing::web_socket(service, Request::get("/").body(Body::empty())?).await?;
    left.next().await?;
    drop(left);
    tokio::time::sleep(Duration::from_secs(1)).await;
    slow.next().await?;
    slow.next().await?;
    while !matches!(told.next().await?, Some(testing::Message::Live(_))) {}
    for n in 4..=5 {
        log.publish(Event::json("n", &n)?)?;
        told.event().await?;
    }
    while slow.next().await?.is_some() {}
    log.close();
    while told.next().await?.is_some() {}
    Ok(())
}

#[test]
fn the_documented_names_and_labels_are_counted() -> Result {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(everything())
    })?;
    let mut counted = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let DebugValue::Counter(value) = value else { return Err("all of them are counters".into()) };
        let labels: Vec<_> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        counted.insert(format!("{} {}", key.key().name(), labels.join(" ")), value);
    }
    let expected = [
        ("realtime_connects_total transport=poll", 1),
        ("realtime_connects_total transport=sse", 2),
        ("realtime_connects_total transport=websocket", 1),
        ("realtime_ends_total transport=sse", 2),
        ("realtime_ends_total transport=websocket", 1),
        ("realtime_evictions_total transport=sse", 1),
        ("realtime_gaps_total transport=sse reason=trimmed", 1),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(counted, expected);

    let documented = include_str!("../src/observe.md");
    for name in counted.keys() {
        let name = name.split(' ').next().unwrap_or_default();
        assert!(documented.contains(&format!("`{name}`")), "{name} is documented");
    }
    Ok(())
}
