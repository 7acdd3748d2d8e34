//! The server that the scripts drive: any number of worlds, each a mount with its log on a port of its own, and one
//! place where a script causes what a page cannot.
//!
//! ```text
//!  script ── POST {"do": ..} ── control ── World ── Log
//!    |                                      | life: realtime_axum::serve in a runtime of its own, to be killed whole
//!  page ──────── /events ──── (door) ── faults ── mount
//! ```

mod control;
mod door;
mod faults;
mod world;

use std::net::TcpListener;

use tokio::runtime::{Builder, Runtime};

/// The control, while it lives.
pub(crate) struct Stage {
    runtime: Option<Runtime>,
    url: String,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it listens"));
        let runtime = runtime();
        runtime.spawn(control::serve(listener));
        Self { runtime: Some(runtime), url }
    }

    /// Where commands are posted.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.runtime.take().expect("it is taken here alone").shutdown_background();
    }
}

/// A runtime that is dropped whole, with every connection in it.
fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("the operating system gives a thread")
}

/// An accepting socket for a runtime of ours.
fn in_tokio(listener: TcpListener) -> tokio::net::TcpListener {
    listener.set_nonblocking(true).expect("a socket can be");
    tokio::net::TcpListener::from_std(listener).expect("within a runtime")
}
