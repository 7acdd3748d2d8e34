//! The body of a page that is large: its events, and of its bytes no more than are asked for.
//!
//! Whoever polls and reads nothing leaves its page with the host, which on HTTP/2 has a hundred of them a connection and
//! nobody who would evict it. So a page holds events, which it shares with everybody, until there is room for the next piece.

use std::convert::Infallible;
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use realtime_core::Entry;

use super::text::{message, write_id};
use crate::signed::{CursorForm, TAG_BYTES};

/// Bytes of a page that are made at once. A message that is larger goes by itself, and is shared.
pub(super) const PIECE_BYTES: usize = 16 * 1024;

/// A page on its way out.
pub(super) struct Pieces {
    /// What stands before the events; empty once it is written.
    begin: Vec<u8>,
    entries: vec::IntoIter<Entry>,
    /// What stands between the last event and the next.
    comma: &'static [u8],
    between: &'static [u8],
    cursors: CursorForm,
    /// A large message whose front is written.
    large: Option<Bytes>,
    /// What stands behind the events; empty once it is written.
    end: Vec<u8>,
    left: usize,
}

impl Pieces {
    /// Of a page that has these events between a begin and an end.
    pub(super) fn new(
        begin: Vec<u8>,
        entries: Vec<Entry>,
        between: &'static [u8],
        cursors: CursorForm,
        end: Vec<u8>,
    ) -> Self {
        let tag = if cursors.is_plain() { 0 } else { TAG_BYTES };
        let messages: usize = entries.iter().map(|entry| message(entry).len() + tag + between.len()).sum();
        let left = (begin.len() + messages + end.len()).saturating_sub(between.len());
        Self { begin, entries: entries.into_iter(), comma: b"", between, cursors, large: None, end, left }
    }

    /// Bytes of the page.
    pub(super) fn len(&self) -> usize {
        self.left
    }

    fn next(&mut self) -> Bytes {
        if let Some(large) = self.large.take() {
            return large;
        }
        let mut out = take(&mut self.begin);
        for entry in self.entries.by_ref() {
            out.extend_from_slice(std::mem::replace(&mut self.comma, self.between));
            let rest = write_id(&mut out, entry.cursor(), message(&entry), &self.cursors);
            if rest.len() > PIECE_BYTES {
                if out.is_empty() {
                    return rest;
                }
                self.large = Some(rest);
                return out.into();
            }
            out.extend_from_slice(&rest);
            if out.len() >= PIECE_BYTES {
                return out.into();
            }
        }
        out.append(&mut self.end);
        out.into()
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = this.next();
        this.left -= piece.len().min(this.left);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
