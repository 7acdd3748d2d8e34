//! Whatever ends the program, its servers end with it.

mod processes;

use std::process::{Child, Command, Stdio};

use processes::{children_of, eventually, is_gone};

fn started() -> (Child, u32) {
    let mut stress = Command::new(env!("CARGO_BIN_EXE_stress"));
    let stress = stress.args(["churn", "--seed", "1"]).stdout(Stdio::null()).spawn().expect("it starts");
    let server = eventually("it starts a server", || children_of(stress.id()).first().copied());
    (stress, server)
}

#[test]
fn a_kill_leaves_no_server_behind() {
    let (mut stress, server) = started();
    stress.kill().unwrap();
    stress.wait().unwrap();
    eventually("the server goes too", || is_gone(server).then_some(()));
}

#[test]
fn an_interrupt_leaves_no_server_behind() {
    let (mut stress, server) = started();
    let kill = Command::new("kill").args(["-INT", &stress.id().to_string()]).status().unwrap();
    assert!(kill.success());
    stress.wait().unwrap();
    eventually("the server goes too", || is_gone(server).then_some(()));
}

#[test]
fn what_there_is_not_is_refused() {
    let refused = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stress")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = refused(&["no-such-scenario"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no scenario \"no-such-scenario\""), "{said}");
    assert_eq!(refused(&["churn", "--seeds", "0"]).0, Some(1));
}
