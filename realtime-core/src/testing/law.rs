//! The laws by name, and what comes out of testing them.

use std::fmt;

/// A law that every source keeps.
///
/// ```
/// use realtime_core::testing::Law;
///
/// assert_eq!(Law::HonestGap.to_string(), "D-04 honest gap");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// D-01: every event after the cursor that the source still holds is delivered, and wakes who waits.
    NoLoss,
    /// D-02, D-03: no event twice, and each topic's in order, across reconnects and from replay to live.
    OrderedOnce,
    /// D-04: what is gone is said before the first event after it, and nothing else is.
    HonestGap,
    /// D-06: the place is told first, never moves back, and is told when it moves without an event.
    MonotonicPlace,
    /// D-07: snapshot and changes together are the authoritative table from `Live` on.
    NoTear,
    /// D-13: the end is told apart from having nothing new.
    EndIsNotSilence,
    /// D-15: no I/O before the first poll, nor for nobody; many readers at one place share it.
    Lazy,
    /// D-16: a feed that is dropped leaves nothing.
    DropsClean,
    /// A feed never waits for news before it has said `Live`.
    AnswersAtOnce,
    /// An error is the last item of a feed.
    ErrorIsLast,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoLoss,
        Self::OrderedOnce,
        Self::HonestGap,
        Self::MonotonicPlace,
        Self::NoTear,
        Self::EndIsNotSilence,
        Self::Lazy,
        Self::DropsClean,
        Self::AnswersAtOnce,
        Self::ErrorIsLast,
    ];
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLoss => "D-01 no loss",
            Self::OrderedOnce => "D-02, D-03 in order and once",
            Self::HonestGap => "D-04 honest gap",
            Self::MonotonicPlace => "D-06 monotonic place",
            Self::NoTear => "D-07 no tear",
            Self::EndIsNotSilence => "D-13 the end is not silence",
            Self::Lazy => "D-15 lazy",
            Self::DropsClean => "D-16 drops clean",
            Self::AnswersAtOnce => "answers at once",
            Self::ErrorIsLast => "an error is the last item",
        })
    }
}

/// A law that a source broke.
///
/// ```
/// use realtime_core::testing::{Law, check};
/// # use std::ops::Range;
/// # use realtime_core::{Event, Log};
/// # struct Forgetful(Log);
/// # impl realtime_core::testing::Fixture for Forgetful {
/// #     type Source = Log;
/// #     fn source(&self) -> Log {
/// #         self.0.clone()
/// #     }
/// #     async fn publish(&self, _: Range<u64>) {}
/// # }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let fixture = Forgetful(Log::new());
/// let violation = check(Law::NoLoss, &fixture).await.unwrap_err();
/// assert_eq!(violation.law(), Law::NoLoss);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    law: Law,
    what: String,
}

impl Violation {
    pub(super) fn new(law: Law, what: impl Into<String>) -> Self {
        Self { law, what: what.into() }
    }

    /// The law.
    pub fn law(&self) -> Law {
        self.law
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.what)
    }
}

impl std::error::Error for Violation {}

/// The parts of a law that the fixture could not test; none means that all of it holds.
pub type Untested = Vec<&'static str>;

/// How the one entry of a law begins of which nothing was tested, so that nobody takes it for one that held.
const ALL_OF_IT: &str = "all of it: ";

/// Which laws held, and which parts of them nobody tested.
///
/// Its text is a table, one law a line. See the [module](super) for an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(Vec<(Law, Untested)>);

impl Report {
    pub(super) fn add(&mut self, law: Law, untested: Untested) {
        self.0.push((law, untested));
    }

    /// What was not tested.
    pub fn untested(&self) -> impl Iterator<Item = (Law, &'static str)> + '_ {
        self.0.iter().flat_map(|(law, untested)| untested.iter().map(|what| (*law, *what)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (law, untested) in &self.0 {
            write!(f, "{:<30}", law.to_string())?;
            match untested.as_slice() {
                [] => writeln!(f, "held")?,
                [all] if all.starts_with(ALL_OF_IT) => writeln!(f, "untested: {all}")?,
                some => writeln!(f, "held in part; untested: {}", some.join("; "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_tested_has_not_held() {
        let mut report = Report::default();
        report.add(Law::HonestGap, vec![]);
        report.add(Law::NoTear, vec!["all of it: the fixture keeps no latest per key"]);
        report.add(Law::MonotonicPlace, vec!["a place moved by others' events"]);
        let said: Vec<_> = report.to_string().lines().map(|line| line[30..].to_owned()).collect();
        let expected = [
            "held",
            "untested: all of it: the fixture keeps no latest per key",
            "held in part; untested: a place moved by others' events",
        ];
        assert_eq!(said, expected);
    }
}
