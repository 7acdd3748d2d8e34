//! A server that dies under a crowd and comes back: so does the crowd, spread by what it was told, and loses nothing
//! (G-18).
//!
//! Nobody is told of a kill. An event stream has told its `retry:` when it began, and its reader waits as long; the
//! others draw a wait of their own, up to five seconds and twice that with each try: so they come over some five seconds, or as
//! long as the server was away, and no second has more than twice the mean of these. Who is told (`drain`) takes thirty.

use super::Scenario;
use super::restart::World;
use crate::run::{self, Failure, Figures, Outcome, Run};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "herd",
    proves: &["G-18", "A-16"],
    does: "a server killed under a crowd on five ways: all back in 60 s without loss, not all in one second",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
}

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let mut world = World::gather(run, seed, run.pick(1_000, 10_000)).await?;
    world.site.kill().await?;
    let back = world.succeed().await?;
    run.tell(format_args!(
        "back after {:.1} s: {:?} accepted",
        back.took.as_secs_f64(),
        back.figures.accepts
    ));
    if back.tally.untold < world.readers / 2 || (back.disconnects() as u64) < world.readers {
        return Err(format!("vacuous: the kill was noticed by few: {:?}", back.tally).into());
    }
    let (peak, mean) = back.busiest_in_bounds(back.seconds())?;
    Ok(Figures::default()
        .with("readers", world.readers)
        .with("back after: s", format_args!("{:.1}", back.took.as_secs_f64()))
        .with("accepted in each second", format_args!("{:?}", back.figures.accepts))
        .with("in the busiest, in the mean while they came", format_args!("{peak}, {mean:.0}"))
        .with("events delivered, before and after", back.events())
        .with("lost, repeated, out of order", "0, 0, 0"))
}
