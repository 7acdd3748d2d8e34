//! The showcase in a real browser: `browser/showcase.mjs` says what it is put through.
//!
//! It needs Node, playwright-core and Chromium, which `cargo xtask test` finds or installs and names in the
//! environment; without them it fails. Screenshots are left in the target directory.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_showcase_draws_resumes_moves_echoes_and_says_a_restart_in_chromium() {
    let (node, chromium) = (tool("REALTIME_NODE"), tool("REALTIME_CHROMIUM"));
    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        browser.join("node_modules/playwright-core").is_dir(),
        "{} has no playwright-core: run `npm ci` there, or `cargo xtask test`, which does",
        browser.display()
    );
    let binary = build();
    let (mut showcase, url) = start(&binary, 0);
    let port =
        url.rsplit(':').next().and_then(|rest| rest.trim_end_matches('/').parse().ok()).expect("a port");

    let mut driver = Killed(
        Command::new(node)
            .arg("showcase.mjs")
            .arg(&url)
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"))
            .env("REALTIME_CHROMIUM", chromium)
            .current_dir(browser)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts"),
    );
    let mut to_driver = driver.0.stdin.take().expect("it is piped");
    let said = BufReader::new(driver.0.stdout.take().expect("it is piped"));
    let mut restarts = 0;
    for line in said.lines() {
        let line = line.expect("the driver speaks UTF-8");
        if line == "RESTART" {
            // Killed, not stopped: nobody is told.
            drop(showcase);
            wait_until_free(port);
            (showcase, _) = start(&binary, port);
            writeln!(to_driver).expect("the driver listens");
            restarts += 1;
        }
    }
    assert!(driver.0.wait().expect("the driver ends").success(), "it says above what did not hold");
    assert_eq!(restarts, 1);
    drop(showcase);
}

fn tool(name: &str) -> String {
    std::env::var(name).ok().filter(|file| !file.is_empty()).unwrap_or_else(|| {
        panic!("{name} is not set: `cargo xtask test` finds or installs what this test needs, and sets it")
    })
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
