//! What `drain` and `herd` share: a site with a crowd, and another site in its place.
//!
//! The log of a process ends with it. Here the next process has the same history under the same epoch, event by event,
//! as if it had read it from a disk: it is the server that is under stress, and not where its log comes from.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::crowd::{self, Command, Crowd, Judged, Tally, Way};
use crate::run::{Outcome, Run};
use crate::site::{self, Settings, Site, Stamp};

/// Events before the restart, and behind it.
const EVENTS: u64 = 20;
const EVENTS_AFTER: u64 = 20;
/// As long as [`Settings::events`] are.
const BYTES: usize = 64;
/// How long they may take to be there the first time.
const JOIN_WAIT: Duration = Duration::from_secs(180);
/// How long they may take to be back (G-18).
pub(super) const BACK_WAIT: Duration = Duration::from_secs(60);
/// What the busiest second may have, in means.
const PEAK_MEANS_MAX: f64 = 2.0;
/// The seconds over which the mean is taken of a crowd that was told when to come back.
pub(super) const TOLD_SECONDS: u64 = 30;

/// A site, and who reads it.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) readers: u64,
    addr: SocketAddr,
    crowds: Vec<Crowd>,
    published: Vec<(String, String)>,
    epoch: u64,
}

/// How they came back.
pub(super) struct Back {
    pub(super) tally: Tally,
    pub(super) took: Duration,
    pub(super) judged: Vec<Judged>,
    pub(super) figures: site::Figures,
}

impl World {
    /// All are there, on five ways, and have read all that there is.
    pub(super) async fn gather(run: &Run, seed: u64, readers: usize) -> Outcome<Self> {
        let (site, addr, _) = site::start(&Settings::new(seed)).await?;
        let published = site.publish(EVENTS, BYTES, Stamp::None).await?;
        // Two processes, for each reader is a descriptor there too.
        let mut crowds = Vec::new();
        for nth in 0..2 {
            let settings = crowd::Settings::new(addr, &Way::ALL, seed.wrapping_add(nth << 15));
            let crowd = crowd::start(&settings).await?;
            crowd.tell(Command::Join(readers / 2)).await?;
            crowds.push(crowd);
        }
        let readers = readers as u64 / 2 * 2;
        let (_, took) =
            crowd::until(&crowds, JOIN_WAIT, "not all are there", |tally| tally.live == readers).await?;
        run.tell(format_args!("{readers} readers are there, after {:.1} s", took.as_secs_f64()));
        for crowd in &crowds {
            crowd.tell(Command::Mark).await?;
        }
        Ok(Self { site, readers, addr, crowds, published, epoch: seed })
    }

    /// What they were told so far.
    pub(super) async fn told(&self, within: Duration) -> Outcome<Tally> {
        let gone = |tally: &Tally| tally.told() + tally.untold >= self.readers;
        Ok(crowd::until(&self.crowds, within, "not all have gone", gone).await?.0)
    }

    /// Another site in the place of the one that is gone, with the same history; and how all come back to it.
    pub(super) async fn succeed(&mut self) -> Outcome<Back> {
        let settings = Settings { addr: self.addr, events: EVENTS, ..Settings::new(self.epoch) };
        let (next, _, newest) = site::start(&settings).await?;
        if Some(&newest) != self.published.last().map(|(place, _)| place) {
            return Err(format!("the next site begins at {newest}, which is another history").into());
        }
        self.site = next;
        self.published.extend(self.site.publish(EVENTS_AFTER, BYTES, Stamp::None).await?);
        let readers = self.readers;
        let (tally, took) = crowd::until(&self.crowds, BACK_WAIT, "not all are back", |tally| {
            tally.back == readers && tally.live == readers
        })
        .await?;
        let figures = self.site.figures().await?;
        let judged = try_join_all(self.crowds.iter().map(|crowd| crowd.judge(&self.published))).await?;
        Ok(Back { tally, took, judged, figures })
    }
}

impl Back {
    /// Events that arrived, over all readers.
    pub(super) fn events(&self) -> usize {
        self.judged.iter().map(|judged| judged.events).sum()
    }

    /// Times that a reader came back. Who did not leave shows nothing.
    pub(super) fn disconnects(&self) -> usize {
        self.judged.iter().map(|judged| judged.disconnects).sum()
    }

    /// Connections accepted in the busiest second, and in the mean of so many.
    pub(super) fn busiest(&self, seconds: u64) -> (u64, f64) {
        let accepts = &self.figures.accepts;
        let peak = accepts.iter().copied().max().unwrap_or(0);
        (peak, accepts.iter().sum::<u64>() as f64 / seconds.max(1) as f64)
    }

    /// The same.
    ///
    /// # Errors
    /// The busiest had more than twice the mean.
    pub(super) fn busiest_in_bounds(&self, seconds: u64) -> Outcome<(u64, f64)> {
        let (peak, mean) = self.busiest(seconds);
        if peak as f64 > PEAK_MEANS_MAX * mean {
            let accepts = &self.figures.accepts;
            return Err(format!(
                "{peak} were accepted in one second, and {mean:.0} in the mean: {accepts:?}"
            )
            .into());
        }
        Ok((peak, mean))
    }

    /// The seconds up to when nineteen of twenty were there: a few that tried too early come late.
    pub(super) fn seconds(&self) -> u64 {
        let (accepts, mut sum) = (&self.figures.accepts, 0);
        let all = accepts.iter().sum::<u64>();
        let is_most = |each: &u64| {
            sum += each;
            sum * 20 >= all * 19
        };
        accepts.iter().position(is_most).map_or(1, |last| last as u64 + 1)
    }
}
