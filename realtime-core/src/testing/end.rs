//! D-13 and the last item: how a feed ends.

use super::fixture::{Fixture, RETAINED};
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Reader, events, numbers, read};
use crate::cursor::Start;

const BEFORE: u64 = RETAINED / 8;

/// D-13: a feed ends when the source was closed and all of it was read, and only then; who comes after the last event
/// of a closed source is told so at once.
///
/// # Errors
/// An end that was not told, or told too early.
pub async fn end_is_not_silence<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::EndIsNotSilence;
    let broken = |what: &str, heard: &[Heard]| -> Result<Untested, Violation> {
        Err(Violation::new(LAW, format!("{what}; it heard {heard:?}")))
    };
    fixture.publish(0..BEFORE).await;
    let mut waiting = Reader::new(LAW, fixture, Start::Earliest);
    let heard = waiting.until_rest().await?;
    let Some(last) = events(&heard).last().map(|number| number.cursor) else {
        return broken("nothing came", &heard);
    };
    if !matches!(heard.last(), Some(Heard::Silence)) {
        return broken("the source is open, and the feed ended", &heard);
    }
    if matches!(read(LAW, fixture, Start::After(last)).await?.first(), Some(Heard::Open(o)) if o.at_end) {
        return broken("the source is open, and `at_end` was said", &heard);
    }
    fixture.publish(BEFORE..BEFORE + 2).await;
    if !fixture.close().await {
        return Ok(vec!["a close: the fixture cannot do it"]);
    }
    let heard = waiting.until_rest().await?;
    if numbers(&heard) != [BEFORE, BEFORE + 1] || !matches!(heard.last(), Some(Heard::End)) {
        return broken("a reader that waited was to get two events and the end", &heard);
    }
    let heard = Reader::new(LAW, fixture, Start::After(last)).until_rest().await?;
    let opened_at_end = matches!(heard.first(), Some(Heard::Open(opened)) if opened.at_end);
    if numbers(&heard) != [BEFORE, BEFORE + 1] || !matches!(heard.last(), Some(Heard::End)) || opened_at_end {
        return broken("who comes late was to get two events and the end", &heard);
    }
    let Some(place) = events(&heard).last().map(|number| number.cursor) else {
        return broken("nothing came", &heard);
    };
    for start in [Start::After(place), Start::Live] {
        let heard = Reader::new(LAW, fixture, start).until_rest().await?;
        let opened_at_end = matches!(heard.first(), Some(Heard::Open(opened)) if opened.at_end);
        if !opened_at_end || !numbers(&heard).is_empty() || !matches!(heard.last(), Some(Heard::End)) {
            return broken("who comes to the end was to be told `at_end`, and the end", &heard);
        }
    }
    Ok(Vec::new())
}

/// An error is the last item: nothing follows, and who waits is told of it.
///
/// # Errors
/// Something that followed, or a failure that nobody heard of.
pub async fn error_is_last<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    const LAW: Law = Law::ErrorIsLast;
    fixture.publish(0..BEFORE).await;
    let mut waiting = Reader::new(LAW, fixture, Start::Earliest);
    waiting.until_rest().await?;
    if !fixture.fail().await {
        return Ok(vec!["all of it: the fixture cannot fail"]);
    }
    let heard = waiting.until_rest().await?;
    if !matches!(heard.last(), Some(Heard::Failed)) {
        return waiting.broken(format!("the source failed, and a reader heard {heard:?}"));
    }
    waiting.poke();
    match waiting.next().await?.as_slice() {
        [Heard::End | Heard::Silence] => Ok(Vec::new()),
        more => waiting.broken(format!("after the error came {more:?}")),
    }
}
