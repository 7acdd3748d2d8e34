//! The bench: what a delivery costs the server, and what an idle connection does.
//!
//! ```text
//! bench (generator) ── control: "publish 7 16" ──► bench-server <kind>, a process of its own
//!        ▲                                                │
//!        └──────── N connections, one epoll thread ◄──────┘
//! ```
//!
//! - [`Kind`]: what can be served, ours and what it is compared with;
//! - [`server`]: the process that is measured;
//! - `decode`, `readers`, `streams`, `latency`: the generator, which checks every payload and its number: a fast server that loses is not
//!   fast;
//! - [`measure`]: one visit to one kind; [`heap`]: one that counts allocations;
//! - [`costs()`]: what a delivery costs by count, held against [`Bounds`];
//! - [`whole`]: the settings of a whole run, each with its kinds and rounds;
//! - [`Publishing`]: what publishing costs without a socket;
//! - [`Report`]: medians, ratios, tables, `plots`, and a `verdict` per figure that is to be reached.
//!
//! One event is published when all readers have the last one, so that a server cannot gather them; a second figure is
//! for bursts of 16, a third for bursts of 100. What is counted is the processor time of the server's process, kernel included: elapsed time says
//! more about the generator.

mod costs;
mod decode;
mod kind;
mod latency;
mod machine;
mod measure;
mod payload;
mod plots;
mod publishing;
mod readers;
mod report;
pub mod server;
mod settings;
mod streams;
mod verdict;

pub use costs::{Bounds, Costs, Unfit, allocations, costs};
pub use kind::Kind;
pub use machine::{Machine, files_max};
pub use measure::{BURSTS, Figures, Heap, Plan, Programs, heap, idle_heap, measure};
pub use payload::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN};
pub use publishing::Publishing;
pub use report::{Counts, Report};
pub use settings::{COUNTED, FEW, HEAPS, READERS_MAX, Setting, whole};

/// What a step comes to: its result, or why it failed.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
