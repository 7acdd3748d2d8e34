//! The application: `/topics/a,b` is a log's topics `a` and `b`, by every transport; `/events` is all of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use realtime_axum::{Realtime, ServeConfig, serve};
use realtime_core::{
    BoxSource, Delivery, Event, Keep, Log, Source, SourceError, SourceErrorKind, SourceExt, Start, Topic,
    TopicSet,
};
use realtime_tower::{
    Config, Data, Handle, LongPollConfig, LongPollTransport, PollConfig, PollTransport, SseConfig,
    SseTransport, WebSocketConfig, WebSocketTransport,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Answer, Command, Holding, Item, Settings};
use crate::machine::Held;
use crate::run::Outcome;

type Transports = (WebSocketTransport, SseTransport, LongPollTransport, PollTransport);

/// A server that runs.
pub(super) struct App {
    runtime: Runtime,
    addr: SocketAddr,
    handle: Handle,
    shelf: Arc<Shelf>,
}

/// Where the log stands that is read now.
struct Shelf {
    entries_max: Option<usize>,
    now: Mutex<Life>,
}

/// A log, and what is told when another takes its place.
#[derive(Clone)]
struct Life {
    log: Log,
    over: Arc<watch::Sender<bool>>,
}

impl App {
    pub(super) fn start(settings: Settings) -> Outcome<Self> {
        let threads = settings.threads.max(1);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", settings.port)))?;
        let addr = listener.local_addr()?;
        let shelf = Arc::new(Shelf::new(settings.entries_max));
        let (router, handle) = router(&settings, shelf.clone());
        runtime.spawn(serve(listener, router, handle.clone()).config(serve_config(&settings)).into_future());
        Ok(Self { runtime, addr, handle, shelf })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn obey(&self, command: Command) -> Outcome<Answer> {
        match command {
            Command::Publish(items) => {
                let events = items.into_iter().map(event).collect::<Outcome<Vec<_>>>()?;
                let cursors = self.shelf.life().log.publish_all(events)?;
                Ok(Answer::Cursors(cursors.iter().map(ToString::to_string).collect()))
            }
            Command::Forget => {
                self.shelf.forget();
                Ok(Answer::Done)
            }
            Command::Figures => {
                let Held { rss_bytes, threads, files } = Held::by(std::process::id())?;
                let stats = self.handle.stats();
                let readers = stats.transports.iter().map(|(_, stats)| stats.connections).sum();
                Ok(Answer::Figures(Holding { rss_bytes, threads, files, readers }))
            }
            Command::Drain(wait_ms) => {
                let drained = self.runtime.block_on(self.handle.drain(Duration::from_millis(wait_ms)));
                Ok(Answer::Drained { told: drained.told, left: drained.left })
            }
        }
    }
}

fn event(item: Item) -> Outcome<Event> {
    Ok(Event::text("message", item.text)?.with_topic(Topic::new(item.topic)?))
}

impl Shelf {
    fn new(entries_max: Option<usize>) -> Self {
        Self { entries_max, now: Mutex::new(Life::new(entries_max)) }
    }

    fn life(&self) -> Life {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget(&self) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *now, Life::new(self.entries_max)).over.send_replace(true);
    }
}

impl Life {
    fn new(entries_max: Option<usize>) -> Self {
        let keep = entries_max.map_or(Keep::history(), |most| Keep::history().entries(most));
        let log = Log::builder().keep(TopicSet::all(), keep).build();
        Self { log, over: Arc::new(watch::Sender::new(false)) }
    }
}

/// A source that fails, for now, as soon as its log is replaced: readers come back, and to the new one.
struct Until {
    source: BoxSource,
    over: watch::Receiver<bool>,
}

impl Source for Until {
    type Feed = std::pin::Pin<Box<dyn Stream<Item = Result<Delivery, SourceError>> + Send>>;

    fn subscribe(&self, start: Start) -> Self::Feed {
        let mut over = self.over.clone();
        // The sender gone is the log gone.
        let replaced = async move { drop(over.wait_for(|over| *over).await) };
        let away = SourceError::new(SourceErrorKind::Unavailable, "the log was replaced");
        let last = stream::once(std::future::ready(Err(away)));
        Box::pin(self.source.subscribe(start).take_until(Box::pin(replaced)).chain(last))
    }
}

fn router(settings: &Settings, shelf: Arc<Shelf>) -> (Router, Handle) {
    let heartbeat = settings.heartbeat_ms.map(Duration::from_millis);
    let (mut sse, mut ws) =
        (SseConfig { data: Data::Envelope, ..SseConfig::default() }, WebSocketConfig::default());
    if let Some(heartbeat) = heartbeat {
        (sse.heartbeat, ws.heartbeat) = (heartbeat, heartbeat);
    }
    let mut config = Config { retry: Duration::from_millis(10), ..Config::default() };
    if let Some(readers_max) = settings.readers_max {
        config.readers_max = readers_max;
    }
    let transports: Transports = (
        WebSocketTransport(ws),
        SseTransport(sse),
        LongPollTransport(LongPollConfig::default()),
        PollTransport(PollConfig::default()),
    );
    let (mount, handle) = realtime_axum::mount().transports(transports).config(config).build();
    let router = Router::new()
        .route("/events", mount.route(events))
        .route("/topics/{names}", mount.route(topics))
        .with_state(shelf);
    (router, handle)
}

async fn events(State(shelf): State<Arc<Shelf>>, rt: Realtime<Transports>) -> Response {
    let Life { log, over } = shelf.life();
    rt.serve(Until { source: log.boxed(), over: over.subscribe() }).await
}

async fn topics(
    State(shelf): State<Arc<Shelf>>,
    Path(names): Path<String>,
    rt: Realtime<Transports>,
) -> Response {
    let Life { log, over } = shelf.life();
    let named = names.split(',').map(Topic::new).collect::<Result<Vec<_>, _>>();
    match named.and_then(TopicSet::of) {
        Ok(set) => rt.serve(Until { source: log.topics(set).boxed(), over: over.subscribe() }).await,
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn serve_config(settings: &Settings) -> ServeConfig {
    let mut config = ServeConfig { send_buffer_bytes: settings.send_buffer_bytes, ..ServeConfig::default() };
    if let Some(write_wait_ms) = settings.write_wait_ms {
        config.write_wait = Duration::from_millis(write_wait_ms);
    }
    config
}
