//! What Linux tells about processes and the machine, from /proc.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::Outcome;

/// Processor time that a process has used, user and system, all its threads: nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> Outcome<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else {
            return cpu_ticks(pid);
        };
        sum += schedstat.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

/// The same from `stat`, where the kernel keeps no `schedstat`: in ticks of 10 ms, which is Linux's `USER_HZ`.
fn cpu_ticks(pid: u32) -> Outcome<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // User and system time are the 12th and 13th field after the name.
    let ticks: Vec<u64> =
        after_name(&stat)?.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() * 10_000_000)
}

/// The fields of a `stat` from the state on; the name before it stands in brackets and may hold anything.
fn after_name(stat: &str) -> Outcome<&str> {
    Ok(stat.rsplit_once(") ").ok_or("a stat without a name")?.1)
}

/// Memory of a process that is resident: bytes.
pub(crate) fn rss_bytes(pid: u32) -> Outcome<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("smaps_rollup has no Rss")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// How often a process is looked at, and how often at most before it counts as never resting: 10 s.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 2_000;
/// Looks that must agree.
const LOOKS_STILL: u32 = 4;

/// Whether all threads of a process sleep. One that is ready to run and has no processor does not.
fn is_asleep(pid: u32) -> Outcome<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        if !after_name(&stat)?.starts_with('S') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks a millisecond apart, all of which have to find a process asleep.
const NAPS: u32 = 3;

/// Waits until a process has done what it was told: loopback has brought it what was written, so that a thread which
/// has something to do does not sleep. Shorter than [`settled_cpu_ns`], for its time is not what is asked.
pub(crate) fn at_rest(pid: u32) -> Outcome {
    let mut asleep = 0;
    for _ in 0..LOOKS_MAX * 5 {
        asleep = if is_asleep(pid)? { asleep + 1 } else { 0 };
        if asleep == NAPS {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    Err("the server does not come to rest".into())
}

/// Waits until a process does nothing any more; returns its processor time. A thread's time is exact only while it
/// sleeps.
pub(crate) fn settled_cpu_ns(pid: u32) -> Outcome<u64> {
    let (mut cpu, mut still) = (cpu_ns(pid)?, 0);
    for _ in 0..LOOKS_MAX {
        sleep(LOOK);
        let now = cpu_ns(pid)?;
        still = if now == cpu && is_asleep(pid)? { still + 1 } else { 0 };
        if still == LOOKS_STILL {
            return Ok(now);
        }
        cpu = now;
    }
    Err("the server does not come to rest".into())
}

/// Descriptors that this process, and one it starts, may hold.
pub fn files_max() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Where the figures were taken.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) date: String,
    pub(crate) load: String,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let cpu = cpu.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpu: cpu.trim().into(),
            // Not those that this process may run on.
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into(),
            rustc: said("rustc", &["--version"]),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_see_work_and_neither_runs_ahead() {
        let pid = std::process::id();
        let before = (cpu_ns(pid).unwrap(), cpu_ticks(pid).unwrap());
        // Other tests' threads end meanwhile and take their time out of the sum: it is bound to rise all the same.
        let mut spun = 0_u64;
        let seen = (0..10_000).any(|_| {
            spun = std::hint::black_box((0..10_000).fold(spun, u64::wrapping_add));
            cpu_ns(pid).unwrap() > before.0 && cpu_ticks(pid).unwrap() > before.1
        });
        assert!(seen);
        assert!(!is_asleep(pid).unwrap(), "this thread runs");
        let mut sleeper = Command::new("sleep").arg("10").spawn().unwrap();
        assert!(at_rest(sleeper.id()).is_ok(), "that one does not");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(rss_bytes(pid).unwrap() > 100_000);
        assert!(files_max().unwrap() > 10);
    }
}
