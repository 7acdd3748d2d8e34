//! What goes wrong in a run, and when: drawn from its seed beforehand.

use std::time::Duration;

use turmoil::Sim;

use crate::reader::READERS;
use crate::world::World;

/// One thing that begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing goes either way between a reader and the server.
    Part(usize),
    /// Nothing that the reader sends arrives.
    PartUp(usize),
    /// Nothing that the server sends arrives.
    PartDown(usize),
    /// What is sent waits, and arrives later.
    Hold(usize),
    /// The end of any of these.
    Mend(usize),
    /// So many of a thousand messages break the way that they go: a few after them are lost too.
    Lose(u32),
    /// The mount is drained: every reader is told to go.
    Drain,
    /// The server's process is killed: the kernel closes what it has open,
    Kill,
    /// or its machine loses its power, and nobody learns of it.
    PowerCut,
    /// Nothing of it is left.
    Crash,
    /// It begins anew.
    Boot,
}

/// When everything is whole again.
pub(crate) const HEALED: Duration = Duration::from_secs(45);

/// What goes wrong, in order of time.
#[derive(Debug)]
pub(crate) struct Script {
    waiting: Vec<(Duration, Fault)>,
    /// How many of each were begun: partitions, one-way partitions, holds, losses, drains, kills, power cuts.
    pub(crate) begun: [usize; KINDS],
}

pub(crate) const KINDS: usize = 7;

fn millis(random: &mut fastrand::Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

impl Script {
    /// Draws one. Faults of one reader's link do not overlap, nor do crashes; all else does.
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        let mut waiting = Vec::new();
        for reader in 0..READERS.len() {
            let mut at = millis(random, 500..=12_000);
            while at < HEALED {
                let fault = match random.u8(..5) {
                    0 => Fault::Part(reader),
                    1 => Fault::PartUp(reader),
                    2 => Fault::PartDown(reader),
                    _ => Fault::Hold(reader),
                };
                waiting.push((at, fault));
                at += millis(random, 100..=7_000);
                waiting.push((at.min(HEALED), Fault::Mend(reader)));
                at += millis(random, 1_000..=15_000);
            }
        }
        let mut at = millis(random, 2_000..=20_000);
        while at < HEALED {
            if random.u8(..3) == 0 {
                waiting.push((at, Fault::Drain));
                at += millis(random, 0..=4_000);
            }
            let end = if random.bool() { Fault::Kill } else { Fault::PowerCut };
            waiting.push((at.min(HEALED), end));
            at += Duration::from_millis(100);
            waiting.push((at.min(HEALED), Fault::Crash));
            at += millis(random, 0..=6_000);
            waiting.push((at.min(HEALED), Fault::Boot));
            at += millis(random, 6_000..=25_000);
        }
        let at = millis(random, 0..=30_000);
        waiting.push((at, Fault::Lose(random.u32(1..=20))));
        waiting.push(((at + millis(random, 1_000..=20_000)).min(HEALED), Fault::Lose(0)));
        waiting.sort_by_key(|(at, _)| *at);
        waiting.reverse();
        Self { waiting, begun: [0; KINDS] }
    }

    /// Does what is due.
    pub(crate) fn apply(&mut self, sim: &mut Sim<'_>, world: &World) {
        while let Some((_, fault)) = self.waiting.pop_if(|(at, _)| *at <= sim.elapsed()) {
            self.begin(fault, sim, world);
        }
    }

    fn begin(&mut self, fault: Fault, sim: &mut Sim<'_>, world: &World) {
        let kind = match fault {
            Fault::Part(reader) => {
                sim.partition(host(reader), "server");
                Some(0)
            }
            Fault::PartUp(reader) => {
                sim.partition_oneway(host(reader), "server");
                Some(1)
            }
            Fault::PartDown(reader) => {
                sim.partition_oneway("server", host(reader));
                Some(1)
            }
            Fault::Hold(reader) => {
                sim.hold(host(reader), "server");
                Some(2)
            }
            Fault::Mend(reader) => {
                // What was held is delivered, and what was parted is whole.
                sim.release(host(reader), "server");
                None
            }
            Fault::Lose(thousandths) => {
                sim.set_fail_rate(f64::from(thousandths) / 1_000.0);
                if thousandths == 0 {
                    (0..READERS.len()).for_each(|reader| sim.release(host(reader), "server"));
                }
                (thousandths > 0).then_some(3)
            }
            Fault::Drain => {
                world.drain.notify_one();
                Some(4)
            }
            Fault::Kill => {
                world.kill.notify_one();
                Some(5)
            }
            Fault::PowerCut => {
                (0..READERS.len()).for_each(|reader| sim.partition(host(reader), "server"));
                Some(6)
            }
            Fault::Crash => {
                // tokio drops tasks in the order of their ids, which the whole process shares: what they would still say
                // is cut off, or a seed would not replay.
                (0..READERS.len()).for_each(|reader| sim.partition(host(reader), "server"));
                world.feeds.drop_all();
                sim.crash("server");
                (0..READERS.len()).for_each(|reader| sim.repair(host(reader), "server"));
                world.crashed();
                None
            }
            Fault::Boot => {
                sim.bounce("server");
                None
            }
        };
        if let Some(kind) = kind {
            self.begun[kind] += 1;
        }
    }
}

/// The name of a reader's host.
pub(crate) fn host(reader: usize) -> String {
    format!("reader-{reader}")
}
