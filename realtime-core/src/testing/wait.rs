//! D-15, D-16 and the first answer: when a feed works, when it waits, and what it leaves.

use super::fixture::{Fixture, RETAINED};
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Reader, read};
use crate::cursor::Start;

const BEFORE: u64 = RETAINED / 8;

/// Readers that come to one place at once.
const READERS: usize = 8;

/// D-15: a feed does nothing before its first poll, nobody reading costs nothing, and many readers that wait at one
/// place cost about what one does.
///
/// # Errors
/// Work that nobody asked for.
pub async fn lazy<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::Lazy;
    let mut untested = Vec::new();
    fixture.publish(0..BEFORE).await;
    let (readers, reads) = (fixture.readers(), fixture.reads());
    let unpolled = Reader::new(LAW, fixture, Start::Earliest);
    fixture.pause().await;
    if fixture.readers() != readers {
        return unpolled.broken("a feed that was never polled counts as a reader");
    }
    if fixture.reads() != reads {
        return unpolled.broken("a feed that was never polled has done I/O");
    }
    drop(unpolled);
    if readers.is_none() {
        untested.push("that an unpolled feed holds nothing: the fixture counts no readers");
    }
    if reads.is_none() {
        untested.push("that no I/O is done for nobody, and little for many: the fixture counts no reads");
        return Ok(untested);
    }

    fixture.publish(BEFORE..BEFORE + 2).await;
    fixture.pause().await;
    if fixture.reads() != reads {
        return Err(Violation::new(LAW, "nobody reads, and the source does"));
    }
    let mut next = BEFORE + 2;
    let mut cost = Vec::new();
    for count in [1, READERS] {
        let mut waiting: Vec<_> = (0..count).map(|_| Reader::new(LAW, fixture, Start::Live)).collect();
        for reader in &mut waiting {
            reader.until_rest().await?;
        }
        let before = fixture.reads().unwrap_or_default();
        fixture.publish(next..next + 4).await;
        next += 4;
        for reader in &mut waiting {
            reader.until_rest().await?;
        }
        cost.push(fixture.reads().unwrap_or_default() - before);
    }
    // A read that was under way may come on top.
    if cost[1] > 2 * cost[0] + 2 {
        let what = format!("{READERS} readers at one place cost {} reads, one costs {}", cost[1], cost[0]);
        return Err(Violation::new(LAW, what));
    }
    Ok(untested)
}

/// D-16: a feed that is dropped after any number of polls leaves no reader behind, and takes nothing from the others.
///
/// # Errors
/// What it left.
pub async fn drops_clean<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::DropsClean;
    fixture.publish(0..BEFORE).await;
    let readers = fixture.readers();
    for start in [Start::Earliest, Start::Live] {
        for polls in 0..6 {
            let mut reader = Reader::new(LAW, fixture, start);
            for _ in 0..polls {
                reader.next().await?;
            }
            drop(reader);
            fixture.pause().await;
            if fixture.readers() != readers {
                let (left, was) = (fixture.readers(), readers);
                let what =
                    format!("dropped after {polls} polls from {start}: {left:?} readers, {was:?} before");
                return Err(Violation::new(LAW, what));
            }
        }
    }
    let mut stays = Reader::new(LAW, fixture, Start::Live);
    stays.until_rest().await?;
    let mut goes = Reader::new(LAW, fixture, Start::Live);
    goes.until_rest().await?;
    drop(goes);
    fixture.publish(BEFORE..BEFORE + 1).await;
    let heard = stays.until_rest().await?;
    if super::reader::numbers(&heard) != [BEFORE] {
        return stays.broken(format!("another was dropped, and this reader heard {heard:?}"));
    }
    Ok(if readers.is_none() { vec!["what is left: the fixture counts no readers"] } else { Vec::new() })
}

/// A feed says `Live`, or its end, without waiting for news: a poll gets an answer from any source, an empty one too.
///
/// # Errors
/// A feed that waited.
pub async fn answers_at_once<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::AnswersAtOnce;
    let mut starts = vec![Start::Earliest, Start::Live, Start::Last(4)];
    for _ in 0..2 {
        for start in starts.clone() {
            let heard = read(LAW, fixture, start).await?;
            if !matches!(heard.last(), Some(Heard::Live(_) | Heard::End | Heard::Failed)) {
                let what = format!("read from {start}, it waited before `Live`; it heard {heard:?}");
                return Err(Violation::new(LAW, what));
            }
            if let Some(Heard::Live(tail)) = heard.last() {
                starts.push(Start::After(*tail));
            }
        }
        fixture.publish(0..BEFORE).await;
    }
    Ok(Vec::new())
}
