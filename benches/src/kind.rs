//! What can be served.

use std::fmt;
use std::str::FromStr;

/// One server: ours, or what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The floor: a bare loop that sends one ready frame to each socket and reads nothing.
    SendLoop,
    /// axum's `WebSocketUpgrade` over `tokio::sync::broadcast`, with its default buffers of 128 KiB.
    AxumWs,
    /// The same with buffers of 4 KiB.
    AxumWs4k,
    /// Our WebSocket, without a subprotocol: the payload alone, as axum sends it.
    OursWs,
    /// Shared bytes through a bare hyper body: what any SSE over hyper costs at least.
    HyperSse,
    /// axum's `Sse` over `tokio::sync::broadcast`.
    AxumSse,
    /// Our SSE.
    OursSse,
    /// The same service without axum, on the bare hyper of [`HyperSse`](Self::HyperSse).
    OursSseHyper,
    /// A bare hyper service parked on a `Notify`.
    HyperLongPoll,
    /// An axum handler parked on a `Notify`.
    AxumLongPoll,
    /// Our long-poll.
    OursLongPoll,
    /// The same service without axum, on the bare hyper of [`HyperLongPoll`](Self::HyperLongPoll).
    OursLongPollHyper,
}

/// What goes over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// WebSocket frames without a handshake; the server greets with an empty one.
    Frames,
    WebSocket,
    Sse,
    LongPoll,
}

impl Kind {
    /// All of them, the floor first.
    pub const ALL: [Self; 12] = [
        Self::SendLoop,
        Self::AxumWs,
        Self::AxumWs4k,
        Self::OursWs,
        Self::HyperSse,
        Self::AxumSse,
        Self::OursSse,
        Self::OursSseHyper,
        Self::HyperLongPoll,
        Self::AxumLongPoll,
        Self::OursLongPoll,
        Self::OursLongPollHyper,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendLoop => "send-loop",
            Self::AxumWs => "axum-ws",
            Self::AxumWs4k => "axum-ws-4k",
            Self::OursWs => "ours-ws",
            Self::HyperSse => "hyper-sse",
            Self::AxumSse => "axum-sse",
            Self::OursSse => "ours-sse",
            Self::OursSseHyper => "ours-sse-hyper",
            Self::HyperLongPoll => "hyper-long-poll",
            Self::AxumLongPoll => "axum-long-poll",
            Self::OursLongPoll => "ours-long-poll",
            Self::OursLongPollHyper => "ours-long-poll-hyper",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::SendLoop => "floor: bare `send` loop",
            Self::AxumWs => "WebSocket: axum, default buffers (128 KiB)",
            Self::AxumWs4k => "WebSocket: axum, 4 KiB buffers",
            Self::OursWs => "**WebSocket: realtime**",
            Self::HyperSse => "SSE: shared bytes, bare hyper",
            Self::AxumSse => "SSE: axum",
            Self::OursSse => "**SSE: realtime**",
            Self::OursSseHyper => "SSE: realtime, on bare hyper",
            Self::HyperLongPoll => "long-poll: bare hyper",
            Self::AxumLongPoll => "long-poll: axum",
            Self::OursLongPoll => "**long-poll: realtime**",
            Self::OursLongPollHyper => "long-poll: realtime, on bare hyper",
        }
    }

    /// What it is held against, the one it must not exceed first.
    pub const fn twins(self) -> &'static [Self] {
        match self {
            Self::OursWs => &[Self::AxumWs4k, Self::AxumWs],
            Self::OursSse => &[Self::AxumSse],
            Self::OursLongPoll => &[Self::AxumLongPoll],
            _ => &[],
        }
    }

    pub(crate) const fn wire(self) -> Wire {
        match self {
            Self::SendLoop => Wire::Frames,
            Self::AxumWs | Self::AxumWs4k | Self::OursWs => Wire::WebSocket,
            Self::HyperSse | Self::AxumSse | Self::OursSse | Self::OursSseHyper => Wire::Sse,
            Self::HyperLongPoll | Self::AxumLongPoll | Self::OursLongPoll | Self::OursLongPollHyper => {
                Wire::LongPoll
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no kind {name:?}; there are {names}")
        })
    }
}
