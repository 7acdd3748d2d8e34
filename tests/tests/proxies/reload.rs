//! P-PX-03: a proxy's reload loses nothing. Its old processes are given a second to end what they are in the middle of.

use std::time::Duration;

use realtime_tests::client::{Place, Transport};
use realtime_tests::rules::case_async;

use crate::app::{App, Knobs, World};
use crate::client::{Refusals, follow, patient};
use crate::proxy::{Conf, Kind};

const REST_S: u32 = 1;

#[tokio::test]
async fn a_reload_of_nginx_in_mid_stream_loses_nothing() {
    loses_nothing(Kind::Nginx).await;
}

#[tokio::test]
async fn a_reload_of_haproxy_in_mid_stream_loses_nothing() {
    loses_nothing(Kind::Haproxy).await;
}

#[tokio::test]
async fn a_reload_of_varnish_in_mid_stream_loses_nothing() {
    loses_nothing(Kind::Varnish).await;
}

async fn loses_nothing(kind: Kind) {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs::default());
    let proxy = Conf::shipped(kind).rest(REST_S).start(app.addr);
    let refusals = Refusals::default();
    let readings = Transport::ALL
        .map(|transport| tokio::spawn(follow(proxy.target(), transport, Place::Earliest, refusals.clone())));
    let pause = Duration::from_millis(4);
    for _ in 0..2 {
        publish_for(&mut world, 50, pause).await;
        proxy.reload();
        // Until the old processes are at their end, and a good while more.
        publish_for(&mut world, 450, pause).await;
    }
    world.publish_last();
    for (transport, reading) in Transport::ALL.into_iter().zip(readings) {
        let what = format!("{kind:?}, {transport:?}: two reloads in mid-stream");
        case_async("P-PX-03", &what, async {
            let followed = patient(&what, reading).await.unwrap();
            // A poll is over before the old process is; a stream is cut by each reload, but for Varnish's, which has no
            // old process.
            let is_cut = kind != Kind::Varnish && matches!(transport, Transport::Sse | Transport::WebSocket);
            let least = if is_cut { 2 } else { 0 };
            assert!(followed.cuts >= least, "{what}: only {} disconnects", followed.cuts);
            let report = world.judge(followed.checker, least, &what);
            assert_eq!((report.events, report.gaps), (1001, 0), "{what}");
            println!("{what}: {} cut, 0 lost", followed.cuts);
        })
        .await;
    }
    println!("{kind:?}, two reloads: {} refused", refusals.lock().unwrap().len());
}

async fn publish_for(world: &mut World, events: usize, pause: Duration) {
    for _ in 0..events {
        world.publish();
        tokio::time::sleep(pause).await;
    }
}
