//! The showcase in a real browser: see `browser/showcase.mjs` for what it is put through.
//!
//! It needs Node, playwright-core and Chromium, which `cargo xtask test` finds or installs, and fails without them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_showcase_draws_resumes_moves_and_echoes_in_chromium() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "realtime-examples",
            "--bin",
            "showcase",
            "--message-format",
            "json",
        ])
        .current_dir(here.join(".."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the showcase builds");
    let messages = String::from_utf8_lossy(&built.stdout);
    let binary = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .expect("cargo says where it put the binary");
    let mut showcase = Killed(
        Command::new(binary).env("PORT", "0").stdout(Stdio::piped()).spawn().expect("the showcase starts"),
    );
    let stdout = showcase.0.stdout.take().expect("it is piped");
    let url = BufReader::new(stdout).lines().next().expect("the showcase prints its URL").expect("as text");

    let node = std::env::var("REALTIME_NODE").unwrap_or_else(|_| "node".into());
    let driven = Command::new(&node)
        .arg("showcase.mjs")
        .arg(&url)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"))
        .current_dir(here.join("browser"))
        .output()
        .unwrap_or_else(|error| panic!("{node}: {error}; cargo xtask test installs what this needs"));
    assert!(
        driven.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&driven.stdout),
        String::from_utf8_lossy(&driven.stderr)
    );
}
