//! How long events take from `publish` to a reader.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::Outcome;

/// The latencies of one visit, if they are taken.
#[derive(Debug)]
pub(crate) struct Latency {
    since: Instant,
    taken_us: Option<Histogram<u64>>,
}

/// Digits that are kept of each: a thousandth.
const DIGITS: u8 = 3;

impl Latency {
    /// Takes none.
    pub(crate) fn none() -> Self {
        Self { since: Instant::now(), taken_us: None }
    }

    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self { since: Instant::now(), taken_us: Some(Histogram::new(DIGITS)?) })
    }

    /// An event is published now.
    pub(crate) fn published(&mut self) {
        self.since = Instant::now();
    }

    /// A reader has so many events that it had not.
    pub(crate) fn received(&mut self, events: u64) {
        if let Some(taken) = &mut self.taken_us
            && events > 0
        {
            // It grows by itself: nothing is beyond it.
            let _ = taken.record_n(self.since.elapsed().as_micros() as u64, events);
        }
    }

    /// What so large a part of the deliveries took at most: microseconds.
    pub(crate) fn quantile_us(&self, part: f64) -> Option<f64> {
        self.taken_us
            .as_ref()
            .filter(|taken| !taken.is_empty())
            .map(|taken| taken.value_at_quantile(part) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_of_deliveries_and_of_none_there_is_none() {
        assert_eq!(Latency::none().quantile_us(0.5), None);
        let mut latency = Latency::new().unwrap();
        assert_eq!(latency.quantile_us(0.5), None);
        latency.published();
        latency.received(0);
        assert_eq!(latency.quantile_us(0.5), None, "nobody has received anything");
        latency.received(3);
        assert!(latency.quantile_us(0.99) >= latency.quantile_us(0.5));
    }
}
