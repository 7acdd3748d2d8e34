//! Where the cursor comes back in.

use http::{HeaderName, HeaderValue};
use realtime_core::{Cursor, Start};

use crate::signed::Tag;

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The place a client came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// None: the mount's default start holds.
    Without,
    /// With one that can be read.
    With(Start),
    /// With a cursor and its tag, which is to be looked at.
    Signed(Cursor, Tag),
    /// With one that cannot, for this reason.
    Malformed(&'static str),
}

/// The header wins over the query, and the loser is not looked at. `sent` are the lines of `Last-Event-ID`, `offsets` the
/// first two values of the query's `offset` and its aliases.
pub(crate) fn came<'a>(mut sent: impl Iterator<Item = &'a HeaderValue>, offsets: &[String]) -> Came {
    match (sent.next(), sent.next()) {
        (Some(_), Some(_)) => return Came::Malformed("Last-Event-ID may be sent once"),
        // A browser that has no place yet may send an empty one: it is as good as none.
        (Some(id), None) if !id.is_empty() => return id.to_str().map_or(MALFORMED, read),
        _ => {}
    }
    match offsets {
        [] => Came::Without,
        [offset] if offset.is_empty() => Came::Malformed("offset takes a cursor, -1, now or last-N"),
        [offset] => read(offset),
        _ => Came::Malformed("offset may be given once, under one name"),
    }
}

fn read(text: &str) -> Came {
    match Tag::split(text) {
        Some((cursor, tag)) => cursor.parse().map_or(MALFORMED, |cursor| Came::Signed(cursor, tag)),
        None => text.parse().map_or(MALFORMED, Came::With),
    }
}

/// Whether a mount signs its cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    On,
    Off,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) start: Start,
    /// Whether the client came with a cursor.
    pub(crate) resumed: bool,
    /// A cursor that is to be verified once it is known what is read by whom.
    pub(crate) claimed: Option<(Cursor, Tag)>,
}

impl Came {
    /// Where reading begins, `default` being the mount's own start. Every cursor has a tag where the mount signs, and none
    /// where it does not.
    ///
    /// # Errors
    /// Why it cannot: said of a cursor of the other kind as of any text that is none.
    pub(crate) fn begin(self, default: Start, signing: Signing) -> Result<Begin, &'static str> {
        match (self, signing) {
            (Self::Without, _) => Ok(Begin { start: default, resumed: false, claimed: None }),
            (Self::With(start @ Start::After(_)), Signing::Off) => {
                Ok(Begin { start, resumed: true, claimed: None })
            }
            (Self::Signed(cursor, tag), Signing::On) => {
                Ok(Begin { start: Start::After(cursor), resumed: true, claimed: Some((cursor, tag)) })
            }
            (Self::With(Start::After(_)), Signing::On) | (Self::Signed(..), Signing::Off) => Err(NO_CURSOR),
            (Self::With(start), _) => Ok(Begin { start, resumed: false, claimed: None }),
            (Self::Malformed(detail), _) => Err(detail),
        }
    }
}

/// What is said of a text that is no cursor of the mount's, whatever is wrong with it.
pub(crate) const NO_CURSOR: &str =
    "not a cursor: send back one that the server gave, or -1, now or last-N with N from 1 to 10000";

const MALFORMED: Came = Came::Malformed(NO_CURSOR);

#[cfg(test)]
mod tests {
    use realtime_core::Cursor;

    use super::*;

    #[test]
    fn the_header_wins_and_the_loser_is_not_parsed() {
        let cursor = Cursor::new(1, 2);
        let text = cursor.to_string();
        let after = Came::With(Start::After(cursor));
        let cases: [(&[&str], &[&str], Option<Came>); 13] = [
            (&[], &[], Some(Came::Without)),
            (&[&text], &[], Some(after)),
            (&[&text], &["rubbish"], Some(after)),
            (&[&text], &["", ""], Some(after)),
            (&[""], &[], Some(Came::Without)),
            (&[""], &[&text], Some(after)),
            (&["", ""], &[], None),
            (&["rubbish"], &[&text], None),
            (&[], &["now"], Some(Came::With(Start::Live))),
            (&[], &["-1"], Some(Came::With(Start::Earliest))),
            (&[], &["last-3"], Some(Came::With(Start::Last(3)))),
            (&[], &[""], None),
            (&[], &[&text, &text], None),
        ];
        for (sent, offsets, expected) in cases {
            let sent: Vec<_> = sent.iter().map(|id| HeaderValue::from_str(id).unwrap()).collect();
            let offsets: Vec<_> = offsets.iter().map(|offset| offset.to_string()).collect();
            let came = came(sent.iter(), &offsets);
            match expected {
                Some(expected) => assert_eq!(came, expected, "{sent:?} {offsets:?}"),
                None => assert!(matches!(came, Came::Malformed(_)), "{sent:?} {offsets:?}"),
            }
        }
        let unprintable = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
        assert!(matches!(came([&unprintable].into_iter(), &[]), Came::Malformed(_)));
        let none = came(std::iter::empty(), &[String::new()]);
        assert_eq!(
            none,
            Came::Malformed("offset takes a cursor, -1, now or last-N"),
            "what is missing is named"
        );
    }
}
