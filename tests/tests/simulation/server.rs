//! The server: `realtime_axum::serve` on a simulated port.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use realtime_axum::{Listen, ServeConfig};
use realtime_core::{Event, Log, SourceExt};
use realtime_tower::{
    Config, LongPollTransport, PollTransport, SseConfig, SseTransport, WebSocketConfig, WebSocketTransport,
};
use turmoil::net::TcpListener;

use crate::feeds::Feeds;
use crate::run::Sabotage;
use crate::socket::{Socket, Sockets};
use crate::world::World;

type Transports = (WebSocketTransport, SseTransport, LongPollTransport, PollTransport);
type Realtime = realtime_axum::Realtime<Transports>;

pub(crate) const PORT: u16 = 80;

/// The longest silence on a stream. All waits are short, so that sixty seconds see many of each.
const HEARTBEAT: Duration = Duration::from_secs(2);

struct Port {
    listener: TcpListener,
    open: Sockets,
}

impl Listen for Port {
    type Io = Socket;

    async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        Ok((self.open.open(stream), peer))
    }
}

fn transports() -> Transports {
    let sockets = WebSocketConfig {
        heartbeat: HEARTBEAT,
        ping: Duration::from_secs(4),
        pong_wait: Duration::from_secs(2),
        write_wait: Duration::from_secs(4),
        close_wait: Duration::from_secs(2),
        ..WebSocketConfig::default()
    };
    let streams = SseConfig { heartbeat: HEARTBEAT, ..SseConfig::default() };
    (
        WebSocketTransport(sockets),
        SseTransport(streams),
        LongPollTransport::default(),
        PollTransport::default(),
    )
}

fn connections() -> ServeConfig {
    ServeConfig {
        head_wait: Duration::from_secs(6),
        write_wait: Duration::from_secs(4),
        h2_ping: Duration::from_secs(5),
        h2_pong_wait: Duration::from_secs(3),
        ..ServeConfig::default()
    }
}

/// One life of the server.
pub(crate) async fn server(world: World, sabotage: Sabotage) -> turmoil::Result {
    let open = Sockets::default();
    let port = Port { listener: TcpListener::bind(("0.0.0.0", PORT)).await?, open: open.clone() };
    let log = world.boot();
    let config = Config { retry: Duration::from_millis(500), ..Config::default() };
    let (mount, handle) = realtime_axum::mount().transports(transports()).config(config).build();
    world.state().handle = Some(handle.clone());
    let (drain, drained) = (world.drain.clone(), handle.clone());
    tokio::spawn(async move {
        drain.notified().await;
        drained.drain(Duration::from_secs(3)).await;
    });
    let kill = world.kill.clone();
    tokio::spawn(async move {
        kill.notified().await;
        open.close();
    });
    let app = Router::new()
        .route("/events", mount.route(events))
        .route("/topics/{*topic}", mount.route(topic))
        .with_state((log, world.feeds.clone(), sabotage));
    realtime_axum::serve(port, app, handle).config(connections()).await;
    Ok(())
}

type Place = State<(Log, Feeds, Sabotage)>;

async fn events(State((log, feeds, sabotage)): Place, rt: Realtime) -> Response {
    let source = match sabotage {
        Sabotage::Nothing => log.boxed(),
        Sabotage::Withhold => log.filter(|event| !is_withheld(event)).boxed(),
    };
    rt.serve(feeds.of(source)).await
}

async fn topic(Path(name): Path<String>, State((log, feeds, _)): Place, rt: Realtime) -> Response {
    rt.serve(feeds.of(log.topic(name).boxed())).await
}

/// One event in sixteen, for a while.
fn is_withheld(event: &Event) -> bool {
    let data: serde_json::Value = serde_json::from_slice(event.payload().bytes()).unwrap_or_default();
    data["n"].as_u64().is_some_and(|n| n < 200 && n % 16 == 0)
}
