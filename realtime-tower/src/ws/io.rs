//! The connection under a WebSocket, once HTTP has let go of it: all of it over HTTP/1.1, a stream of it over HTTP/2.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Version;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::upgrade::Upgrade;
use crate::write_deadline::WriteDeadline;

/// A connection. The socket itself where it can be had: then hyper's buffers are gone.
#[derive(Debug)]
pub(super) enum Io {
    Tcp(Tcp),
    Host(TokioIo<Upgraded>),
    /// A stream of an HTTP/2 connection, which it shares with others.
    Stream(TokioIo<Upgraded>),
    Test(DuplexStream),
}

/// A socket of one's own. Who holds its writer may write: it can be handed over.
#[derive(Debug)]
pub(super) struct Tcp {
    reader: OwnedReadHalf,
    writer: Option<OwnedWriteHalf>,
}

impl Tcp {
    pub(super) fn new(socket: TcpStream) -> Self {
        let (reader, writer) = socket.into_split();
        Self { reader, writer: Some(writer) }
    }

    /// # Errors
    /// The writer is somebody else's now.
    fn writer(&mut self) -> io::Result<Pin<&mut OwnedWriteHalf>> {
        self.writer.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A connection that is dropped is closed as a whole, and not its one direction first.
impl Drop for Tcp {
    fn drop(&mut self) {
        self.writer.take().into_iter().for_each(OwnedWriteHalf::forget);
    }
}

/// The connection, and what the client sent behind its request.
///
/// # Errors
/// The host does not give it, or the client has gone.
pub(super) async fn connection(upgrade: Upgrade, version: Version) -> Result<(Io, Bytes), hyper::Error> {
    let upgraded = match upgrade {
        Upgrade::Test(duplex) => return Ok((Io::Test(duplex), Bytes::new())),
        Upgrade::Host(upgrade) => upgrade.await?,
    };
    if version == Version::HTTP_2 {
        return Ok((Io::Stream(TokioIo::new(upgraded)), Bytes::new()));
    }
    // hyper-util's server wraps the connection once more, hyper's own does not.
    let upgraded = match auto::upgrade::downcast::<TokioIo<WriteDeadline<TcpStream>>>(upgraded) {
        // A session has a deadline of its own.
        Ok(parts) => return Ok((Io::Tcp(Tcp::new(parts.io.into_inner().into_inner())), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return Ok((Io::Tcp(Tcp::new(parts.io.into_inner())), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    Ok(match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (Io::Tcp(Tcp::new(parts.io.into_inner())), parts.read_buf),
        Err(upgraded) => (Io::Host(TokioIo::new(upgraded)), Bytes::new()),
    })
}

/// Bytes that one read takes: a buffer on the stack, so that an idle connection holds none.
const READ_BYTES: usize = 4 * 1024;

/// Slices that one write takes.
const SLICES: usize = 32;

/// Bytes that one write to a stream of HTTP/2 takes. hyper keeps a copy of each until the peer grants a window, and up to
/// three of them beside what h2 holds: with these, a stalled stream holds 24 KiB there, however large a message is.
const STREAM_BYTES: usize = 8 * 1024;

impl Io {
    /// Whether what is not read here is in the way of others: streams of one connection share its window, and h2 ends the
    /// whole connection when too many small pieces wait on it.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Whether it is a socket of its own, whose writer is here.
    pub(super) fn has_writer(&self) -> bool {
        matches!(self, Self::Tcp(Tcp { writer: Some(_), .. }))
    }

    /// Hands the writer over, where there is one.
    pub(super) fn take_writer(&mut self) -> Option<OwnedWriteHalf> {
        match self {
            Self::Tcp(tcp) => tcp.writer.take(),
            _ => None,
        }
    }

    /// Takes the writer back.
    pub(super) fn give_back(&mut self, writer: OwnedWriteHalf) {
        if let Self::Tcp(tcp) = self {
            tcp.writer = Some(writer);
        }
    }

    /// Reads once and hands what came to `take`; zero bytes are the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(match self {
            Self::Tcp(tcp) => Pin::new(&mut tcp.reader).poll_read(cx, &mut buffer),
            Self::Host(io) | Self::Stream(io) => Pin::new(io).poll_read(cx, &mut buffer),
            Self::Test(io) => Pin::new(io).poll_read(cx, &mut buffer),
        })?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes once, as much of the pieces as goes.
    pub(super) fn poll_write<'a>(
        &mut self,
        cx: &mut Context<'_>,
        pieces: impl Iterator<Item = &'a Bytes>,
    ) -> Poll<io::Result<usize>> {
        if let Self::Stream(io) = self {
            return poll_write_stream(io, cx, pieces);
        }
        let mut slices = [io::IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = io::IoSlice::new(piece.chunk());
            used += 1;
        }
        let slices = &slices[..used];
        if let ([only], Self::Tcp(tcp)) = (slices, &mut *self) {
            // The kernel has less to do for one buffer than for a list of one.
            return tcp.writer()?.poll_write(cx, only);
        }
        match self {
            Self::Tcp(tcp) => tcp.writer()?.poll_write_vectored(cx, slices),
            Self::Host(io) | Self::Stream(io) => Pin::new(io).poll_write_vectored(cx, slices),
            Self::Test(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.writer()?.poll_flush(cx),
            Self::Host(io) | Self::Stream(io) => Pin::new(io).poll_flush(cx),
            Self::Test(io) => Pin::new(io).poll_flush(cx),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.writer()?.poll_shutdown(cx),
            Self::Host(io) | Self::Stream(io) => Pin::new(io).poll_shutdown(cx),
            Self::Test(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// Writes once to a stream of HTTP/2: many small frames in one piece, for each costs an allocation, a channel and a DATA
/// frame; a large one in several.
fn poll_write_stream<'a>(
    io: &mut TokioIo<Upgraded>,
    cx: &mut Context<'_>,
    pieces: impl Iterator<Item = &'a Bytes>,
) -> Poll<io::Result<usize>> {
    // Before anything is copied: a stream that takes nothing is asked often.
    ready!(Pin::new(&mut *io).poll_flush(cx))?;
    let mut pieces = pieces.peekable();
    let Some(first) = pieces.next() else { return Poll::Ready(Ok(0)) };
    if first.len() >= STREAM_BYTES || pieces.peek().is_none() {
        return Pin::new(io).poll_write(cx, &first[..first.len().min(STREAM_BYTES)]);
    }
    let mut gathered = Vec::with_capacity(STREAM_BYTES);
    for piece in std::iter::once(first).chain(pieces) {
        let room = STREAM_BYTES - gathered.len();
        gathered.extend_from_slice(&piece[..piece.len().min(room)]);
        if gathered.len() == STREAM_BYTES {
            break;
        }
    }
    Pin::new(io).poll_write(cx, &gathered)
}
