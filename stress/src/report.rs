//! How a run is told: a table on the terminal, and the same as a dated entry in `tests/RESULTS.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::machine;
use crate::run::{Failure, Figures, Outcome, Run, Size};
use crate::scenario::Scenario;

/// What there is.
pub(crate) fn list(scenarios: &[Scenario]) -> String {
    let mut lines = String::new();
    for Scenario { name, proves, does, seeds_small, seeds_full, .. } in scenarios {
        let proves = proves.join(", ");
        let _ = writeln!(
            lines,
            "{name:<10} {proves:<12} {does} (--seeds {seeds_small} by default, {seeds_full} in full)"
        );
    }
    lines.trim_end().to_owned()
}

/// One run: where, when, with what, what came out, and the verdict.
pub(crate) fn entry(scenario: &Scenario, run: &Run, verdict: &Result<Figures, Failure>) -> String {
    let (name, seeds) = (scenario.name, run.seeds_given());
    let full = if run.size() == Size::Full { " --full" } else { "" };
    let mut text = format!(
        "## {}: {name} ({})\n\n- {}\n- `cargo xtask stress {name} --seed {} --seeds {seeds}{full}`, {:.1} s\n",
        machine::date(),
        scenario.proves.join(", "),
        machine::here(),
        run.seed(),
        run.took().as_secs_f64(),
    );
    match verdict {
        Ok(figures) => {
            text.push_str("\n| | |\n|---|---:|\n");
            for (name, value) in figures.iter() {
                let _ = writeln!(text, "| {name} | {value} |");
            }
            text.push_str("\n**Held.**\n");
        }
        Err(Failure { seed, what }) => {
            let _ = writeln!(
                text,
                "\n**Failed:** {what}\n\nAgain with `cargo xtask stress {name} --seed {seed}{full}`"
            );
        }
    }
    text
}

/// Appends an entry to the results that are kept.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn record(entry: &str) -> Outcome {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/RESULTS.md");
    let kept = fs::read_to_string(&file)?;
    fs::write(&file, format!("{}\n\n{entry}", kept.trim_end()))
        .map_err(|error| format!("{}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        let run = Run::new(5, 3, None);
        assert_eq!(run.seeds().count(), 3);
        let scenario = &scenario::ALL[0];
        let failed = entry(scenario, &run, &Err(Failure::of(6, "one was lost")));
        assert!(failed.contains("**Failed:** one was lost"), "{failed}");
        assert!(
            failed.contains(&format!("Again with `cargo xtask stress {} --seed 6`", scenario.name)),
            "{failed}"
        );
        let held = entry(scenario, &run, &Ok(Figures::default().with("events", 12)));
        assert!(held.contains("| events | 12 |") && held.contains("**Held.**"), "{held}");
        assert!(held.contains("--seed 5 --seeds 3`"), "{held}");
        let full = entry(scenario, &run.sized(Size::Full), &Ok(Figures::default()));
        assert!(full.contains("--seed 5 --seeds 3 --full`"), "{full}");
    }
}
