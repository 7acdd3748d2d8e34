//! What the whole plan goes through: which settings, with which kinds, how often; whose memory and counts are looked at.
//!
//! A kind stands where a figure of `verdict` is taken of it, or where it is what one is held against: the rest would be time. The
//! setting of most figures has the most rounds, and whatever is held against its own noise has three at least.

use crate::{Kind, Plan};

/// What is gone through, how often, and with which kinds.
#[derive(Debug, Clone)]
pub struct Setting {
    /// How much of what.
    pub plan: Plan,
    /// How often, for a median.
    pub rounds: usize,
    /// The floor among them.
    pub kinds: Vec<Kind>,
}

/// What a larger payload is looked at with.
pub const FEW: [Kind; 14] = [
    Kind::SendLoop,
    Kind::SendBurst,
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::SocketIo,
    Kind::OursWs,
    Kind::OursWsDeflate,
    Kind::HyperSse,
    Kind::AxumSharedSse,
    Kind::AxumSse,
    Kind::OursSse,
    Kind::HyperLongPoll,
    Kind::OursLongPoll,
];

/// What is followed as readers grow, and from one worker to two: ours, and of each transport what else there is.
pub(crate) const GROWING: [Kind; 14] = [
    Kind::SendLoop,
    Kind::SendBurst,
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::SocketIo,
    Kind::OursWs,
    Kind::HyperSse,
    Kind::AxumSharedSse,
    Kind::AxumSse,
    Kind::OursSse,
    Kind::HyperLongPoll,
    Kind::AxumLongPoll,
    Kind::OursLongPoll,
];

/// Whose heap is looked at while ten thousand readers of it are idle.
pub const HEAPS: [Kind; 12] = [
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::OursWs,
    Kind::HyperSse,
    Kind::AxumSharedSse,
    Kind::AxumSse,
    Kind::OursSse,
    Kind::OursSseHyper,
    Kind::HyperLongPoll,
    Kind::OursLongPoll,
    Kind::OursLongPollHyper,
];

/// Of what a delivery is counted: ours, and what ours is held against. The floor does nothing but its system call; over
/// HTTP/2 what gathers is chance.
pub const COUNTED: [Kind; 20] = [
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::OursWs,
    Kind::OursWsServe,
    Kind::HyperSse,
    Kind::AxumSharedSse,
    Kind::AxumSse,
    Kind::OursSse,
    Kind::OursSseServe,
    Kind::OursSseHyper,
    Kind::HyperLongPoll,
    Kind::OursLongPoll,
    Kind::OursLongPollHyper,
    Kind::HyperPoll,
    Kind::OursPoll,
    Kind::OursPollHyper,
    Kind::HyperNotModified,
    Kind::OursNotModified,
    Kind::OursNotModifiedHyper,
];

/// The most readers there are: what the growth and the heap are looked at with.
pub const READERS_MAX: usize = 10_000;

/// The settings of the whole plan. With a core for the server there are two more: one worker and two, on both cores of
/// which the generator has one, which is what a machine without cores to spare does.
pub fn whole(server_core: Option<&'static str>) -> Vec<Setting> {
    let plan = |readers, payload_bytes, events, bursts| Plan {
        readers,
        payload_bytes,
        events,
        bursts,
        cores: server_core,
        workers: 1,
    };
    let of = |plan, rounds, kinds: &[Kind]| Setting { plan, rounds, kinds: kinds.to_vec() };
    let mut settings = vec![
        of(plan(1_000, 128, 60, [8, 2]), 5, &Kind::ALL),
        of(plan(1_000, 1_024, 50, [6, 2]), 3, &FEW),
        of(plan(1, 128, 500, [40, 10]), 5, &FEW),
        of(plan(100, 128, 200, [20, 6]), 3, &GROWING),
        of(plan(READERS_MAX, 128, 10, [1, 0]), 3, &GROWING),
    ];
    if server_core.is_some() {
        let shared = |workers| Plan { cores: Some("0,1"), workers, ..plan(1_000, 128, 40, [4, 1]) };
        settings.extend([1, 2].map(|workers| of(shared(workers), 3, &GROWING)));
    }
    settings
}

impl Plan {
    /// Whether the generator has its core for itself.
    pub(crate) fn is_apart(&self) -> bool {
        self.cores.is_none_or(|cores| !cores.contains(','))
    }
}
