//! The keys of a mount.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::form::Signature;

/// The least bytes of a key: those of the hash, below which HMAC is weaker than it (RFC 2104, section 3).
pub const CURSOR_KEY_BYTES_MIN: usize = 32;

/// The most keys of a mount: each of them is tried on every cursor that comes.
pub const CURSOR_KEYS_MAX: usize = 8;

/// The keys that a mount signs its cursors with: see [`Config::cursor_keys`](crate::Config::cursor_keys).
///
/// The first one signs, all verify. To bring in a new key without refusing a cursor: add it with
/// [`also`](Self::also) on every server, then make it the first and the old one the second, and drop the old one once
/// nobody comes back with a cursor that it has signed, at the latest when the source has forgotten that far back.
///
/// A key is bytes from a generator of secrets, shared by all servers of one URL. It is never shown or logged.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{CursorKeys, builder};
///
/// // From wherever secrets are kept.
/// let (current, previous) = ([7; 32], [6; 32]);
/// let keys = CursorKeys::new(current)?.also(previous)?;
/// let (_service, _handle) = builder().source(Log::new()).cursor_keys(keys).service();
/// # Ok::<(), realtime_tower::CursorKeysError>(())
/// ```
#[derive(Clone)]
pub struct CursorKeys(Arc<[Hmac<Sha256>]>);

impl CursorKeys {
    /// One key, which signs and verifies.
    ///
    /// # Errors
    /// It has less than [`CURSOR_KEY_BYTES_MIN`] bytes.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, CursorKeysError> {
        Ok(Self(Arc::new([keyed(key.as_ref())?])))
    }

    /// One more, which verifies only: of yesterday, or of tomorrow.
    ///
    /// # Errors
    /// It has less than [`CURSOR_KEY_BYTES_MIN`] bytes, or there are [`CURSOR_KEYS_MAX`] already.
    pub fn also(self, key: impl AsRef<[u8]>) -> Result<Self, CursorKeysError> {
        if self.0.len() >= CURSOR_KEYS_MAX {
            return Err(CursorKeysErrorKind::TooMany.into());
        }
        let key = keyed(key.as_ref())?;
        Ok(Self(self.0.iter().cloned().chain([key]).collect()))
    }

    /// What each of them makes of a context, the one that signs first.
    pub(super) fn signatures(&self, context: &[u8]) -> impl Iterator<Item = Signature> {
        self.0.iter().map(|key| Signature::derived(key, context))
    }
}

/// A key as the state of the HMAC that begins with it: the bytes are not kept.
fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, CursorKeysError> {
    if key.len() < CURSOR_KEY_BYTES_MIN {
        return Err(CursorKeysErrorKind::TooShort.into());
    }
    // HMAC takes a key of any length.
    Hmac::new_from_slice(key).map_err(|_| CursorKeysErrorKind::TooShort.into())
}

impl fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CursorKeys({} of them)", self.0.len())
    }
}

/// Keys that cannot be used.
///
/// ```
/// use realtime_tower::{CursorKeys, CursorKeysErrorKind};
///
/// let error = CursorKeys::new("hunter2").unwrap_err();
/// assert_eq!(error.kind(), CursorKeysErrorKind::TooShort);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorKeysError(CursorKeysErrorKind);

/// What is wrong with keys.
///
/// ```
/// use realtime_tower::{CURSOR_KEYS_MAX, CursorKeys, CursorKeysErrorKind};
///
/// let full = (1..CURSOR_KEYS_MAX).try_fold(CursorKeys::new([0; 32])?, |keys, n| keys.also([n as u8; 32]))?;
/// assert_eq!(full.also([99; 32]).unwrap_err().kind(), CursorKeysErrorKind::TooMany);
/// # Ok::<(), realtime_tower::CursorKeysError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CursorKeysErrorKind {
    /// Less than [`CURSOR_KEY_BYTES_MIN`] bytes.
    TooShort,
    /// More than [`CURSOR_KEYS_MAX`] keys.
    TooMany,
}

impl CursorKeysError {
    /// What is wrong.
    pub fn kind(&self) -> CursorKeysErrorKind {
        self.0
    }
}

impl From<CursorKeysErrorKind> for CursorKeysError {
    fn from(kind: CursorKeysErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for CursorKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CursorKeysErrorKind::TooShort => write!(
                f,
                "a cursor key has at least {CURSOR_KEY_BYTES_MIN} bytes: take them from a generator of secrets"
            ),
            CursorKeysErrorKind::TooMany => {
                write!(f, "a mount has at most {CURSOR_KEYS_MAX} cursor keys: drop the oldest")
            }
        }
    }
}

impl std::error::Error for CursorKeysError {}
