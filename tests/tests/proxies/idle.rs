//! P-PX-02: heartbeats outlive a proxy's idle time-out. The minutes of the shipped configs are seconds here.

use std::time::Duration;

use http::StatusCode;
use realtime_tests::checker::Checker;
use realtime_tests::client::{Over, Place, Seen, Target, Transport};
use realtime_tests::rules::{case_async, twin_async};

use crate::app::{App, Knobs, World};
use crate::client::{connect, is_event, patient, until};
use crate::proxy::{Conf, Kind};

const TIME_OUT_S: u32 = 2;

/// More than three time-outs, in which nothing is published.
const IDLE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn heartbeats_carry_every_transport_over_the_idle_time_out_of_nginx() {
    survives(Kind::Nginx).await;
}

#[tokio::test]
async fn heartbeats_carry_every_transport_over_the_idle_time_out_of_haproxy() {
    survives(Kind::Haproxy).await;
}

#[tokio::test]
async fn heartbeats_carry_every_transport_over_the_idle_time_out_of_varnish() {
    survives(Kind::Varnish).await;
}

async fn survives(kind: Kind) {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs::default());
    let proxy = Conf::shipped(kind).silence(TIME_OUT_S).start(app.addr);
    let start = Place::After(world.publish());
    let readings = Transport::ALL.map(|transport| {
        let (target, start) = (proxy.target(), start.clone());
        tokio::spawn(async move {
            let mut checker = Checker::default();
            checker.begin(transport, &start);
            let mut reader = connect(transport, &target, start).await;
            let end = |seen: &Seen| seen.event().is_some() || matches!(seen, Seen::Refused { .. });
            let seen = until(&mut reader, "idle", end).await;
            checker.see_all(&seen);
            (checker, seen)
        })
    });
    tokio::time::sleep(IDLE).await;
    let id = world.publish();
    for (transport, reading) in Transport::ALL.into_iter().zip(readings) {
        let what = format!("{kind:?}, {transport:?}: {IDLE:?} idle under a time-out of {TIME_OUT_S} s");
        case_async("P-PX-02", &what, async {
            // One connection: it never came back, for there was nothing to come back from.
            let (checker, seen) = patient(&what, reading).await.unwrap();
            assert!(seen.last().is_some_and(is_event(&id)), "{what}: {seen:?}");
            assert_eq!(world.judge(checker, 0, &what).events, 1, "{what}");
            let signs = seen.iter().filter(|seen| !matches!(seen, Seen::Open { .. })).count();
            assert!(signs > IDLE.as_secs() as usize / 2, "{what}: it was idle, and there were signs of life");
        })
        .await;
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_too_slow_is_cut_and_resumes_without_loss_behind_nginx() {
    is_cut(Kind::Nginx).await;
}

#[tokio::test]
async fn a_heartbeat_that_is_too_slow_is_cut_and_resumes_without_loss_behind_haproxy() {
    is_cut(Kind::Haproxy).await;
}

#[tokio::test]
async fn a_heartbeat_that_is_too_slow_is_cut_and_resumes_without_loss_behind_varnish() {
    is_cut(Kind::Varnish).await;
}

/// The other side of the rule: what it protects from does happen, and costs a reconnect.
async fn is_cut(kind: Kind) {
    let mut world = World::new();
    let slow = Knobs { heartbeat: Duration::from_secs(60), ..Knobs::default() };
    let app = App::start(&world.log, slow);
    let proxy = Conf::shipped(kind).silence(TIME_OUT_S).start(app.addr);
    let start = Place::After(world.publish());
    let target = Target { wait_s: 25, ..proxy.target() };
    // Long enough for a long-poll that has nothing to wait.
    let readings = [Transport::LongPoll, Transport::Sse, Transport::WebSocket].map(|transport| {
        let (target, start) = (target.clone(), start.clone());
        tokio::spawn(async move {
            let mut checker = Checker::default();
            checker.begin(transport, &start);
            let mut reader = connect(transport, &target, start).await;
            let seen = until(&mut reader, "slow", |_| false).await;
            checker.see_all(&seen);
            (reader, checker, seen)
        })
    });
    for reading in readings {
        let (reader, mut checker, seen) = patient("it is cut", reading).await.unwrap();
        let transport = reader.transport();
        let what = format!("{kind:?}, {transport:?}: a heartbeat slower than the time-out is cut");
        twin_async("P-PX-02", &what, async {
            match (transport, seen.last()) {
                (Transport::LongPoll, Some(Seen::Refused { status, .. })) => {
                    let away = match kind {
                        Kind::Varnish => StatusCode::SERVICE_UNAVAILABLE,
                        Kind::Nginx | Kind::Haproxy => StatusCode::GATEWAY_TIMEOUT,
                    };
                    assert_eq!(*status, away, "{what}");
                }
                (Transport::LongPoll, other) => panic!("{what}: {other:?}"),
                _ => assert!(matches!(reader.over(), Some(Over::Cut(_))), "{what}: {:?}", reader.over()),
            }
            world.publish();
            checker.begin(transport, reader.place());
            let mut reader = reader.resume(transport).await;
            let newest = world.publish();
            checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
            world.judge(checker, 1, &what);
        })
        .await;
    }
}
