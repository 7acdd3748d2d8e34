use crate::page::PageLimits;

/// The knobs of polling.
///
/// ```
/// use realtime_tower::{PageLimits, PollConfig};
///
/// let config = PollConfig { page: PageLimits { bytes_max: 64 * 1024, ..PageLimits::default() } };
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PollConfig {
    /// How much one answer carries.
    pub page: PageLimits,
}
