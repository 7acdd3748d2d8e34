//! The same on bare hyper, without a framework: `cargo run --bin mount_hyper`, then
//!
//! ```text
//! $ curl http://127.0.0.1:3000/events
//! $ curl -N -H 'Accept: text/event-stream' http://127.0.0.1:3000/events
//! $ curl -N --http2-prior-knowledge -H 'Accept: text/event-stream' http://127.0.0.1:3000/events
//! $ npx wscat -c ws://127.0.0.1:3000/events
//! ```
//!
//! A mount is a tower service, and hyper-util makes a hyper service of it. What is to be heeded: upgrades are to be on
//! (`serve_connection_with_upgrades`), or a WebSocket is answered 101 and then nothing.

use std::future::{Future, ready};
use std::pin::pin;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use realtime_core::{Log, Start};
use realtime_examples::{Result, hosts, listen, publish_ticks, stop};
use realtime_tower::{All, Body, Handle, MakeSource, Realtime, builder};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let log = Log::new();
    let (service, handle) = service(log.clone());
    let listener = listen("/events").await?;
    tokio::spawn(publish_ticks(log, Duration::from_millis(100)));
    serve(listener, service, handle.drain_on(stop(), Duration::from_secs(5))).await;
    Ok(())
}

/// Where no router matches paths, the function that makes the source does: it is asked for every request, and is the
/// place to authorise, too.
fn service(log: Log) -> (Realtime<All, impl MakeSource>, Handle) {
    let make_source = move |parts: Parts| {
        ready(match parts.uri.path() {
            "/events" => Ok(log.clone()),
            _ => Err(not_found()),
        })
    };
    builder().make_source(make_source).default_start(Start::Last(5)).hosts(hosts()).service()
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("there is only /events"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Accepts until `drained`, which lets nobody new in once the signal has come, and returns when the readers have gone.
async fn serve<M: MakeSource>(
    listener: TcpListener,
    service: Realtime<All, M>,
    drained: impl Future<Output = ()>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    let mut drained = pin!(drained);
    loop {
        let stream = tokio::select! {
            () = &mut drained => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, mostly: wait for some.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // Small events are to leave at once.
        _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        tokio::spawn(graceful.watch(connection));
    }
    drop(listener);
    _ = tokio::time::timeout(Duration::from_secs(5), graceful.shutdown()).await;
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
            let (service, handle) = service(log);
            serve(listener, service, handle.drain_on(stopped, Duration::from_secs(5))).await;
            Ok(())
        })
        .await
    }
}
