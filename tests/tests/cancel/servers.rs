//! `serve`, dropped: every connection ends at once, and WebSockets end when they are told. And a connection's deadline.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use realtime_axum::Listen;
use realtime_tests::client::{Place, Reader, Target, Transport};
use realtime_tests::dial::{Conn, Dialer};
use realtime_tower::WriteDeadline;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limit::{polled, sweep};
use crate::world::{Kind, World};

/// Connections that come by hand.
struct Door(mpsc::UnboundedReceiver<DuplexStream>);

impl Listen for Door {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(io) => Ok((io, ([127, 0, 0, 1], 1).into())),
            None => std::future::pending().await,
        }
    }
}

fn door() -> (Door, Dialer) {
    let (knock, knocks) = mpsc::unbounded_channel();
    let dialer = Dialer::new(move || {
        let (ours, theirs) = duplex(64 * 1024);
        let came = knock.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused.into());
        std::future::ready(came.map(|()| Box::new(ours) as Conn))
    });
    (Door(knocks), dialer)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_closes_every_connection() {
    sweep("a server", 6, async |polls| {
        let world = World::new(Kind::Log);
        let (mount, handle) = realtime_axum::mount().build();
        let app = Router::new().route("/events", mount.source(world.source.clone()));
        let (door, dialer) = door();
        let stop = sleep(Duration::from_secs(2));
        let server = realtime_axum::serve(door, app, handle.clone()).with_graceful_shutdown(stop);
        let mut reading = JoinSet::new();
        for (n, transport) in
            [Transport::Sse, Transport::LongPoll, Transport::WebSocket].into_iter().enumerate()
        {
            let target = Target::new(dialer.clone(), "/events");
            reading.spawn(async move {
                sleep(Duration::from_millis(100 * n as u64)).await;
                let mut reader = Reader::connect(transport, &target, Place::Live).await;
                while reader.next().await.is_some() {}
            });
        }
        let stopped = polled(server.into_future(), polls).await;
        let readers = |of: &str| handle.stats().of(of).unwrap().connections;
        // Those that have not come yet find nobody.
        sleep(Duration::from_secs(1)).await;
        assert_eq!((readers("sse"), readers("long-poll")), (0, 0), "{polls} polls");
        assert!(readers("websocket") <= 1);
        assert_eq!(
            handle.drain(Duration::from_secs(20)).await.left,
            0,
            "{polls} polls: a WebSocket can be told"
        );
        drop(dialer);
        let ended = timeout(Duration::from_secs(60), reading.join_all()).await;
        assert!(ended.is_ok(), "{polls} polls: a client hangs");
        world.is_left("a server");
        if let Some(stopped) = stopped {
            assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (3, 0, 0));
        }
        stopped.is_some()
    })
    .await;
}

/// A write that was given up for the moment is made again: each byte goes out once.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_dropped_writes_nothing_or_says_how_much() {
    let sent: Vec<u8> = (0..2_000_u32).map(|n| n as u8).collect();
    sweep("writes under a deadline", 20, async |polls| {
        let (ours, mut theirs) = duplex(64);
        let mut ours = WriteDeadline::new(ours, Duration::from_secs(10));
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            let mut piece = [0; 50];
            while let Ok(count @ 1..) = theirs.read(&mut piece).await {
                read.extend_from_slice(&piece[..count]);
                sleep(Duration::from_millis(10)).await;
            }
            read
        });
        let written = std::cell::Cell::new(0);
        let writing = async {
            while written.get() < sent.len() {
                written.set(written.get() + ours.write(&sent[written.get()..]).await.unwrap());
            }
        };
        let is_done = polled(writing, polls).await.is_some();
        ours.write_all(&sent[written.get()..]).await.unwrap();
        assert!(!ours.stalled().is_set());
        drop(ours);
        assert!(reading.await.unwrap() == sent, "{polls} polls");
        is_done
    })
    .await;
}
