//! Which operations are known, as plain data without a lock or a clock.

use std::collections::{HashMap, VecDeque};

use super::{Content, OnceConfig, Operation};
use crate::answered::Answered;
use crate::timer::Moment;

/// The operations that run, and those that were answered of late.
///
/// ```text
/// known     operation ─► what it asked for, its answer or none yet
/// finished  (when, operation), the oldest first: exactly the known ones that have an answer
/// ```
#[derive(Debug)]
pub(super) struct Window {
    config: OnceConfig,
    known: HashMap<Operation, Known>,
    finished: VecDeque<(Moment, Operation)>,
    /// Of the answers' bodies.
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    content: Content,
    answer: Option<Answered>,
}

/// What is known of an operation.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Nothing: it runs from now on, and is to be finished.
    New,
    /// It was answered.
    Done(Answered),
    /// It runs.
    Running,
    /// It asked for something else.
    Other,
    /// Nothing, and there is no room for it.
    Full,
}

impl Window {
    pub(super) fn new(config: OnceConfig) -> Self {
        Self { config, known: HashMap::new(), finished: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn begin(&mut self, operation: Operation, content: Content, now: Moment) -> Found {
        while self.finished.front().is_some_and(|(at, _)| now.since(*at) >= self.config.keep) {
            self.forget();
        }
        match self.known.get(&operation) {
            Some(known) if known.content != content => return Found::Other,
            Some(Known { answer: Some(answer), .. }) => return Found::Done(answer.clone()),
            Some(_) => return Found::Running,
            None => {}
        }
        if self.running() >= self.config.running_max.max(1) {
            return Found::Full;
        }
        if self.known.len() >= self.config.keys_max.max(1) && !self.forget() {
            return Found::Full;
        }
        self.known.insert(operation, Known { content, answer: None });
        Found::New
    }

    /// Takes the answer of one that runs. One that says "not now" has had no effect, and is to be tried again.
    pub(super) fn finish(&mut self, operation: Operation, answer: &Answered, now: Moment) {
        if !answer.is_final() {
            self.known.remove(&operation);
            return;
        }
        let Some(known) = self.known.get_mut(&operation) else { return };
        let answer = if answer.bytes() > self.config.answer_bytes_max {
            Answered::not_kept()
        } else {
            answer.of_its_own()
        };
        self.bytes += answer.bytes();
        known.answer = Some(answer);
        self.finished.push_back((now, operation));
        // It fits alone: the others go before it does.
        while self.bytes > self.config.answer_bytes_max && self.forget() {}
    }

    pub(super) fn running(&self) -> usize {
        self.known.len() - self.finished.len()
    }

    /// How many are known, and the bytes of their answers, counted anew.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let answers = self.known.values().filter_map(|known| known.answer.as_ref());
        (self.known.len(), answers.map(Answered::bytes).sum())
    }

    /// Forgets the oldest answer, if there is one.
    fn forget(&mut self) -> bool {
        let Some((_, operation)) = self.finished.pop_front() else { return false };
        let answer = self.known.remove(&operation).and_then(|known| known.answer);
        self.bytes -= answer.map_or(0, |answer| answer.bytes());
        true
    }
}
