//! What a mount's future must be where it is spawned by its concrete type.

use http::Request;
use realtime_core::{Event, Log, SourceExt};
use realtime_tower::{Body, builder};
use tower::ServiceExt;

#[tokio::test]
async fn a_mount_over_any_source_is_spawned_like_one_over_a_log() {
    let log = Log::new();
    log.publish(Event::text("e", "x").expect("an event")).expect("the log takes it");
    let (service, _handle) = builder().source(log.boxed()).service();
    let answered = tokio::spawn(async move {
        let request = Request::get("/?offset=-1").body(Body::empty()).expect("a request");
        service.oneshot(request).await.map(|response| response.status())
    });
    assert_eq!(answered.await.expect("it does not panic"), Ok(http::StatusCode::OK));
}
