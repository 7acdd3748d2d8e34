//! How large a run is: as every run can bear it, or as a figure wants it, by command.

use std::env;

/// The number in a variable, where it is set.
pub(crate) fn asked(name: &str, otherwise: u64) -> u64 {
    match env::var(name) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{name} is a number, and not {number:?}")),
        Err(_) => otherwise,
    }
}
