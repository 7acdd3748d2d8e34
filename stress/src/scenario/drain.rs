//! A graceful stop under a crowd: everybody is told and gone in ten seconds, and loses nothing on the next process (G-19).
//!
//! What they are told spreads their return, so that no second of it has more than twice the mean of thirty.

use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Scenario;
use super::restart::{TOLD_SECONDS, World};
use crate::run::{self, Failure, Figures, Outcome, Run, Size};
use crate::site::Answer;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "drain",
    proves: &["G-19", "A-16"],
    does: "SIGTERM under a crowd on five ways: each told its place, all gone in 10 s, nothing lost on the next process",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

const STOP_WAIT: Duration = Duration::from_secs(10);
/// Beyond this the run does not wait to say by how much it failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
}

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let mut world = World::gather(run, seed, run.pick(1_000, 10_000)).await?;
    let begun = Instant::now();
    let kill = Command::new("kill").args(["-TERM", &world.site.pid().to_string()]).status()?;
    if !kill.success() {
        return Err("the signal could not be sent".into());
    }
    let stopped = timeout(PATIENCE, world.site.last_word()).await??;
    let took = begun.elapsed();
    world.site.gone().await?;
    let Answer::Stopped { told, readers_left, connections_left } = stopped else {
        return Err(format!("the last word was {stopped:?}").into());
    };
    run.tell(format_args!("stopped after {:.1} s: {told} told", took.as_secs_f64()));
    let tally = world.told(STOP_WAIT).await?;
    let back = world.succeed().await?;
    if took > STOP_WAIT || readers_left + connections_left > 0 {
        return Err(format!(
            "after {took:?} {readers_left} readers and {connections_left} connections were left"
        )
        .into());
    }
    if tally.untold > 0 || tally.told() != world.readers {
        return Err(format!("not every reader was told: {tally:?}").into());
    }
    // Two ways of five are WebSockets; each has a Close of its own behind the `$end`.
    if tally.closed_with_place * 5 != world.readers * 2 {
        return Err(format!("not every WebSocket was closed with its place: {tally:?}").into());
    }
    if (back.disconnects() as u64) < world.readers {
        return Err(format!("vacuous: only {} came back", back.disconnects()).into());
    }
    // A small crowd is given two of those seconds, and Retry-After is whole ones: it comes as it likes.
    let (seconds, (peak, mean)) = match run.size() {
        Size::Small => (back.seconds(), back.busiest(back.seconds())),
        Size::Full => (TOLD_SECONDS, back.busiest_in_bounds(TOLD_SECONDS)?),
    };
    Ok(Figures::default()
        .with("readers", world.readers)
        .with("gone after: s", format_args!("{:.1}", took.as_secs_f64()))
        .with(
            "told by $end, by an answer, by 503; closed by 1001 with the place",
            format_args!(
                "{}, {}, {}; {}",
                tally.told_by_end, tally.told_by_answer, tally.told_by_status, tally.closed_with_place
            ),
        )
        .with("readers, connections left", format_args!("{readers_left}, {connections_left}"))
        .with("back on the next process after: s", format_args!("{:.1}", back.took.as_secs_f64()))
        .with("events delivered, before and after", back.events())
        .with("accepted in each second", format_args!("{:?}", back.figures.accepts))
        .with("in the busiest, in the mean", format_args!("{peak}, {mean:.0}"))
        .with("the mean is that of: s", seconds)
        .with("lost, repeated, out of order", "0, 0, 0"))
}
