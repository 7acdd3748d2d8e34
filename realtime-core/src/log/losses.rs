//! What was lost, and when: by this the log knows which loss a reader has not been told of.
//!
//! A position alone would not do. Topics lose at their own pace, so that a low position may go after a high one was
//! told, or was never asked for; a reader still before it would pass over it in silence. So every loss has a turn too,
//! and a reader remembers the turn up to which it was told.

use std::collections::VecDeque;

/// The newest loss of one topic: nothing that it lost stands higher. A turn of 0 is no loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) position: u64,
    turn: u64,
}

impl Loss {
    /// Whether a reader that stands at `after` and was told of all up to the turn `told` has to be told.
    pub(crate) fn is_owed(self, after: u64, told: u64) -> bool {
        self.position > after && self.turn > told
    }

    /// Takes in what another topic lost, for what the two have to tell together.
    pub(crate) fn join(self, other: Self) -> Self {
        Self { position: self.position.max(other.position), turn: self.turn.max(other.turn) }
    }
}

/// The losses of all topics together.
///
/// ```text
/// turn      3   5   9
/// position 80  31   7      each is higher than all that came later: what a later and higher one covers is gone
/// ```
///
/// There is at most one for each topic that lived when the first of them was lost.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    turn: u64,
    falling: VecDeque<Loss>,
}

impl Losses {
    /// Now: whoever begins to read at this turn has lost nothing yet.
    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    pub(crate) fn record(&mut self, position: u64) -> Loss {
        self.turn += 1;
        let loss = Loss { position, turn: self.turn };
        while self.falling.back().is_some_and(|earlier| earlier.position <= position) {
            self.falling.pop_back();
        }
        self.falling.push_back(loss);
        loss
    }

    /// The highest loss that a reader of everything is owed.
    pub(crate) fn owed(&self, after: u64, told: u64) -> Option<Loss> {
        let untold = self.falling.partition_point(|loss| loss.turn <= told);
        self.falling.get(untold).copied().filter(|loss| loss.is_owed(after, told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_what_was_not_told_is_owed() {
        let mut losses = Losses::default();
        for position in [10, 80, 31, 7] {
            losses.record(position);
        }
        let owed = |after, told| losses.owed(after, told).map(|loss| loss.position);
        assert_eq!(
            [owed(0, 0), owed(0, 1), owed(0, 2), owed(0, 3), owed(0, 4)],
            [Some(80), Some(80), Some(31), Some(7), None]
        );
        assert_eq!([owed(79, 0), owed(80, 0), owed(6, 3), owed(7, 3)], [Some(80), None, Some(7), None]);
        assert_eq!(losses.falling.len(), 3, "10 is covered by 80");
    }
}
