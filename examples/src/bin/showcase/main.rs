//! One log, read four ways side by side: `cargo run --release --bin showcase`, then open the URL it prints.
//!
//! ```text
//! figures (a thread, sysinfo) ──publish──► log ──► /events        anybody: curl, EventSource, WebSocket
//!                                           ├────► /events/1 .. 5 a mount for each pane of the page and for the reader
//!                                           │                     that moves, so that what each costs can be told apart
//! page (embedded) ◄── /, /*.js, /*.css      └────► /stats         what the mounts have counted
//! one browser ──say──► log ──► /chat ──► another browser
//! ```

mod app;
mod assets;
mod chat;
mod costs;
mod figures;
mod restart;
#[cfg(test)]
mod tests;
mod uplink;

use std::io;
use std::sync::Arc;

use realtime_core::Log;

use crate::app::Shared;
use crate::figures::Pace;
use crate::restart::Restartable;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (figures, pace) = (Restartable::new(), Arc::new(Pace::default()));
    let (app, mut handles) =
        app::app(Shared { figures: figures.clone(), pace: pace.clone(), said: Log::new() });
    let listener = realtime_examples::listen("/").await?;
    figures::publish_from_a_thread(figures, pace)?;
    let stop = async { _ = tokio::signal::ctrl_c().await };
    let Some(first) = handles.pop() else { unreachable!("the room has one") };
    let server = realtime_axum::serve(listener, app, first);
    handles.into_iter().fold(server, |server, handle| server.and(handle)).with_graceful_shutdown(stop).await;
    Ok(())
}
