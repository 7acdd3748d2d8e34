//! realtime-tower
