//! The gate of costs can fail: what it is for is shown with a server that is slowed on purpose.

use std::path::Path;
use std::process::Command;

use realtime_benches::{Bounds, Kind, Programs, Unfit, allocations};

fn programs() -> Programs {
    Programs {
        plain: env!("CARGO_BIN_EXE_bench-server").into(),
        counting: env!("CARGO_BIN_EXE_bench-server-counting").into(),
    }
}

fn bounds() -> Bounds {
    let text = std::fs::read_to_string(Bounds::file()).expect("the bounds are a file of this crate");
    Bounds::read(&text).expect("and can be read")
}

#[test]
fn every_kind_of_ours_is_held() {
    let held: Vec<_> = bounds().kinds().collect();
    // Over HTTP/2 many readers share a connection, and what gathers is chance.
    let is_held = |kind: &Kind| {
        kind.is_ours() && !matches!(kind, Kind::OursWsDeflate | Kind::OursWsH2 | Kind::OursSseH2)
    };
    for kind in Kind::ALL.into_iter().filter(is_held) {
        assert!(held.contains(&kind), "{kind} is not in costs.txt");
    }
}

#[test]
fn a_needless_encoding_for_every_delivery_fails_the_gate_and_nothing_else_does() {
    for kind in [Kind::OursWs, Kind::OursSse, Kind::OursSseServe] {
        let count = |is_slowed| allocations(kind, &programs(), is_slowed).unwrap();
        assert_eq!(bounds().hold_allocations(kind, count(false)), Ok(()));
        let slowed = bounds().hold_allocations(kind, count(true)).unwrap_err();
        assert!(
            matches!(&slowed, Unfit::TooDear(said) if said.contains("allocations a delivery")),
            "{slowed}"
        );
    }
}

/// What the gate ends with.
fn gate(program: &Path, arguments: &[&str]) -> Option<i32> {
    let output = Command::new(program).args(["--allocations", "--only", "ours-sse"]).args(arguments).output();
    output.expect("the gate starts").status.code()
}

#[test]
fn what_is_too_dear_ends_the_gate_otherwise_than_what_cannot_be_counted() {
    let program = Path::new(env!("CARGO_BIN_EXE_bench-costs"));
    assert_eq!(gate(program, &[]), Some(0));
    assert_eq!(gate(program, &["--slowed"]), Some(3));
    assert_eq!(gate(program, &["--slowed", "--no-such-thing"]), Some(1));
    // Where no server stands beside it.
    let alone = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-costs-alone");
    std::fs::copy(program, &alone).expect("a directory for tests");
    assert_eq!(gate(&alone, &["--slowed"]), Some(1));
}
