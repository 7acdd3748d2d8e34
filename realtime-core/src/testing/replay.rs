//! D-01, D-02, D-03: everything that is there, once, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::fixture::{Fixture, RETAINED};
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Number, Reader, events, numbers, read};
use crate::cursor::Start;

/// How many numbers there are before a reader comes: they leave room for those that follow.
const BEFORE: u64 = RETAINED / 4;

/// D-01: every event after the cursor that the source still holds is delivered: from the beginning, after each cursor,
/// the last few, while waiting, and at the seam between replay and live.
///
/// # Errors
/// A number that was not.
pub async fn no_loss<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::NoLoss;
    fixture.publish(0..BEFORE).await;
    let all = read(LAW, fixture, Start::Earliest).await?;
    expect_all(&all, 0..BEFORE, "read from the beginning")?;
    let cursors: BTreeMap<_, _> = events(&all).map(|number| (number.n, number.cursor)).collect();
    for (n, cursor) in &cursors {
        let rest = read(LAW, fixture, Start::After(*cursor)).await?;
        expect_all(&rest, n + 1..BEFORE, &format!("read after the cursor of {n}"))?;
    }
    let last = read(LAW, fixture, Start::Last(3)).await?;
    expect_all(&last, BEFORE - 3..BEFORE, "the last three")?;

    let mut waiting = Reader::new(LAW, fixture, Start::Live);
    waiting.until_rest().await?;
    let mut next = BEFORE;
    for count in [1, 8] {
        fixture.publish(next..next + count).await;
        let heard = waiting.until_rest().await?;
        expect_all(&heard, next..next + count, "published while a reader waited")?;
        next += count;
    }
    drop(waiting);

    for polls in 1..4 {
        let mut reader = Reader::new(LAW, fixture, Start::After(cursors[&0]));
        let mut heard = Vec::new();
        for _ in 0..polls {
            heard.extend(reader.next().await?);
        }
        fixture.publish(next..next + 2).await;
        next += 2;
        heard.extend(reader.until_rest().await?);
        expect_all(&heard, 1..next, &format!("published after {polls} polls"))?;
    }
    Ok(Vec::new())
}

fn expect_all(heard: &[Heard], numbers: Range<u64>, when: &str) -> Result<(), Violation> {
    let got: BTreeSet<_> = self::numbers(heard).into_iter().collect();
    let missing: Vec<_> = numbers.filter(|n| !got.contains(n)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Violation::new(Law::NoLoss, format!("{when}: {missing:?} did not come; it heard {heard:?}")))
}

/// D-02, D-03: positions rise strictly, each topic's numbers come in the order they were published, and none comes
/// twice, also for a client that is cut after every event and comes back with its cursor.
///
/// # Errors
/// What came twice, or before its turn.
pub async fn ordered_once<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::OrderedOnce;
    fixture.publish(0..BEFORE).await;
    let mut next = BEFORE;
    for start in [Start::Earliest, Start::Live, Start::Last(5)] {
        let mut reader = Reader::new(LAW, fixture, start);
        let mut heard = reader.next().await?;
        for count in [1, 4] {
            fixture.publish(next..next + count).await;
            next += count;
            heard.extend(reader.until_rest().await?);
        }
        expect_order(events(&heard), &format!("read from {start}"))?;
    }

    let mut collected: Vec<Number> = Vec::new();
    let mut start = Start::Earliest;
    loop {
        let heard = read(LAW, fixture, start).await?;
        let Some(first) = events(&heard).next().cloned() else { break };
        if collected.len() as u64 > next {
            return Err(Violation::new(LAW, format!("{} comes again and again", first.n)));
        }
        start = Start::After(first.cursor);
        collected.push(first);
    }
    expect_order(collected.iter(), "cut after every event")?;
    Ok(Vec::new())
}

fn expect_order<'a>(events: impl Iterator<Item = &'a Number>, when: &str) -> Result<(), Violation> {
    let mut former: Option<&Number> = None;
    let mut newest = BTreeMap::new();
    for number in events {
        if former.is_some_and(|former| former.cursor >= number.cursor) {
            let what = format!("{when}: {number:?} came after {former:?}, whose place is not before it");
            return Err(Violation::new(Law::OrderedOnce, what));
        }
        if newest.insert(&number.topic, number.n).is_some_and(|newest| newest >= number.n) {
            return Err(Violation::new(
                Law::OrderedOnce,
                format!("{when}: {number:?} came out of turn or twice"),
            ));
        }
        former = Some(number);
    }
    Ok(())
}
