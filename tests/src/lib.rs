//! tests

/// Which rules the run has proved.
pub mod rules;
