//! The showcase: `browser/showcase.mjs` says what it is put through. Screenshots are left in the target directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::driver::{Driver, Killed};

#[test]
fn the_showcase_draws_resumes_moves_echoes_and_says_a_restart_in_chromium() {
    let binary = build();
    let (mut showcase, url) = start(&binary, 0);
    let port =
        url.rsplit(':').next().and_then(|rest| rest.trim_end_matches('/').parse().ok()).expect("a port");

    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    let screenshots = screenshots.to_str().expect("the target directory's name is text");
    let mut driver = Driver::start("showcase.mjs", &[&url, screenshots]);
    let mut restarts = 0;
    for line in driver.output.by_ref().lines() {
        let line = line.expect("the driver speaks UTF-8");
        if line == "RESTART" {
            // Killed, not stopped: nobody is told.
            drop(showcase);
            wait_until_free(port);
            (showcase, _) = start(&binary, port);
            writeln!(driver.input).expect("the driver listens");
            restarts += 1;
        } else {
            writeln!(std::io::stderr(), "showcase.mjs: {line}").expect("there is a standard error");
        }
    }
    assert!(driver.succeeds(), "it says above what did not hold");
    assert_eq!(restarts, 1);
    drop(showcase);
}

/// Builds the showcase and returns its file.
fn build() -> String {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "realtime-examples", "--bin", "showcase"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the showcase builds");
    let messages = String::from_utf8_lossy(&built.stdout);
    let message = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    let mut files = messages
        .lines()
        .filter_map(message)
        .filter_map(|said| said["executable"].as_str().map(str::to_owned));
    files.next().expect("cargo says where it put the binary")
}

/// Starts it, and returns the URL that it prints.
fn start(binary: &str, port: u16) -> (Killed, String) {
    let mut command = Command::new(binary);
    command.env("PORT", port.to_string()).stdout(Stdio::piped());
    let mut showcase = Killed(command.spawn().expect("the showcase starts"));
    let stdout = showcase.0.stdout.take().expect("it is piped");
    let url = BufReader::new(stdout).lines().next().expect("the showcase prints its URL").expect("as text");
    (showcase, url)
}

/// The browser may hold the last connections open a moment longer.
fn wait_until_free(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
        assert!(Instant::now() < deadline, "port {port}: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
