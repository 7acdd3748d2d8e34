//! The bench itself, small: so that it cannot rot. No time is asserted here.

use realtime_benches::{Kind, Machine, Plan, Programs, Report, heap, measure};

fn programs() -> Programs {
    Programs {
        plain: env!("CARGO_BIN_EXE_bench-server").into(),
        counting: env!("CARGO_BIN_EXE_bench-server-counting").into(),
    }
}

#[test]
fn every_kind_delivers_every_event_and_has_a_row() {
    let plan = Plan { readers: 8, events: 3, bursts: 2, core: None };
    let visit = |kind| (kind, measure(kind, &programs(), &plan).unwrap_or_else(|e| panic!("{kind}: {e}")));
    let mut report = Report::new(Machine::here(), plan);
    report.round(Kind::ALL.map(visit).into());
    let table = report.to_string();
    assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 1 + Kind::ALL.len(), "{table}");
}

/// Counted, not timed: the same on every machine, but for what happens once in a while.
const SLACK: f64 = 0.05;

#[test]
fn a_delivery_by_websocket_allocates_nothing() {
    let ours = heap(Kind::OursWs, &programs()).unwrap().allocations;
    assert!(ours < SLACK, "{ours} allocations per delivery");
}

#[test]
fn a_delivery_by_sse_allocates_nothing_beyond_hypers_own() {
    let [hyper, ours] =
        [Kind::HyperSse, Kind::OursSse].map(|kind| heap(kind, &programs()).unwrap().allocations);
    assert!(ours < hyper + SLACK, "{ours} allocations per delivery, hyper has {hyper}");
}
