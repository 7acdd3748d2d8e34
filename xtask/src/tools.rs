//! What the tests need beside cargo: found, or installed, or named exactly.
//!
//! Only Debian as root is changed by this file, and only by what is missing; everywhere else the caller is told what to
//! install and how, all of it at once.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::{Outcome, place, stage};

/// Node below this does not run the browser driver.
const NODE_MAJOR_MIN: u32 = 20;

/// Packages that start services when they are installed, each with one of them.
const SERVICES: [(&str, &str); 4] =
    [("nginx", "nginx"), ("haproxy", "haproxy"), ("varnish", "varnish"), ("varnish", "varnishncsa")];

/// The programs that the tests are handed by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) node: PathBuf,
    pub(crate) npm: PathBuf,
    pub(crate) chromium: PathBuf,
    pub(crate) curl: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) varnishd: PathBuf,
}

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    what: String,
    /// How to get it, as a command or a sentence.
    how: String,
    install: Install,
}

/// Who brings it, where we may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Install {
    Debian(&'static str),
    Rustup(&'static str),
}

/// Finds the tools, and first installs what is missing where that is ours to do.
///
/// # Errors
/// Names everything that is still missing, one a line, with the way to get it.
pub(crate) fn find_or_install() -> Outcome<Tools> {
    let missing = match find() {
        Ok(tools) => return Ok(tools),
        Err(missing) => missing,
    };
    if debian_root() {
        install(&missing)?;
        return find().map_err(|missing| report(&missing).into());
    }
    Err(report(&missing).into())
}

/// Finds what counts instructions and system calls, and first installs what is missing where that is ours to do.
///
/// # Errors
/// As [`find_or_install`].
pub(crate) fn find_or_install_counters() -> Outcome {
    let missing = missing_counters();
    if missing.is_empty() {
        return Ok(());
    }
    if debian_root() {
        install(&missing)?;
    }
    let missing = missing_counters();
    if missing.is_empty() { Ok(()) } else { Err(report(&missing).into()) }
}

fn missing_counters() -> Vec<Missing> {
    let absent = ["valgrind", "strace"].into_iter().filter(|name| place::program(&[name]).is_none());
    absent
        .map(|name| Missing { what: name.into(), how: how(name, name), install: Install::Debian(name) })
        .collect()
}

/// The way to a program that Debian has.
fn how(debian: &str, name: &str) -> String {
    format!("Debian: apt-get install {debian}; elsewhere put `{name}` on the PATH")
}

fn find() -> Result<Tools, Vec<Missing>> {
    let mut missing = Vec::new();
    for (name, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if first_line(Command::new("cargo").args([name, "--version"])).is_none() {
            missing.push(Missing {
                what: format!("{component} (a component of the Rust toolchain)"),
                how: format!("rustup component add {component}"),
                install: Install::Rustup(component),
            });
        }
    }
    let mut seek = |names: &[&str], debian: &'static str, what: &str| {
        let file = place::program(names);
        if file.is_none() {
            let how = how(debian, names[0]);
            missing.push(Missing { what: what.into(), how, install: Install::Debian(debian) });
        }
        file.unwrap_or_default()
    };
    let node = seek(&["node", "nodejs"], "nodejs", &format!("Node.js {NODE_MAJOR_MIN} or newer"));
    let npm = seek(&["npm"], "npm", "npm, Node's package manager");
    let chromium = match env::var_os("REALTIME_CHROMIUM") {
        Some(file) if !file.is_empty() => file.into(),
        _ => seek(
            &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
            "chromium",
            "Chromium (or name its file in REALTIME_CHROMIUM)",
        ),
    };
    let curl = seek(&["curl"], "curl", "curl");
    let nginx = seek(&["nginx"], "nginx", "nginx");
    let haproxy = seek(&["haproxy"], "haproxy", "haproxy");
    let varnishd = seek(&["varnishd"], "varnish", "Varnish");
    if !node.as_os_str().is_empty() {
        missing.extend(too_old(first_line(Command::new(&node).arg("--version")).as_deref()));
    }
    if missing.is_empty() {
        Ok(Tools { node, npm, chromium, curl, nginx, haproxy, varnishd })
    } else {
        Err(missing)
    }
}

/// Judges what `node --version` said: `v20.20.2`.
fn too_old(version: Option<&str>) -> Option<Missing> {
    let said = version.unwrap_or("nothing");
    let major = said.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MAJOR_MIN) {
        return None;
    }
    Some(Missing {
        what: format!("Node.js {NODE_MAJOR_MIN} or newer (`node --version` says {said})"),
        how: "Debian 13 has it as nodejs; Debian 12 is too old: take it from nodejs.org".into(),
        install: Install::Debian("nodejs"),
    })
}

fn install(missing: &[Missing]) -> Outcome {
    let of = |pick: fn(&Install) -> Option<&'static str>| {
        let mut names: Vec<_> = missing.iter().filter_map(|missing| pick(&missing.install)).collect();
        names.dedup();
        names
    };
    let components = of(|install| if let Install::Rustup(name) = install { Some(*name) } else { None });
    if !components.is_empty() && place::program(&["rustup"]).is_some() {
        stage::run(Command::new("rustup").args(["component", "add"]).args(components))?;
    }
    let packages = of(|install| if let Install::Debian(name) = install { Some(*name) } else { None });
    if !packages.is_empty() {
        let apt = |args: &[&str]| {
            stage::run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update"])?;
        apt(&[&["install", "-y", "--no-install-recommends"], &packages[..]].concat())?;
        let ours = SERVICES.iter().filter(|(package, _)| packages.contains(package));
        let services: Vec<_> = ours.map(|(_, service)| *service).collect();
        stop(&services);
    }
    Ok(())
}

/// The tests start programs of their own; a service that came with a package is not left to serve this machine.
fn stop(services: &[&str]) {
    if services.is_empty() || place::program(&["systemctl"]).is_none() {
        return;
    }
    let mut disable = Command::new("systemctl");
    if let Err(error) = stage::run(disable.args(["disable", "--now"]).args(services)) {
        println!("  note: {error}; where no systemd runs there is nothing to stop");
    }
}

fn report(missing: &[Missing]) -> String {
    let lines = missing.iter().map(|missing| format!("\n  - {}\n      {}", missing.what, missing.how));
    format!("the tests need what is not here:{}", lines.collect::<String>())
}

/// Whether this is Debian itself (a derivative may name its packages otherwise) and we may install.
fn debian_root() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_debian(&release) && first_line(Command::new("id").arg("-u")).as_deref() == Some("0")
}

fn is_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| matches!(line.trim(), "ID=debian" | "ID=\"debian\""))
}

/// The first line that a command prints, if it succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_judged_by_its_major_version() {
        for (version, enough) in [
            (Some("v20.0.0"), true),
            (Some("v24.1.0"), true),
            (Some("v19.9.9"), false),
            (Some("v18.20.4"), false),
            (Some("20.0.0"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(too_old(version).is_none(), enough, "{version:?}");
        }
    }

    #[test]
    fn only_debian_itself_is_ours_to_change() {
        assert!(is_debian("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"));
        assert!(!is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn a_report_names_each_thing_and_the_way_to_it() {
        let node = too_old(Some("v18.20.4")).unwrap();
        let curl = Missing { what: "curl".into(), how: "get it".into(), install: Install::Debian("curl") };
        let report = report(&[node, curl]);
        assert!(report.contains("Node.js 20 or newer (`node --version` says v18.20.4)"), "{report}");
        assert!(report.ends_with("\n  - curl\n      get it"), "{report}");
    }

    #[test]
    fn a_command_that_fails_says_nothing() {
        assert!(first_line(Command::new("cargo").arg("--version")).unwrap().starts_with("cargo "));
        assert_eq!(first_line(Command::new("cargo").arg("no-such-command")), None);
        assert_eq!(first_line(&mut Command::new("no-such-program")), None);
    }
}
