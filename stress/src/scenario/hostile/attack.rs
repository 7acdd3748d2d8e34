//! The kinds of attackers: what each sends, and what it should be told.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire;
use crate::crowd::dial::Dial;
use crate::run::Outcome;

/// What is noted of one whose connection was gone before it could read a word.
pub(super) const CUT: &str = "cut off";

const FRAGMENTS: usize = 131_000;
const PINGS: usize = 100_000;
const RESETS: u32 = 100_000;
/// Long-polls that are reset once they wait, and how many of them at once: two turns of them are fewer than the 20 that h2
/// ends a connection for, if it has not looked at them.
const PACED: u32 = 10_000;
const PACED_AT_ONCE: u32 = 8;
const CONTINUATIONS: usize = 10_000;
const NEWLINES: usize = 8 << 20;
/// Within what a message may have.
const NESTED: usize = 60_000;
const QUERY_BYTES: usize = 64 * 1024;
/// Within what a head may have.
const QUERY_BYTES_TAKEN: usize = 40 * 1024;
/// What is written at once.
const PIECE: usize = 32 * 1024;
/// Lengths that a frame declares, with nothing behind it: the greatest, one of 32 bits, and one above the limit.
const GIANTS: [u64; 3] = [(1 << 63) - 1, 1 << 32, 64 * 1024 + 1];

/// A kind of attackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    Fragments,
    Giant(u64),
    Pings,
    LongQuery,
    ManyTopics,
    Newlines,
    NestedPost,
    NestedMessage,
    RapidReset,
    PacedResets,
    Continuations,
}

impl Attack {
    pub(crate) const ALL: [Self; 13] = [
        Self::Fragments,
        Self::Giant(GIANTS[0]),
        Self::Giant(GIANTS[1]),
        Self::Giant(GIANTS[2]),
        Self::Pings,
        Self::LongQuery,
        Self::ManyTopics,
        Self::Newlines,
        Self::NestedPost,
        Self::NestedMessage,
        Self::RapidReset,
        Self::PacedResets,
        Self::Continuations,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fragments => "131,000 fragments of a byte (A-06)",
            Self::Giant(length) if length == GIANTS[0] => "a frame of 2^63-1 bytes (A-08)",
            Self::Giant(length) if length == GIANTS[1] => "a frame of 2^32 bytes (A-08)",
            Self::Giant(_) => "a frame of a byte too many (A-08)",
            Self::Pings => "100,000 pings, nothing read (A-09)",
            Self::LongQuery => "a query of 64 KiB (A-10)",
            Self::ManyTopics => "a query of 40 KiB of topics (A-10)",
            Self::Newlines => "8 MiB of newlines (A-11)",
            Self::NestedPost => "JSON 60,000 deep, by POST (A-11)",
            Self::NestedMessage => "JSON 60,000 deep, by WebSocket (A-11)",
            Self::RapidReset => "100,000 requests reset at once (A-23)",
            Self::PacedResets => "10,000 long-polls, each reset while it waits (A-23)",
            Self::Continuations => "10,000 CONTINUATION frames (A-23)",
        }
    }

    /// What it may be told.
    pub(super) fn right_words(self) -> &'static [&'static str] {
        match self {
            Self::Fragments => &["close 1008", "close 1009"],
            Self::Giant(_) => &["close 1009"],
            Self::Pings => &["close 1008"],
            Self::LongQuery => &["400", "414", "431"],
            Self::ManyTopics => &["200", "400", "414", "431"],
            Self::Newlines => &["413"],
            Self::NestedPost => &["400"],
            // It is JSON, and so it reaches the handler, which reads no deeper than serde_json does.
            Self::NestedMessage => &["reply 422"],
            Self::RapidReset | Self::Continuations => &["GOAWAY"],
            // Now and then h2 has not looked at some twenty of them yet, and takes it for the other kind.
            Self::PacedResets => &["served", "GOAWAY"],
        }
    }

    pub(super) fn is_h2(self) -> bool {
        matches!(self, Self::RapidReset | Self::PacedResets | Self::Continuations)
    }

    /// Whether what it sends are requests as any other, and cost what requests cost.
    pub(super) fn is_served(self) -> bool {
        self == Self::PacedResets
    }

    /// One of them, and what it was told.
    ///
    /// # Errors
    /// It could not connect.
    pub(super) async fn run(self, dial: &Dial) -> Outcome<String> {
        let mut io = dial.open(None).await?;
        let told = match self {
            Self::Fragments => flood(io, wire::upgrade(), wire::fragments(FRAGMENTS)).await,
            Self::Giant(length) => flood(io, wire::upgrade(), wire::header(length)).await,
            Self::Pings => {
                // Nothing is read before all is written, or the site will hear no more.
                let sent = async {
                    io.write_all(&wire::upgrade()).await?;
                    in_pieces(&mut io, &wire::pings(PINGS)).await
                };
                let _ = sent.await;
                word(&mut io).await
            }
            Self::LongQuery => flood(io, wire::query(QUERY_BYTES), Vec::new()).await,
            Self::ManyTopics => flood(io, wire::query(QUERY_BYTES_TAKEN), Vec::new()).await,
            Self::Newlines => flood(io, wire::post(NEWLINES), vec![b'\n'; NEWLINES]).await,
            Self::NestedPost => flood(io, wire::post(NESTED), vec![b'['; NESTED]).await,
            Self::NestedMessage => flood(io, wire::upgrade(), wire::nested(NESTED)).await,
            Self::RapidReset => flood(io, wire::preface(), wire::resets(RESETS)).await,
            Self::PacedResets => paced(io).await,
            Self::Continuations => flood(io, wire::preface(), wire::continuations(CONTINUATIONS)).await,
        };
        // A reset is what the kernel makes of what came behind the last word.
        Ok(told.unwrap_or_else(|_| CUT.to_owned()))
    }
}

/// Sends all of it, and reads meanwhile, up to the word that it is told.
async fn flood(io: TcpStream, head: Vec<u8>, body: Vec<u8>) -> io::Result<String> {
    let (mut from, mut to) = io.into_split();
    let sending = async {
        if to.write_all(&head).await.is_ok() {
            let _ = in_pieces(&mut to, &body).await;
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        told = word(&mut from) => told,
        () = sending => Err(io::ErrorKind::Other.into()),
    }
}

/// Asks for some long-polls, waits until the site has seen them, and resets them; over and over.
async fn paced(mut io: TcpStream) -> io::Result<String> {
    io.write_all(&wire::preface()).await?;
    let mut said = Vec::new();
    for first in (0..PACED).step_by(PACED_AT_ONCE as usize) {
        io.write_all(&wire::long_polls(first, PACED_AT_ONCE)).await?;
        if let Some(word) = pong(&mut io, &mut said).await? {
            return Ok(word);
        }
        io.write_all(&wire::cancels(first, PACED_AT_ONCE)).await?;
    }
    io.write_all(&wire::ping()).await?;
    Ok(pong(&mut io, &mut said).await?.unwrap_or_else(|| "served".to_owned()))
}

/// Waits for the answer to a ping, or for the word that comes in its place.
async fn pong(io: &mut TcpStream, said: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        match wire::take_frame(said) {
            Some(wire::PONG) => return Ok(None),
            Some((wire::GOAWAY, _)) => return Ok(Some("GOAWAY".to_owned())),
            Some(_) => {}
            None if io.read_buf(said).await? == 0 => return Ok(Some(CUT.to_owned())),
            None => {}
        }
    }
}

async fn in_pieces(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        to.write_all(piece).await?;
    }
    Ok(())
}

/// What the site says about it, among all that it says.
async fn word(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let mut said = Vec::new();
    loop {
        if let Some(word) = wire::read(&said) {
            return Ok(word);
        }
        if from.read_buf(&mut said).await? == 0 {
            return Ok(CUT.to_owned());
        }
    }
}
