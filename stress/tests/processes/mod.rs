//! Processes as the system sees them, and waiting for what becomes of them.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it is looked, and how long at the most.
const LOOK: Duration = Duration::from_millis(5);
const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < WAIT, "not within {WAIT:?}: {what}");
        sleep(LOOK);
    }
}

/// State and parent of a process, if it is there. The name before them stands in brackets and may hold anything.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether it has ended, waited for or not.
pub(crate) fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}
