//! The small bench: what a delivery costs the server, and what an idle connection does.
//!
//! ```text
//! bench (generator) ── control: "publish 7 16" ──► bench-server <kind>, a process of its own
//!        ▲                                                │
//!        └──────── N connections, one epoll thread ◄──────┘
//! ```
//!
//! - [`Kind`]: what can be served, ours and what it is compared with;
//! - [`server`]: the process that is measured;
//! - `decode`, `readers`: the generator, which checks every payload and its number: a fast server that loses is not
//!   fast;
//! - [`measure`]: one visit to one kind; [`heap`]: one that counts allocations;
//! - [`Report`]: medians, ratios, and the table.
//!
//! One event is published when all readers have the last one, so that a server cannot gather them; a second figure is
//! for bursts of 16. What is counted is the processor time of the server's process, kernel included: elapsed time says
//! more about the generator.

mod decode;
mod kind;
mod machine;
mod measure;
mod payload;
mod readers;
mod report;
pub mod server;

pub use kind::Kind;
pub use machine::{Machine, files_max};
pub use measure::{Figures, Heap, Plan, Programs, heap, measure};
pub use report::Report;

/// What a step comes to: its result, or why it failed.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
