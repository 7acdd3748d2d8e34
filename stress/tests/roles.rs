//! Sites and crowds end with whoever started them, and say what is wrong with what they are told.

mod processes;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use processes::{children_of, eventually, is_gone};

#[test]
fn a_kill_leaves_neither_site_nor_crowd_behind() {
    let mut stress = Command::new(env!("CARGO_BIN_EXE_stress"));
    let mut stress = stress.args(["drain", "--seed", "1"]).stdout(Stdio::null()).spawn().expect("it starts");
    let children = eventually("it starts a site and two crowds", || {
        Some(children_of(stress.id())).filter(|children| children.len() == 3)
    });
    stress.kill().unwrap();
    stress.wait().unwrap();
    for child in children {
        eventually("they go too", || is_gone(child).then_some(()));
    }
}

#[test]
fn a_role_says_what_is_wrong() {
    let said = |role: &str, lines: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stress"));
        let mut child = child.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let answers = answers.collect::<Vec<_>>();
        (child.wait().unwrap().success(), answers)
    };
    let (is_well, answers) = said("site", "{}\n");
    assert!(!is_well && answers.len() == 1 && answers[0].starts_with(r#"{"Err":"#), "{answers:?}");
    let crowd = r#"{"addr":"127.0.0.1:1","ways":["Sse"],"seed":1,"patience_ms":1000}"#;
    let (is_well, answers) = said("crowd", &format!("{crowd}\n\"Dance\"\n\"Count\"\n"));
    assert!(is_well && answers.len() == 3, "{answers:?}");
    assert!(answers[1].starts_with(r#"{"Err":"#) && answers[2].contains(r#""live":0"#), "{answers:?}");
    let (is_well, answers) = said("crowd", &crowd.replace(r#"["Sse"]"#, "[]"));
    assert!(!is_well && answers[0].contains("without a way"), "{answers:?}");
}
