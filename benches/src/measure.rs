//! One visit to one kind: start it, connect, publish, read, and look at what it cost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::kind::Wire;
use crate::machine::{rss_bytes, settled_cpu_ns};
use crate::readers::Readers;
use crate::{Kind, Outcome};

/// How much is asked of a kind in one visit.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections.
    pub readers: usize,
    /// Events that are published one at a time.
    pub events: u64,
    /// Bursts of `BURST` events.
    pub bursts: u64,
    /// The core that the server is bound to, if it is.
    pub core: Option<usize>,
}

/// Events of one burst.
pub(crate) const BURST: u64 = 16;

/// Events before anything is counted, so that pages and caches are warm.
const WARM: u64 = 4;

/// The server's two programs; they differ in their allocator alone.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The one whose time is taken.
    pub plain: PathBuf,
    /// The one that counts allocations.
    pub counting: PathBuf,
}

/// What one visit found.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Processor time per delivery, one event at a time.
    pub one_ns: f64,
    /// The same in bursts; a long-poll has none.
    pub burst_ns: Option<f64>,
    /// Resident memory per idle connection, once it has had an event.
    pub idle_bytes: f64,
}

/// Visits a kind.
///
/// # Errors
/// It does not serve, loses, repeats or alters an event.
pub fn measure(kind: Kind, programs: &Programs, plan: &Plan) -> Outcome<Figures> {
    let mut visit = Visit::start(kind, &programs.plain, plan.core)?;
    // What the first connections load and fault in is not the others' cost.
    let early = (plan.readers / 4).clamp(1, 16);
    visit.connect(early)?;
    visit.one_at_a_time(WARM)?;
    let before = visit.rss_bytes()?;
    visit.connect(plan.readers - early)?;
    visit.one_at_a_time(WARM)?;
    let idle = visit.rss_bytes()?.saturating_sub(before) as f64;
    let idle_bytes = idle / (plan.readers - early).max(1) as f64;

    let one = visit.one_at_a_time(plan.events)?;
    let burst_ns = if kind.wire() == Wire::LongPoll { None } else { Some(visit.bursts(plan.bursts)?) };
    visit.end()?;
    Ok(Figures { one_ns: one, burst_ns, idle_bytes })
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
    // Tables grow by doubling: between two powers of two nobody has to pay for what stands empty.
    const FEW: usize = 64;
    const MORE: usize = 64;
    const EVENTS: u64 = 64;
    let mut visit = Visit::start(kind, &programs.counting, None)?;
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

/// A running server and its readers.
struct Visit {
    server: Server,
    address: SocketAddr,
    control: TcpStream,
    readers: Readers,
    /// The newest event published.
    last: u64,
    wire: Wire,
}

impl Visit {
    fn start(kind: Kind, program: &Path, core: Option<usize>) -> Outcome<Self> {
        let mut command = match core {
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.arg("-c").arg(core.to_string()).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        let child = command.arg(kind.name()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut server = Server(child.map_err(|error| format!("{}: {error}", program.display()))?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
        let (address, control) = line.trim_end().split_once(' ').ok_or("the server did not start")?;
        let control = TcpStream::connect(control)?;
        control.set_nodelay(true)?;
        control.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (wire, address) = (kind.wire(), address.parse()?);
        Ok(Self { server, address, control, readers: Readers::new(wire)?, last: 0, wire })
    }

    fn connect(&mut self, more: usize) -> Outcome {
        self.readers.connect(self.address, more, self.last)
    }

    fn rss_bytes(&self) -> Outcome<u64> {
        self.settled()?;
        rss_bytes(self.server.0.id())
    }

    fn settled(&self) -> Outcome<u64> {
        settled_cpu_ns(self.server.0.id())
    }

    /// Publishes events, each when all have the one before; returns the server's time per delivery.
    fn one_at_a_time(&mut self, events: u64) -> Outcome<f64> {
        self.publish(events, 1)
    }

    fn bursts(&mut self, bursts: u64) -> Outcome<f64> {
        self.publish(bursts, BURST)
    }

    fn publish(&mut self, times: u64, count: u64) -> Outcome<f64> {
        let before = self.settled()?;
        for _ in 0..times {
            writeln!(self.control, "publish {} {count}", self.last + 1)?;
            self.last += count;
            self.readers.until(self.last)?;
            if self.wire == Wire::LongPoll {
                // All of them wait again before the next is told.
                self.settled()?;
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
    fn end(mut self) -> Outcome {
        drop(self.control);
        for _ in 0..1_000 {
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
