//! The process itself: it starts readers, counts, and has them judged.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt, TryStreamExt, stream};
use realtime_tests::checker::{Checker, Truth, Vacuity};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::dial::Dial;
use super::reader::{Reader, Shared};
use super::sleeper::Sleeper;
use super::tally::Counters;
use super::{Answer, Command, Judged, Settings, Way};
use crate::run::{self, Outcome};
use crate::site::TOPIC;

/// Connections that are opened at once, so that the kernel's queue does not run over.
const DOOR: usize = 64;
/// How long readers may take to come to the end.
const END_WAIT: Duration = Duration::from_secs(60);
/// Faults that are told.
const FAULTS_TOLD: usize = 3;

struct App {
    runtime: Runtime,
    ways: Vec<Way>,
    rng: Rng,
    dial: Dial,
    shared: Shared,
    goal: watch::Sender<Option<String>>,
    readers: JoinSet<Checker>,
    joined: usize,
    sleepers: Vec<Sleeper>,
}

pub(super) fn start(settings: Settings) -> Outcome<(Answer, impl FnMut(Command) -> Outcome<Answer>)> {
    if settings.ways.is_empty() {
        return Err("a crowd without a way of reading".into());
    }
    let (goal, reached) = watch::channel(None);
    let dial = Dial::new(settings.addr, settings.seed);
    let shared = Shared {
        dialer: dial.dialer(),
        counters: Arc::new(Counters::default()),
        door: Arc::new(Semaphore::new(DOOR)),
        goal: reached,
        patience: Duration::from_millis(settings.patience_ms),
    };
    let mut app = App {
        runtime: run::runtime()?,
        ways: settings.ways,
        rng: Rng::with_seed(settings.seed),
        dial,
        shared,
        goal,
        readers: JoinSet::new(),
        joined: 0,
        sleepers: Vec::new(),
    };
    Ok((Answer::Done, move |command| app.obey(command)))
}

impl App {
    fn obey(&mut self, command: Command) -> Outcome<Answer> {
        match command {
            Command::Join(readers) => self.join(readers),
            Command::Sleep { readers, receive_bytes } => self.sleep(readers, receive_bytes)?,
            Command::Wake => {
                let _entered = self.runtime.enter();
                self.sleepers.clear();
            }
            Command::Mark => self.shared.counters.mark(),
            Command::Count => return Ok(Answer::Tally(self.shared.counters.read())),
            Command::Judge(published) => return Ok(Answer::Judged(self.judge(&published)?)),
        }
        Ok(Answer::Done)
    }

    fn join(&mut self, readers: usize) {
        for nth in self.joined..self.joined + readers {
            let way = self.ways[nth % self.ways.len()];
            let reader = Reader::new(self.shared.clone(), way, self.rng.fork());
            self.readers.spawn_on(reader.read(), self.runtime.handle());
        }
        self.joined += readers;
    }

    fn sleep(&mut self, readers: usize, receive_bytes: u32) -> Outcome {
        let (dial, counters) = (&self.dial, &self.shared.counters);
        let asleep = stream::iter(0..readers)
            .map(|nth| Sleeper::new(dial.clone(), nth, receive_bytes, counters.clone()))
            .buffer_unordered(DOOR)
            .try_collect::<Vec<_>>();
        let asleep = self.runtime.block_on(asleep)?;
        self.sleepers.extend(asleep);
        Ok(())
    }

    fn judge(&mut self, published: &[(String, String)]) -> Outcome<Judged> {
        let mut truth = Truth::default();
        for (cursor, text) in published {
            truth.publish(cursor, Some(TOPIC), text.as_bytes());
        }
        let newest = published.last().ok_or("nothing was published, and so nothing can be judged")?;
        self.goal.send_replace(Some(newest.0.clone()));
        let (mut judged, until) = (Judged::default(), Instant::now() + END_WAIT);
        while let Some(checker) = self
            .runtime
            .block_on(async { timeout_at(until, self.readers.join_next()).await })
            .unwrap_or_default()
        {
            match checker?.finish(&truth, Vacuity { min_events: published.len(), ..Vacuity::default() }) {
                Ok(report) => {
                    judged.readers += 1;
                    judged.events += report.events;
                    judged.disconnects += report.disconnects;
                }
                Err(faults) if judged.faults.len() < FAULTS_TOLD => judged.faults.push(faults.to_string()),
                Err(_) => {}
            }
        }
        judged.unfinished = self.readers.len();
        Ok(judged)
    }
}
