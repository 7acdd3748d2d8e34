//! `cargo xtask autobahn`: the Autobahn test suite against our echo, over HTTP/1.1 and, through a bridge, over HTTP/2.
//!
//! The suite is Python 2.7's, which nobody installs in passing: this names what is missing and changes nothing but the
//! target directory. What of it must always hold stands in `tests/tests/rules/ws_*.rs`, which every test run goes through.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs};

use serde::Deserialize;
use serde_json::json;

use crate::{Outcome, place, results, stage};

const SUITE: &str = "autobahntestsuite==25.10.1";

/// All there are: 12 and 13 are permessage-deflate's.
const CASES: [&str; 11] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"];
const CASES_COUNT: usize = 517;

/// The cases that judge nothing: what a peer does with data behind a Close, and codes above 4999.
const INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

const AGENTS: [&str; 2] = ["HTTP/1.1", "HTTP/2"];

pub(crate) fn run() -> ExitCode {
    match all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask autobahn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Outcome {
    let is_recorded = match env::args().skip(2).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--record" => true,
        _ => return Err("usage: cargo xtask autobahn [--record]".into()),
    };
    let python = python()?;
    let place = place::target().join("autobahn");
    let site = install(&python, &place)?;
    let example = ["build", "--release", "-p", "realtime-tests", "--example", "autobahn"];
    stage::run(Command::new("cargo").args(example))?;
    let echo = Echo::start(&place::target().join("release/examples/autobahn"))?;
    let (spec, reports) = (place.join("spec.json"), place.join("reports"));
    fs::write(&spec, echo.spec(&reports).to_string())?;
    let mut suite = Command::new(&python);
    suite.arg(site.join("bin/wstest")).args(["--mode", "fuzzingclient", "--spec"]).arg(&spec);
    stage::run(suite.env("PYTHONPATH", &site).current_dir(&place))?;
    drop(echo);

    let index = fs::read(reports.join("index.json"))?;
    let verdict = judge(&serde_json::from_slice(&index)?);
    print!("\n{}", verdict.lines);
    println!("reports: {}", reports.join("index.html").display());
    if is_recorded {
        let command = format!("`cargo xtask autobahn`, {SUITE}");
        let held = if verdict.is_good { results::Verdict::Held } else { results::Verdict::Broken };
        results::record("autobahn (G-07)", &command, &verdict.lines, held)?;
    }
    if verdict.is_good { Ok(()) } else { Err("not all of it holds; see above".into()) }
}

/// A Python of 2.7.
fn python() -> Outcome<PathBuf> {
    let named = env::var_os("REALTIME_PYTHON2").filter(|file| !file.is_empty()).map(PathBuf::from);
    let found = named.into_iter().chain(place::program(&["python2.7"])).chain(place::program(&["python2"]));
    for python in found {
        let output = Command::new(&python).args(["-m", "pip", "--version"]).output();
        if output.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("python 2.7")) {
            return Ok(python);
        }
    }
    Err("the suite needs a Python 2.7 with pip: `python2.7` on the PATH, or its file named in REALTIME_PYTHON2 \
         (pyenv builds one: `pyenv install 2.7.18`)"
        .into())
}

/// Puts the suite into the target directory, once.
fn install(python: &Path, place: &Path) -> Outcome<PathBuf> {
    let site = place.join("site");
    let done = site.join("zope/__init__.py");
    if !done.is_file() {
        let _ = fs::remove_dir_all(&site);
        stage::run(Command::new(python).args(["-m", "pip", "install", "--target"]).arg(&site).arg(SUITE))?;
        // A namespace package is none without its parent's file where it is not installed for all.
        fs::write(&done, "")?;
    }
    Ok(site)
}

/// The running echo; it ends with its standard input.
struct Echo {
    child: Child,
    urls: BTreeMap<String, String>,
}

impl Echo {
    fn start(program: &Path) -> Outcome<Self> {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().ok_or("its output is piped")?;
        let mut urls = BTreeMap::new();
        for line in BufReader::new(said).lines().take(AGENTS.len()) {
            if let Some((agent, url)) = line?.split_once(' ') {
                urls.insert(agent.to_owned(), url.to_owned());
            }
        }
        Ok(Self { child, urls })
    }

    fn spec(&self, reports: &Path) -> serde_json::Value {
        let servers: Vec<_> =
            self.urls.iter().map(|(agent, url)| json!({ "agent": agent, "url": url })).collect();
        json!({
            "outdir": reports, "servers": servers, "cases": CASES,
            "exclude-cases": [], "exclude-agent-cases": {},
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What the suite says of one case.
#[derive(Debug, Deserialize)]
struct Case {
    behavior: String,
    #[serde(rename = "behaviorClose")]
    behavior_close: String,
}

struct Verdict {
    lines: String,
    is_good: bool,
}

/// Everything is OK but what judges nothing; a case that did not run is a failure.
fn judge(index: &BTreeMap<String, BTreeMap<String, Case>>) -> Verdict {
    let mut verdict = Verdict { lines: String::new(), is_good: true };
    for agent in AGENTS {
        let none = BTreeMap::new();
        let cases = index.get(agent).unwrap_or(&none);
        let bad: Vec<_> = cases.iter().filter(|(id, case)| !case.is_good(id)).collect();
        let informational = cases.values().filter(|case| case.behavior == "INFORMATIONAL").count();
        let good = cases.len() - bad.len() - informational;
        verdict.is_good &= bad.is_empty() && cases.len() == CASES_COUNT;
        verdict.lines += &format!(
            "- {agent}: {} of {CASES_COUNT} cases ran: {good} OK, {informational} informational, {} not\n",
            cases.len(),
            bad.len()
        );
        for (id, case) in bad {
            verdict.lines += &format!("  - {id}: {}, its close {}\n", case.behavior, case.behavior_close);
        }
    }
    verdict
}

impl Case {
    fn is_good(&self, id: &str) -> bool {
        [&self.behavior, &self.behavior_close]
            .iter()
            .all(|said| *said == "OK" || (*said == "INFORMATIONAL" && INFORMATIONAL.contains(&id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(behavior: &str, close: &str) -> Case {
        Case { behavior: behavior.into(), behavior_close: close.into() }
    }

    #[test]
    fn only_what_is_named_may_be_informational_and_nothing_may_be_lax() {
        for (id, behavior, close, is_good) in [
            ("1.1.1", "OK", "OK", true),
            ("7.1.6", "INFORMATIONAL", "INFORMATIONAL", true),
            ("1.1.1", "INFORMATIONAL", "OK", false),
            ("3.2", "NON-STRICT", "OK", false),
            ("12.1.1", "UNIMPLEMENTED", "OK", false),
            ("2.10", "FAILED", "OK", false),
            ("9.1.1", "OK", "FAILED", false),
        ] {
            assert_eq!(of(behavior, close).is_good(id), is_good, "{id} {behavior} {close}");
        }
    }

    #[test]
    fn a_suite_that_did_not_run_through_has_not_passed() {
        let cases = |count: usize| (0..count).map(|n| (format!("1.{n}"), of("OK", "OK"))).collect();
        let both = |count| AGENTS.map(|agent| (agent.to_owned(), cases(count))).into();
        assert!(judge(&both(CASES_COUNT)).is_good);
        assert!(!judge(&both(CASES_COUNT - 1)).is_good);
        assert!(!judge(&BTreeMap::new()).is_good);
        assert!(!judge(&[(AGENTS[0].to_owned(), cases(CASES_COUNT))].into()).is_good);
    }
}
