//! One visit to one kind: start it, connect, publish, read, and look at what it cost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::kind::Wire;
use crate::latency::Latency;
use crate::machine::{at_rest, rss_bytes, settled_cpu_ns};
use crate::readers::Crowd;
use crate::{Kind, Outcome};

/// How much is asked of a kind in one visit.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections, or streams where they share some.
    pub readers: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Events that are published one at a time; of a poll, answers to each reader.
    pub events: u64,
    /// Bursts of each size of [`BURSTS`].
    pub bursts: [u64; BURSTS.len()],
    /// The cores that the server is bound to, as `taskset` reads them, if it is.
    pub cores: Option<&'static str>,
    /// Worker threads of the server.
    pub workers: usize,
}

/// Events of one burst.
pub const BURSTS: [u64; 2] = [16, 100];

/// Events before anything is counted, so that pages and caches are warm.
const WARM: u64 = 4;

/// Connections that are begun before those before them are answered. A listener lets 128 wait, and the kernel drops who
/// comes beyond it, to try again a second later: that would be most of a visit.
const CONNECTS: usize = 100;

/// Events of a long-poll in one visit.
const LONG_POLLS_MAX: u64 = 60;

/// The server's two programs; they differ in their allocator alone.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The one whose time is taken.
    pub plain: PathBuf,
    /// The one that counts allocations.
    pub counting: PathBuf,
}

impl Programs {
    /// Those that were built with this one.
    pub fn beside(program: &Path) -> Self {
        let beside = |name: &str| program.with_file_name(name);
        Self { plain: beside("bench-server"), counting: beside("bench-server-counting") }
    }
}

/// What one visit found.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Processor time per delivery, one event at a time.
    pub one_ns: f64,
    /// The same in bursts; a poll has none.
    pub burst_ns: [Option<f64>; BURSTS.len()],
    /// From `publish` to a reader, one event at a time: the median, and what 99 of 100 stay within. Microseconds.
    pub latency_us: [Option<f64>; 2],
    /// Resident memory per idle connection, once it has had an event.
    pub idle_bytes: f64,
}

/// Visits a kind.
///
/// # Errors
/// It does not serve, loses, repeats or alters an event.
pub fn measure(kind: Kind, programs: &Programs, plan: &Plan) -> Outcome<Figures> {
    let mut visit = Visit::run(kind, bound(&programs.plain, plan.cores), plan)?;
    // What the first connections load and fault in is not the others' cost.
    let early = (plan.readers / 4).clamp(1, 16);
    visit.connect(early)?;
    visit.one_at_a_time(WARM)?;
    let before = visit.rss_bytes()?;
    visit.connect(plan.readers - early)?;
    visit.one_at_a_time(WARM)?;
    let idle = visit.rss_bytes()?.saturating_sub(before) as f64;
    let idle_bytes = idle / (plan.readers - early).max(1) as f64;

    visit.latency = Latency::new()?;
    // Where all have to wait again before the next, most of a visit is waiting.
    let most = if kind.wire() == Wire::LongPoll { LONG_POLLS_MAX } else { u64::MAX };
    let one_ns = visit.one_at_a_time(plan.events.min(most))?;
    let latency = std::mem::replace(&mut visit.latency, Latency::none());
    let mut burst_ns = [None; BURSTS.len()];
    for (at, (times, count)) in plan.bursts.into_iter().zip(BURSTS).enumerate() {
        if kind.wire().has_bursts() && times > 0 {
            burst_ns[at] = Some(visit.publish(times, count)?);
        }
    }
    visit.end()?;
    let latency_us = [0.5, 0.99].map(|part| latency.quantile_us(part));
    Ok(Figures { one_ns, burst_ns, latency_us, idle_bytes })
}

/// What a reader costs the heap, counted and not timed: the slope between two crowds, so that what there is once is
/// left out.
#[derive(Debug, Clone, Copy)]
pub struct Heap {
    /// Allocations of one delivery.
    pub allocations: f64,
    /// Bytes that live for an idle connection which has had events, or waits.
    pub idle_bytes: f64,
}

/// Visits a kind whose allocator counts.
///
/// # Errors
/// As [`measure`].
pub fn heap(kind: Kind, programs: &Programs) -> Outcome<Heap> {
    heap_of(kind, &programs.counting, false)
}

pub(crate) fn heap_of(kind: Kind, counting: &Path, is_slowed: bool) -> Outcome<Heap> {
    // Tables grow by doubling: between two powers of two nobody has to pay for what stands empty.
    const FEW: usize = 64;
    const MORE: usize = 64;
    const EVENTS: u64 = 64;
    let mut command = Command::new(counting);
    command.args(is_slowed.then_some("--slowed"));
    let mut visit = Visit::run(kind, command, &Plan::small())?;
    let few = visit.per_event(FEW, EVENTS)?;
    let (_, before_bytes) = visit.heap()?;
    visit.connect(MORE)?;
    // One alone, for a log keeps what is published.
    visit.one_at_a_time(1)?;
    let (_, after_bytes) = visit.heap()?;
    let many = visit.per_event(0, EVENTS)?;
    visit.end()?;
    Ok(Heap {
        allocations: (many - few) / MORE as f64,
        idle_bytes: (after_bytes as f64 - before_bytes as f64) / MORE as f64,
    })
}

/// Bytes of the heap that live for each of so many idle connections which have had events, or wait.
///
/// # Errors
/// As [`measure`].
pub fn idle_heap(
    kind: Kind,
    programs: &Programs,
    readers: usize,
    cores: Option<&'static str>,
) -> Outcome<f64> {
    let mut visit = Visit::run(kind, bound(&programs.counting, cores), &Plan::small())?;
    let early = (readers / 4).clamp(1, 16);
    visit.connect(early)?;
    visit.one_at_a_time(WARM)?;
    let (_, before_bytes) = visit.heap()?;
    visit.connect(readers - early)?;
    visit.one_at_a_time(1)?;
    let (_, after_bytes) = visit.heap()?;
    visit.end()?;
    Ok((after_bytes as f64 - before_bytes as f64) / (readers - early).max(1) as f64)
}

/// A program on some cores alone, if any are named; what this process is bound to says nothing then.
pub(crate) fn bound(program: &Path, cores: Option<&str>) -> Command {
    match cores {
        Some(cores) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", cores]).arg(program);
            taskset
        }
        None => Command::new(program),
    }
}

impl Plan {
    /// What is counted is the same at any number of readers: little is enough.
    pub(crate) const fn small() -> Self {
        Self { readers: 0, payload_bytes: 128, events: 0, bursts: [0; 2], cores: None, workers: 1 }
    }
}

/// A running server and its readers.
pub(crate) struct Visit {
    server: Server,
    /// The server's own, where what was started is what watches it.
    pid: u32,
    address: SocketAddr,
    control: TcpStream,
    readers: Crowd,
    latency: Latency,
    /// The newest event published.
    last: u64,
    wire: Wire,
}

impl Visit {
    /// Starts a server by a command that lacks its kind and size.
    pub(crate) fn run(kind: Kind, mut command: Command, plan: &Plan) -> Outcome<Self> {
        command.args(["--payload-bytes", &plan.payload_bytes.to_string()]);
        command.args(["--workers", &plan.workers.to_string()]);
        let child = command.arg(kind.name()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let program = command.get_program().to_string_lossy();
        let mut server = Server(child.map_err(|error| format!("{program}: {error}"))?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
        let words: Vec<_> = line.split_whitespace().collect();
        let &[address, control, pid] = &words[..] else { return Err("the server did not start".into()) };
        let control = TcpStream::connect(control)?;
        control.set_nodelay(true)?;
        control.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (wire, address, pid) = (kind.wire(), address.parse()?, pid.parse()?);
        let readers = Crowd::new(wire, plan.payload_bytes)?;
        Ok(Self { server, pid, address, control, readers, latency: Latency::none(), last: 0, wire })
    }

    pub(crate) fn connect(&mut self, more: usize) -> Outcome {
        for first in (0..more).step_by(CONNECTS) {
            self.readers.connect(self.address, CONNECTS.min(more - first), self.last)?;
            if self.wire == Wire::LongPoll {
                // One that waits says nothing.
                at_rest(self.pid)?;
            }
        }
        Ok(())
    }

    fn rss_bytes(&self) -> Outcome<u64> {
        self.settled()?;
        rss_bytes(self.pid)
    }

    fn settled(&self) -> Outcome<u64> {
        settled_cpu_ns(self.pid)
    }

    /// Publishes events, each when all have the one before; returns the server's time per delivery.
    pub(crate) fn one_at_a_time(&mut self, events: u64) -> Outcome<f64> {
        self.publish(events, 1)
    }

    fn publish(&mut self, times: u64, count: u64) -> Outcome<f64> {
        let before = self.settled()?;
        for _ in 0..times {
            self.latency.published();
            if self.wire.is_asked() {
                self.readers.ask()?;
            } else {
                writeln!(self.control, "publish {} {count}", self.last + 1)?;
            }
            self.last += count;
            self.readers.until(self.last, &mut self.latency)?;
            if self.wire == Wire::LongPoll {
                // All of them wait again before the next is told.
                at_rest(self.pid)?;
            }
        }
        let used = self.settled()? - before;
        Ok(used as f64 / (times * count * self.readers.len() as u64).max(1) as f64)
    }

    /// Allocations of one event, with so many readers more.
    fn per_event(&mut self, more: usize, events: u64) -> Outcome<f64> {
        self.connect(more)?;
        self.one_at_a_time(WARM)?;
        let (before, _) = self.heap()?;
        self.one_at_a_time(events)?;
        let (after, _) = self.heap()?;
        Ok((after - before) as f64 / events as f64)
    }

    /// Allocations made, and bytes that live.
    fn heap(&mut self) -> Outcome<(u64, u64)> {
        self.settled()?;
        writeln!(self.control, "heap")?;
        let mut line = String::new();
        BufReader::new(&self.control).read_line(&mut line)?;
        let (made, live_bytes) = line.trim_end().split_once(' ').ok_or("no answer about the heap")?;
        Ok((made.parse()?, live_bytes.parse()?))
    }

    /// Ends the control connection, and so the server.
    pub(crate) fn end(mut self) -> Outcome {
        drop(self.control);
        for _ in 0..3_000 {
            match self.server.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}").into()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Err("the server does not end".into())
    }
}

/// The server's process, which does not outlive a visit that failed.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Mostly it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
