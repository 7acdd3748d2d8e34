//! `Handle::drain`: dropped in the middle, the mount stays closed, and the next call tells whoever was not told.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::limit::{polled, sweep};
use crate::world::{Kind, World, request};

const READERS: usize = 40;

async fn read(world: &World) -> JoinSet<()> {
    let mut reading = JoinSet::new();
    for _ in 0..READERS {
        let asked = request("/?offset=-1", &[("accept", "text/event-stream")]);
        let body = world.service.clone().oneshot(asked).await.unwrap().into_body();
        reading.spawn(async move {
            let told = body.collect().await.unwrap().to_bytes();
            let told = String::from_utf8_lossy(&told);
            assert!(told.contains("event: $end") && told.contains("\"drain\""), "{told}");
        });
    }
    reading
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_is_taken_up_again() {
    sweep("a drain", 10, async |polls| {
        let world = World::new(Kind::Log);
        let reading = read(&world).await;
        let drained = polled(world.handle.drain(Duration::from_secs(30)), polls).await;
        if polls > 0 {
            let late = world.service.clone().oneshot(request("/", &[])).await.unwrap();
            assert_eq!(late.status(), 503, "{polls} polls: it stays closed");
        }
        let again = world.handle.drain(Duration::from_secs(30)).await;
        assert_eq!(again.left, 0, "{polls} polls");
        if let Some(drained) = drained {
            assert_eq!((drained.told, drained.left, again.told), (READERS, 0, 0));
        }
        reading.join_all().await;
        world.is_left("a drain");
        drained.is_some()
    })
    .await;
    sweep("a drain on a signal", 10, async |polls| {
        let world = World::new(Kind::Log);
        let reading = read(&world).await;
        let signal = tokio::time::sleep(Duration::from_millis(5));
        let drained = polled(world.handle.clone().drain_on(signal, Duration::from_secs(30)), polls).await;
        assert_eq!(world.handle.drain(Duration::from_secs(30)).await.left, 0, "{polls} polls");
        reading.join_all().await;
        world.is_left("a drain on a signal");
        drained.is_some()
    })
    .await;
}
