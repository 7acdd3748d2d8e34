//! The bench itself, small: so that it cannot rot. No time is asserted here.

use realtime_benches::{Heap, Kind, Machine, Plan, Programs, Report, heap, measure};

fn programs() -> Programs {
    Programs {
        plain: env!("CARGO_BIN_EXE_bench-server").into(),
        counting: env!("CARGO_BIN_EXE_bench-server-counting").into(),
    }
}

#[test]
fn every_kind_delivers_every_event_and_has_a_row() {
    for (readers, payload_bytes) in [(8, 128), (3, 1_024)] {
        let plan = Plan { readers, payload_bytes, events: 3, bursts: [2, 1], cores: None, workers: 1 };
        let mut report = Report::new(Machine::here());
        let kinds = Kind::ALL;
        let visit = |kind| {
            (kind, measure(kind, &programs(), &plan).unwrap_or_else(|error| panic!("{kind}: {error}")))
        };
        let visited = kinds.map(visit).to_vec();
        report.section(plan, vec![visited]);
        let table = report.to_string();
        for kind in kinds {
            assert!(table.contains(&format!("| {} | ", kind.title())), "{kind}: {table}");
        }
    }
}

/// Counted, not timed: the same on every machine, but for what happens once in a while.
const SLACK: f64 = 0.05;

fn heaps<const N: usize>(kinds: [Kind; N]) -> [Heap; N] {
    kinds.map(|kind| heap(kind, &programs()).unwrap_or_else(|error| panic!("{kind}: {error}")))
}

#[test]
fn a_websocket_allocates_nothing_at_a_delivery_and_keeps_little_while_idle() {
    let [ours] = heaps([Kind::OursWs]);
    assert!(ours.allocations < SLACK, "{ours:?}");
    assert!(ours.idle_bytes <= 2_500.0, "{ours:?}");
}

#[test]
fn an_sse_delivery_allocates_nothing_beyond_hypers_own() {
    let [hyper, ours] = heaps([Kind::HyperSse, Kind::OursSse]);
    assert!(ours.allocations < hyper.allocations + SLACK, "{ours:?}, hyper {hyper:?}");
}

#[test]
fn a_parked_long_poll_keeps_little_beyond_hypers_own() {
    let [hyper, ours] = heaps([Kind::HyperLongPoll, Kind::OursLongPollHyper]);
    assert!(ours.idle_bytes <= hyper.idle_bytes + 5_000.0, "{ours:?}, hyper {hyper:?}");
}
