//! The clients for users' tests: what says that nothing is lost loses nothing, and whoever is dropped is a client that went.

use realtime_tower::testing::{self, Message};
use tower::ServiceExt;

use crate::limit::{polled, sweep};
use crate::world::{EARLY, Kind, LATE, World, request};

fn is_event(message: &Message) -> bool {
    matches!(message, Message::Event(_))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_dropped_while_it_begins_is_one_that_went() {
    sweep("testing::web_socket", 2, async |polls| {
        let world = World::new(Kind::Remote);
        let opened =
            polled(testing::web_socket(world.service.clone(), request("/?offset=-1", &[])), polls).await;
        let is_done = opened.is_some();
        drop(opened.map(Result::unwrap));
        world.comes_to_be_left("testing::web_socket").await;
        is_done
    })
    .await;
    sweep("testing::bare_web_socket", 2, async |polls| {
        let world = World::new(Kind::Remote);
        let opened =
            polled(testing::bare_web_socket(world.service.clone(), request("/?offset=-1", &[])), polls).await;
        let is_done = opened.is_some();
        drop(opened.map(Result::unwrap));
        world.comes_to_be_left("testing::bare_web_socket").await;
        is_done
    })
    .await;
    sweep("testing::page", 2, async |polls| {
        let world = World::new(Kind::Remote);
        let page = polled(
            async {
                let asked = request("/?offset=-1", &[("prefer", "wait=5")]);
                testing::page(world.service.clone().oneshot(asked).await.unwrap()).await.unwrap()
            },
            polls,
        )
        .await;
        world.is_left("testing::page");
        page.is_some_and(|page| page.events.len() == EARLY)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_message_that_is_dropped_loses_none() {
    sweep("the next message of an event stream", 1, async |polls| {
        let world = World::new(Kind::Remote);
        let going = world.goes_on();
        let asked = request("/?offset=-1", &[("accept", "text/event-stream")]);
        let mut reader = testing::sse(world.service.clone().oneshot(asked).await.unwrap()).await.unwrap();
        let (mut events, mut dropped) = (0, 0);
        for _ in 0..5 {
            match polled(reader.next(), polls).await {
                Some(message) => events += usize::from(is_event(&message.unwrap().unwrap())),
                None => dropped += 1,
            }
        }
        while let Some(message) = reader.next().await.unwrap() {
            events += usize::from(is_event(&message));
        }
        assert_eq!(events, EARLY + LATE, "{polls} polls, {dropped} dropped");
        drop(reader);
        going.await.unwrap();
        world.is_left("the next message of an event stream");
        dropped == 0
    })
    .await;
    sweep("the next message of a WebSocket", 1, async |polls| {
        let world = World::new(Kind::Remote);
        let going = world.goes_on();
        let asked = request("/?offset=-1", &[]);
        let mut socket = testing::web_socket(world.service.clone(), asked).await.unwrap();
        let (mut events, mut dropped) = (0, 0);
        for _ in 0..5 {
            match polled(socket.next(), polls).await {
                Some(message) => events += usize::from(is_event(&message.unwrap().unwrap())),
                None => dropped += 1,
            }
        }
        let mut last = None;
        while let Some(message) = socket.next().await.unwrap() {
            events += usize::from(is_event(&message));
            last = Some(message);
        }
        assert_eq!(events, EARLY + LATE, "{polls} polls, {dropped} dropped");
        assert!(matches!(last, Some(Message::Close { code: 1000, .. })), "{last:?}");
        drop(socket);
        going.await.unwrap();
        world.comes_to_be_left("the next message of a WebSocket").await;
        dropped == 0
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_dropped_keeps_the_rest_in_order() {
    sweep("a question over a WebSocket", 2, async |polls| {
        let world = World::new(Kind::Log);
        let going = world.goes_on();
        let mut socket =
            testing::web_socket(world.service.clone(), request("/?offset=-1", &[])).await.unwrap();
        let reply = polled(socket.ask("say", &"hello"), polls).await;
        let is_done = reply.is_some();
        // What is sent next is a whole message, whatever became of the first; and an answer to that comes late.
        let reference = socket.send("say", &"again").await.unwrap();
        let (mut events, mut replies) = (0, 0);
        while events < EARLY + LATE || replies == 0 {
            match socket.next().await.unwrap().unwrap() {
                Message::Reply(reply) if reply.reference.as_ref() == Some(&reference) => replies += 1,
                message => events += usize::from(is_event(&message)),
            }
        }
        assert_eq!((events, replies), (EARLY + LATE, 1), "{polls} polls");
        polled(socket.close(1000, ""), 1).await.unwrap().unwrap();
        drop(socket);
        going.await.unwrap();
        world.comes_to_be_left("a question over a WebSocket").await;
        is_done
    })
    .await;
}
