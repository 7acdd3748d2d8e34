//! One log, read four ways side by side: `cargo run --release --bin showcase`, then open the URL it prints.
//!
//! ```text
//! figures (a thread, sysinfo) ──publish──► Log ──► /events        anybody: curl, EventSource, WebSocket
//!                                           ├────► /events/1 .. 4 a mount for each pane of the page, so that what
//!                                           │                     a pane costs can be told apart
//! page (embedded) ◄── /, /*.js, /*.css      └────► /stats         what the mounts have counted
//! ```

mod app;
mod assets;
mod costs;
mod figures;
#[cfg(test)]
mod tests;
mod uplink;

use std::io;
use std::sync::Arc;

use realtime_core::{Keep, Log, TopicSet};

use crate::figures::Pace;

/// Events the log keeps: five minutes of them at the usual pace. Who was away longer is told of a gap.
const KEPT_MAX: usize = 1_200;

#[tokio::main]
async fn main() -> io::Result<()> {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(KEPT_MAX)).build();
    let pace = Arc::new(Pace::default());
    let (app, panes) = app::app(log.clone(), pace.clone());
    let listener = realtime_examples::listen("/").await?;
    figures::publish_from_a_thread(log, pace)?;
    let stop = async { _ = tokio::signal::ctrl_c().await };
    let [all, panes @ ..] = panes.handles();
    let server = realtime_axum::serve(listener, app, all);
    panes.into_iter().fold(server, |server, pane| server.and(pane)).with_graceful_shutdown(stop).await;
    Ok(())
}
