use std::time::Duration;

use crate::page::PageLimits;

/// The knobs of long-polling.
///
/// ```
/// use std::time::Duration;
/// use realtime_tower::LongPollConfig;
///
/// let config = LongPollConfig { wait_max: Duration::from_secs(55), ..LongPollConfig::default() };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LongPollConfig {
    /// How long to wait where the client does not say, before jitter of a fifth downwards. Default 25 s, below the
    /// 30 s at which middleboxes begin to cut (RFC 6202, section 5.5).
    pub wait: Duration,
    /// The longest wait a client may ask for. Default 30 s.
    pub wait_max: Duration,
    /// How much one answer carries.
    pub page: PageLimits,
}

impl Default for LongPollConfig {
    fn default() -> Self {
        Self { wait: Duration::from_secs(25), wait_max: Duration::from_secs(30), page: PageLimits::default() }
    }
}
