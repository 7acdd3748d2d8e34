//! What a client says: this place is mine.

use std::fmt;

use http::Extensions;
use realtime_core::Cursor;
use sha2::{Digest as _, Sha256};

use super::form::{CursorForm, Tag};
use super::keys::CursorKeys;
use crate::once::Principal;

/// What is read with signed cursors: a topic, a tenant, a table. A layer in front of the mount puts it into the request's
/// extensions; in axum the handler names it.
///
/// A cursor that was signed for one scope is refused in every other. Without it all that is read through the mounts of one
/// key is one scope. It must be the same for every URL and transport by which a client may come back. Who reads is the
/// [`Principal`], where the application names one: then a cursor is that reader's alone.
///
/// ```
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Body, CursorKeys, CursorScope, Principal, builder};
/// use tower::ServiceBuilder;
///
/// let keys = CursorKeys::new([7; 32])?;
/// let (service, _handle) = builder().source(Log::new()).cursor_keys(keys).service();
/// let service = ServiceBuilder::new()
///     .map_request(|mut request: Request<Body>| {
///         let (tenant, user) = ("acme", "42"); // as the application's own layer found out
///         request.extensions_mut().insert(CursorScope::new(tenant));
///         request.extensions_mut().insert(Principal::new(user));
///         request
///     })
///     .service(service);
/// # drop(service);
/// # Ok::<(), realtime_tower::CursorKeysError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorScope([u8; 32]);

impl CursorScope {
    /// What has this name, which is nothing else's.
    pub fn new(what: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(what.as_ref()).into())
    }
}

impl fmt::Debug for CursorScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorScope(..)")
    }
}

/// The cursor a client came with and what it must have been signed for: known in full only behind the application's own
/// extractors, and looked at there.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// None where it came without a cursor.
    pub(crate) cursor: Option<(Cursor, Tag)>,
    pub(crate) scope: Option<CursorScope>,
    pub(crate) subject: Option<Principal>,
}

impl Claim {
    pub(crate) fn new(cursor: Option<(Cursor, Tag)>, extensions: &Extensions) -> Self {
        Self { cursor, scope: extensions.get().copied(), subject: extensions.get().copied() }
    }

    /// The form of the cursors of whoever makes this claim; none where it is not true. Which part of it is wrong is not
    /// told, nor by time: every key is tried on it, to the end.
    pub(crate) fn form(&self, keys: &CursorKeys) -> Option<CursorForm> {
        let mut is_true = self.cursor.is_none();
        let mut first = None;
        for signature in keys.signatures(&self.context()) {
            if let Some((cursor, tag)) = self.cursor {
                is_true |= signature.verifies(cursor, tag);
            }
            first.get_or_insert(signature);
        }
        first.filter(|_| is_true).map(CursorForm::signed)
    }

    /// Each part in its place and of one length, so that none is taken for another.
    fn context(&self) -> [u8; CONTEXT_BYTES] {
        let mut context = [0; CONTEXT_BYTES];
        let (label, rest) = context.split_at_mut(LABEL.len());
        label.copy_from_slice(LABEL);
        let (scope, subject) = rest.split_at_mut(33);
        if let Some(CursorScope(digest)) = &self.scope {
            scope[0] = 1;
            scope[1..].copy_from_slice(digest);
        }
        if let Some(principal) = &self.subject {
            subject[0] = 1;
            subject[1..].copy_from_slice(principal.digest());
        }
        context
    }
}

/// Whoever uses the same key for something else signs no cursor by it.
const LABEL: &[u8] = b"realtime cursor 1";
const CONTEXT_BYTES: usize = LABEL.len() + 1 + 32 + 1 + 20;
