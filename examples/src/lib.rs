//! What the example apps share: where they listen, for which hosts, when they stop, who came with a token, and a clock that ticks into a
//! log.

mod tokens;

use std::io::{self, Write as _};
use std::time::Duration;

use realtime_core::{Event, Log};
use realtime_tower::Hosts;
use tokio::net::TcpListener;

pub use tokens::Tokens;

/// What an app's `main` returns, and what its tests return.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Listens on `127.0.0.1`, at `PORT` or 3000, and prints the URL of `path`.
///
/// # Errors
/// `PORT` is no port, or the port is taken.
pub async fn listen(path: &str) -> io::Result<TcpListener> {
    let port = match std::env::var("PORT") {
        Ok(port) => {
            port.parse().map_err(|_| io::Error::other(format!("PORT is to be a port, not {port:?}")))?
        }
        Err(_) => 3000_u16,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        io::Error::new(error.kind(), format!("port {port}: {error}; another: PORT=3001 cargo run ..."))
    })?;
    // Port 0 is any free one: print which.
    writeln!(io::stdout(), "http://{}{path}", listener.local_addr()?)?;
    Ok(listener)
}

/// The hosts that an app on loopback answers for: this machine, and those that `HOSTS` names (`HOSTS=app.example,b.example`), where a
/// proxy in front of it passes a public name on.
///
/// # Panics
/// `HOSTS` has something that is no host.
pub fn hosts() -> Hosts {
    let named = std::env::var("HOSTS").unwrap_or_default();
    named.split(',').map(str::trim).filter(|host| !host.is_empty()).fold(Hosts::loopback(), Hosts::allow)
}

/// Waits for what asks a process to stop: Ctrl-C, and on Unix `SIGTERM`, which service managers and containers send.
pub async fn stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    _ = tokio::signal::ctrl_c().await;
}

/// Publishes `{"n":1}`, `{"n":2}` and so on, as event `tick`, for as long as the log takes them.
///
/// # Errors
/// The log does not.
pub async fn publish_ticks(log: Log, every: Duration) -> Result {
    let mut ticks = tokio::time::interval(every);
    for n in 1_u64.. {
        ticks.tick().await;
        log.publish(Event::json("tick", &serde_json::json!({ "n": n }))?)?;
    }
    Ok(())
}

/// The code of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The code of the page on moving over from axum's `Sse`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-axum-sse.md")]
struct FromAxumSse;

/// The code of the page on moving over from socket.io.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-socketio.md")]
struct FromSocketIo;
