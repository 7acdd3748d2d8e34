//! The table of rules: what docs/rules.md demands against the cases that ran.
//!
//! docs/rules.md is read by its table rows alone, `| id | proof | rule |` and whatever follows: the proof is a list of
//! `case` (a case must have run), `twin` (and the good twin of what is refused) and `held` (else its absence is only
//! shown), or `-` (proved by a suite of its own). A run leaves files of `case<TAB>id<TAB>what` and `twin<TAB>id<TAB>what` lines,
//! written by `realtime_tests::rules` once the assertions passed.

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

/// What the run must have shown of a rule.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Proof {
    case: bool,
    twin: bool,
    held: bool,
}

/// The distinct cases and twins that ran, by rule.
#[derive(Debug, Default)]
struct Ran {
    cases: BTreeMap<String, BTreeSet<String>>,
    twins: BTreeMap<String, BTreeSet<String>>,
}

/// Prints the table and fails if a rule that is held lacks its case or its twin.
///
/// # Errors
/// A row or a record that cannot be read, a record of an unknown rule, a held rule without proof.
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
        let proof = Proof::parse(proof).map_err(|word| format!("{id}: `{word}` is no proof"))?;
        rules.push(Rule { id: id.to_owned(), proof, title: title(says) });
    }
    if rules.is_empty() { Err("no rule found".into()) } else { Ok(rules) }
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
    /// Reads `case, twin, held`, or gives the word back that it does not know.
    fn parse(cell: &str) -> Result<Self, &str> {
        let mut proof = Self::default();
        for word in cell.split(',').map(str::trim).filter(|word| *word != "-") {
            match word {
                "case" => proof.case = true,
                "twin" => proof.twin = true,
                "held" => proof.held = true,
                other => return Err(other),
            }
        }
        // What is held must say what it is held to, and a twin is the twin of a case.
        if (proof.twin || proof.held) && !proof.case { Err(cell) } else { Ok(proof) }
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

    fn lacking(&self, rules: &[Rule]) -> Vec<String> {
        let mut lacking = Vec::new();
        for rule in rules.iter().filter(|rule| rule.proof.held) {
            if self.cases(rule) == 0 {
                lacking.push(format!("{} has no case", rule.id));
            }
            if rule.proof.twin && self.twins(rule) == 0 {
                lacking.push(format!("{} has no twin that passes", rule.id));
            }
        }
        lacking
    }
}

/// Every rule that a case can prove, with what ran of it.
struct Table<'a> {
    rules: &'a [Rule],
    ran: &'a Ran,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<8} {:>5} {:>5} {:>4}  says", "rule", "cases", "twins", "held")?;
        let (mut shown, mut proved) = (0, 0);
        for rule in self.rules.iter().filter(|rule| rule.proof.case) {
            let (cases, twins) = (self.ran.cases(rule), self.ran.twins(rule));
            proved += usize::from(cases > 0 && (twins > 0 || !rule.proof.twin));
            shown += 1;
            let twins = if rule.proof.twin || twins > 0 { twins.to_string() } else { "-".into() };
            let held = if rule.proof.held { "yes" } else { "" };
            writeln!(f, "{:<8} {cases:>5} {twins:>5} {held:>4}  {}", rule.id, rule.title)?;
        }
        let held = self.rules.iter().filter(|rule| rule.proof.held).count();
        writeln!(f, "{proved} of {shown} rules proved by this run, {held} held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Rules
| id | proof | rule |
|---|---|---|
| P-XX-01 | case, twin, held | **Refuses rubbish.** Section 1: a `b. c`. |
| P-XX-02 | case | **Answers.** |
| D-03 | case, held | Order |
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
        let seen: Vec<_> = rules.iter().map(|rule| (rule.id.as_str(), rule.title.as_str())).collect();
        let expected =
            [("P-XX-01", "Refuses rubbish"), ("P-XX-02", "Answers"), ("D-03", "Order"), ("G-04", "a figure")];
        assert_eq!(seen, expected);
        assert_eq!(rules[0].proof, Proof { case: true, twin: true, held: true });
        assert_eq!(rules[1].proof, Proof { case: true, twin: false, held: false });
        assert_eq!(rules[3].proof, Proof::default());
    }

    #[test]
    fn a_row_that_cannot_be_meant_is_refused() {
        for (row, says) in [
            ("| D-01 | case", "D-01: a row is `| id | proof | rule |`"),
            ("| D-01 | cases | x |", "D-01: `cases` is no proof"),
            ("| D-01 | held | x |", "D-01: `held` is no proof"),
            ("| D-01 | twin | x |", "D-01: `twin` is no proof"),
            ("| D-01 |  | x |", "D-01: `` is no proof"),
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
    fn only_what_is_held_can_be_lacking() {
        let rules = parse(DOCUMENT).unwrap();
        let lacking = |records| ran(records).unwrap().lacking(&rules);
        assert_eq!(
            lacking(""),
            ["P-XX-01 has no case", "P-XX-01 has no twin that passes", "D-03 has no case"]
        );
        assert_eq!(lacking("case\tP-XX-01\ta\ncase\tD-03\tb\n"), ["P-XX-01 has no twin that passes"]);
        assert!(lacking("case\tP-XX-01\ta\ntwin\tP-XX-01\tb\ncase\tD-03\tc\n").is_empty());
    }

    #[test]
    fn the_table_shows_what_ran_and_what_did_not() {
        let rules = parse(DOCUMENT).unwrap();
        let ran = ran("case\tP-XX-01\ta\ntwin\tP-XX-01\tb\n").unwrap();
        let table = Table { rules: &rules, ran: &ran }.to_string();
        let expected = "\
rule     cases twins held  says
P-XX-01      1     1  yes  Refuses rubbish
P-XX-02      0     -       Answers
D-03         0     -  yes  Order
1 of 3 rules proved by this run, 2 held
";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_projects_own_document_can_be_read() {
        let text = fs::read_to_string(crate::place::root().join("docs/rules.md")).unwrap();
        let rules = parse(&text).unwrap();
        for (family, last) in
            [("P-WS", 9), ("P-WF", 9), ("P-LP", 7), ("P-SE", 14), ("P-HT", 10), ("P-CO", 3), ("D", 16)]
        {
            for n in 1..=last {
                let id = format!("{family}-{n:02}");
                let rule = rules.iter().find(|rule| rule.id == id);
                assert!(rule.is_some_and(|rule| rule.proof.case), "{id} must be provable by a case");
            }
        }
        for rule in &rules {
            assert!(rule.title.chars().count() <= 90, "{}: too long for the table: {}", rule.id, rule.title);
        }
    }
}
