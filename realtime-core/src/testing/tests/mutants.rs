//! Mutants of the log's gap rule: each is a way to get it wrong that reads right, and none survives.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use futures_util::StreamExt as _;

use super::fixtures::{InMemory, topic};
use super::{run, some_topics};
use crate::cursor::Start;
use crate::feed::{BoxFeed, Delivery, Gap};
use crate::log::Log;
use crate::source::Source;
use crate::testing::{Law, Violation, honest_gap};
use crate::topic::TopicSet;

#[derive(Clone, Copy)]
enum Rule {
    Right,
    /// No gap is ever said.
    Never,
    /// Only the losses of the set's first topic are looked at.
    OneTopicOnly,
    /// `to` is where the loss ends, and not just before what is still there.
    ToTheEndOfTheLoss,
}

/// A log whose gaps are said by another rule.
struct Mutant<const RULE: usize>(Log);

const RULES: [Rule; 4] = [Rule::Right, Rule::Never, Rule::OneTopicOnly, Rule::ToTheEndOfTheLoss];

impl<const RULE: usize> Source for Mutant<RULE> {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let log = self.0.clone();
        let said = move |gap: Gap| {
            // What a reader of one topic would be told from the same place.
            let alone = |name| match gap.from.and_then(|from| opened(&log, name, Start::After(from))) {
                Some(Delivery::Open(opened)) => opened.gap,
                _ => None,
            };
            match RULES[RULE] {
                Rule::Right => Some(gap),
                Rule::Never => None,
                Rule::OneTopicOnly => alone("n/aging").map(|_| gap),
                Rule::ToTheEndOfTheLoss => {
                    let ends = ["n/aging", "n/z-aging"].into_iter().filter_map(alone).map(|gap| gap.to);
                    Some(Gap { to: ends.max().unwrap_or(gap.to), ..gap })
                }
            }
        };
        Box::pin(some_topics(&self.0).subscribe(start).filter_map(move |item| {
            std::future::ready(match item {
                Ok(Delivery::Open(mut opened)) => {
                    opened.gap = opened.gap.and_then(&said);
                    Some(Ok(Delivery::Open(opened)))
                }
                Ok(Delivery::Gap(gap)) => said(gap).map(|gap| Ok(Delivery::Gap(gap))),
                other => Some(other),
            })
        }))
    }
}

fn opened(log: &Log, name: &str, start: Start) -> Option<Delivery> {
    let mut feed = log.topics(TopicSet::one(topic(name))).subscribe(start);
    match Pin::new(&mut feed).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(delivery))) => Some(delivery),
        _ => None,
    }
}

/// Losses on the set's first topic, and on its last.
fn try_rule<const RULE: usize>() -> Result<(), Violation> {
    let make = |log: &Log| Mutant::<RULE>(log.clone());
    for topics in [["n/aging", "n/steady"], ["n/z-aging", "n/steady"]] {
        run(honest_gap(&InMemory::new(make).on(topics)))?;
    }
    Ok(())
}

#[test]
fn no_mutant_of_the_gap_rule_survives() {
    assert_eq!(try_rule::<0>(), Ok(()));
    assert_eq!(try_rule::<1>().map_err(|violation| violation.law()), Err(Law::HonestGap));
    assert_eq!(try_rule::<2>().map_err(|violation| violation.law()), Err(Law::HonestGap));
    let violation = try_rule::<3>().unwrap_err();
    assert!(violation.to_string().contains("`to` leads past what is still there"), "{violation}");
}
