//! The app is away: what the proxy says in its place, on every transport, and that readers come back.

use http::StatusCode;
use realtime_tests::client::{Place, Seen, Transport};

use crate::app::{App, Knobs, World};
use crate::client::{Refusals, connect, eventually, follow, patient, until};
use crate::proxy::{Conf, Kind, free_addr};

#[tokio::test]
async fn an_app_that_was_killed_and_started_again_has_lost_nothing_behind_nginx() {
    comes_back(Kind::Nginx, StatusCode::BAD_GATEWAY).await;
}

#[tokio::test]
async fn an_app_that_was_killed_and_started_again_has_lost_nothing_behind_haproxy() {
    comes_back(Kind::Haproxy, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn an_app_that_was_killed_and_started_again_has_lost_nothing_behind_varnish() {
    comes_back(Kind::Varnish, StatusCode::SERVICE_UNAVAILABLE).await;
}

/// The log outlives the app here, as a broker does, or the next process that reads the same store.
async fn comes_back(kind: Kind, away: StatusCode) {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs::default());
    let (addr, proxy) = (app.addr, Conf::shipped(kind).start(app.addr));
    world.publish();
    let readings = Transport::ALL.map(|transport| {
        let refusals = Refusals::default();
        let following = follow(proxy.target(), transport, Place::Earliest, refusals.clone());
        (tokio::spawn(following), refusals)
    });
    // Every stream is open, and has the first event.
    eventually("the streams are open", || app.streams() == 2).await;
    drop(app);
    world.publish();
    // Varnish has no words for what it pipes: the connection is closed.
    let is_refused = |transport| (kind, transport) != (Kind::Varnish, Transport::WebSocket);
    eventually("every reader is sent away", || {
        let mut all = Transport::ALL.into_iter().zip(&readings);
        all.all(|(transport, (_, refusals))| !is_refused(transport) || !refusals.lock().unwrap().is_empty())
    })
    .await;
    let _again = App::at(addr, &world.log, Knobs::default());
    world.publish();
    world.publish_last();
    for (transport, (reading, refusals)) in Transport::ALL.into_iter().zip(readings) {
        let what = format!("{kind:?}, {transport:?}");
        let followed = patient(&what, reading).await.unwrap();
        let refusals = refusals.lock().unwrap().clone();
        // The one that waited for an answer when the app was killed may be told so by a 502.
        let is_told = |status: &StatusCode| *status == away || *status == StatusCode::BAD_GATEWAY;
        assert_eq!(refusals.contains(&away), is_refused(transport), "{what}: {refusals:?}");
        assert!(refusals.iter().all(is_told), "{what}: {refusals:?}");
        let is_stream = matches!(transport, Transport::Sse | Transport::WebSocket);
        assert!(followed.cuts >= usize::from(is_stream), "{what}: it was never cut");
        let report = world.judge(followed.checker, 1, &what);
        assert_eq!((report.events, report.gaps), (4, 0), "{what}");
    }
}

/// An app that takes connections and says nothing (Varnish makes a 503 of it): the proxy gives up for it, with a status, on every transport.
#[tokio::test]
async fn an_app_that_never_answers_is_a_504_on_every_transport() {
    for kind in [Kind::Nginx, Kind::Haproxy] {
        let mute = std::net::TcpListener::bind(free_addr()).unwrap();
        let proxy = Conf::shipped(kind).silence(1).start(mute.local_addr().unwrap());
        let asking = Transport::ALL.map(|transport| {
            let target = proxy.target();
            tokio::spawn(async move {
                let mut reader = connect(transport, &target, Place::Live).await;
                until(&mut reader, "the proxy's own answer", |_| true).await
            })
        });
        for (transport, asked) in Transport::ALL.into_iter().zip(asking) {
            let seen = patient("it gives up", asked).await.unwrap();
            let Some(Seen::Refused { status, .. }) = seen.first() else {
                panic!("{kind:?}, {transport:?}: {seen:?}")
            };
            assert_eq!(*status, StatusCode::GATEWAY_TIMEOUT, "{kind:?}, {transport:?}");
        }
    }
}
