//! A world: a log, and a server in front of it that may die and come back.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use realtime_axum::{
    Compression, Config, Inbound, LongPollConfig, LongPollTransport, Origins, PollTransport, Realtime,
    SseConfig, SseTransport, Stopped, WebSocketConfig, WebSocketTransport, serve,
};
use realtime_core::{Keep, Limits, Log, TopicSet};
use realtime_tests::proxy::{Conf, Kind, Proxy};
use realtime_tower::{Data, Handle};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::door::Door;
use super::faults::Ways;
use super::{in_tokio, runtime};
use crate::driver;

/// How a world differs from the plain one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Events that its log keeps.
    keep: usize,
    heartbeat_ms: u64,
    /// When a client comes back that was sent away.
    retry_ms: u64,
    /// Origins whose pages may read with credentials, open WebSockets and send.
    allow: Vec<String>,
    /// Whether SSE carries whole envelopes.
    envelopes: bool,
    /// A cookie `session` that is asked for with every request.
    cookie: Option<String>,
    /// A token that is asked for with every request: `Authorization: Bearer`, or `?token=`, which is all that a
    /// WebSocket of a browser can say.
    token: Option<String>,
    /// Whether a proxy stands in front, to do to WebSockets what corporate ones do.
    door: bool,
    /// Whether WebSockets are deflated with whoever offers it.
    deflate: bool,
    /// What stands at `/`, in the place of an empty page.
    page: Option<String>,
    /// A real proxy that stands in front, with the config that users are given. After a reload its old processes end
    /// within a second.
    through: Option<Kind>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: 10_000,
            heartbeat_ms: 1_000,
            retry_ms: 100,
            allow: Vec::new(),
            envelopes: false,
            cookie: None,
            token: None,
            door: false,
            deflate: false,
            page: None,
            through: None,
        }
    }
}

/// How long what takes no time may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct World {
    settings: Settings,
    inside: Arc<Inside>,
    port: u16,
    life: Option<Life>,
    door: Option<Door>,
    proxy: Option<Proxy>,
}

/// What outlives a server.
struct Inside {
    log: Mutex<Log>,
    keep: usize,
    ways: Arc<Ways>,
    heard: Mutex<Vec<Value>>,
}

/// A server, from start to end.
struct Life {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Stopped>,
    handle: Handle,
}

type Transports = (WebSocketTransport, SseTransport, LongPollTransport, PollTransport);

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let ways = Arc::new(Ways::new(settings.token.clone(), settings.cookie.clone()));
        let inside = Inside {
            log: Mutex::new(log(settings.keep)),
            keep: settings.keep,
            ways,
            heard: Mutex::default(),
        };
        let inside = Arc::new(inside);
        let door = settings.door.then(|| Door::open(port));
        let life = Some(Life::begin(listener, &settings, inside.clone()));
        let proxy = settings.through.map(|kind| Conf::shipped(kind).rest(1).start(local(port)));
        Self { settings, inside, port, life, door, proxy }
    }

    /// Its port, which no other world has.
    pub(super) fn id(&self) -> usize {
        self.port.into()
    }

    pub(super) fn url(&self) -> String {
        let door = self.door.as_ref().map(|door| local(door.port()));
        let front = self.proxy.as_ref().map(Proxy::addr).or(door).unwrap_or_else(|| local(self.port));
        format!("http://{front}")
    }

    pub(super) fn log(&self) -> Log {
        self.inside.log()
    }

    pub(super) fn ways(&self) -> &Ways {
        &self.inside.ways
    }

    pub(super) fn door(&self) -> Result<&Door, String> {
        self.door.as_ref().ok_or("this world has no door".to_owned())
    }

    pub(super) fn reload(&self) -> Result<(), String> {
        self.proxy.as_ref().ok_or("this world has no proxy")?.reload();
        Ok(())
    }

    /// Every connection is gone when this returns.
    pub(super) async fn kill(&mut self) -> Result<(), String> {
        let Life { runtime, .. } = self.life.take().ok_or("it is dead already")?;
        let gone = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(PATIENCE)).await;
        gone.map_err(|error| error.to_string())
    }

    pub(super) async fn stop(&mut self) -> Result<usize, String> {
        let Life { runtime, stop, served, .. } = self.life.take().ok_or("it is dead already")?;
        let _ = stop.send(());
        let stopped = served.await.map_err(|error| error.to_string())?;
        runtime.shutdown_background();
        Ok(stopped.told)
    }

    pub(super) async fn start(&mut self) -> Result<(), String> {
        if self.life.is_some() {
            return Err("it is alive".to_owned());
        }
        // Somebody's connection to elsewhere may have been given the port meanwhile.
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)) {
                Ok(listener) => break listener,
                Err(error) if Instant::now() > deadline => return Err(error.to_string()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.life = Some(Life::begin(listener, &self.settings, self.inside.clone()));
        Ok(())
    }

    pub(super) fn forget(&self) {
        *self.inside.log.lock().unwrap_or_else(PoisonError::into_inner) = log(self.inside.keep);
    }

    pub(super) fn seen(&self) -> Value {
        let heard = self.inside.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stats = self.life.as_ref().map(|life| life.handle.stats());
        let readers: u64 =
            stats.iter().flat_map(|stats| &stats.transports).map(|(_, of)| of.connections).sum();
        let bytes: u64 = stats.iter().flat_map(|stats| &stats.transports).map(|(_, of)| of.bytes).sum();
        json!({ "asked": self.ways().asked(), "heard": heard, "readers": readers, "bytes": bytes })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(Life { runtime, .. }) = self.life.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inside {
    fn log(&self) -> Log {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down what a client said, and echoes it with how often something was said by now.
    fn hear(&self, message: &Inbound) -> Value {
        let data: Value = message.json().unwrap_or(Value::Null);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(json!({ "event": message.name(), "data": data }));
        json!({ "echo": data, "heard": heard.len() })
    }
}

impl Life {
    fn begin(listener: TcpListener, settings: &Settings, inside: Arc<Inside>) -> Self {
        let (app, handle) = app(settings, inside);
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime();
        let kept = handle.clone();
        let served = runtime.spawn(async move {
            let signal = async { drop(stopped.await) };
            serve(in_tokio(listener), app, handle).with_graceful_shutdown(signal).await
        });
        Self { runtime, stop, served, handle: kept }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn log(keep: usize) -> Log {
    let limits = Limits { budget_bytes: 256 << 20, ..Limits::default() };
    let keep = Keep::history().entries(keep).bytes(128 << 20);
    Log::builder().limits(limits).keep(TopicSet::all(), keep).build()
}

fn app(settings: &Settings, inside: Arc<Inside>) -> (Router, Handle) {
    let heartbeat = Duration::from_millis(settings.heartbeat_ms);
    let data = if settings.envelopes { Data::Envelope } else { Data::PayloadOrBase64 };
    let compression = if settings.deflate { Compression::Deflate } else { Compression::Off };
    let origins = settings.allow.iter().fold(Origins::default(), |origins, origin| origins.allow(origin));
    let (mount, handle) = realtime_axum::mount()
        .transports((
            WebSocketTransport(WebSocketConfig { heartbeat, compression, ..WebSocketConfig::default() }),
            SseTransport(SseConfig { heartbeat, data, ..SseConfig::default() }),
            LongPollTransport(LongPollConfig::default()),
            PollTransport::default(),
        ))
        .config(Config { retry: Duration::from_millis(settings.retry_ms), origins, ..Config::default() })
        .build();
    let app = Router::new()
        .route("/events", mount.route(events).layer(from_fn_with_state(inside.clone(), ways)))
        .route("/", get(Html(settings.page.clone().unwrap_or_else(|| EMPTY_PAGE.to_owned()))))
        .route("/page/{file}", get(page_file))
        .route("/realtime-js/{*file}", get(client_file))
        .with_state(inside)
        .layer(cors(&settings.allow));
    (app, handle)
}

async fn events(State(inside): State<Arc<Inside>>, rt: Realtime<Transports>) -> Response {
    let (log, hearing) = (inside.log(), inside.clone());
    rt.serve(log)
        .on_message(move |message: Inbound| {
            let reply = hearing.hear(&message);
            async move { reply }
        })
        .await
}

async fn ways(State(inside): State<Arc<Inside>>, request: Request, next: Next) -> Response {
    inside.ways.pass(request, next).await
}

fn cors(allow: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = allow.iter().filter_map(|origin| origin.parse().ok()).collect();
    let headers = [
        header::ACCEPT,
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("prefer"),
    ];
    let exposed = ["stream-next-offset", "stream-up-to-date", "stream-closed", "etag", "retry-after"];
    CorsLayer::new()
        .allow_credentials(true)
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(headers)
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(Duration::from_secs(600))
}

const EMPTY_PAGE: &str =
    "<!doctype html><html lang=en><meta charset=utf-8><link rel=icon href=data:><title>A page</title>";

async fn page_file(UrlPath(file): UrlPath<String>) -> Response {
    script(&driver::folder().join("page"), &file)
}

async fn client_file(UrlPath(file): UrlPath<String>) -> Response {
    script(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../realtime-js/src"), &file)
}

/// A script within a folder.
fn script(folder: &Path, file: &str) -> Response {
    let is_within = file.ends_with(".js") && !file.split('/').any(|part| part.starts_with('.'));
    match std::fs::read_to_string(folder.join(file)) {
        Ok(text) if is_within => {
            ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
