//! realtime-axum
