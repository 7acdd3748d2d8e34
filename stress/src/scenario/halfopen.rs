//! Peers that vanish without a word: the server knows it in time, and nothing of them is left (G-17, A-17).
//!
//! The crowd has a network of its own, one cable from the server's. Then each end forgets the other's hardware address, as
//! if a switch between had died: every packet is lost, and nobody is told. Readers bear any silence here: it is the
//! server that has to notice.

use std::process::Command as System;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::process::Command as Program;
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::slow::{JOIN_WAIT, until};
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
/// Who is gone sooner was told.
const VACUOUS_BELOW: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
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

/// All of them at the same time, each with a server and a cable of its own.
async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let readers = run.pick(60, 600);
    let cut_off = CASES.iter().enumerate().map(|(nth, case)| cut_off(run, seed, nth, case, readers));
    let gone = try_join_all(cut_off).await?;
    let figures = Figures::default().with("readers of each", readers);
    let figures = CASES.iter().zip(gone).fold(figures, |figures, ((what, ..), after)| {
        figures.with(what, format_args!("gone after {:.1} s", after.as_secs_f64()))
    });
    Ok(figures.with("readers, subscriptions, tasks, descriptors more than before", "0, 0, 0, 0"))
}

/// Cuts readers off, and says how long the last of them was there.
async fn cut_off(
    run: &Run,
    seed: u64,
    nth: usize,
    (what, ways, lost, within): &(&'static str, &[Way], Lost, Duration),
    readers: u64,
) -> Outcome<Duration> {
    let cable = Cable::lay(seed, nth)?;
    let (site, addr, _) = site::start(&Settings { addr: cable.here(), ..Settings::new(seed) }).await?;
    site.publish(4, 64, Stamp::None).await?;
    let fresh = site.figures().await?;
    let mut program = Program::new("unshare");
    program.arg("--net").arg(std::env::current_exe()?).arg(crowd::NAME);
    let settings = crowd::Settings { patience_ms: 300_000, ..crowd::Settings::new(addr, ways, seed) };
    let crowd = [crowd::start_as(program, &settings).await?];
    cable.connect(crowd[0].pid())?;
    crowd[0].tell(Command::Join(readers as usize)).await?;
    crowd::until(&crowd, JOIN_WAIT, "not all are there", |tally| tally.live == readers).await?;
    cable.cut(crowd[0].pid(), *lost)?;
    let cut = Instant::now();
    while site.figures().await?.readers > 0 && cut.elapsed() < *within + SLACK {
        sleep(LOOK).await;
    }
    let (took, left) = (cut.elapsed(), site.figures().await?);
    run.tell(format_args!("{what}: {} left after {:.1} s", left.readers, took.as_secs_f64()));
    if left.readers + left.subscribed > 0 {
        return Err(format!("{what}: {} of {readers} are left after {took:?}", left.readers).into());
    }
    let noticed = crowd[0].tally().await?;
    if took < VACUOUS_BELOW || (matches!(lost, Lost::BothWays) && noticed.untold > 0) {
        return Err(format!(
            "vacuous: {what}: gone after {took:?}, and {} readers were told",
            noticed.untold
        )
        .into());
    }
    until(&site, |now| now.is_as_quiet_as(&fresh), "something is left").await?;
    site.kill().await?;
    Ok(took)
}

/// A cable between the server's network and the crowd's. It is gone with either end.
struct Cable {
    name: String,
    net: u8,
}

impl Cable {
    /// The nth of a run; its address is drawn from the seed, so that two runs can be there at once.
    fn lay(seed: u64, nth: usize) -> Outcome<Self> {
        let name = format!("rt{}n{nth}", std::process::id());
        let cable = Self { name, net: (seed.wrapping_mul(4).wrapping_add(nth as u64) % 250) as u8 };
        let (here, there) = (&cable.name, format!("{}p", cable.name));
        ip(&["link", "add", here, "type", "veth", "peer", "name", &there])?;
        ip(&["addr", "add", &format!("10.213.{}.1/30", cable.net), "dev", here])?;
        ip(&["link", "set", here, "up"])?;
        Ok(cable)
    }

    /// Where the server listens.
    fn here(&self) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([10, 213, self.net, 1], 0))
    }

    /// Gives the other end to a process that has a network of its own.
    fn connect(&self, pid: u32) -> Outcome {
        let (there, pid) = (format!("{}p", self.name), pid.to_string());
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
