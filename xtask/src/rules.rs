//! The table of rules: what docs/rules.md demands against the cases that ran.
//!
//! docs/rules.md is read by its table rows alone, `| id | proof | rule |` and whatever follows. The proof is one of
//!
//! ```text
//! case            a case must have run
//! case, twin      and the good twin of what is refused
//! later: reason   not applicable yet, and why
//! -               proved by a suite of its own, whose command the row names; of a figure (G): by what its last cell says
//! ```
//!
//! A run leaves files of `case<TAB>id<TAB>what` and `twin<TAB>id<TAB>what` lines, written by `realtime_tests::rules` once the
//! assertions passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fmt, fs};

use crate::Outcome;

/// One row of docs/rules.md.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    id: String,
    proof: Proof,
    /// What the table shows of the rule.
    title: String,
}

/// Where the proof of a rule is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// In a case that ran.
    Case,
    /// In a case that was refused, and its twin that passed.
    CaseAndTwin,
    /// Nowhere yet, for this reason.
    Later(String),
    /// In a suite of its own, which this run says nothing of.
    Suite,
}

/// What a run says of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Proved,
    Lacking,
    Later,
    BySuite,
}

/// The distinct cases and twins that ran, by rule.
#[derive(Debug, Default)]
struct Ran {
    cases: BTreeMap<String, BTreeSet<String>>,
    twins: BTreeMap<String, BTreeSet<String>>,
}

/// Prints the table and fails if a rule lacks its case or its twin, and does not say why.
///
/// # Errors
/// A row or a record that cannot be read, a record of an unknown rule, a rule without proof, a proof of a rule that is said to
/// come later.
pub(crate) fn hold(document: &Path, records: &Path) -> Outcome {
    let text = fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    let rules = parse(&text)?;
    let mut ran = Ran::default();
    for file in fs::read_dir(records)? {
        ran.read(&fs::read_to_string(file?.path())?, &rules)?;
    }
    print!("{}", Table { rules: &rules, ran: &ran });
    let lacking = ran.lacking(&rules);
    if lacking.is_empty() { Ok(()) } else { Err(lacking.join("; ").into()) }
}

fn parse(text: &str) -> Outcome<Vec<Rule>> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let Some(id) = cells.next().filter(|cell| is_id(cell)) else { continue };
        let (Some(proof), Some(says)) = (cells.next(), cells.next()) else {
            return Err(format!("{id}: a row is `| id | proof | rule |`").into());
        };
        if rules.iter().any(|rule| rule.id == id) {
            return Err(format!("{id} stands there twice").into());
        }
        let proof = Proof::parse(proof).ok_or_else(|| format!("{id}: `{proof}` is no proof"))?;
        if proof == Proof::Suite && !is_figure(id) && !line.contains("`cargo ") {
            return Err(format!("{id}: `-` is for a suite, and the row has to name its command").into());
        }
        rules.push(Rule { id: id.to_owned(), proof, title: title(says) });
    }
    if rules.is_empty() { Err("no rule found".into()) } else { Ok(rules) }
}

/// A figure is shown by what its last cell says; a case may prove it all the same.
fn is_figure(id: &str) -> bool {
    id.starts_with("G-")
}

/// What a rule's cell has in bold at its head, else its first sentence.
fn title(says: &str) -> String {
    let bold = says.strip_prefix("**").and_then(|rest| rest.split_once("**"));
    let lead = bold.map_or_else(|| says.split(". ").next().unwrap_or_default(), |(lead, _)| lead);
    lead.trim_end_matches('.').to_owned()
}

/// `P-WS-01` or `D-01`: capitals between dashes, then two digits.
fn is_id(cell: &str) -> bool {
    let Some((letters, digits)) = cell.rsplit_once('-') else { return false };
    let capitals =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    letters.split('-').all(capitals) && digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())
}

impl Proof {
    fn parse(cell: &str) -> Option<Self> {
        match cell {
            "case" => Some(Self::Case),
            "case, twin" => Some(Self::CaseAndTwin),
            "-" => Some(Self::Suite),
            other => {
                let reason = other.strip_prefix("later: ")?.trim();
                (!reason.is_empty()).then(|| Self::Later(reason.to_owned()))
            }
        }
    }
}

impl Ran {
    fn read(&mut self, records: &str, rules: &[Rule]) -> Outcome {
        for line in records.lines() {
            let mut parts = line.splitn(3, '\t');
            let (Some(kind), Some(id), Some(what)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(format!("`{line}` is no record").into());
            };
            if !rules.iter().any(|rule| rule.id == id) {
                return Err(format!("`{line}` is of a rule that docs/rules.md does not have").into());
            }
            let by_rule = match kind {
                "case" => &mut self.cases,
                "twin" => &mut self.twins,
                _ => return Err(format!("`{line}` is no record").into()),
            };
            by_rule.entry(id.to_owned()).or_default().insert(what.to_owned());
        }
        Ok(())
    }

    fn cases(&self, rule: &Rule) -> usize {
        self.cases.get(&rule.id).map_or(0, BTreeSet::len)
    }

    fn twins(&self, rule: &Rule) -> usize {
        self.twins.get(&rule.id).map_or(0, BTreeSet::len)
    }

    fn verdict(&self, rule: &Rule) -> Verdict {
        let (has_case, has_twin) = (self.cases(rule) > 0, self.twins(rule) > 0);
        match rule.proof {
            Proof::Case if has_case => Verdict::Proved,
            Proof::CaseAndTwin if has_case && has_twin => Verdict::Proved,
            Proof::Case | Proof::CaseAndTwin => Verdict::Lacking,
            // What is proved is no longer for later.
            Proof::Later(_) if has_case || has_twin => Verdict::Lacking,
            Proof::Later(_) => Verdict::Later,
            Proof::Suite => Verdict::BySuite,
        }
    }

    fn lacking(&self, rules: &[Rule]) -> Vec<String> {
        rules
            .iter()
            .filter(|rule| self.verdict(rule) == Verdict::Lacking)
            .map(|rule| self.lack(rule))
            .collect()
    }

    fn lack(&self, rule: &Rule) -> String {
        let what = match rule.proof {
            Proof::Later(_) => "has a case, and is said to come later",
            _ if self.cases(rule) == 0 => "has no case",
            _ => "has no twin that passes",
        };
        format!("{} {what}", rule.id)
    }
}

/// Every rule with what ran of it, and figures where a case is to prove them.
struct Table<'a> {
    rules: &'a [Rule],
    ran: &'a Ran,
}

impl Table<'_> {
    fn rows(&self) -> impl Iterator<Item = (&Rule, Verdict)> {
        let is_shown = |rule: &&Rule| !(rule.proof == Proof::Suite && is_figure(&rule.id));
        self.rules.iter().filter(is_shown).map(|rule| (rule, self.ran.verdict(rule)))
    }

    fn count(&self, of: Verdict) -> usize {
        self.rows().filter(|(_, verdict)| *verdict == of).count()
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<8} {:>5} {:>5} {:<7}  says", "rule", "cases", "twins", "is")?;
        for (rule, verdict) in self.rows() {
            let (cases, twins) = (self.ran.cases(rule), self.ran.twins(rule));
            let (id, title) = (&rule.id, &rule.title);
            write!(f, "{id:<8} {cases:>5} {twins:>5} {:<7}  {title}", verdict.word())?;
            match &rule.proof {
                Proof::Later(reason) => writeln!(f, " ({reason})")?,
                _ => writeln!(f)?,
            }
        }
        let [proved, lacking, later, suite] =
            [Verdict::Proved, Verdict::Lacking, Verdict::Later, Verdict::BySuite].map(|of| self.count(of));
        writeln!(
            f,
            "{} rules: {proved} proved, {lacking} lacking, {later} later, {suite} by a suite",
            self.rows().count()
        )
    }
}

impl Verdict {
    /// As the table has it.
    fn word(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Lacking => "LACKING",
            Self::Later => "later",
            Self::BySuite => "suite",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Rules
| id | proof | rule |
|---|---|---|
| P-XX-01 | case, twin | **Refuses rubbish.** Section 1: a `b. c`. |
| P-XX-02 | later: nobody asks yet | **Answers.** |
| D-03 | case | Order |
| A-05 | - | **Much.** | `cargo xtask stress much` | passes |
| G-04 | - | a figure | a test |
| not a rule | case | x |
";

    fn ran(records: &str) -> Outcome<Ran> {
        let mut ran = Ran::default();
        ran.read(records, &parse(DOCUMENT)?)?;
        Ok(ran)
    }

    #[test]
    fn rows_are_read_and_nothing_else_is() {
        let rules = parse(DOCUMENT).unwrap();
        let seen: Vec<_> =
            rules.iter().map(|rule| (rule.id.as_str(), rule.proof.clone(), rule.title.as_str())).collect();
        let expected = [
            ("P-XX-01", Proof::CaseAndTwin, "Refuses rubbish"),
            ("P-XX-02", Proof::Later("nobody asks yet".into()), "Answers"),
            ("D-03", Proof::Case, "Order"),
            ("A-05", Proof::Suite, "Much"),
            ("G-04", Proof::Suite, "a figure"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_row_that_cannot_be_meant_is_refused() {
        for (row, says) in [
            ("| D-01 | case", "D-01: a row is `| id | proof | rule |`"),
            ("| D-01 | cases | x |", "D-01: `cases` is no proof"),
            ("| D-01 | case, held | x |", "D-01: `case, held` is no proof"),
            ("| D-01 | twin | x |", "D-01: `twin` is no proof"),
            ("| D-01 |  | x |", "D-01: `` is no proof"),
            ("| D-01 | later | x |", "D-01: `later` is no proof"),
            ("| D-01 | later: | x |", "D-01: `later:` is no proof"),
            ("| D-01 | - | x | y |", "D-01: `-` is for a suite, and the row has to name its command"),
            ("| D-01 | case | x |\n| D-01 | case | y |", "D-01 stands there twice"),
            ("no table", "no rule found"),
        ] {
            assert_eq!(parse(row).unwrap_err().to_string(), says, "{row}");
        }
    }

    #[test]
    fn an_id_is_capitals_and_two_digits() {
        for (cell, yes) in [
            ("P-WS-01", true),
            ("P-H2-06", true),
            ("D-16", true),
            ("id", false),
            ("D-1", false),
            ("D-001", false),
            ("-01", false),
            ("d-01", false),
            ("---", false),
            ("RUSTSEC-2023-0065", false),
        ] {
            assert_eq!(is_id(cell), yes, "{cell}");
        }
    }

    #[test]
    fn distinct_cases_are_counted_over_all_files() {
        let rules = parse(DOCUMENT).unwrap();
        let mut ran = ran("case\tP-XX-01\tone\ncase\tP-XX-01\tone\ncase\tP-XX-01\ttwo\n").unwrap();
        ran.read("twin\tP-XX-01\tgood\n", &rules).unwrap();
        assert_eq!((ran.cases(&rules[0]), ran.twins(&rules[0])), (2, 1));
        assert_eq!((ran.cases(&rules[1]), ran.twins(&rules[1])), (0, 0));
    }

    #[test]
    fn a_record_of_an_unknown_rule_or_kind_is_refused() {
        assert!(ran("case\tP-XX-99\tone\n").unwrap_err().to_string().contains("does not have"));
        assert!(ran("tale\tP-XX-01\tone\n").unwrap_err().to_string().ends_with("is no record"));
        assert!(ran("case P-XX-01 one\n").unwrap_err().to_string().ends_with("is no record"));
    }

    #[test]
    fn a_rule_without_its_proof_is_lacking_unless_it_says_why() {
        let rules = parse(DOCUMENT).unwrap();
        let lacking = |records: &str| ran(records).unwrap().lacking(&rules);
        assert_eq!(lacking(""), ["P-XX-01 has no case", "D-03 has no case"]);
        assert_eq!(lacking("case\tP-XX-01\ta\ncase\tD-03\tb\n"), ["P-XX-01 has no twin that passes"]);
        assert_eq!(lacking("twin\tP-XX-01\ta\ncase\tD-03\tb\n"), ["P-XX-01 has no case"]);
        let all = "case\tP-XX-01\ta\ntwin\tP-XX-01\tb\ncase\tD-03\tc\n";
        assert!(lacking(all).is_empty());
        assert_eq!(
            lacking(&format!("{all}case\tP-XX-02\td\n")),
            ["P-XX-02 has a case, and is said to come later"]
        );
        assert!(lacking(&format!("{all}case\tA-05\td\n")).is_empty(), "a suite may have cases beside it");
    }

    #[test]
    fn the_table_shows_what_ran_and_what_did_not() {
        let rules = parse(DOCUMENT).unwrap();
        let ran = ran("case\tP-XX-01\ta\ntwin\tP-XX-01\tb\n").unwrap();
        let table = Table { rules: &rules, ran: &ran }.to_string();
        let expected = "\
rule     cases twins is       says
P-XX-01      1     1 proved   Refuses rubbish
P-XX-02      0     0 later    Answers (nobody asks yet)
D-03         0     0 LACKING  Order
A-05         0     0 suite    Much
4 rules: 1 proved, 1 lacking, 1 later, 1 by a suite
";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_projects_own_document_can_be_read() {
        let text = fs::read_to_string(crate::place::root().join("docs/rules.md")).unwrap();
        let rules = parse(&text).unwrap();
        for (family, last) in [
            ("P-WS", 9),
            ("P-WF", 9),
            ("P-H2", 6),
            ("P-LP", 8),
            ("P-SE", 14),
            ("P-HT", 10),
            ("P-PX", 4),
            ("P-CO", 3),
            ("D", 16),
        ] {
            for n in 1..=last {
                let id = format!("{family}-{n:02}");
                let rule = rules.iter().find(|rule| rule.id == id);
                let is_by_case =
                    rule.is_some_and(|rule| matches!(rule.proof, Proof::Case | Proof::CaseAndTwin));
                assert!(is_by_case, "{id} is what this is for: never later, never elsewhere");
            }
        }
        for rule in &rules {
            assert!(rule.title.chars().count() <= 90, "{}: too long for the table: {}", rule.id, rule.title);
        }
    }
}
