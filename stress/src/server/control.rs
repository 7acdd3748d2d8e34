//! What is said between a scenario and its server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How a server is set up; what is `None` is as the crates have it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The port, 0 for any that is free: a server that comes back takes the one it had.
    pub(crate) port: u16,
    /// Threads of its runtime; 0 is one.
    pub(crate) threads: usize,
    /// What each topic keeps.
    pub(crate) entries_max: Option<usize>,
    /// Milliseconds between heartbeats of streams.
    pub(crate) heartbeat_ms: Option<u64>,
    /// Milliseconds that a peer may take no byte.
    pub(crate) write_wait_ms: Option<u64>,
    /// What the kernel holds of what a peer has not read.
    pub(crate) send_buffer_bytes: Option<usize>,
    /// Readers at once.
    pub(crate) readers_max: Option<usize>,
}

/// What a scenario causes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Publishes these, one behind the other: [`Answer::Cursors`].
    Publish(Vec<Item>),
    /// From now on it has another log, of another epoch and empty; who reads the old one is told to come back.
    Forget,
    /// What the process holds: [`Answer::Figures`].
    Figures,
    /// Tells every reader to go, and waits so many milliseconds at most: [`Answer::Drained`].
    Drain(u64),
}

/// An event to publish.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) topic: String,
    pub(crate) text: String,
}

/// What a server answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Where it is.
    Listening(SocketAddr),
    /// Done, and nothing to say about it.
    Done,
    /// The places of what was published.
    Cursors(Vec<String>),
    /// What the process holds, and who reads.
    Figures(Holding),
    /// How a drain ended.
    Drained { told: usize, left: usize },
    /// It was not done, and why.
    Failed(String),
}

/// What the process holds, and who reads.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Holding {
    /// Memory that is resident.
    pub(crate) rss_bytes: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Open descriptors.
    pub(crate) files: u64,
    /// Readers that are connected, of all transports.
    pub(crate) readers: u64,
}
