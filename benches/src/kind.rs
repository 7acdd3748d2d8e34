//! What can be served.

use std::fmt;
use std::str::FromStr;

/// One server: ours, or what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The floor: a bare loop that sends one ready frame to each socket and reads nothing.
    SendLoop,
    /// The same, but a burst leaves as one write per socket.
    SendBurst,
    /// axum's `WebSocketUpgrade` over `tokio::sync::broadcast`, with its default buffers of 128 KiB.
    AxumWs,
    /// The same with buffers of 4 KiB.
    AxumWs4k,
    /// fastwebsockets over `tokio::sync::broadcast`, upgraded from hyper and split, as its examples have it.
    FastWs,
    /// tokio-websockets over `tokio::sync::broadcast`, the message cloned, which shares its bytes.
    TokioWs,
    /// socketioxide's broadcast, over its WebSocket.
    SocketIo,
    /// Our WebSocket, without a subprotocol: the payload alone, as axum sends it.
    OursWs,
    /// The same under our `serve`.
    OursWsServe,
    /// The same to a client that offers permessage-deflate, and inflates.
    OursWsDeflate,
    /// Our WebSocket by extended CONNECT, under our `serve`: a hundred streams a connection.
    OursWsH2,
    /// Shared bytes through a bare hyper body: what any SSE over hyper costs at least.
    HyperSse,
    /// The body of [`HyperSse`](Self::HyperSse) under `axum::serve` and a `Router`: what any SSE there costs at least.
    AxumSharedSse,
    /// axum's `Sse` over `tokio::sync::broadcast`.
    AxumSse,
    /// Our SSE, under `axum::serve`.
    OursSse,
    /// The same under our `serve`.
    OursSseServe,
    /// The same service without axum, on the bare hyper of [`HyperSse`](Self::HyperSse).
    OursSseHyper,
    /// Our SSE over HTTP/2, under our `serve`: a hundred streams a connection.
    OursSseH2,
    /// A bare hyper service parked on a `Notify`.
    HyperLongPoll,
    /// An axum handler parked on a `watch`.
    AxumLongPoll,
    /// Our long-poll.
    OursLongPoll,
    /// The same service without axum, on the bare hyper of [`HyperLongPoll`](Self::HyperLongPoll).
    OursLongPollHyper,
    /// A bare hyper service that answers the bytes of our empty page.
    HyperPoll,
    /// Our poll, answered without news.
    OursPoll,
    /// The same service on bare hyper.
    OursPollHyper,
    /// A bare hyper service that answers the bytes of our 304.
    HyperNotModified,
    /// Our poll, answered 304.
    OursNotModified,
    /// The same service on bare hyper.
    OursNotModifiedHyper,
}

/// What goes over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// WebSocket frames without a handshake; the server greets with an empty one.
    Frames,
    WebSocket,
    /// A WebSocket whose client offers permessage-deflate.
    Deflate,
    /// Socket.IO over a WebSocket.
    SocketIo,
    Sse,
    LongPoll,
    /// A poll that is answered 200 without an event.
    Poll,
    /// A poll that is answered 304.
    NotModified,
    /// A WebSocket as a stream of HTTP/2.
    StreamWebSocket,
    /// The same for SSE.
    StreamSse,
}

impl Wire {
    /// Whether an answer is what the client asked for, and nothing is published.
    pub(crate) const fn is_asked(self) -> bool {
        matches!(self, Self::Poll | Self::NotModified)
    }

    /// Whether many events may be published before the reader has the first.
    pub(crate) const fn has_bursts(self) -> bool {
        !matches!(self, Self::LongPoll | Self::Poll | Self::NotModified)
    }

    /// Whether many readers share one connection.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Self::StreamWebSocket | Self::StreamSse)
    }
}

impl Kind {
    /// All of them, the floor first.
    pub const ALL: [Self; 28] = [
        Self::SendLoop,
        Self::SendBurst,
        Self::AxumWs,
        Self::AxumWs4k,
        Self::FastWs,
        Self::TokioWs,
        Self::SocketIo,
        Self::OursWs,
        Self::OursWsServe,
        Self::OursWsDeflate,
        Self::OursWsH2,
        Self::HyperSse,
        Self::AxumSharedSse,
        Self::AxumSse,
        Self::OursSse,
        Self::OursSseServe,
        Self::OursSseHyper,
        Self::OursSseH2,
        Self::HyperLongPoll,
        Self::AxumLongPoll,
        Self::OursLongPoll,
        Self::OursLongPollHyper,
        Self::HyperPoll,
        Self::OursPoll,
        Self::OursPollHyper,
        Self::HyperNotModified,
        Self::OursNotModified,
        Self::OursNotModifiedHyper,
    ];

    /// Its name on the command line, its title in a table, what goes over its connections.
    const fn row(self) -> (&'static str, &'static str, Wire) {
        match self {
            Self::SendLoop => ("send-loop", "floor: bare `send` loop", Wire::Frames),
            Self::SendBurst => ("send-burst", "floor, coalesced", Wire::Frames),
            Self::AxumWs => ("axum-ws", "WebSocket: axum, default buffers (128 KiB)", Wire::WebSocket),
            Self::AxumWs4k => ("axum-ws-4k", "WebSocket: axum, 4 KiB buffers", Wire::WebSocket),
            Self::FastWs => ("fastwebsockets", "WebSocket: fastwebsockets", Wire::WebSocket),
            Self::TokioWs => ("tokio-websockets", "WebSocket: tokio-websockets", Wire::WebSocket),
            Self::SocketIo => ("socketioxide", "WebSocket: socketioxide", Wire::SocketIo),
            Self::OursWs => ("ours-ws", "**WebSocket: realtime**", Wire::WebSocket),
            Self::OursWsServe => ("ours-ws-serve", "**WebSocket: realtime, our `serve`**", Wire::WebSocket),
            Self::OursWsDeflate => ("ours-ws-deflate", "**WebSocket: realtime, deflated**", Wire::Deflate),
            Self::OursWsH2 => ("ours-ws-h2", "**WebSocket: realtime, HTTP/2**", Wire::StreamWebSocket),
            Self::HyperSse => ("hyper-sse", "SSE: shared bytes, bare hyper", Wire::Sse),
            Self::AxumSharedSse => ("axum-shared-sse", "SSE: shared bytes, axum", Wire::Sse),
            Self::AxumSse => ("axum-sse", "SSE: axum", Wire::Sse),
            Self::OursSse => ("ours-sse", "**SSE: realtime**", Wire::Sse),
            Self::OursSseServe => ("ours-sse-serve", "**SSE: realtime, our `serve`**", Wire::Sse),
            Self::OursSseHyper => ("ours-sse-hyper", "SSE: realtime, on bare hyper", Wire::Sse),
            Self::OursSseH2 => ("ours-sse-h2", "**SSE: realtime, HTTP/2**", Wire::StreamSse),
            Self::HyperLongPoll => ("hyper-long-poll", "long-poll: bare hyper", Wire::LongPoll),
            Self::AxumLongPoll => ("axum-long-poll", "long-poll: axum", Wire::LongPoll),
            Self::OursLongPoll => ("ours-long-poll", "**long-poll: realtime**", Wire::LongPoll),
            Self::OursLongPollHyper => {
                ("ours-long-poll-hyper", "**long-poll: realtime, on bare hyper**", Wire::LongPoll)
            }
            Self::HyperPoll => {
                ("hyper-poll", "poll, 200 without news: the same bytes, bare hyper", Wire::Poll)
            }
            Self::OursPoll => ("ours-poll", "**poll, 200 without news: realtime**", Wire::Poll),
            Self::OursPollHyper => {
                ("ours-poll-hyper", "**poll, 200 without news: realtime, on bare hyper**", Wire::Poll)
            }
            Self::HyperNotModified => {
                ("hyper-304", "poll, 304: the same bytes, bare hyper", Wire::NotModified)
            }
            Self::OursNotModified => ("ours-304", "**poll, 304: realtime**", Wire::NotModified),
            Self::OursNotModifiedHyper => {
                ("ours-304-hyper", "**poll, 304: realtime, on bare hyper**", Wire::NotModified)
            }
        }
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its title in a table.
    pub const fn title(self) -> &'static str {
        self.row().1
    }

    pub(crate) const fn wire(self) -> Wire {
        self.row().2
    }

    /// Whether it is ours: what the figures are to be reached by.
    pub fn is_ours(self) -> bool {
        self.name().starts_with("ours-")
    }

    /// What it is held against, the one it must not exceed first.
    pub const fn twins(self) -> &'static [Self] {
        match self {
            Self::OursWs => &[Self::AxumWs4k, Self::AxumWs, Self::FastWs, Self::TokioWs, Self::SocketIo],
            Self::OursWsServe => &[Self::AxumWs4k],
            Self::OursWsDeflate => &[Self::OursWs],
            Self::OursSse => &[Self::AxumSse, Self::AxumSharedSse, Self::HyperSse],
            Self::OursSseServe => &[Self::AxumSse, Self::HyperSse],
            Self::OursSseHyper => &[Self::HyperSse],
            Self::OursLongPoll => &[Self::AxumLongPoll],
            Self::OursLongPollHyper => &[Self::HyperLongPoll],
            Self::OursPollHyper => &[Self::HyperPoll],
            Self::OursNotModifiedHyper => &[Self::HyperNotModified],
            _ => &[],
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
