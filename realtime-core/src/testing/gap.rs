//! D-04: what is gone is said, and nothing else is.

use std::collections::BTreeMap;

use super::fixture::{Fixture, RETAINED};
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Reader, events, gaps, numbers, read};
use crate::cursor::{Cursor, Start};
use crate::feed::GapReason;

const LAW: Law = Law::HonestGap;
const BEFORE: u64 = RETAINED / 4;

/// D-04: a gap is said for what was trimmed, for a place of another epoch and for one in the future; it comes before the
/// first event after it, and its `to` is where reading goes on. Where nothing was lost there is none.
///
/// # Errors
/// A gap that was hidden, invented, late or led past what is still there.
pub async fn honest_gap<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    let mut untested = Vec::new();
    fixture.publish(0..BEFORE).await;
    let cursors = cursors(fixture).await?;
    let (Some(first), Some(last)) = (cursors.get(&0), cursors.get(&(BEFORE - 1))) else {
        return Err(Violation::new(LAW, "what was published did not come"));
    };
    nothing_lost(fixture, &cursors).await?;
    let foreign = Cursor::new(first.epoch().wrapping_add(1), first.position());
    let future = last.at(last.position() + 1_000_000);
    for (place, what) in [(foreign, "a place of another epoch"), (future, "a place in the future")] {
        let all: Vec<_> = (0..BEFORE).collect();
        let heard = read(LAW, fixture, Start::After(place)).await?;
        expect_gap(fixture, &heard, &all, what).await?;
        if gaps(&heard).iter().any(|(_, gap)| gap.reason != GapReason::Epoch) {
            return broken(what, "the gap's reason is not `epoch`", &heard);
        }
    }
    untested.extend(trimmed(fixture, &cursors).await?);
    if fixture.restart().await {
        fixture.publish(1_000..1_003).await;
        let heard = read(LAW, fixture, Start::After(*last)).await?;
        expect_gap(fixture, &heard, &[1_000, 1_001, 1_002], "a place from before a restart").await?;
    } else {
        untested.push("a restart: the fixture cannot do it");
    }
    Ok(untested)
}

async fn cursors<F: Fixture>(fixture: &F) -> Result<BTreeMap<u64, Cursor>, Violation> {
    let all = read(LAW, fixture, Start::Earliest).await?;
    Ok(events(&all).map(|number| (number.n, number.cursor)).collect())
}

/// No gap where nothing was lost: after any cursor, for fresh readers, and while reading live.
async fn nothing_lost<F: Fixture>(fixture: &F, cursors: &BTreeMap<u64, Cursor>) -> Result<(), Violation> {
    if fixture.over_reports() {
        return Ok(());
    }
    let after = cursors.values().map(|cursor| Start::After(*cursor));
    for start in [Start::Earliest, Start::Live, Start::Last(2)].into_iter().chain(after) {
        let heard = Reader::new(LAW, fixture, start).until_rest().await?;
        if !gaps(&heard).is_empty() {
            return broken(&format!("read from {start}"), "a gap was said, and nothing is lost", &heard);
        }
    }
    Ok(())
}

/// Trims twice: before readers come, and while one is connected and does not read. Returns what could not be tested.
async fn trimmed<F: Fixture>(
    fixture: &F,
    cursors: &BTreeMap<u64, Cursor>,
) -> Result<Option<&'static str>, Violation> {
    let kept = fixture.trim().await;
    let lost: Vec<_> = (0..BEFORE).filter(|n| kept.as_ref().is_some_and(|kept| !kept.contains(n))).collect();
    let (Some(kept), false) = (kept, lost.is_empty()) else {
        return Ok(Some("trimmed and overflow: the fixture cannot trim"));
    };
    for (n, cursor) in cursors {
        let what = format!("{lost:?} were trimmed, read after the cursor of {n}");
        let rest: Vec<_> = kept.iter().copied().filter(|kept| kept > n).collect();
        let heard = read(LAW, fixture, Start::After(*cursor)).await?;
        if lost.iter().any(|lost| lost > n) {
            expect_gap(fixture, &heard, &rest, &what).await?;
        } else if !fixture.over_reports() && !gaps(&heard).is_empty() {
            return broken(&what, "a gap was said, and nothing is lost after it", &heard);
        }
    }
    for start in [Start::Earliest, Start::Live] {
        let heard = read(LAW, fixture, start).await?;
        if !gaps(&heard).is_empty() {
            return broken(&format!("read from {start}"), "it asked for nothing that is lost", &heard);
        }
    }

    // Connected at the tail, it falls behind: the gap comes in band.
    let mut slow = Reader::new(LAW, fixture, Start::Live);
    slow.until_rest().await?;
    fixture.publish(BEFORE..2 * BEFORE).await;
    let kept = fixture.trim().await.unwrap_or_default();
    let rest: Vec<_> = kept.iter().copied().filter(|kept| *kept >= BEFORE).collect();
    if rest.len() as u64 == BEFORE {
        return Ok(Some("overflow: the fixture trimmed nothing that was new"));
    }
    slow.poke();
    let heard = slow.until_rest().await?;
    expect_gap(fixture, &heard, &rest, "trimmed while a reader was behind").await?;
    fixture.publish(2 * BEFORE..2 * BEFORE + 2).await;
    let after = slow.until_rest().await?;
    if !gaps(&after).is_empty() && !fixture.over_reports() {
        return broken("after a gap", "it was told again", &after);
    }
    Ok(None)
}

/// A gap before the first event, then exactly these numbers; and its `to` leads to the same ones.
async fn expect_gap<F: Fixture>(
    fixture: &F,
    heard: &[Heard],
    rest: &[u64],
    what: &str,
) -> Result<(), Violation> {
    let Some((0, gap)) = gaps(heard).first().copied() else {
        return broken(what, "no gap was said before the first event", heard);
    };
    if numbers(heard) != rest {
        return broken(what, &format!("{rest:?} are still there"), heard);
    }
    let again = read(LAW, fixture, Start::After(gap.to)).await?;
    if numbers(&again) != rest {
        return broken(what, &format!("`to` leads past what is still there, {rest:?}"), &again);
    }
    Ok(())
}

fn broken<T>(what: &str, why: &str, heard: &[Heard]) -> Result<T, Violation> {
    Err(Violation::new(LAW, format!("{what}: {why}; it heard {heard:?}")))
}
