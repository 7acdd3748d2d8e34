//! Which pages may open a WebSocket or send: one allow-list for both.
//!
//! A browser sends the cookies of a site along with a WebSocket or a form from any other site, and CORS does not
//! stand between. Reads are CORS's matter: compose with tower-http's `CorsLayer`.

use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxies::Proxies;

/// The pages that may open a WebSocket and send.
///
/// Always those of the same host and port as the request (the scheme does not count: a proxy may have taken TLS off),
/// and those that are named. A client that is no browser sends no `Origin` and passes, unless it sends cookies or a
/// `Sec-Fetch-Site` of another site.
///
/// ```
/// use realtime_tower::Origins;
///
/// let origins = Origins::default().allow("https://app.example");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Origins {
    allowed: Arc<Vec<Box<str>>>,
    any: bool,
}

impl Origins {
    /// Lets the pages of one more origin in, written as browsers send it: `https://app.example`, with the port where
    /// it is not the scheme's own; or `null`, for pages that have none.
    ///
    /// # Panics
    /// It is no origin: without its scheme, with a path or a pattern, it would be that of no page, and all be kept away.
    #[must_use]
    #[track_caller]
    pub fn allow(mut self, origin: impl AsRef<str>) -> Self {
        let origin = origin.as_ref().trim_end_matches('/').to_ascii_lowercase();
        assert!(
            is_origin(&origin),
            "`{origin}` is no origin: write it as browsers send it, as in http://localhost:5173, one for each call; \
             Origins::allow_any lets every page in"
        );
        Arc::make_mut(&mut self.allowed).push(origin.into());
        self
    }

    /// Lets every page in. Right only where no cookie and no network address gives a client any right.
    #[must_use]
    pub fn allow_any(mut self) -> Self {
        self.any = true;
        self
    }

    /// Whether a request may open a WebSocket or send.
    ///
    /// # Errors
    /// It may not; the log line says what to allow.
    pub(crate) fn check(&self, parts: &Parts, proxies: &Proxies) -> Result<(), Refused> {
        if self.any {
            return Ok(());
        }
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        let (origin, second) = (origins.next(), origins.next());
        if second.is_some() {
            return Err(Refused::Page);
        }
        let Some(origin) = origin else {
            // No browser leaves it out where it matters; a cookie without it is somebody else's, and so is a request
            // that a browser says is from another site.
            if is_from_elsewhere(&parts.headers) {
                return Err(Refused::Page);
            }
            if parts.headers.contains_key(http::header::COOKIE) {
                tracing::warn!(
                    "refused a cookie without an Origin; a client that is no browser is to send this server's own as \
                     its Origin, or no cookie"
                );
                return Err(Refused::Cookie);
            }
            return Ok(());
        };
        if origin.to_str().is_ok_and(|origin| self.is_allowed(origin, parts, proxies)) {
            return Ok(());
        }
        tracing::warn!(
            origin = %shown(origin),
            "refused a page of another origin; to let it in: Origins::allow with this origin"
        );
        Err(Refused::Page)
    }

    fn is_allowed(&self, origin: &str, parts: &Parts, proxies: &Proxies) -> bool {
        let lower = origin.to_ascii_lowercase();
        if self.allowed.iter().any(|allowed| **allowed == *lower) {
            return true;
        }
        let Some((scheme, host)) = lower.split_once("://") else { return false };
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let Ok(page) = host.parse::<Authority>() else { return false };
        let Some(server) =
            proxies.host(parts).and_then(|host| host.to_ascii_lowercase().parse::<Authority>().ok())
        else {
            return false;
        };
        // An origin has no user and no path; a port that a proxy's scheme implies is left out on both sides.
        !host.contains(['@', '/'])
            && page.host() == server.host()
            && port(&page, default_port).is_some_and(|page| Some(page) == port(&server, default_port))
    }
}

/// Whether a browser might send it as an `Origin` (RFC 6454, section 6.2). The scheme may be any: apps have their own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_plain = !scheme.is_empty() && !host.contains(['@', '/', '?', '#', '*', ',', ' ']);
    is_plain && host.parse::<Authority>().is_ok_and(|authority| port(&authority, 0).is_some())
}

/// An origin as a log may show it: whoever sends one may send 64 KiB of it.
fn shown(origin: &HeaderValue) -> String {
    origin.to_str().unwrap_or("unprintable").chars().take(128).flat_map(char::escape_debug).collect()
}

/// The port: the scheme's own where none is written, none where what is written is no port.
fn port(authority: &Authority, default_port: u16) -> Option<u16> {
    let host_on = authority.as_str().rsplit('@').next();
    match host_on.and_then(|text| text.strip_prefix(authority.host())) {
        Some("") => Some(default_port),
        _ => authority.port_u16(),
    }
}

/// What a browser says of where a request comes from (Fetch Metadata).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    headers.get_all(SITE).iter().any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Who may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A page of another origin.
    Page,
    /// Whoever sends a cookie and does not say from where.
    Cookie,
}

impl Refused {
    /// What a client is told.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Page => {
                "pages of this origin may not do this: the server allows its own, and those that Origins::allow names"
            }
            Self::Cookie => {
                "a cookie without an Origin may be sent on by any page: send this server's own as Origin, or no cookie"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::proxies::Peer;

    fn check(origins: &Origins, headers: &[(&str, &str)]) -> bool {
        check_behind(&Proxies::default(), origins, headers)
    }

    fn check_behind(proxies: &Proxies, origins: &Origins, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get("/events").header("host", "a.example:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Peer(([10, 0, 0, 1], 9).into()));
        origins.check(&parts, proxies).is_ok()
    }

    #[test]
    fn only_the_same_host_and_port_or_what_is_named_may() {
        let strict = Origins::default();
        for (origin, may) in [
            ("http://a.example:8080", true),
            ("https://a.example:8080", true),
            ("HTTP://A.Example:8080", true),
            ("http://a.example", false),
            ("http://a.example:8081", false),
            ("http://evil.example:8080", false),
            ("http://a.example.evil:8080", false),
            ("http://evila.example:8080", false),
            ("http://a.example.:8080", false),
            ("http://user@a.example:8080", false),
            ("http://a.example:8080/x", false),
            ("http://a.example:", false),
            ("null", false),
            ("a.example:8080", false),
            ("", false),
        ] {
            assert_eq!(check(&strict, &[("origin", origin)]), may, "{origin}");
        }
        // What is no port is not taken for the scheme's own.
        for (origin, may) in [
            ("http://a.example", true),
            ("http://a.example:80", true),
            ("http://a.example:", false),
            ("http://a.example:65616", false),
        ] {
            let request = Request::get("/").header("host", "a.example").header("origin", origin);
            let parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(strict.check(&parts, &Proxies::default()).is_ok(), may, "{origin}");
        }
        let named = Origins::default().allow("https://App.example/");
        assert!(check(&named, &[("origin", "https://app.example")]));
        assert!(!check(&named, &[("origin", "http://app.example")]));
        assert!(check(&Origins::default().allow_any(), &[("origin", "null")]));
    }

    #[test]
    fn what_no_page_can_send_is_not_taken_for_an_origin() {
        for (text, is) in [
            ("http://localhost:5173", true),
            ("https://app.example", true),
            ("http://[::1]:8080", true),
            ("capacitor://localhost", true),
            ("chrome-extension://abcdef", true),
            ("null", true),
            ("localhost:5173", false),
            ("app.example", false),
            ("*", false),
            ("", false),
            ("://app.example", false),
            ("https://", false),
            ("https://*.example", false),
            ("https://app.example/events", false),
            ("https://user@app.example", false),
            ("https://a.example,https://b.example", false),
            ("https://app.example:65616", false),
        ] {
            let allowed = std::panic::catch_unwind(|| Origins::default().allow(text));
            assert_eq!(allowed.is_ok(), is, "{text}");
        }
    }

    #[test]
    fn no_origin_passes_only_without_cookies_and_two_never() {
        let strict = Origins::default();
        assert!(check(&strict, &[]));
        assert!(!check(&strict, &[("cookie", "session=1")]));
        let same = ("origin", "http://a.example:8080");
        assert!(!check(&strict, &[same, same]));
    }

    #[test]
    fn whoever_sends_a_cookie_alone_is_told_what_to_send() {
        let refused = |name, value| {
            let request = Request::get("/events").header("host", "a.example").header(name, value);
            Origins::default().check(&request.body(()).unwrap().into_parts().0, &Proxies::default())
        };
        assert_eq!(refused("cookie", "session=1"), Err(Refused::Cookie));
        assert_eq!(refused("origin", "http://b.example"), Err(Refused::Page));
        assert!(Refused::Cookie.detail().contains("Origin, or no cookie"));
        assert!(Refused::Page.detail().contains("Origins::allow"));
    }

    /// A form or an image of another site sends no `Origin` where the method is GET.
    #[test]
    fn what_a_browser_says_is_from_another_site_is_from_a_page_of_it() {
        let strict = Origins::default();
        for (sites, may) in [
            (&["same-origin"][..], true),
            (&["none"], true),
            (&["same-site"], false),
            (&["cross-site"], false),
            (&[""], false),
            (&["same-origin", "cross-site"], false),
        ] {
            let headers: Vec<_> = sites.iter().map(|site| ("sec-fetch-site", *site)).collect();
            assert_eq!(check(&strict, &headers), may, "{sites:?}");
        }
    }

    #[test]
    fn of_an_origin_a_log_shows_what_can_be_printed_and_not_all_of_it() {
        let long = format!("http://{}", "x".repeat(1_000));
        for (origin, expected) in [
            ("http://a.example", "http://a.example"),
            ("a\"b", r#"a\"b"#),
            ("\u{e9}", "unprintable"),
            (&long, &long[..128]),
        ] {
            assert_eq!(shown(&HeaderValue::from_str(origin).unwrap()), expected);
        }
    }

    #[test]
    fn a_forwarded_host_is_believed_from_a_named_peer_only() {
        let headers =
            [("origin", "https://shop.example"), ("x-forwarded-host", "evil.example, shop.example")];
        assert!(!check(&Origins::default(), &headers));
        assert!(!check_behind(&Proxies::default().trust([10, 0, 0, 2]), &Origins::default(), &headers));
        assert!(check_behind(&Proxies::default().trust([10, 0, 0, 1]), &Origins::default(), &headers));
    }

    /// A proxy that adds a line and one that adds to a line say the same: what stands before, anybody may have written.
    #[test]
    fn of_several_forwarded_hosts_the_last_is_the_proxys_whatever_lines_they_come_in() {
        let proxies = Proxies::default().trust([10, 0, 0, 1]);
        for lines in
            [&["evil.example", "shop.example"][..], &["a.example, evil.example", "b.example, shop.example"]]
        {
            let may = |origin| {
                let forwarded = lines.iter().map(|line| ("x-forwarded-host", *line));
                let headers: Vec<_> = std::iter::once(("origin", origin)).chain(forwarded).collect();
                check_behind(&proxies, &Origins::default(), &headers)
            };
            assert_eq!(
                (may("https://shop.example"), may("https://evil.example")),
                (true, false),
                "{lines:?}"
            );
        }
        let unreadable = [("origin", "http://a.example:8080"), ("x-forwarded-host", "shop.example\u{e9}")];
        assert!(
            !check_behind(&proxies, &Origins::default(), &unreadable),
            "what cannot be read is no other host"
        );
    }
}
