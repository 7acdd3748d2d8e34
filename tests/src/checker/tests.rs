use super::*;
use crate::client::{Event, Reader, Target, Transport};
use crate::fault::{Cut, Plan, Way};
use crate::host::Host;
use crate::tiny::Tiny;

fn at(n: u32) -> String {
    format!("a.{n:04}")
}

/// Ten entries, `a` and `b` in turn, beginning with `a`.
fn truth() -> Truth {
    let mut truth = Truth::default();
    for n in 1..=10 {
        truth.publish(&at(n), Some(if n % 2 == 1 { "a" } else { "b" }), n.to_string().as_bytes());
    }
    truth
}

fn event(n: u32) -> Seen {
    let (id, data) = (Some(at(n)), n.to_string().into_bytes());
    Seen::Event(Event { id, name: "message".to_owned(), topic: None, key: None, data, binary: false })
}

fn gap(from: u32, to: u32) -> Seen {
    Seen::Gap(trimmed(from, to))
}

fn trimmed(from: u32, to: u32) -> Gap {
    Gap { reason: "trimmed".to_owned(), from: Some(at(from)), to: at(to) }
}

fn open(n: u32, outcome: &str) -> Seen {
    Seen::Open { cursor: at(n), outcome: outcome.to_owned(), heartbeat_ms: None }
}

fn live(n: u32) -> Seen {
    Seen::Live { cursor: at(n) }
}

fn run(truth: &Truth, start: Place, seen: impl IntoIterator<Item = Seen>) -> Result<Report, Faults> {
    let mut checker = Checker::default();
    checker.begin(Transport::Sse, &start);
    seen.into_iter().for_each(|seen| checker.see(&seen));
    checker.finish(truth, Vacuity::default())
}

fn faults(truth: &Truth, start: u32, seen: impl IntoIterator<Item = Seen>) -> Vec<Fault> {
    run(truth, Place::After(at(start)), seen).expect_err("the checker believed a lie").0
}

#[test]
fn an_honest_stream_passes() {
    let report = run(&truth(), Place::Earliest, (1..=10).map(event).chain([live(10)])).unwrap();
    assert_eq!((report.events, report.chains.len()), (10, 2));
    let resumed = [open(7, "resumed"), event(8), event(9), event(10), live(10)];
    assert_eq!(run(&truth(), Place::After(at(7)), resumed).unwrap().events, 3);
    let from_now = [open(8, "fresh"), live(8), event(9), event(10)];
    assert_eq!(run(&truth(), Place::Live, from_now).unwrap().events, 2);
}

#[test]
fn an_honest_gap_passes() {
    let mut all = truth();
    all.lose(None, &at(6));
    let seen = || [open(2, "gap"), gap(2, 6)].into_iter().chain((7..=10).map(event));
    assert_eq!(run(&all, Place::After(at(2)), seen()).unwrap().skipped, 4);
    assert_eq!(run(&truth().losses_unknown(), Place::After(at(2)), seen()).unwrap().skipped, 4);
    assert_eq!(run(&all, Place::Earliest, (7..=10).map(event)).unwrap().skipped, 6, "-1 owes nothing");

    let mut one_topic = truth();
    one_topic.lose(Some("a"), &at(7));
    let seen = [gap(2, 2), event(4), event(6), event(8), event(9), event(10)];
    let report = run(&one_topic, Place::After(at(2)), seen.clone()).unwrap();
    assert_eq!((report.skipped, report.gaps), (3, 1), "a gap of one topic costs the other nothing");

    let mut told_again = Checker::default();
    told_again.begin(Transport::Sse, &Place::After(at(2)));
    told_again.see(&seen[0]);
    told_again.begin(Transport::Poll, &Place::After(at(2)));
    told_again.see_all(&seen);
    let report = told_again.finish(&one_topic, Vacuity { min_switches: 1, ..Vacuity::default() }).unwrap();
    assert_eq!((report.gaps, report.disconnects, report.switches), (2, 1, 1));
}

#[test]
fn lost_is_caught() {
    let some = |without: u32| (1..=10).filter(move |n| *n != without).map(event);
    for n in 1..=10 {
        let lied = faults(&truth(), 0, some(n));
        assert_eq!(lied, [Fault::Lost(at(n))], "in the middle and at both ends");
    }
    let lied = faults(&truth(), 0, [event(1), live(10)]);
    assert_eq!(lied.len(), 9, "a place that runs ahead of the events: {lied:?}");
    let lied = faults(&truth(), 0, (1..=4).map(event).chain([gap(4, 6)]).chain((7..=10).map(event)));
    assert!(
        lied.contains(&Fault::Lost(at(5))) && lied.contains(&Fault::Lost(at(6))),
        "a gap excuses no retained entry"
    );
}

#[test]
fn to_at_the_end_of_one_topics_loss_is_caught() {
    let mut one_topic = truth();
    one_topic.lose(Some("a"), &at(7));
    let lied = faults(&one_topic, 2, [gap(2, 7), event(8), event(9), event(10)]);
    assert_eq!(lied, [Fault::Lost(at(4)), Fault::Lost(at(6))]);
}

#[test]
fn duplicated_is_caught() {
    for n in 1..=10 {
        let lied = faults(&truth(), 0, (1..=n).chain(n..=10).map(event));
        assert_eq!(lied, [Fault::Duplicate(at(n))]);
    }
    let mut checker = Checker::default();
    checker.begin(Transport::Sse, &Place::Earliest);
    checker.see_all(&(1..=5).map(event).collect::<Vec<_>>());
    checker.begin(Transport::LongPoll, &Place::After(at(5)));
    checker.see_all(&(5..=10).map(event).collect::<Vec<_>>());
    let lied = checker.finish(&truth(), Vacuity::default()).unwrap_err();
    assert_eq!(lied.0, [Fault::Duplicate(at(5))], "across a reconnect too");
}

#[test]
fn reordered_is_caught() {
    let lied = faults(&truth(), 0, [1, 2, 4, 3, 5, 6, 7, 8, 9, 10].map(event));
    assert!(lied.contains(&Fault::Reordered(at(3))), "{lied:?}");
    let lied = faults(&truth(), 0, [1, 2, 5, 4, 3, 6, 7, 8, 9, 10].map(event));
    assert!(
        lied.contains(&Fault::Chain(Some("a".to_owned()))),
        "the chain of a topic shows it too: {lied:?}"
    );
}

#[test]
fn a_silent_gap_is_caught() {
    let mut all = truth();
    all.lose(None, &at(6));
    let lied = faults(&all, 4, (7..=10).map(event));
    assert_eq!(lied, [Fault::SilentGap(at(5)), Fault::SilentGap(at(6))]);
    let lied = faults(&all, 2, [event(7), gap(2, 7), event(8), event(9), event(10)]);
    assert!(lied.contains(&Fault::SilentGap(at(3))), "said too late: {lied:?}");
    let lied = faults(&all, 2, [gap(4, 6), event(7), event(8), event(9), event(10)]);
    assert_eq!(lied, [Fault::SilentGap(at(3)), Fault::SilentGap(at(4))], "said from too late a place");
    let unknown = truth().losses_unknown();
    let lied = faults(&unknown, 0, [gap(0, 2), event(3), event(4), event(7), event(8), event(9), event(10)]);
    assert_eq!(
        lied,
        [Fault::SilentGap(at(5)), Fault::SilentGap(at(6))],
        "a gap pardons one loss, not the next"
    );

    let mut checker = Checker::default();
    checker.begin(Transport::Sse, &Place::After(at(2)));
    checker.see(&gap(2, 2));
    checker.begin(Transport::Sse, &Place::After(at(2)));
    checker.see_all(&(7..=10).map(event).collect::<Vec<_>>());
    let lied = checker.finish(&all, Vacuity::default()).unwrap_err();
    assert_eq!(lied.0.len(), 4, "a gap that a cut swallowed was not told again: {lied}");
}

#[test]
fn a_false_gap_is_caught() {
    for unsure in [truth(), truth().losses_unknown()] {
        let lied = faults(&unsure, 2, [gap(2, 2)].into_iter().chain((3..=10).map(event)));
        assert_eq!(lied, [Fault::FalseGap(trimmed(2, 2))]);
    }
    let mut all = truth();
    all.lose(None, &at(2));
    let lied = faults(&all, 2, [gap(2, 2)].into_iter().chain((3..=10).map(event)));
    assert_eq!(lied, [Fault::FalseGap(trimmed(2, 2))], "what was lost lies before the place");
    let epoch = Gap { reason: "epoch".to_owned(), from: Some(at(4)), to: at(4) };
    let lied = faults(&truth(), 4, [Seen::Gap(epoch.clone())].into_iter().chain((5..=10).map(event)));
    assert_eq!(lied, [Fault::FalseGap(epoch)]);
}

#[test]
fn a_restart_is_an_honest_gap() {
    let mut restarted = truth();
    restarted.lose(None, &at(10));
    restarted.publish("0.0001", Some("a"), b"new");
    let gap = Seen::Gap(Gap { reason: "epoch".to_owned(), from: Some(at(8)), to: "0.0000".to_owned() });
    let Seen::Event(mut new) = event(1) else { unreachable!() };
    (new.id, new.data) = (Some("0.0001".to_owned()), b"new".to_vec());
    let seen = [open(8, "gap"), gap, Seen::Event(new)];
    assert_eq!(run(&restarted, Place::After(at(8)), seen).unwrap().skipped, 2);
}

#[test]
fn a_gap_that_comes_before_its_loss_is_caught() {
    let gap_at = |told: fn(&mut Truth, &mut Checker)| {
        let (mut all, mut checker) = (truth(), Checker::default());
        checker.begin(Transport::Sse, &Place::After(at(2)));
        told(&mut all, &mut checker);
        checker.see_all(&(7..=10).map(event).collect::<Vec<_>>());
        checker.finish(&all, Vacuity::default())
    };
    let honest = gap_at(|all, checker| {
        all.lose_now(None, &at(6));
        checker.see(&gap(2, 6));
    });
    assert_eq!(honest.unwrap().skipped, 4);
    let invented = gap_at(|all, checker| {
        checker.see(&gap(2, 6));
        all.lose_now(None, &at(6));
        all.lose(None, &at(6)); // and the first to say so decides
    });
    assert_eq!(invented.unwrap_err().0, [Fault::FalseGap(trimmed(2, 6))]);
}

#[test]
fn another_epoch_without_a_gap_is_caught() {
    let mut restarted = truth();
    restarted.lose(None, &at(10));
    restarted.publish("0.0001", Some("a"), b"new");
    let gap = |from: &str| {
        Seen::Gap(Gap { reason: "epoch".to_owned(), from: Some(from.to_owned()), to: "0.0000".to_owned() })
    };
    let Seen::Event(mut new) = event(1) else { unreachable!() };
    (new.id, new.data) = (Some("0.0001".to_owned()), b"new".to_vec());
    let new = Seen::Event(new);
    let lied = faults(&restarted, 10, [new.clone()]);
    assert_eq!(lied, [Fault::SilentGap("0.0001".to_owned())], "though nothing of the old one was missed");
    let lied = faults(&restarted, 10, [Seen::Live { cursor: "0.0000".to_owned() }, new.clone()]);
    assert_eq!(lied, [Fault::SilentGap("0.0000".to_owned())]);
    let lied = faults(&restarted, 10, [gap(&at(10)), gap(&at(10)), new.clone()]);
    assert!(matches!(lied[..], [Fault::FalseGap(_)]), "told twice: {lied:?}");
    assert_eq!(run(&restarted, Place::After(at(10)), [gap(&at(10)), new]).unwrap().gaps, 1);
}

#[test]
fn whom_a_loss_concerns_is_known() {
    let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (a, b, both) = (topics(&["a"]), topics(&["b"]), topics(&["a", "b"]));
    let mut all = truth();
    assert!((0..=10).all(|n| !all.owes_gap(&both, &at(n))), "nothing is lost");
    assert_eq!(
        [&a, &b, &topics(&["c"])].map(|set| all.newest_of(set)),
        [Some(&*at(9)), Some(&*at(10)), None]
    );
    all.lose(Some("a"), &at(5));
    for n in 0..=10 {
        assert_eq!([&a, &b, &both].map(|set| all.owes_gap(set, &at(n))), [n < 5, false, n < 5], "{n}");
    }
    all.publish("0.0001", Some("a"), b"new");
    assert!(all.owes_gap(&b, &at(10)) && all.owes_gap(&b, "f.0001"), "of another epoch");
    assert!(!all.owes_gap(&b, "0.0000"));
    assert_eq!([&a, &b].map(|set| all.newest_of(set)), [Some("0.0001"), None], "of the epoch of now");
    assert_eq!(
        [&a, &b].map(|set| all.is_at_end(set, &at(10))),
        [false, false],
        "that was another epoch's end"
    );
    assert_eq!([&a, &b].map(|set| all.is_at_end(set, "0.0000")), [false, true]);
    assert_eq!([&a, &b].map(|set| all.is_at_end(set, "0.0001")), [true, true]);
}

#[test]
fn a_dishonest_open_place_or_end_is_caught() {
    let rest = |from: u32| (from..=10).map(event);
    let lied = faults(&truth(), 7, [open(9, "resumed")].into_iter().chain(rest(8)));
    assert!(matches!(lied[..], [Fault::Open { .. }]));
    let lied = faults(&truth(), 7, [open(7, "fresh")].into_iter().chain(rest(8)));
    assert!(matches!(lied[..], [Fault::Open { .. }]));
    let lied = faults(&truth(), 7, [open(7, "gap")].into_iter().chain(rest(8)));
    assert_eq!(lied, [Fault::GapMissing]);
    let lied = faults(&truth(), 7, rest(8).chain([Seen::Ping { cursor: at(9) }]));
    assert_eq!(lied, [Fault::PlaceBack(at(9))]);
    let end = |cursor| Seen::End { reason: "closed".to_owned(), retry_ms: None, cursor };
    assert_eq!(faults(&truth(), 9, [end(Some(at(9))), event(10)]), [Fault::AfterEnd]);
    assert_eq!(
        faults(&truth(), 8, [event(9), end(Some(at(10)))]),
        [Fault::Lost(at(10))],
        "the end says a place too far"
    );
    assert_eq!(
        faults(&truth(), 9, [event(10), Seen::Broken("x".to_owned())]),
        [Fault::Broken("x".to_owned())]
    );
}

#[test]
fn altered_unknown_and_stray_are_caught() {
    let Seen::Event(mut other) = event(10) else { unreachable!() };
    other.data.push(b'!');
    assert!(faults(&truth(), 9, [Seen::Event(other.clone())]).contains(&Fault::Altered(at(10))));
    other.data.pop();
    other.topic = Some("a".to_owned());
    assert_eq!(faults(&truth(), 9, [Seen::Event(other.clone())]), [Fault::Altered(at(10))]);
    assert_eq!(faults(&truth(), 9, [event(10), event(11)]), [Fault::Unknown(at(11))]);
    other.id = None;
    assert_eq!(faults(&truth(), 9, [event(10), Seen::Event(other)]), [Fault::NoCursor]);

    let only_a = |seen: Vec<Seen>| {
        let mut checker = Checker::of_topics(["a"]);
        checker.begin(Transport::Poll, &Place::Earliest);
        checker.see_all(&seen);
        checker.finish(&truth(), Vacuity::default())
    };
    let mut seen: Vec<_> = [1, 3, 5, 7, 9].map(event).into();
    assert_eq!(only_a(seen.clone()).unwrap().events, 5);
    seen.push(event(10));
    assert_eq!(only_a(seen).unwrap_err().0, [Fault::Stray(at(10))]);
}

#[test]
fn superseded_entries_are_owed_to_nobody() {
    let mut keyed = truth();
    [1, 3, 5].into_iter().for_each(|n| keyed.supersede(&at(n)));
    assert_eq!(run(&keyed, Place::Earliest, [2, 3, 4, 6, 7, 8, 9, 10].map(event)).unwrap().events, 8);
}

#[test]
fn a_vacuous_run_is_caught() {
    assert_eq!(run(&Truth::default(), Place::Live, []).unwrap_err().0, [Fault::Vacuous("events", 0, 1)]);
    let mut checker = Checker::default();
    checker.begin(Transport::Sse, &Place::Earliest);
    checker.see_all(&(1..=10).map(event).collect::<Vec<_>>());
    let wanted = Vacuity { min_disconnects: 1, min_switches: 1, min_gaps: 1, ..Vacuity::default() };
    let lied = checker.finish(&truth(), wanted).unwrap_err().0;
    assert_eq!(lied, ["disconnects", "switches", "gaps"].map(|what| Fault::Vacuous(what, 0, 1)));
}

#[test]
fn another_http_is_a_switch() {
    let mut checker = Checker::default();
    for (nth, via) in Via::SIX.into_iter().enumerate() {
        checker.begin(via, &Place::After(at(nth as u32)));
        checker.see(&event(nth as u32 + 1));
    }
    checker.begin(Via::SIX[5], &Place::After(at(6)));
    checker.see_all(&(7..=10).map(event).collect::<Vec<_>>());
    let report = checker.finish(&truth(), Vacuity::default()).unwrap();
    assert_eq!((report.disconnects, report.switches), (6, 5), "the last came back the way it went");
}

#[tokio::test(start_paused = true)]
async fn judges_real_readers_over_cuts_and_switches() {
    let tiny = Tiny { page_max: 3, ..Tiny::of(12) };
    let mut truth = Truth::default();
    tiny.entries.iter().for_each(|(id, data)| truth.publish(id, None, data.as_bytes()));
    let host = Host::new(tiny.service());
    let mut chains = BTreeSet::new();
    for (first, second) in Transport::pairs() {
        let plan =
            |n| if n == 0 { Plan::default().cut(Way::Down, 700, Cut::Abrupt) } else { Plan::default() };
        let (dialer, _links) = host.dialer().through(plan);
        let mut checker = Checker::default();
        checker.begin(first, &Place::Earliest);
        let mut reader = Reader::connect(first, &Target::new(dialer, "/e"), Place::Earliest).await;
        for transport in [second, first, second] {
            checker.see_all(&reader.collect_until(|seen| seen.event().is_some()).await);
            checker.begin(transport, reader.place());
            reader = reader.resume(transport).await;
        }
        checker.see_all(&reader.collect_until(Seen::caught_up).await);
        let wanted = Vacuity { min_events: 12, min_disconnects: 3, ..Vacuity::default() };
        let report =
            checker.finish(&truth, wanted).unwrap_or_else(|faults| panic!("{first:?} {second:?} {faults}"));
        assert_eq!(report.switches, if first == second { 0 } else { 3 });
        chains.insert(report.chains);
    }
    assert_eq!(chains.len(), 1, "every path gives the same bytes");
}
