//! The same in salvo, through its tower bridge: `cargo run --features salvo --bin mount_salvo`, then
//!
//! ```text
//! $ curl http://127.0.0.1:3000/events
//! $ curl -N -H 'Accept: text/event-stream' http://127.0.0.1:3000/events
//! $ npx wscat -c ws://127.0.0.1:3000/events
//! ```
//!
//! A mount is a tower service; `.compat()` makes a salvo handler of it, and salvo's router finds the path. It stands
//! behind a feature so that nobody builds salvo for the other apps.

use std::time::Duration;

use realtime_core::{Log, Start};
use realtime_examples::{Result, hosts, listen, publish_ticks, stop};
use realtime_tower::{Handle, builder};
use salvo::conn::tcp::TcpAcceptor;
use salvo::http::ReqBody;
use salvo::prelude::TowerServiceCompat;
use salvo::{Router, Server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let log = Log::new();
    let (router, handle) = router(log.clone());
    let listener = listen("/events").await?;
    tokio::spawn(publish_ticks(log, Duration::from_millis(100)));
    serve(listener, router, handle.drain_on(stop(), Duration::from_secs(5))).await
}

fn router(log: Log) -> (Router, Handle) {
    let (service, handle) = builder().source(log).default_start(Start::Last(5)).hosts(hosts()).service();
    // A mount takes any body; salvo's is to be named.
    let handler = TowerServiceCompat::<ReqBody, _, _, _>::compat(service);
    (Router::with_path("events").goal(handler), handle)
}

/// Serves until `drained`, which returns when the readers have gone; what is idle then is closed.
async fn serve(
    listener: TcpListener,
    router: Router,
    drained: impl Future<Output = ()> + Send + 'static,
) -> Result {
    let server = Server::new(TcpAcceptor::try_from(listener)?);
    let handle = server.handle();
    tokio::spawn(async move {
        drained.await;
        handle.stop_graceful(Duration::from_secs(5));
    });
    Ok(server.try_serve(router).await?)
}

#[cfg(test)]
#[path = "../mount_law.rs"]
mod law;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_transports_are_answered_and_told_of_a_stop() -> Result {
        law::holds(|listener, log, stopped| async move {
            let (router, handle) = router(log);
            serve(listener, router, handle.drain_on(stopped, Duration::from_secs(5))).await
        })
        .await
    }
}
