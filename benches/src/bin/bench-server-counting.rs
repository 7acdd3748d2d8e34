//! The same with an allocator that counts.

use std::alloc::System;

use realtime_benches::{Outcome, server};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Outcome {
    server::serve(server::Asked::read()?, || {
        let stats = ALLOCATOR.stats();
        let live = stats.bytes_allocated.saturating_sub(stats.bytes_deallocated);
        ((stats.allocations + stats.reallocations) as u64, live as u64)
    })
}
