//! What the head of a page says of its place: where to go on, and the `ETag`.

use std::cell::RefCell;

use http::HeaderValue;
use realtime_core::Cursor;

use super::Media;
use crate::signed::CursorForm;

/// All that the two are made of, where cursors are plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) media: Media,
    pub(super) from: Cursor,
    pub(super) next: Cursor,
    pub(super) closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    /// Weak: over media type, from, next and closed, so that it changes when a stream closes with nothing new.
    pub(super) etag: HeaderValue,
    pub(super) next: HeaderValue,
}

thread_local! {
    /// The way that somebody went here last, and its marks if two did. Readers of one source mostly stand at one place, and go
    /// on by the hundred; who goes alone leaves nothing to keep.
    static LAST: RefCell<Option<(Way, Option<Marks>)>> = const { RefCell::new(None) };
}

impl Marks {
    /// The same for all who go the same way, one behind the other; anew where each has cursors of its own.
    pub(super) fn of(way: Way, cursors: &CursorForm) -> Self {
        if !cursors.is_plain() {
            return Self::new(way, cursors);
        }
        LAST.with_borrow_mut(|last| match last {
            Some((known, marks)) if *known == way => {
                marks.get_or_insert_with(|| Self::new(way, cursors)).clone()
            }
            _ => {
                *last = Some((way, None));
                Self::new(way, cursors)
            }
        })
    }

    fn new(way: Way, cursors: &CursorForm) -> Self {
        let [from, next] = [way.from, way.next].map(|cursor| cursors.text(cursor));
        let begin: &[u8] = if way.media == Media::Json { b"W/\"j-" } else { b"W/\"n-" };
        let end: &[u8] = if way.closed { b"-1\"" } else { b"-0\"" };
        let etag = [begin, from.as_bytes(), b"-", next.as_bytes(), end].concat();
        // Cursors are printable.
        let unsaid = |_| HeaderValue::from_static("");
        Self {
            etag: HeaderValue::try_from(etag).unwrap_or_else(unsaid),
            next: HeaderValue::from_bytes(next.as_bytes()).unwrap_or_else(unsaid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, signed};

    #[test]
    fn what_was_made_for_others_is_what_would_be_made_anew() {
        let (plain, signed) = (CursorForm::default(), signed());
        let way = |media, from, next, closed| Way { media, from: at(from), next: at(next), closed };
        let ways = [
            way(Media::Json, 1, 2, false),
            way(Media::NdJson, 1, 2, false),
            way(Media::Json, 0, 2, false),
            way(Media::Json, 1, 3, false),
            way(Media::Json, 1, 2, true),
        ];
        for (one, other) in ways.iter().flat_map(|one| ways.iter().map(move |other| (*one, *other))) {
            for (way, cursors) in
                [(one, &plain), (one, &signed), (one, &plain), (one, &plain), (other, &plain)]
            {
                assert_eq!(Marks::of(way, cursors), Marks::new(way, cursors), "{one:?} and {other:?}");
            }
        }
    }
}
