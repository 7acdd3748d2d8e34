//! The body of a page: JSON, or the messages of `realtime.v1`, one a line.

use bytes::Bytes;
use realtime_core::envelope::{self, Control, EndReason};
use realtime_core::{Batch, Cursor, Entry, Format};

use super::pieces::{PIECE_BYTES, Pieces};
use super::{Media, Page};
use crate::body::Body;
use crate::signed::CursorForm;

impl Page {
    /// The body, and its bytes. One that is large is made as it is taken.
    pub(super) fn body(&self, media: Media, next: &[u8], cursors: &CursorForm) -> (Body, usize) {
        if self.room() > PIECE_BYTES {
            let (mut begin, mut end) = (Vec::new(), Vec::new());
            self.begin(media, cursors, &mut begin);
            self.end(media, next, cursors, &mut end);
            let entries = self.entries().cloned().collect();
            let pieces = Pieces::new(begin, entries, media.between(), cursors.clone(), end);
            let bytes = pieces.len();
            return (Body::stream(pieces), bytes);
        }
        let whole = self.whole(media, next, cursors);
        let bytes = whole.len();
        (whole.into(), bytes)
    }

    /// Written into one buffer that fits, for one with room to spare is shared by one more allocation.
    pub(super) fn whole(&self, media: Media, next: &[u8], cursors: &CursorForm) -> Bytes {
        let is_shared = media == Media::Json && cursors.is_plain();
        if let Some(entry) = self.newest_alone().filter(|_| is_shared) {
            return entry.encoded(NEWEST, newest);
        }
        let mut out = Vec::with_capacity(self.room());
        self.begin(media, cursors, &mut out);
        let mut comma: &[u8] = b"";
        for entry in self.entries() {
            out.extend_from_slice(comma);
            let rest = write_id(&mut out, entry.cursor(), message(entry), cursors);
            out.extend_from_slice(&rest);
            comma = media.between();
        }
        self.end(media, next, cursors, &mut out);
        out.into()
    }

    /// The event of a page that has no other, and says nothing else: the page is the same for all who get it.
    fn newest_alone(&self) -> Option<&Entry> {
        let is_plain = self.events == 1 && self.gap.is_none() && self.up_to_date && !self.closed;
        let entry = self.first.as_ref().filter(|_| is_plain)?.iter().next()?;
        (entry.cursor() == self.next).then_some(entry)
    }

    /// Bytes that a page of several takes, or a little more.
    pub(super) fn room(&self) -> usize {
        128 + self.bytes + 96 * self.events
    }

    /// What stands before the events.
    fn begin(&self, media: Media, cursors: &CursorForm, out: &mut Vec<u8>) {
        match (media, &self.gap) {
            (Media::Json, gap) => {
                out.push(b'{');
                if let Some(gap) = gap {
                    out.extend_from_slice(b"\"gap\":");
                    out.extend_from_slice(envelope::gap_with(gap, |cursor| cursors.text(cursor)).as_bytes());
                    out.push(b',');
                }
                out.extend_from_slice(EVENTS);
            }
            (Media::NdJson, Some(gap)) => write_line(out, &Control::Gap(**gap), cursors),
            (Media::NdJson, None) => {}
        }
    }

    /// What stands behind them. The messages of `realtime.v1`, one a line, have a last one with the place: `$end` of a closed
    /// source, `$live` at the tail, `$ping` where the page was cut.
    fn end(&self, media: Media, next: &[u8], cursors: &CursorForm, out: &mut Vec<u8>) {
        if media == Media::Json {
            let end = end(next, self.up_to_date, self.closed);
            return end.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        if self.events > 0 {
            out.extend_from_slice(media.between());
        }
        let last = match (self.closed, self.up_to_date) {
            (true, _) => Control::End { cursor: Some(self.next), reason: EndReason::Closed, retry: None },
            (false, true) => Control::Live(self.next),
            (false, false) => Control::Ping(self.next),
        };
        write_line(out, &last, cursors);
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.rest).flat_map(Batch::iter)
    }
}

const EVENTS: &[u8] = b"\"events\":[";

/// What stands behind the events of a page.
fn end(next: &[u8], up_to_date: bool, closed: bool) -> [&[u8]; 5] {
    [
        b"],\"next\":\"",
        next,
        if up_to_date { b"\",\"upToDate\":true" } else { b"\",\"upToDate\":false" },
        if closed { b",\"closed\":true" } else { b",\"closed\":false" },
        b"}",
    ]
}

/// The page of the newest event and no other: what all get who waited for it, so that it is kept with the event.
const NEWEST: Format = Format::new("realtime-tower/page");

fn newest(entry: &Entry) -> Bytes {
    let place = CursorForm::default().text(entry.cursor());
    let [close, next, up_to_date, closed, brace] = end(place.as_bytes(), true, false);
    [b"{", EVENTS, &envelope::event(entry), close, next, up_to_date, closed, brace].concat().into()
}

fn write_line(out: &mut Vec<u8>, control: &Control, cursors: &CursorForm) {
    out.extend_from_slice(control.message_with(|cursor| cursors.text(cursor)).as_bytes());
    out.push(b'\n');
}

/// An event as everybody shares it.
pub(super) fn message(entry: &Entry) -> Bytes {
    entry.encoded(envelope::FORMAT, envelope::event)
}

/// What follows is a message as it is shared, or what of it is behind the id that is this reader's and has been written.
pub(super) fn write_id(out: &mut Vec<u8>, cursor: Cursor, message: Bytes, cursors: &CursorForm) -> Bytes {
    if cursors.is_plain() {
        return message;
    }
    let id = cursors.text(cursor);
    out.extend_from_slice(&message[..envelope::ID_AT]);
    out.extend_from_slice(id.as_bytes());
    message.slice(envelope::ID_AT + id.plain_len()..)
}
