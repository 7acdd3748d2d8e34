//! Whatever ends the program, its servers end with it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it is looked, and how long at the most.
const LOOK: Duration = Duration::from_millis(5);
const WAIT: Duration = Duration::from_secs(30);

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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

fn child_of(parent: u32) -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| stat(*pid).is_some_and(|(_, of)| of == parent))
}

fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}

fn started() -> (Child, u32) {
    let mut stress = Command::new(env!("CARGO_BIN_EXE_stress"));
    let stress = stress.args(["churn", "--seed", "1"]).stdout(Stdio::null()).spawn().expect("it starts");
    let server = eventually("it starts a server", || child_of(stress.id()));
    (stress, server)
}

#[test]
fn a_kill_leaves_no_server_behind() {
    let (mut stress, server) = started();
    stress.kill().unwrap();
    stress.wait().unwrap();
    eventually("the server goes too", || is_gone(server).then_some(()));
}

#[test]
fn an_interrupt_leaves_no_server_behind() {
    let (mut stress, server) = started();
    let kill = Command::new("kill").args(["-INT", &stress.id().to_string()]).status().unwrap();
    assert!(kill.success());
    stress.wait().unwrap();
    eventually("the server goes too", || is_gone(server).then_some(()));
}

#[test]
fn what_there_is_not_is_refused() {
    let refused = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stress")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = refused(&["no-such-scenario"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no scenario \"no-such-scenario\""), "{said}");
    assert_eq!(refused(&["churn", "--seeds", "0"]).0, Some(1));
}
