//! The app behind the proxy: `realtime_axum::serve` on a runtime of its own, so that it can be killed as a process is.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::{Event, Log};
use realtime_tests::checker::{Checker, Report, Truth, Vacuity};
use realtime_tower::{
    Config, Handle, Inbound, LongPollTransport, PollTransport, Proxies, SseConfig, SseTransport,
    WebSocketConfig, WebSocketTransport,
};
use tokio::runtime::{Builder, Runtime};

use crate::proxy::free_addr;

/// A running app. Dropping it is its death: nobody is told, every connection is cut.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    handle: Handle,
    runtime: Option<Runtime>,
}

/// What a test sets.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) heartbeat: Duration,
    pub(crate) proxies: Proxies,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { heartbeat: Duration::from_millis(500), proxies: Proxies::default() }
    }
}

async fn events(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log)
        .on_message(|message: Inbound| async move {
            message.as_str().map(|text| format!("Roger that! {}", text.trim_matches('"')))
        })
        .await
}

impl App {
    pub(crate) fn start(log: &Log, knobs: Knobs) -> Self {
        Self::at(free_addr(), log, knobs)
    }

    /// At an address where it may have been before.
    pub(crate) fn at(addr: SocketAddr, log: &Log, Knobs { heartbeat, proxies }: Knobs) -> Self {
        let (mount, handle) = realtime_axum::mount()
            .transports((
                WebSocketTransport(WebSocketConfig {
                    heartbeat,
                    ping: Duration::from_secs(60),
                    ..WebSocketConfig::default()
                }),
                SseTransport(SseConfig { heartbeat, ..SseConfig::default() }),
                LongPollTransport::default(),
                PollTransport::default(),
            ))
            .config(Config { proxies, ..Config::default() })
            .build();
        let router = Router::new().route("/events", mount.route(events)).with_state(log.clone());
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // Taken before anybody is told where it is.
        let listener = std::net::TcpListener::bind(addr).unwrap();
        listener.set_nonblocking(true).unwrap();
        let served = handle.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            realtime_axum::serve(listener, router, served).await;
        });
        Self { addr, handle, runtime: Some(runtime) }
    }

    /// How many readers of streams are connected.
    pub(crate) fn streams(&self) -> u64 {
        let stats = self.handle.stats();
        ["sse", "websocket"].iter().filter_map(|name| stats.of(name)).map(|stats| stats.connections).sum()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A log, and the list of what was put into it.
pub(crate) struct World {
    pub(crate) log: Log,
    truth: Truth,
    published: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { log: Log::new(), truth: Truth::default(), published: 0 }
    }

    /// Publishes the next number; its cursor.
    pub(crate) fn publish(&mut self) -> String {
        let text = self.published.to_string();
        self.published += 1;
        self.put(&text)
    }

    /// The last one, by which readers know that they have come to the end.
    pub(crate) fn publish_last(&mut self) -> String {
        self.put(LAST)
    }

    fn put(&mut self, text: &str) -> String {
        let cursor = self.log.publish(Event::text("tick", text).unwrap()).unwrap().to_string();
        self.truth.publish(&cursor, None, text.as_bytes());
        cursor
    }

    /// Nothing lost, nothing twice, in order, to the end; and so many reconnects at least.
    pub(crate) fn judge(&self, checker: Checker, min_disconnects: usize, what: &str) -> Report {
        let vacuity = Vacuity { min_disconnects, ..Vacuity::default() };
        checker.finish(&self.truth, vacuity).unwrap_or_else(|faults| panic!("{what}: {faults}"))
    }
}

pub(crate) const LAST: &str = "last";
