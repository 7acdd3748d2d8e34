//! What Linux tells about a process, and where the figures were taken.

use std::fs;
use std::io;
use std::process::Command;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Memory that is resident.
    pub(crate) rss_bytes: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Open descriptors.
    pub(crate) files: u64,
}

impl Held {
    /// What the process `pid` holds now.
    ///
    /// # Errors
    /// It is gone, or /proc does not say.
    pub(crate) fn by(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                .ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no {name}")))
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(Self { rss_bytes: number("VmRSS:")? * 1024, threads: number("Threads:")?, files })
    }
}

/// CPU model, cores and kernel, in one line.
pub(crate) fn here() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name.trim());
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// The date and time, in UTC.
pub(crate) fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_seen() {
        let before = Held::by(std::process::id()).unwrap();
        assert!(before.rss_bytes > 100_000 && before.threads > 0);
        let files: Vec<_> = (0..32).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests open and close files meanwhile, few of them.
        assert!(Held::by(std::process::id()).unwrap().files >= before.files + 16);
        drop(files);
        assert!(Held::by(u32::MAX).is_err(), "nobody has that number");
    }
}
