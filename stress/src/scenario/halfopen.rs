//! Peers that vanish without a word: the server knows it in time, and nothing of them is left (G-17, A-17).
//!
//! The crowd has a network of its own, one cable from the server's. Then each end forgets the other's hardware address, as
//! if a switch between had died: every packet is lost, and nobody is told. Readers bear any silence here: it is the
//! server that has to notice.

use std::process::Command as System;
use std::time::Duration;

use tokio::process::Command as Program;
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::slow::JOIN_WAIT;
use crate::crowd::{self, Command, Way};
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings, Stamp};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "halfopen",
    proves: &["G-17", "A-17"],
    does: "peers behind a dead switch: WebSockets gone in 33 s, event streams and long-polls in 45 s, nothing left",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

/// One that nobody has.
const NOBODY: &str = "02:00:00:00:00:99";
/// How long each may be there: ping and pong, or heartbeat and unacknowledged wait, and a moment for this machine.
const WEB_SOCKET_WAIT: Duration = Duration::from_secs(33);
const OTHER_WAIT: Duration = Duration::from_secs(45);
const SLACK: Duration = Duration::from_secs(2);

fn run(run: &Run) -> Result<Figures, Failure> {
    let runtime = run::runtime().map_err(|error| Failure::of(run.seed(), error))?;
    let mut figures = Figures::default();
    for seed in run.seeds() {
        figures = runtime.block_on(world(run, seed)).map_err(|error| Failure::of(seed, error))?;
    }
    Ok(figures)
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    BothWays,
    ToThePeers,
}

/// What is cut off, how, and how long it may be there.
const CASES: [(&str, &[Way], Lost, Duration); 4] = [
    ("WebSockets, both ways", &[Way::WebSocket, Way::WebSocketH2], Lost::BothWays, WEB_SOCKET_WAIT),
    (
        "WebSockets, only what is sent to them",
        &[Way::WebSocket, Way::WebSocketH2],
        Lost::ToThePeers,
        WEB_SOCKET_WAIT,
    ),
    (
        "event streams and long-polls, both ways",
        &[Way::Sse, Way::SseH2, Way::LongPoll],
        Lost::BothWays,
        OTHER_WAIT,
    ),
    (
        "event streams and long-polls, only what is sent to them",
        &[Way::Sse, Way::SseH2, Way::LongPoll],
        Lost::ToThePeers,
        OTHER_WAIT,
    ),
];

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let readers = run.pick(60, 600_u64);
    let cable = Cable::lay(seed)?;
    let settings = Settings { addr: cable.here(), ..Settings::new(seed) };
    let (site, addr, _) = site::start(&settings).await?;
    site.publish(4, 64, Stamp::None).await?;
    let fresh = site.figures().await?;
    let mut figures = Figures::default().with("readers of each", readers);
    for (what, ways, lost, within) in CASES {
        let mut program = Program::new("unshare");
        program.arg("--net").arg(std::env::current_exe()?).arg(crowd::NAME);
        let crowd = [crowd::start_as(
            program,
            &crowd::Settings { patience_ms: 300_000, ..crowd::Settings::new(addr, ways, seed) },
        )
        .await?];
        cable.connect(crowd[0].pid())?;
        crowd[0].tell(Command::Join(readers as usize)).await?;
        crowd::until(&crowd, JOIN_WAIT, "not all are there", |tally| tally.live == readers).await?;
        cable.cut(crowd[0].pid(), lost)?;
        let cut = Instant::now();
        let (took, left) = loop {
            let now = site.figures().await?;
            if now.readers + now.subscribed == 0 || cut.elapsed() > within + SLACK {
                break (cut.elapsed(), now.readers);
            }
            sleep(Duration::from_millis(100)).await;
        };
        run.tell(format_args!("{what}: {left} left after {:.1} s", took.as_secs_f64()));
        if left > 0 {
            return Err(format!("{what}: {left} of {readers} are left after {took:?}").into());
        }
        if took < Duration::from_secs(1) {
            return Err(format!("vacuous: {what}: they were told, and gone after {took:?}").into());
        }
        figures = figures.with(what, format_args!("gone after {:.1} s", took.as_secs_f64()));
        let [crowd] = crowd;
        crowd.kill().await?;
    }
    super::slow::until(&site, |now| now.is_as_quiet_as(&fresh), "something is left").await?;
    site.kill().await?;
    Ok(figures.with("readers, subscriptions, tasks, descriptors more than before", "0, 0, 0, 0"))
}

/// A cable between the server's network and the crowd's. It is gone with either end.
struct Cable {
    name: String,
    net: u8,
}

impl Cable {
    fn lay(seed: u64) -> Outcome<Self> {
        let cable = Self { name: format!("rt{}", std::process::id()), net: (seed % 250) as u8 };
        cable.make()?;
        Ok(cable)
    }

    fn make(&self) -> Outcome {
        let (here, there) = (&self.name, format!("{}p", self.name));
        ip(&["link", "add", here, "type", "veth", "peer", "name", &there])?;
        ip(&["addr", "add", &format!("10.213.{}.1/30", self.net), "dev", here])?;
        ip(&["link", "set", here, "up"])
    }

    /// Where the server listens.
    fn here(&self) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([10, 213, self.net, 1], 0))
    }

    /// Gives the other end to a process that has a network of its own.
    fn connect(&self, pid: u32) -> Outcome {
        let (here, there, pid) = (&self.name, format!("{}p", self.name), pid.to_string());
        if ip(&["link", "show", &there]).is_err() {
            // It went with the network of the one before.
            let _ = ip(&["link", "del", here]);
            self.make()?;
        }
        ip(&["link", "set", &there, "netns", &pid])?;
        inside(&pid, &["link", "set", "lo", "up"])?;
        inside(&pid, &["addr", "add", &format!("10.213.{}.2/30", self.net), "dev", &there])?;
        inside(&pid, &["link", "set", &there, "up"])
    }

    /// From now on packets go to nobody.
    fn cut(&self, pid: u32, lost: Lost) -> Outcome {
        let (here, there, pid) = (&self.name, format!("{}p", self.name), pid.to_string());
        let peer = format!("10.213.{}.2", self.net);
        ip(&["neigh", "replace", &peer, "lladdr", NOBODY, "dev", here, "nud", "permanent"])?;
        if let Lost::BothWays = lost {
            let server = format!("10.213.{}.1", self.net);
            inside(
                &pid,
                &["neigh", "replace", &server, "lladdr", NOBODY, "dev", &there, "nud", "permanent"],
            )?;
        }
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Outcome {
    called(System::new("ip").args(args))
}

fn inside(pid: &str, args: &[&str]) -> Outcome {
    called(System::new("nsenter").args(["--net", "--target", pid, "ip"]).args(args))
}

fn called(system: &mut System) -> Outcome {
    let output = system
        .output()
        .map_err(|error| format!("{system:?}: {error}; iproute2 and util-linux are needed"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{system:?}: {}: it takes the right to make networks (root)", said.trim()).into())
}
