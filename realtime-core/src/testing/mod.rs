//! The laws of a source, as functions that any [`Source`] can be put through by its author.
//!
//! ```text
//! your Fixture ─► source() ─► feed ─► law ─► Ok(what could not be tested) | Err(Violation)
//!       ▲                              │
//!       └── publish, trim, close, … ◄──┘
//! ```
//!
//! A [`Fixture`] is a source and the means to act on it. What it must have is small; every further thing that it can do
//! lets more be tested, and what it cannot do is reported and never passed over in silence.
//!
//! ```
//! use std::ops::Range;
//! use realtime_core::testing::{self, Fixture};
//! use realtime_core::{Event, Log, Topic};
//!
//! struct InMemory(Log);
//!
//! impl Fixture for InMemory {
//!     type Source = Log;
//!
//!     fn source(&self) -> Log {
//!         self.0.clone()
//!     }
//!
//!     async fn publish(&self, numbers: Range<u64>) {
//!         for n in numbers {
//!             self.0.publish(Event::json("n", &n).expect("a number is JSON")).expect("the log is open");
//!         }
//!     }
//!
//!     async fn close(&self) -> bool {
//!         self.0.close();
//!         true
//!     }
//!
//!     fn readers(&self) -> Option<usize> {
//!         Some(self.0.readers(&Topic::new("any").expect("a name")))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let report = testing::check_all(async || InMemory(Log::new())).await?;
//! println!("{report}");                                     // which laws held, and what was left untested
//! # assert!(report.to_string().contains("D-01"));
//! # assert!(report.untested().any(|(_, what)| what.contains("trim")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The laws need no runtime. They wait by [`Fixture::pause`], and poll a feed again only when it woke its reader, so
//! that a wake-up that gets lost is found.
//!
//! A fixture that cannot tell a broken source from a sound one proves nothing: [`broken`] has one of each kind.

pub mod broken;

mod end;
mod fixture;
mod gap;
mod law;
mod place;
mod reader;
mod replay;
mod table;
mod wait;

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests;

pub use end::{end_is_not_silence, error_is_last};
pub use fixture::{Fixture, RETAINED};
pub use gap::honest_gap;
pub use law::{Law, Report, Untested, Violation};
pub use place::monotonic_place;
pub use replay::{no_loss, ordered_once};
pub use table::no_tear;
pub use wait::{answers_at_once, drops_clean, lazy};

#[cfg(doc)]
use crate::Source;

/// Puts a source through every law, each with a fixture of its own.
///
/// # Errors
/// The first law that is broken, and how.
pub async fn check_all<F: Fixture>(make: impl AsyncFn() -> F) -> Result<Report, Violation> {
    let mut report = Report::default();
    for law in Law::ALL {
        report.add(law, check(law, &make().await).await?);
    }
    Ok(report)
}

/// Puts a source through one law.
///
/// # Errors
/// How it is broken.
pub async fn check<F: Fixture>(law: Law, fixture: &F) -> Result<Untested, Violation> {
    match law {
        Law::NoLoss => no_loss(fixture).await,
        Law::OrderedOnce => ordered_once(fixture).await,
        Law::HonestGap => honest_gap(fixture).await,
        Law::MonotonicPlace => monotonic_place(fixture).await,
        Law::NoTear => no_tear(fixture).await,
        Law::EndIsNotSilence => end_is_not_silence(fixture).await,
        Law::Lazy => lazy(fixture).await,
        Law::DropsClean => drops_clean(fixture).await,
        Law::AnswersAtOnce => answers_at_once(fixture).await,
        Law::ErrorIsLast => error_is_last(fixture).await,
    }
}
