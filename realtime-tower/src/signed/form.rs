//! How the cursors of one reader are written: as they are, or with a tag behind them.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::Key;
use hmac::{Hmac, Mac as _};
use realtime_core::Cursor;
use sha2::Sha256;

/// The form of one reader's cursors. Plain without keys.
#[derive(Clone, Default)]
pub(crate) struct CursorForm(Option<Box<Signature>>);

impl CursorForm {
    pub(super) fn signed(signature: Signature) -> Self {
        Self(Some(Box::new(signature)))
    }

    /// Whether cursors are written as they are, and so shared bytes are too.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    /// A cursor as this reader is to have it.
    pub(crate) fn text(&self, cursor: Cursor) -> CursorText {
        let mut text = CursorText::plain(cursor);
        if let Some(signature) = &self.0 {
            text.sign(signature.tag(cursor));
        }
        text
    }
}

/// Of which key it is, and of whom, is not shown.
impl fmt::Debug for CursorForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_plain() { "plain" } else { "signed" })
    }
}

/// What makes the tags of one scope and subject under one key.
#[derive(Clone)]
pub(super) struct Signature(Hmac<Sha256>);

impl Signature {
    /// A key of its own for this context, which has one length always.
    pub(super) fn derived(key: &Hmac<Sha256>, context: &[u8]) -> Self {
        let own = key.clone().chain_update(context).finalize().into_bytes();
        // A short key is filled up with zeros (RFC 2104, section 2).
        let mut block = Key::<Hmac<Sha256>>::default();
        block[..own.len()].copy_from_slice(&own);
        Self(Hmac::new(&block))
    }

    fn over(&self, cursor: Cursor) -> Hmac<Sha256> {
        let place = self.0.clone().chain_update(cursor.epoch().to_be_bytes());
        place.chain_update(cursor.position().to_be_bytes())
    }

    pub(super) fn tag(&self, cursor: Cursor) -> Tag {
        let whole = self.over(cursor).finalize().into_bytes();
        let mut tag = [0; TAG_BITS / 8];
        tag.copy_from_slice(&whole[..TAG_BITS / 8]);
        Tag(tag)
    }

    /// Compared in constant time.
    pub(super) fn verifies(&self, cursor: Cursor, tag: Tag) -> bool {
        self.over(cursor).verify_truncated_left(&tag.0).is_ok()
    }
}

/// Half of the hash: what RFC 2104, section 5, allows, and what nobody guesses.
const TAG_BITS: usize = 128;

/// The text of a tag, with the hyphen that no plain cursor has.
pub(crate) const TAG_BYTES: usize = 23;

/// The tag of a cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; TAG_BITS / 8]);

impl Tag {
    /// The text of a cursor and the tag behind it; none where there is no tag in its one form.
    pub(crate) fn split(text: &str) -> Option<(&str, Self)> {
        let (cursor, tag) = text.split_at_checked(text.len().checked_sub(TAG_BYTES)?)?;
        let mut bytes = [0; TAG_BITS / 8];
        // Base64 refuses bits that are left over: else four texts would be one tag.
        let len = URL_SAFE_NO_PAD.decode_slice(tag.strip_prefix('-')?, &mut bytes).ok()?;
        (len == bytes.len()).then_some((cursor, Self(bytes)))
    }
}

/// Who reads logs is not to come back with what stands there.
impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// The text of a cursor, without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct CursorText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
    plain: usize,
}

/// A cursor in the long form, and its tag.
const TEXT_BYTES_MAX: usize = Cursor::TEXT_BYTES_MAX + TAG_BYTES;

impl CursorText {
    fn plain(cursor: Cursor) -> Self {
        let (mut bytes, mut text) = ([0; TEXT_BYTES_MAX], [0; Cursor::TEXT_BYTES_MAX]);
        let text = cursor.encode(&mut text);
        let len = text.len();
        bytes[..len].copy_from_slice(text);
        Self { bytes, len, plain: len }
    }

    fn sign(&mut self, tag: Tag) {
        self.bytes[self.len] = b'-';
        self.len += 1;
        let written = URL_SAFE_NO_PAD.encode_slice(tag.0, &mut self.bytes[self.len..]);
        self.len += written.unwrap_or_default();
    }

    /// The same as bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// How long the same cursor is without its tag: that many bytes stand in what is shared.
    pub(crate) fn plain_len(&self) -> usize {
        self.plain
    }
}

impl Deref for CursorText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
