//! The process that is put under load: a log of one topic behind `realtime_axum::serve`, all as the crates have it.
//!
//! `/events` is the log by every transport, with an uplink that reads JSON; `/short` a log of two events that is born
//! with the request and ends behind them. SIGTERM stops it gracefully, and its last word is how that went.

mod accepts;
mod app;

use std::net::SocketAddr;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tokio::process::Command as Program;

use crate::role::{self, Grip};
use crate::run::Outcome;

/// What makes this program such a server.
pub(crate) const NAME: &str = "site";

/// The only topic.
pub(crate) const TOPIC: &str = "load";

/// How a site is set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Where it listens; port 0 is any that is free.
    pub(crate) addr: SocketAddr,
    /// The epoch of its log. Two sites of one epoch have the same history, as if it were read from a disk.
    pub(crate) epoch: u64,
    /// Events that are there from the beginning: those that [`Command::Publish`] without stamps makes, from the first on.
    pub(crate) events: u64,
    /// What the log keeps.
    pub(crate) entries_max: usize,
}

impl Settings {
    /// On loopback, with an empty log that keeps all that a scenario may publish.
    pub(crate) fn new(epoch: u64) -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 0)), epoch, events: 0, entries_max: 200_000 }
    }
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// So many events, each of so many bytes: [`Answer::Published`].
    Publish { events: u64, bytes: usize, stamp: Stamp },
    /// [`Answer::Figures`].
    Figures,
}

/// Whether an event says when it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stamp {
    /// In microseconds since 1970, so that a reader knows how long it was on the way.
    Now,
    /// No, so that another site can have the same event.
    None,
}

/// What it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It listens here, and this is the place of its newest event.
    Listening(SocketAddr, String),
    /// Place and payload of each.
    Published(Vec<(String, String)>),
    /// What it holds.
    Figures(Box<Figures>),
    /// It has stopped: readers told, readers and connections left.
    Stopped { told: usize, readers_left: usize, connections_left: usize },
}

/// What it holds, and what it has done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Memory that is resident.
    pub(crate) rss_bytes: u64,
    /// Memory that is allocated, and not given back.
    pub(crate) heap_bytes: u64,
    /// Open descriptors.
    pub(crate) files: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Tasks of its runtime.
    pub(crate) tasks: u64,
    /// Readers that the mount counts.
    pub(crate) readers: u64,
    /// Readers that the log knows of.
    pub(crate) subscribed: u64,
    /// Readers that were given up as too slow.
    pub(crate) evictions: u64,
    /// Time on a processor, of all threads, in microseconds.
    pub(crate) cpu_us: u64,
    /// Connections that were accepted in each second from the first one on.
    pub(crate) accepts: Vec<u64>,
}

impl Figures {
    /// Whether nobody is left: tasks and descriptors are no more than these.
    pub(crate) fn is_as_quiet_as(&self, other: &Self) -> bool {
        self.readers == 0 && self.subscribed == 0 && self.tasks <= other.tasks && self.files <= other.files
    }
}

/// The grip on a site.
pub(crate) type Site = Grip<Command, Answer>;

/// Runs as a site.
pub(crate) fn main() -> ExitCode {
    role::lead(app::start)
}

/// Starts a site: the grip, where it listens, and the place of its newest event.
///
/// # Errors
/// It does not come up.
pub(crate) async fn start(settings: &Settings) -> Outcome<(Site, SocketAddr, String)> {
    start_as(role::program(NAME)?, settings).await
}

/// The same by a program that makes itself this one: `prlimit`, which bounds it.
///
/// # Errors
/// It does not come up.
pub(crate) async fn start_as(program: Program, settings: &Settings) -> Outcome<(Site, SocketAddr, String)> {
    match Site::start(program, settings).await? {
        (site, Answer::Listening(addr, newest)) => Ok((site, addr, newest)),
        (_, other) => Err(format!("a site answered {other:?} in place of its address").into()),
    }
}

impl Site {
    /// What it holds.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) async fn figures(&self) -> Outcome<Figures> {
        match self.tell(Command::Figures).await? {
            Answer::Figures(figures) => Ok(*figures),
            other => Err(format!("a site answered {other:?} in place of figures").into()),
        }
    }

    /// Publishes so many events of so many bytes.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) async fn publish(
        &self,
        events: u64,
        bytes: usize,
        stamp: Stamp,
    ) -> Outcome<Vec<(String, String)>> {
        match self.tell(Command::Publish { events, bytes, stamp }).await? {
            Answer::Published(published) => Ok(published),
            other => Err(format!("a site answered {other:?} in place of places").into()),
        }
    }
}
