//! Signed cursors: a place that cannot be guessed, nor taken from somebody else.
//!
//! ```text
//! 8f3a61c0d2e94b17.000000000000000c-uq6Q6r2Vq0N1oDqQbq3k0A
//! '---------- the cursor ---------' '------- its tag ----'   56 bytes; 72 in the long form
//! ```
//!
//! The tag is the first 128 bits of an HMAC-SHA-256 over epoch and position, in base64url. Its key is made from one of
//! the mount's for what is read (a [`CursorScope`]) and for whoever reads (a [`Principal`](crate::Principal)), where the
//! application names them: so the work on each event is one HMAC of 24 bytes, and another's cursor is refused.
//!
//! The encoded bytes of an event are the same for all: what stands before the end of its id is made for each reader,
//! and what follows is shared.
//!
//! `keys` is what the owner of a mount has, `form` how one reader's cursors are written, `claim` what a client says.

mod claim;
mod form;
mod keys;
#[cfg(test)]
mod tests;

pub(crate) use claim::Claim;
pub use claim::CursorScope;
pub(crate) use form::{CursorForm, TAG_BYTES, Tag};
pub use keys::{CURSOR_KEY_BYTES_MIN, CURSOR_KEYS_MAX, CursorKeys, CursorKeysError, CursorKeysErrorKind};
