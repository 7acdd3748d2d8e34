//! Every transport reads, sends and resumes through each proxy, with the config as it is shipped.

use http::StatusCode;
use realtime_core::Log;
use realtime_tests::checker::Checker;
use realtime_tests::client::{Place, Seen, Target, Transport};
use tokio_tungstenite::tungstenite::Message;

use crate::app::{App, Knobs, World};
use crate::client::{connect, is_event, patient, until};
use crate::proxy::{Conf, Kind};

#[tokio::test]
async fn every_transport_reads_what_was_and_what_comes() {
    for kind in Kind::ALL {
        let mut world = World::new();
        let app = App::start(&world.log, Knobs::default());
        let proxy = Conf::shipped(kind).start(app.addr);
        let earlier = world.publish();
        let mut readers = Vec::new();
        for transport in Transport::ALL {
            let mut checker = Checker::default();
            checker.begin(transport, &Place::Earliest);
            let mut reader = connect(transport, &proxy.target(), Place::Earliest).await;
            checker.see_all(&until(&mut reader, &format!("{kind:?}"), is_event(&earlier)).await);
            readers.push((reader, checker));
        }
        let later = [world.publish(), world.publish()];
        for (mut reader, mut checker) in readers {
            let what = format!("{kind:?}, {:?}", reader.transport());
            checker.see_all(&until(&mut reader, &what, is_event(&later[1])).await);
            assert_eq!(world.judge(checker, 0, &what).events, 3, "{what}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_any_transport_resumes_on_any_other_through_a_proxy() {
    for kind in Kind::ALL {
        let mut world = World::new();
        let app = App::start(&world.log, Knobs::default());
        let proxy = Conf::shipped(kind).start(app.addr);
        for (from, to) in Transport::pairs() {
            let what = format!("{kind:?}, {from:?} to {to:?}");
            let start = Place::After(world.publish());
            let middle = world.publish();
            let mut checker = Checker::default();
            checker.begin(from, &start);
            let mut reader = connect(from, &proxy.target(), start).await;
            checker.see_all(&until(&mut reader, &what, is_event(&middle)).await);
            world.publish();
            checker.begin(to, reader.place());
            let mut reader = reader.resume(to).await;
            let newest = world.publish();
            checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
            assert_eq!(world.judge(checker, 1, &what).events, 3, "{what}");
        }
    }
}

#[tokio::test]
async fn what_a_client_sends_is_answered_by_post_and_by_web_socket() {
    for kind in Kind::ALL {
        let app = App::start(&Log::new(), Knobs::default());
        let proxy = Conf::shipped(kind).start(app.addr);
        let target = proxy.target();
        let answer = patient("a POST", target.post(Some("say"), r#""hello""#)).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{kind:?}");
        let body = answer.whole().await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("Roger that! hello"), "{kind:?}: {body:?}");
        // More than a proxy keeps of a body in memory.
        let answer = patient("a long POST", target.post(None, format!("{:?}", "x".repeat(50_000)))).await;
        assert_eq!(answer.unwrap().status, StatusCode::OK, "{kind:?}");

        let mut reader = connect(Transport::WebSocket, &target, Place::Live).await;
        reader.web_socket().unwrap().send("7", "say", r#""hello""#).await.unwrap();
        let seen = until(&mut reader, "a reply", |seen| matches!(seen, Seen::Control { .. })).await;
        let Some(Seen::Control { envelope, .. }) = seen.last() else { panic!("{kind:?}: {seen:?}") };
        assert_eq!((&envelope["ref"], &envelope["data"]), (&"7".into(), &"Roger that! hello".into()));

        let target = Target { subprotocol: None, ..target };
        let mut bare = connect(Transport::WebSocket, &target, Place::Live).await;
        bare.web_socket().unwrap().send_message(Message::text("hello")).await.unwrap();
        let seen = until(&mut bare, "an answer", |seen| seen.event().is_some()).await;
        assert_eq!(seen.last().unwrap().event().unwrap().data, b"Roger that! hello", "{kind:?}");
    }
}
