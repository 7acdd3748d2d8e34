//! Which rules of docs/rules.md the run has proved.
//!
//! ```text
//! case("P-WS-02", "a key of 15 octets", || refuses(..))   a case: the rule was put to the test
//! twin("P-WS-02", "a key of 16 octets", || accepts(..))   its twin: nearly the same input, good, and accepted
//! ```
//!
//! The body runs first; only when it has returned is the case recorded, so a failing assertion leaves none behind. Records
//! go to `$REALTIME_RULES_DIR`, where `cargo xtask test` reads them; without the variable nothing is written and the body runs
//! all the same.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The rules as the project states them.
const DOCUMENT: &str = include_str!("../../docs/rules.md");

/// Proves a rule by a body that panics if it does not hold.
///
/// # Panics
/// Where the body does; on an id that docs/rules.md does not have; if the record cannot be written.
///
/// # Examples
/// ```no_run
/// # fn answer(_: &str) -> u16 { 400 }
/// use realtime_tests::rules::{case, twin};
///
/// case("P-WS-02", "a key of 15 octets", || assert_eq!(answer("AAAAAAAAAAAAAAAAAAAA"), 400));
/// twin("P-WS-02", "a key of 16 octets", || assert_eq!(answer("AAAAAAAAAAAAAAAAAAAAAA=="), 101));
/// ```
pub fn case(id: &str, what: &str, body: impl FnOnce()) {
    check(id, what);
    body();
    record("case", id, what);
}

/// Proves that the good twin of what a rule refuses passes.
///
/// # Panics
/// As [`case`].
pub fn twin(id: &str, what: &str, body: impl FnOnce()) {
    check(id, what);
    body();
    record("twin", id, what);
}

/// [`case`] for a body that awaits.
///
/// # Panics
/// As [`case`].
///
/// # Cancel safety
/// Dropped before it is done, it records nothing.
pub async fn case_async(id: &str, what: &str, body: impl Future<Output = ()>) {
    check(id, what);
    body.await;
    record("case", id, what);
}

/// [`twin`] for a body that awaits.
///
/// # Panics
/// As [`case`].
///
/// # Cancel safety
/// Dropped before it is done, it records nothing.
pub async fn twin_async(id: &str, what: &str, body: impl Future<Output = ()>) {
    check(id, what);
    body.await;
    record("twin", id, what);
}

/// Refuses what the table could not show.
fn check(id: &str, what: &str) {
    let row = format!("| {id} |");
    assert!(DOCUMENT.lines().any(|line| line.starts_with(&row)), "docs/rules.md has no rule {id}");
    assert!(!what.is_empty() && !what.contains(char::is_control), "{id}: {what:?} is no line");
}

fn record(kind: &str, id: &str, what: &str) {
    if let Some(dir) = env::var_os("REALTIME_RULES_DIR").filter(|dir| !dir.is_empty()) {
        append(Path::new(&dir), kind, id, what);
    }
}

/// One line, in one write at the end of a file that only this process has: lines of several threads do not mix.
fn append(dir: &Path, kind: &str, id: &str, what: &str) {
    let path = dir.join(format!("{}.tsv", std::process::id()));
    let line = format!("{kind}\t{id}\t{what}\n");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::{fs, thread};

    use super::*;

    /// What a panicking call says.
    fn panics(call: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        payload.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn an_unknown_rule_is_refused_before_its_body_runs() {
        let mut ran = false;
        let said = panics(|| case("P-XX-01", "no such rule", || ran = true));
        assert_eq!((said.as_str(), ran), ("docs/rules.md has no rule P-XX-01", false));
        assert_eq!(panics(|| twin("P-WS", "half an id", || ())), "docs/rules.md has no rule P-WS");
    }

    #[test]
    fn a_case_is_named_in_one_line() {
        assert_eq!(panics(|| case("P-WS-02", "two\nlines", || ())), "P-WS-02: \"two\\nlines\" is no line");
        assert_eq!(panics(|| case("P-WS-02", "", || ())), "P-WS-02: \"\" is no line");
    }

    /// A body that fails takes its record with it: `record` stands after it and is never reached.
    #[test]
    fn a_failing_body_fails_the_test() {
        let said = panics(|| case("P-WS-02", "a body that fails", || panic!("{}", "not so")));
        assert_eq!(said, "not so");
    }

    #[test]
    fn lines_of_several_threads_stand_whole_in_one_file() {
        let dir = env::temp_dir().join(format!("realtime-rules-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        thread::scope(|scope| {
            for n in 0..4 {
                let dir = &dir;
                scope
                    .spawn(move || (0..50).for_each(|m| append(dir, "case", "P-WS-02", &format!("{n}.{m}"))));
            }
        });
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
        let text = fs::read_to_string(&files[0]).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((files.len(), text.lines().count()), (1, 200));
        assert!(text.lines().all(|line| line.starts_with("case\tP-WS-02\t")), "{text}");
    }

    #[test]
    #[should_panic(expected = "/no/such/place/")]
    fn a_record_that_cannot_be_written_fails_the_test() {
        append(Path::new("/no/such/place"), "case", "P-WS-02", "x");
    }
}
