//! Hands over the head of an answer in one piece, and all that follows as it comes.
//!
//! tungstenite takes a head that arrives in more than 64 small pieces for an attack; a kit that re-chunks to single
//! bytes needs the head gathered first. Frames are not touched.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dial::Conn;

/// A head beyond this goes on in pieces, to be refused by who reads it: as much as tungstenite takes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct WholeHead {
    io: Conn,
    head: Vec<u8>,
    given: usize,
    gathered: bool,
}

impl WholeHead {
    pub(crate) fn new(io: Conn) -> Self {
        Self { io, head: Vec::new(), given: 0, gathered: false }
    }

    /// Where the head has been read already.
    pub(crate) fn behind(io: Conn) -> Self {
        Self { gathered: true, ..Self::new(io) }
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered {
            let mut piece = [0; 1024];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece))?;
            self.head.extend_from_slice(piece.filled());
            let whole = self.head.windows(4).any(|window| window == b"\r\n\r\n");
            self.gathered = whole || piece.filled().is_empty() || self.head.len() > HEAD_BYTES_MAX;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for WholeHead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_gather(cx))?;
        let rest = &this.head[this.given..];
        if rest.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let piece = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(piece);
        this.given += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WholeHead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
