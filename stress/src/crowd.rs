//! A process of many readers, honest ones and such as never read: beside the site, so that each has its own descriptors.
//!
//! Honest readers are the kit's clients. One that loses its connection comes back when it was told to, at its place, and
//! in the end the one checker judges all that each of them saw.

mod app;
pub(crate) mod dial;
mod reader;
mod sleeper;
mod tally;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use realtime_tests::client::{Http, Transport, Via};
use serde::{Deserialize, Serialize};
use tokio::process::Command as Program;
use tokio::time::{Instant, sleep};

use crate::role::{self, Grip};
use crate::run::Outcome;

/// What makes this program a crowd.
pub(crate) const NAME: &str = "crowd";

/// A way of reading that waits for what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// Long-poll over HTTP/1.1.
    LongPoll,
    /// Events over HTTP/1.1.
    Sse,
    /// Events over HTTP/2.
    SseH2,
    /// WebSocket over HTTP/1.1.
    WebSocket,
    /// WebSocket over HTTP/2.
    WebSocketH2,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::LongPoll, Self::Sse, Self::SseH2, Self::WebSocket, Self::WebSocketH2];

    /// As the kit has it.
    pub(crate) fn via(self) -> Via {
        let (transport, http) = match self {
            Self::LongPoll => (Transport::LongPoll, Http::One),
            Self::Sse => (Transport::Sse, Http::One),
            Self::SseH2 => (Transport::Sse, Http::Two),
            Self::WebSocket => (Transport::WebSocket, Http::One),
            Self::WebSocketH2 => (Transport::WebSocket, Http::Two),
        };
        Via { transport, http }
    }
}

/// How a crowd is set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The site.
    pub(crate) addr: SocketAddr,
    /// Their ways, taken in turn.
    pub(crate) ways: Vec<Way>,
    /// What their draws begin from.
    pub(crate) seed: u64,
    /// The longest silence that they bear, in milliseconds: beyond it they take the server for dead.
    pub(crate) patience_ms: u64,
}

impl Settings {
    /// Readers on these ways, who bear a silence of two heartbeats.
    pub(crate) fn new(addr: SocketAddr, ways: &[Way], seed: u64) -> Self {
        Self { addr, ways: ways.to_vec(), seed, patience_ms: 30_000 }
    }
}

/// What is asked of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// So many honest readers more, from the oldest event on.
    Join(usize),
    /// So many more that ask, by events and by WebSocket in turn, and never read: each may be sent so many bytes.
    Sleep { readers: usize, receive_bytes: u32 },
    /// Those that never read let go.
    Wake,
    /// Counts from here on: all but [`Tally::live`] and [`Tally::asleep`] are 0.
    Mark,
    /// [`Answer::Tally`].
    Count,
    /// What was published: all read on to the end of it, and are judged: [`Answer::Judged`].
    Judge(Vec<(String, String)>),
}

/// What it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Nothing to say.
    Done,
    /// What happened since the mark.
    Tally(Tally),
    /// What they saw in all.
    Judged(Judged),
}

/// What happened since the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Readers that are connected and have caught up.
    pub(crate) live: u64,
    /// Connections whose other end is not read.
    pub(crate) asleep: u64,
    /// Readers that were told to go by `$end`,
    pub(crate) told_by_end: u64,
    /// by an answer with their place,
    pub(crate) told_by_answer: u64,
    /// by 503.
    pub(crate) told_by_status: u64,
    /// WebSockets that were closed with 1001 and their place, besides.
    pub(crate) closed_with_place: u64,
    /// Connections that were lost without a word.
    pub(crate) untold: u64,
    /// Readers that had gone and have caught up again.
    pub(crate) back: u64,
    /// Events that arrived,
    pub(crate) events: u64,
    /// and how long the slowest hundredth of those with a stamp was on the way at least.
    pub(crate) p99_us: u64,
}

impl Tally {
    /// Readers that were told, each once.
    pub(crate) fn told(&self) -> u64 {
        self.told_by_end + self.told_by_answer + self.told_by_status
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            live: self.live + other.live,
            asleep: self.asleep + other.asleep,
            told_by_end: self.told_by_end + other.told_by_end,
            told_by_answer: self.told_by_answer + other.told_by_answer,
            told_by_status: self.told_by_status + other.told_by_status,
            closed_with_place: self.closed_with_place + other.closed_with_place,
            untold: self.untold + other.untold,
            back: self.back + other.back,
            events: self.events + other.events,
            p99_us: self.p99_us.max(other.p99_us),
        }
    }
}

/// What all readers saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Readers that came to the end.
    pub(crate) readers: usize,
    /// Readers that did not.
    pub(crate) unfinished: usize,
    /// Events that they saw.
    pub(crate) events: usize,
    /// Times that one of them came back.
    pub(crate) disconnects: usize,
    /// What the checker says of the first that were served badly.
    pub(crate) faults: Vec<String>,
}

/// The grip on a crowd.
pub(crate) type Crowd = Grip<Command, Answer>;

/// Runs as a crowd.
pub(crate) fn main() -> ExitCode {
    role::lead(app::start)
}

/// Starts one.
///
/// # Errors
/// It does not come up.
pub(crate) async fn start(settings: &Settings) -> Outcome<Crowd> {
    start_as(role::program(NAME)?, settings).await
}

/// The same by a program that makes itself this one: `unshare`, which gives it a network of its own.
///
/// # Errors
/// It does not come up.
pub(crate) async fn start_as(program: Program, settings: &Settings) -> Outcome<Crowd> {
    Ok(Crowd::start(program, settings).await?.0)
}

impl Crowd {
    /// What happened since the mark.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) async fn tally(&self) -> Outcome<Tally> {
        match self.tell(Command::Count).await? {
            Answer::Tally(tally) => Ok(tally),
            other => Err(format!("a crowd answered {other:?} in place of a tally").into()),
        }
    }

    /// The verdict, once all have read to the end of what was published.
    ///
    /// # Errors
    /// One was served badly, or did not come to the end.
    pub(crate) async fn judge(&self, published: &[(String, String)]) -> Outcome<Judged> {
        let judged = match self.tell(Command::Judge(published.to_vec())).await? {
            Answer::Judged(judged) => judged,
            other => return Err(format!("a crowd answered {other:?} in place of a verdict").into()),
        };
        match judged.faults.first() {
            Some(fault) => Err(format!("a reader was served badly: {fault}").into()),
            None if judged.unfinished > 0 => {
                Err(format!("{} readers did not come to the end", judged.unfinished).into())
            }
            None => Ok(judged),
        }
    }
}

/// How often it is looked whether something holds.
const LOOK: Duration = Duration::from_millis(100);

/// The sum over crowds, once it is as it should be; and how long that took.
///
/// # Errors
/// It is not so in time: how it is then.
pub(crate) async fn until(
    crowds: &[Crowd],
    within: Duration,
    what: &str,
    is_so: impl Fn(&Tally) -> bool,
) -> Outcome<(Tally, Duration)> {
    let begun = Instant::now();
    loop {
        let mut sum = Tally::default();
        for crowd in crowds {
            sum = sum.and(crowd.tally().await?);
        }
        if is_so(&sum) {
            return Ok((sum, begun.elapsed()));
        }
        if begun.elapsed() > within {
            return Err(format!("{what}: not within {within:?}: {sum:?}").into());
        }
        sleep(LOOK).await;
    }
}
