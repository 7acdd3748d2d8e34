//! D-06: the place.

use std::collections::BTreeSet;

use super::fixture::{Fixture, RETAINED};
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Reader, events, gaps, numbers, read};
use crate::cursor::{Cursor, Start};

const LAW: Law = Law::MonotonicPlace;
const BEFORE: u64 = RETAINED / 4;

/// D-06: the place is told first and once, it never moves back, it never passes an event that was not delivered, and it
/// is told when it moves without an event.
///
/// # Errors
/// A place that does otherwise.
pub async fn monotonic_place<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    fixture.publish(0..BEFORE).await;
    let mut next = BEFORE;
    for start in [Start::Earliest, Start::Live, Start::Last(3)] {
        let mut reader = Reader::new(LAW, fixture, start);
        let mut heard = reader.next().await?;
        fixture.publish(next..next + 2).await;
        next += 2;
        heard.extend(reader.until_rest().await?);
        fixture.publish(next..next + 1).await;
        next += 1;
        heard.extend(reader.until_rest().await?);
        expect_monotonic(&heard)?;
        let Some(place) = place(&heard) else { return broken("no place was told", &heard) };
        let rest = read(LAW, fixture, Start::After(place)).await?;
        if !numbers(&rest).is_empty() {
            return broken("the place that was told is before what was delivered", &rest);
        }
    }
    never_passes_an_event(fixture, next).await?;
    if moves_unseen(fixture).await? { Ok(Vec::new()) } else { Ok(vec!["a place moved by others' events"]) }
}

fn expect_monotonic(heard: &[Heard]) -> Result<(), Violation> {
    let Some(Heard::Open(opened)) = heard.first() else {
        return broken("the first item is not `Open`", heard);
    };
    let mut place = opened.place();
    for item in &heard[1..] {
        let (now, is_event) = match item {
            Heard::Open(_) => return broken("`Open` came again", heard),
            Heard::Event(number) => (number.cursor, true),
            Heard::Batch(cursor) | Heard::Live(cursor) => (*cursor, false),
            Heard::Gap(gap) => (gap.to, false),
            Heard::End | Heard::Failed | Heard::Silence => continue,
        };
        if now < place || (is_event && now == place) {
            return broken(&format!("the place moved back from {place} to {now}"), heard);
        }
        place = now;
    }
    Ok(())
}

/// The place a client has after all this.
fn place(heard: &[Heard]) -> Option<Cursor> {
    heard.iter().rev().find_map(|item| match item {
        Heard::Open(opened) => Some(opened.place()),
        Heard::Event(number) => Some(number.cursor),
        Heard::Batch(cursor) | Heard::Live(cursor) => Some(*cursor),
        Heard::Gap(gap) => Some(gap.to),
        Heard::End | Heard::Failed | Heard::Silence => None,
    })
}

/// Events are published between any two deliveries: after each, the place told so far leads to all that did not come.
async fn never_passes_an_event<F: Fixture>(fixture: &F, mut next: u64) -> Result<(), Violation> {
    let mut reader = Reader::new(LAW, fixture, Start::Last(2));
    let mut heard = reader.next().await?;
    let first = next - 2;
    for _ in 0..6 {
        fixture.publish(next..next + 1).await;
        next += 1;
        heard.extend(reader.next().await?);
        let Some(place) = place(&heard) else { return broken("no place was told", &heard) };
        let rest = read(LAW, fixture, Start::After(place)).await?;
        let got: BTreeSet<_> = events(&heard).chain(events(&rest)).map(|number| number.n).collect();
        if let Some(missing) = (first..next).find(|n| !got.contains(n)) {
            return broken(&format!("the place {place} passed {missing}, which had not come"), &heard);
        }
    }
    Ok(())
}

/// False where the fixture has no events that are not this source's.
async fn moves_unseen<F: Fixture>(fixture: &F) -> Result<bool, Violation> {
    let mut quiet = Reader::new(LAW, fixture, Start::Live);
    let before = quiet.until_rest().await?;
    let Some(before) = place(&before) else { return broken("no place was told", &before) };
    if !fixture.pass_by().await {
        return Ok(false);
    }
    quiet.poke();
    let heard = quiet.until_rest().await?;
    let Some(now) = place(&heard).filter(|now| *now > before) else {
        return broken("the place moved without an event, and nobody told", &heard);
    };
    let resumed = read(LAW, fixture, Start::After(now)).await?;
    if !gaps(&resumed).is_empty() {
        return broken("a gap after the place that was told", &resumed);
    }
    Ok(true)
}

fn broken<T>(what: &str, heard: &[Heard]) -> Result<T, Violation> {
    Err(Violation::new(LAW, format!("{what}; it heard {heard:?}")))
}
