//! How a script in `browser/` is run, and what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use realtime_tests::rules::{case, twin};

/// A child that does not outlive the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A script on its way.
pub(crate) struct Driver {
    child: Killed,
    /// What it is told.
    pub(crate) input: ChildStdin,
    /// What it says.
    pub(crate) output: BufReader<ChildStdout>,
}

impl Driver {
    /// Starts a script with its arguments.
    pub(crate) fn start(script: &str, args: &[&str]) -> Self {
        let (node, chromium) = (tool("REALTIME_NODE"), tool("REALTIME_CHROMIUM"));
        let folder = folder();
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "{} has no playwright-core: run `npm ci` there, or `cargo xtask test`, which does",
            folder.display()
        );
        let child = Command::new(node)
            .arg(script)
            .args(args)
            .env("REALTIME_CHROMIUM", chromium)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = Killed(child.expect("node starts"));
        let input = child.0.stdin.take().expect("it is piped");
        let output = BufReader::new(child.0.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    /// Whether it ended well, once it has said all.
    pub(crate) fn succeeds(mut self) -> bool {
        drop(self.input);
        self.child.0.wait().expect("the driver ends").success()
    }
}

/// Runs a script to its end, and writes down the rules that it proved: its lines `case ID what` and `twin ID what`,
/// the parts divided by tabs. All else that it says is passed on.
pub(crate) fn drive(script: &str, args: &[&str]) {
    let mut driver = Driver::start(script, args);
    let mut proved: Vec<(bool, String, String)> = Vec::new();
    for line in driver.output.by_ref().lines() {
        let line = line.expect("the driver speaks UTF-8");
        match line.split('\t').collect::<Vec<_>>()[..] {
            [kind @ ("case" | "twin"), id, what] => {
                proved.push((kind == "case", id.to_owned(), what.to_owned()))
            }
            _ => writeln!(std::io::stderr(), "{script}: {line}").expect("there is a standard error"),
        }
    }
    let holds = driver.succeeds();
    assert!(holds, "{script} says above what did not hold");
    assert!(!proved.is_empty(), "{script} proved nothing");
    for (is_case, id, what) in proved {
        let prove = if is_case { case } else { twin };
        prove(&id, &what, || assert!(holds));
    }
}

/// Where the scripts are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

fn tool(name: &str) -> String {
    std::env::var(name).ok().filter(|file| !file.is_empty()).unwrap_or_else(|| {
        panic!("{name} is not set: `cargo xtask test` finds or installs what this test needs, and sets it")
    })
}
