//! What a message with a key is told by: who sends it where, under which key, and what it asks for.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sha1::{Digest as _, Sha1};

/// Who sends a message. A layer in front of the mount puts it into the request's extensions.
///
/// Where the mount has [`CursorKeys`](crate::CursorKeys), cursors are signed for this principal alone.
///
/// An `Idempotency-Key` is known among the messages of one principal alone: whoever guesses another's key learns nothing
/// of its answer. Without this the principal is whoever sends the same `Authorization` and `Cookie`, byte for byte, and
/// all who send neither are one. So it is needed where these change between a message and its retry, as a token does
/// that is refreshed or a cookie that counts: or the retry is a message of somebody else, and has its effect.
///
/// Nothing of what it is made of is kept or shown.
///
/// ```
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Body, Principal, builder};
/// use tower::ServiceBuilder;
///
/// let (service, _handle) = builder().source(Log::new()).service();
/// let service = ServiceBuilder::new()
///     .map_request(|mut request: Request<Body>| {
///         let user = "42"; // as the application's own layer found out
///         request.extensions_mut().insert(Principal::new(user));
///         request
///     })
///     .service(service);
/// # drop(service);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal(Digest);

impl Principal {
    /// Whoever has this name, number or other mark, which is never another's.
    pub fn new(who: impl AsRef<[u8]>) -> Self {
        Self(Digest::of([b"named".as_slice(), who.as_ref()]))
    }

    /// What it is told by.
    pub(crate) fn digest(&self) -> &[u8; 20] {
        &self.0.0
    }

    fn of(parts: &Parts) -> Self {
        // Over HTTP/2 a client may part it, and is the same sender nevertheless (RFC 9113, section 8.2.3).
        let crumbs: Vec<_> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let cookie = crumbs.join(&b"; "[..]);
        let cookie = (!crumbs.is_empty()).then_some((COOKIE, &cookie[..]));
        let tokens =
            parts.headers.get_all(AUTHORIZATION).iter().map(|token| (AUTHORIZATION, token.as_bytes()));
        let fields: Vec<_> = tokens.chain(cookie).collect();
        let fields = fields.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value]);
        Self(Digest::of(std::iter::once(b"sent".as_slice()).chain(fields)))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal(..)")
    }
}

/// A message that is to have its effect once. It holds on to nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Operation {
    pub(crate) principal: Principal,
    place: Digest,
}

impl Operation {
    /// What the request's head says; none where it has no key.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub(crate) fn of(parts: &Parts) -> Result<Option<Self>, &'static str> {
        let Some(key) = key(&parts.headers)? else { return Ok(None) };
        let principal = parts.extensions.get().copied().unwrap_or_else(|| Principal::of(parts));
        Ok(Some(Self { principal, place: place(&parts.uri, &key) }))
    }

    /// The same below a part of the path that the mount does not see.
    pub(crate) fn below(&mut self, prefix: &str) {
        self.place = Digest::of([self.place.0.as_slice(), prefix.as_bytes()]);
    }
}

/// What a message asks for: another under the same key is a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content(Digest);

impl Content {
    pub(crate) fn of(name: &str, payload: &[u8]) -> Self {
        Self(Digest::of([name.as_bytes(), payload]))
    }
}

/// Path and query, as the mount sees them, and the key. `event` is left out: it is a part of what is asked for.
fn place(uri: &Uri, key: &str) -> Digest {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: Vec<_> = query.filter(|(name, _)| name != "event").collect();
    let pairs = query.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    Digest::of([key.as_bytes(), uri.path().as_bytes()].into_iter().chain(pairs))
}

/// Bytes of a key. A UUID has 36.
const KEY_BYTES_MAX: usize = 128;

const MALFORMED: &str =
    "Idempotency-Key is one string of 1 to 128 printable characters, best a UUID in double quotes";

/// The key: a string of RFC 8941, section 3.3.3, without parameters; or the same bare, as many clients send it, where it
/// has nothing that would be more than one string (space, comma, semicolon, quote, backslash).
fn key(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, &'static str> {
    const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or(MALFORMED)?.trim_ascii();
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).map(Cow::Owned),
        None => text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b))
            .then_some(Cow::Borrowed(text)),
    };
    key.filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len())).map(Some).ok_or(MALFORMED)
}

/// What stands before the closing quote, which is the last of it.
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(key),
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            c if matches!(c, ' '..='~') => key.push(c),
            _ => return None,
        }
    }
}

/// Stands for bytes that need not, or must not, be kept. SHA-1 is enough: two inputs that were made to be alike (its
/// known weakness) let their maker mistake his own messages for one another; to be taken for somebody else he would have
/// to find a second input to a digest that is not his.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Digest([u8; 20]);

impl Digest {
    /// Of several parts, each after its length, so that none runs into the next.
    fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut sha1 = Sha1::new();
        for part in parts {
            sha1.update((part.len() as u64).to_be_bytes());
            sha1.update(part);
        }
        Self(sha1.finalize().into())
    }
}

/// Of a weak token the digest can be guessed.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::post(path);
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    fn operation(path: &str, headers: &[(&str, &str)]) -> Operation {
        Operation::of(&parts(path, &[headers, &[("idempotency-key", "k")]].concat())).unwrap().unwrap()
    }

    #[test]
    fn a_key_is_one_string_quoted_or_bare() {
        let long = "x".repeat(128);
        for (sent, meant) in [
            (r#""8e03978e-40d5-43dd-bc93-6894a57f9324""#, Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            (r#" "a" "#, Some("a")),
            (r#""a b, c; d""#, Some("a b, c; d")),
            (r#""\"\\""#, Some(r#""\"#)),
            (&long, Some(&*long)),
            (&format!("\"{long}\""), Some(&*long)),
            (&format!("{long}x"), None),
            (&format!("\"{long}x\""), None),
            ("", None),
            (r#""""#, None),
            (r#"""#, None),
            (r#""a"#, None),
            (r#"a""#, None),
            (r#""a"b"#, None),
            (r#""a";p=1"#, None),
            (r#""a", "b""#, None),
            ("a, b", None),
            ("a;p=1", None),
            ("a b", None),
            (r#""\a""#, None),
            (r#""\"#, None),
            ("\"a\tb\"", None),
            ("a\u{e9}", None),
            ("\"a\u{e9}\"", None),
        ] {
            let parts = parts("/", &[("idempotency-key", sent)]);
            assert_eq!(key(&parts.headers).ok().flatten().as_deref(), meant, "{sent}");
        }
        assert_eq!(key(&parts("/", &[]).headers), Ok(None));
        let twice = parts("/", &[("idempotency-key", "a"), ("idempotency-key", "a")]);
        assert_eq!(key(&twice.headers), Err(MALFORMED));
    }

    #[test]
    fn an_operation_is_told_by_who_sends_it_where() {
        let first = operation("/a?x=1", &[("authorization", "Bearer 1")]);
        assert_eq!(
            operation("/a?x=1&event=hello", &[("authorization", "Bearer 1"), ("accept", "*/*")]),
            first
        );
        for (path, headers) in [
            ("/b?x=1", &[("authorization", "Bearer 1")][..]),
            ("/a?x=2", &[("authorization", "Bearer 1")]),
            ("/a?x=", &[("authorization", "Bearer 1")]),
            ("/a", &[("authorization", "Bearer 1")]),
            ("/a?x=1", &[("authorization", "Bearer 2")]),
            ("/a?x=1", &[("cookie", "Bearer 1")]),
            ("/a?x=1", &[("authorization", "Bearer 1"), ("cookie", "a=1")]),
            ("/a?x=1", &[("authorization", "Bearer 1"), ("authorization", "Bearer 1")]),
            ("/a?x=1", &[]),
        ] {
            assert_ne!(operation(path, headers), first, "{path} {headers:?}");
        }
        let mut below = first;
        below.below("/nested");
        assert_ne!(below, first);
    }

    /// RFC 9113, section 8.2.3: browsers part a Cookie over HTTP/2, and do not over HTTP/1.1, where a retry may go.
    #[test]
    fn a_cookie_in_pieces_is_the_same_sender() {
        let whole = operation("/a", &[("cookie", "a=1; b=2; c=3")]);
        assert_eq!(operation("/a", &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]), whole);
        assert_eq!(operation("/a", &[("cookie", "a=1; b=2"), ("cookie", "c=3")]), whole);
        for other in
            [&["a=1", "b=2"][..], &["b=2", "a=1", "c=3"], &["a=1;", "b=2", "c=3"], &["a=1; b=2; c=3", ""]]
        {
            let other: Vec<_> = other.iter().map(|crumb| ("cookie", *crumb)).collect();
            assert_ne!(operation("/a", &other), whole, "{other:?}");
        }
        assert_ne!(operation("/a", &[("cookie", "")]), operation("/a", &[]));
    }

    #[test]
    fn who_the_application_says_it_is_decides() {
        let named = |who: &str, token: &str| {
            let mut parts = parts("/", &[("authorization", token), ("idempotency-key", "k")]);
            parts.extensions.insert(Principal::new(who));
            Operation::of(&parts).unwrap()
        };
        assert_eq!(named("ann", "old"), named("ann", "new"));
        assert_ne!(named("ann", "same"), named("bob", "same"));
    }

    #[test]
    fn nothing_that_was_sent_is_shown() {
        let shown = format!("{:?}", operation("/secret-room", &[("authorization", "secret-token")]));
        assert_eq!(shown, "Operation { principal: Principal(..), place: .. }");
    }
}
