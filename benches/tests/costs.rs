//! The gate of costs can fail: what it is for is shown with a server that is slowed on purpose.

use realtime_benches::{Bounds, Kind, Programs, allocations};

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
fn a_needless_copy_for_every_delivery_fails_the_gate_and_nothing_else_does() {
    for kind in [Kind::OursWs, Kind::OursSse, Kind::OursSseServe] {
        let count = |is_slowed| allocations(kind, &programs(), is_slowed).unwrap();
        assert_eq!(bounds().hold_allocations(kind, count(false)), Ok(()));
        let slowed = bounds().hold_allocations(kind, count(true)).unwrap_err();
        assert!(slowed.contains("allocations a delivery"), "{slowed}");
    }
}
