//! Signed cursors, seen from outside: a second maker of tags, and a reader who lets none pass that is not right.
//!
//! A client knows no key. The test does, so that every law can be put to a mount that signs: what goes out has its tag put
//! on, and what comes in has it looked at and taken off, so that the law is told of plain cursors as ever.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::{Gap, Place, Seen};

/// The key of a mount, and the scope that a reader is in.
///
/// ```
/// use realtime_tests::client::Signing;
///
/// let signing = Signing::new((0..32).collect::<Vec<u8>>());
/// let token = signing.signed("8f3a61c0d2e94b17.000000000000000c");
/// assert_eq!(token, "8f3a61c0d2e94b17.000000000000000c-lQCnmfU3RWEOupCOpN5X7A");
/// assert_eq!(signing.plain(&token).as_deref(), Ok("8f3a61c0d2e94b17.000000000000000c"));
/// assert!(signing.plain("8f3a61c0d2e94b17.000000000000000c").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Signing {
    key: Arc<[u8]>,
    scope: Option<String>,
}

impl Signing {
    /// By this key, in no scope.
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self { key: key.as_ref().into(), scope: None }
    }

    /// The same in this scope.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// A cursor with its tag.
    ///
    /// # Panics
    /// The test wrote a cursor that is none.
    pub fn signed(&self, cursor: &str) -> String {
        let (epoch, position) = cursor.split_once(['.', '~']).expect("epoch and position");
        let epoch = u64::from_str_radix(epoch, 16).expect("an epoch in hex");
        let position = u128::from_str_radix(position, 16).expect("a position in hex");
        let mut context = b"realtime cursor 1".to_vec();
        match &self.scope {
            Some(scope) => {
                context.push(1);
                context.extend_from_slice(&Sha256::digest(scope));
            }
            None => context.extend_from_slice(&[0; 33]),
        }
        // No subject.
        context.extend_from_slice(&[0; 21]);
        let own = mac(&self.key, &context);
        let tag = mac(&own, &[&epoch.to_be_bytes()[..], &position.to_be_bytes()].concat());
        format!("{cursor}-{}", URL_SAFE_NO_PAD.encode(&tag[..16]))
    }

    /// The cursor of a token.
    ///
    /// # Errors
    /// The token has no tag, or another than it should have.
    pub fn plain(&self, token: &str) -> Result<String, String> {
        let (cursor, _) = token.split_once('-').ok_or_else(|| format!("{token} has no tag"))?;
        let expected = self.signed(cursor);
        if token == expected { Ok(cursor.to_owned()) } else { Err(format!("{token} should be {expected}")) }
    }

    pub(super) fn signed_place(&self, place: Place) -> Place {
        match place {
            Place::After(cursor) => Place::After(self.signed(&cursor)),
            other => other,
        }
    }

    pub(super) fn plain_place(&self, place: &Place) -> Place {
        match place {
            Place::After(token) => Place::After(self.plain(token).unwrap_or_else(|_| token.clone())),
            other => other.clone(),
        }
    }

    /// What was seen, with plain cursors; [`Seen::Broken`] where one of them came without its tag.
    pub(super) fn plain_seen(&self, mut seen: Seen) -> Seen {
        match self.take_off(&mut seen) {
            Ok(()) => seen,
            Err(why) => Seen::Broken(why),
        }
    }

    fn take_off(&self, seen: &mut Seen) -> Result<(), String> {
        let cursors: Vec<&mut String> = match seen {
            Seen::Open { cursor, .. } | Seen::Live { cursor } | Seen::Ping { cursor } => vec![cursor],
            Seen::Event(event) => event.id.iter_mut().collect(),
            Seen::Gap(Gap { from, to, .. }) => from.iter_mut().chain([to]).collect(),
            Seen::End { cursor, .. } => cursor.iter_mut().collect(),
            Seen::Close { reason, .. } if !reason.is_empty() => vec![reason],
            Seen::Status { headers, .. } => {
                if let Some(next) = headers.get_mut("stream-next-offset") {
                    let plain = self.plain(next.to_str().unwrap_or_default())?;
                    *next = HeaderValue::try_from(plain).map_err(|error| error.to_string())?;
                }
                vec![]
            }
            _ => vec![],
        };
        for cursor in cursors {
            *cursor = self.plain(cursor)?;
        }
        Ok(())
    }
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}
