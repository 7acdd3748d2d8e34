//! `tests/RESULTS.md`: what the long runs found, each entry with its date and machine.

use std::process::Command;
use std::{fs, thread};

use crate::{Outcome, place};

const TITLE: &str = "# Results\n\nWhat the long runs found, newest first.\n";

/// Puts an entry at the top of a section, and makes the section where there is none.
pub(crate) fn record(section: &str, entry: &str) -> Outcome {
    let file = place::root().join("tests/RESULTS.md");
    let text = fs::read_to_string(&file).unwrap_or_else(|_| TITLE.to_owned());
    let entry = format!("### {}\n\n{}\n\n{}\n", said("date", &["+%Y-%m-%d"]), machine(), entry.trim_end());
    fs::write(&file, inserted(&text, section, &entry))?;
    println!("recorded in {}", file.display());
    Ok(())
}

fn inserted(text: &str, section: &str, entry: &str) -> String {
    let heading = format!("## {section}\n");
    let start = if text.starts_with(&heading) {
        Some(0)
    } else {
        text.find(&format!("\n{heading}")).map(|at| at + 1)
    };
    match start.map(|at| at + heading.len()) {
        Some(at) => format!("{}\n{entry}{}", &text[..at], &text[at..]),
        None => format!("{}\n\n{heading}\n{entry}", text.trim_end()),
    }
}

/// CPU model, cores and kernel.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, it)| it));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, {}", model.unwrap_or("an unnamed CPU"), said("uname", &["-sr"]))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "unknown".into(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stands_first_in_its_section() {
        let first = inserted("# Results\n", "A", "one\n");
        assert_eq!(first, "# Results\n\n## A\n\none\n");
        assert_eq!(inserted(&first, "A", "two\n"), "# Results\n\n## A\n\ntwo\n\none\n");
        let second = inserted(&first, "B", "three\n");
        assert_eq!(second, "# Results\n\n## A\n\none\n\n## B\n\nthree\n");
        assert_eq!(inserted(&second, "A", "two\n"), "# Results\n\n## A\n\ntwo\n\none\n\n## B\n\nthree\n");
    }
}
