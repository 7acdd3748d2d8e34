//! One seed: the hosts, the faults, and the verdict.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use realtime_tests::client::Http;
use tokio::time::sleep;
use turmoil::Builder;

use crate::faults::{HEALED, KINDS, Script, host};
use crate::reader::{Client, READERS, Tally};
use crate::server::server;
use crate::world::{Life, World, publisher};

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    Nothing,
    /// The source keeps some events from its readers.
    Withhold,
}

/// What a seed comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) life: Life,
    pub(crate) tally: Tally,
    pub(crate) begun: [usize; KINDS],
    /// A fingerprint of everything that anybody was told, and when.
    pub(crate) trace: u64,
}

/// Events are published until here.
const PUBLISHED: Duration = Duration::from_secs(50);

/// A reader that has not been told the last event by now never will be: everything is whole since [`HEALED`].
const OVER: Duration = Duration::from_secs(90);

/// How far a host may run ahead of the others.
const TICK: Duration = Duration::from_millis(10);

/// Runs a seed. A second run is the same as the first: all hosts share one thread, time is turmoil's, and every draw comes
/// from the seed, those of the crates too. The one exception is h2, which forgets the streams that it has reset after a second
/// of the real clock: over HTTP/2 this holds for a run that takes no longer than that, as one does by far with `--release`.
pub(crate) fn run(seed: u64, sabotage: Sabotage, spoken: &'static [Http]) -> Result<Outcome, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    fastrand::seed(random.u64(..));
    let life = Life::of(seed);
    let world = World::new(life, READERS.len());
    let mut script = Script::draw(&mut random);
    let mut sim = Builder::new()
        .rng_seed(random.u64(..))
        .epoch(std::time::UNIX_EPOCH)
        .simulation_duration(OVER * 2)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(random.u64(2..=80)))
        .repair_rate(0.3)
        .enable_random_order()
        .build();
    let served = world.clone();
    sim.host("server", move || server(served.clone(), sabotage));
    sim.client("publisher", said(publisher(world.clone(), random.fork(), PUBLISHED)));
    let finished = Arc::new(Mutex::new(Vec::new()));
    for (n, topics) in READERS.into_iter().enumerate() {
        let (client, finished) =
            (Client::new(world.clone(), topics, spoken, random.fork()), finished.clone());
        sim.client(host(n), said(reader(n, client, world.clone(), finished)));
    }
    loop {
        script.apply(&mut sim, &world);
        if sim.step().map_err(|error| error.to_string())? {
            break;
        }
        if sim.elapsed() > OVER {
            let there = world.connections();
            let waiting = world.state().readers_left;
            let judged = std::mem::take(&mut *finished.lock().unwrap());
            let verdicts = judged.into_iter().filter_map(|(n, client): (usize, Client)| {
                client.judge().err().map(|faults| format!("\nreader {n}: {faults}"))
            });
            let verdicts: String = verdicts.collect();
            return Err(format!(
                "after {OVER:?}, whole since {HEALED:?}: {waiting} readers wait for the last event, \
                 and the server counts {there}{verdicts}"
            ));
        }
    }
    drop(sim);
    let mut finished = std::mem::take(&mut *finished.lock().unwrap());
    finished.sort_by_key(|(n, _)| *n);
    judge(life, &script, finished)
}

fn judge(life: Life, script: &Script, finished: Vec<(usize, Client)>) -> Result<Outcome, String> {
    let mut outcome = Outcome { life, tally: Tally::default(), begun: script.begun, trace: 0 };
    for (n, client) in finished {
        outcome.trace = outcome.trace.rotate_left(7) ^ client.trace();
        let (tally, report) = client.judge().map_err(|faults| format!("{life:?}, reader {n}: {faults}"))?;
        if life == Life::Outlives && (report.gaps, report.skipped) != (0, 0) {
            return Err(format!("{life:?}, reader {n}: {} gaps where nothing was lost", report.gaps));
        }
        outcome.tally += tally;
    }
    Ok(outcome)
}

/// Reads to the end, and stays until the server has let everybody go: a host that is gone answers nobody. (D-16)
async fn reader(n: usize, mut client: Client, world: World, finished: Arc<Mutex<Vec<(usize, Client)>>>) {
    client.read().await;
    finished.lock().unwrap().push((n, client));
    world.state().readers_left -= 1;
    while !world.is_left() {
        sleep(Duration::from_millis(100)).await;
    }
}

async fn said(run: impl Future<Output = ()>) -> turmoil::Result {
    run.await;
    Ok(())
}
