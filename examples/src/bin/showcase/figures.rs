//! The machine's figures, as events.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use realtime_core::{Event, EventError, Log};
use serde::Serialize;
use sysinfo::{Networks, System};

/// Between two events; sysinfo wants at least 200 ms for a figure of the CPU.
const PAUSE: Duration = Duration::from_millis(250);

/// One look at the machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    /// 1, 2, 3 ...: the page counts what is lost or repeated by it.
    seq: u64,
    /// When it was published, in milliseconds since 1970 by the server's clock.
    at: u64,
    /// Use of each core in percent.
    cpu: Vec<f32>,
    /// Bytes.
    memory_used: u64,
    memory_total: u64,
    /// Bytes a second over all interfaces.
    received: u64,
    sent: u64,
    /// Runnable tasks, averaged over a minute.
    load: f64,
}

/// Publishes for as long as the log is open. A plain thread: publishing needs no runtime.
pub(crate) fn publish_from_a_thread(log: Log) {
    thread::spawn(move || {
        let mut machine = Machine::new();
        loop {
            thread::sleep(PAUSE);
            let published = machine.look().map(|figures| log.publish(figures));
            if !matches!(published, Ok(Ok(_))) {
                return;
            }
        }
    });
}

pub(crate) struct Machine {
    system: System,
    networks: Networks,
    seq: u64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        Self { system, networks: Networks::new_with_refreshed_list(), seq: 0 }
    }

    pub(crate) fn look(&mut self) -> Result<Event, EventError> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        self.seq += 1;
        let per_second = |bytes: u64| bytes * 1_000 / PAUSE.as_millis() as u64;
        Event::json(
            "figures",
            &Figures {
                seq: self.seq,
                at: now_ms(),
                cpu: self.system.cpus().iter().map(|cpu| cpu.cpu_usage().round()).collect(),
                memory_used: self.system.used_memory(),
                memory_total: self.system.total_memory(),
                received: per_second(self.networks.values().map(|n| n.received()).sum()),
                sent: per_second(self.networks.values().map(|n| n.transmitted()).sum()),
                load: System::load_average().one,
            },
        )
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
