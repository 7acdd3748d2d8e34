//! What an operator sees: figures, spans and metrics, written in one place and never per event. What they are called
//! stands in `observe.md`, which is a part of the crate's docs.

use std::error::Error as _;

use realtime_core::envelope::EndReason;
use realtime_core::{Cursor, Gap, Opened, SourceError};

use crate::mount::Permit;
use crate::stats::add;

/// A reader has its place.
pub(crate) fn connected(permit: &Permit, opened: &Opened, resumed: bool) {
    let counters = permit.counters();
    add(&counters.requests, 1);
    let outcome = match (opened.gap, resumed) {
        (Some(_), _) => "gap",
        (None, true) => {
            add(&counters.resumes, 1);
            "resumed"
        }
        (None, false) => "fresh",
    };
    permit.span().in_scope(|| tracing::debug!(outcome, cursor = %opened.cursor, "connect"));
    #[cfg(feature = "metrics")]
    metrics::counter!("realtime_connects_total", "transport" => permit.transport()).increment(1);
}

/// A reader is told that events are gone.
pub(crate) fn gap(permit: &Permit, gap: &Gap) {
    add(&permit.counters().gaps, 1);
    permit.span().in_scope(|| {
        let from = gap.from.map(tracing::field::display);
        tracing::info!(reason = gap.reason.as_str(), from, to = %gap.to, "gap");
    });
    #[cfg(feature = "metrics")]
    metrics::counter!("realtime_gaps_total", "transport" => permit.transport(), "reason" => gap.reason.as_str())
        .increment(1);
}

/// A stream ends. An answer of a poll does not: it is an answer.
pub(crate) fn ended(permit: &Permit, reason: EndReason, cursor: Option<Cursor>) {
    let cursor = cursor.map(tracing::field::display);
    if reason == EndReason::Slow {
        add(&permit.counters().evictions, 1);
        permit.span().in_scope(|| tracing::info!(cursor, "evict"));
        #[cfg(feature = "metrics")]
        metrics::counter!("realtime_evictions_total", "transport" => permit.transport()).increment(1);
    } else {
        permit.span().in_scope(|| tracing::debug!(reason = reason.as_str(), cursor, "end"));
    }
    #[cfg(feature = "metrics")]
    metrics::counter!("realtime_ends_total", "transport" => permit.transport()).increment(1);
}

/// A stream's client has left without a word, or its connection broke off.
pub(crate) fn gone(permit: &Permit, cursor: Option<Cursor>) {
    let cursor = cursor.map(tracing::field::display);
    permit.span().in_scope(|| tracing::debug!(reason = "gone", cursor, "end"));
    #[cfg(feature = "metrics")]
    metrics::counter!("realtime_ends_total", "transport" => permit.transport()).increment(1);
}

/// A source failed, or (none) gave nothing in time: the client is told little, the log all of it. What the source says
/// of itself may hold what others said to it, so that it is escaped.
pub(crate) fn failed(permit: &Permit, error: Option<&SourceError>) {
    let cause = error.and_then(|error| error.source());
    let cause = cause.map(|cause| cause.to_string().escape_debug().to_string());
    permit.span().in_scope(|| match error {
        Some(error) => tracing::warn!(error = %error, cause, "the source failed"),
        None => tracing::warn!("the source took too long"),
    });
}
