//! realtime-core
