//! Which hosts a mount is asked for: what stands between a service on loopback and a page that an attacker has bound to
//! its address.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

/// The hosts that a request may be addressed to. Default: any.
///
/// A browser lets a page read what comes from its own origin; a page of `evil.example`, whose name its owner binds to 127.0.0.1
/// once it is loaded, thus reads what a service on this machine says, and no `Origin` tells (DNS rebinding). Its requests do carry
/// `Host: evil.example`. So **a service that listens on loopback, or within a network that it trusts, should name its hosts**. By
/// default any will do, for a reverse proxy passes on the public name, which nobody here knows.
///
/// A request for another host is 421 (RFC 9110, section 15.5.20); one that names none, two, or in its target another than in `Host`
/// is 400. `0.0.0.0` is no host of loopback, though it leads there.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Hosts, builder};
///
/// // On this machine, and behind a proxy that asks for this name.
/// let hosts = Hosts::loopback().allow("app.example");
/// let (_service, _handle) = builder().source(Log::new()).hosts(hosts).service();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// None: any.
    allowed: Option<Arc<Vec<Allowed>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    /// `localhost`, and every address that is this machine alone.
    Loopback,
    /// A name or an address, in lower case, and its port: any, where there is none.
    Named(Box<str>, Option<u16>),
}

impl Hosts {
    /// `localhost`, 127.0.0.0/8 and `[::1]`, with any port.
    #[must_use]
    pub fn loopback() -> Self {
        Self { allowed: Some(Arc::new(vec![Allowed::Loopback])) }
    }

    /// One more host: `app.example` with any port, `app.example:8443` with this one alone. With the first one that is named,
    /// any other is out.
    ///
    /// ```
    /// use realtime_tower::Hosts;
    ///
    /// let hosts = Hosts::default().allow("app.example").allow("[2001:db8::1]:8443");
    /// ```
    ///
    /// # Panics
    /// It is no host: it has a scheme, a path, a user, or a port that is none.
    #[must_use]
    pub fn allow(mut self, host: impl AsRef<str>) -> Self {
        let host = host.as_ref();
        let Some((name, port)) = read(host) else {
            panic!("{host:?} is no host: name it as app.example, or with a port as app.example:8443");
        };
        Arc::make_mut(self.allowed.get_or_insert_default()).push(Allowed::Named(name, port));
        self
    }

    /// Whether a request is addressed to one of them.
    ///
    /// # Errors
    /// What to answer, and why.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), (StatusCode, &'static str)> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let (name, port) =
            asked(parts).ok_or((StatusCode::BAD_REQUEST, "a request names one host, and one alone"))?;
        if allowed.iter().any(|host| host.is(&name, port)) {
            return Ok(());
        }
        tracing::warn!(
            host = %name.chars().take(128).flat_map(char::escape_debug).collect::<String>(),
            "refused a request for another host; to answer to it: Hosts::allow with this name"
        );
        Err((StatusCode::MISDIRECTED_REQUEST, "this server does not answer for that host"))
    }
}

impl Allowed {
    fn is(&self, name: &str, port: Option<u16>) -> bool {
        match self {
            Self::Loopback => {
                name == "localhost" || address(name).is_some_and(|address| address.is_loopback())
            }
            Self::Named(allowed, only) => {
                let is_port = match (only, port) {
                    (None, _) => true,
                    (Some(only), Some(port)) => *only == port,
                    // A client leaves the scheme's own out, and whether a proxy has taken TLS off is not known here.
                    (Some(only), None) => matches!(only, 80 | 443),
                };
                is_port
                    && (**allowed == *name || address(allowed).is_some_and(|it| Some(it) == address(name)))
            }
        }
    }
}

/// The one host of a request, and its port: that of the target (`:authority` over HTTP/2) where it has one, and of `Host`, which has
/// to be the same then.
fn asked(parts: &Parts) -> Option<(Box<str>, Option<u16>)> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let host = host.map(|host| host.to_str().ok().and_then(read));
    let target = parts.uri.authority().map(|authority| read(authority.as_str()));
    match (target, host, second) {
        (_, _, Some(_)) | (None, None, _) => None,
        (Some(only), None, _) | (None, Some(only), _) => only,
        (Some(target), Some(host), _) => target.filter(|target| Some(target) == host.as_ref()),
    }
}

/// A name or address in lower case, and its port; nothing where it is no host.
fn read(host: &str) -> Option<(Box<str>, Option<u16>)> {
    let authority = host.parse::<Authority>().ok()?;
    let name = authority.host();
    let port = match authority.as_str().strip_prefix(name)? {
        // An empty port is the scheme's own (RFC 3986, section 3.2.3).
        "" | ":" => None,
        _ => Some(authority.port_u16()?),
    };
    (!name.is_empty()).then(|| (name.to_ascii_lowercase().into(), port))
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn status(hosts: &Hosts, target: &str, headers: &[&str]) -> u16 {
        let request = headers.iter().fold(Request::get(target), |request, host| request.header(HOST, *host));
        let parts = request.body(()).unwrap().into_parts().0;
        hosts.check(&parts).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_leads_to_it() {
        let hosts = Hosts::loopback();
        for (host, expected) in [
            ("localhost", 200),
            ("LOCALHOST:8080", 200),
            ("localhost:", 200),
            ("127.0.0.1:3000", 200),
            ("127.1.2.3", 200),
            ("[::1]", 200),
            ("[::1]:3000", 200),
            ("[0:0:0:0:0:0:0:1]", 200),
            ("0.0.0.0", 421),
            ("0.0.0.0:3000", 421),
            ("[::]", 421),
            ("192.168.0.1", 421),
            ("[::ffff:127.0.0.1]", 421),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("evillocalhost", 421),
            ("localhost.", 421),
            ("127.0.0.1.evil.example", 421),
            ("evil@localhost", 400),
            ("localhost:80:80", 400),
            ("localhost:99999", 400),
            ("localhost:x", 400),
            ("localhost/x", 400),
            ("localhost, evil.example", 400),
            ("a b", 400),
            ("", 400),
        ] {
            assert_eq!(status(&hosts, "/", &[host]), expected, "{host:?}");
        }
    }

    #[test]
    fn a_named_host_is_meant_with_its_port_or_with_any() {
        let hosts = Hosts::default()
            .allow("App.Example")
            .allow("b.example:8443")
            .allow("c.example:443")
            .allow("[2001:db8::1]");
        for (host, expected) in [
            ("app.example", 200),
            ("APP.example:1", 200),
            ("b.example:8443", 200),
            ("b.example", 421),
            ("b.example:8444", 421),
            ("c.example", 200),
            ("c.example:443", 200),
            ("c.example:444", 421),
            ("[2001:DB8:0::1]:9", 200),
            ("localhost", 421),
            ("sub.app.example", 421),
        ] {
            assert_eq!(status(&hosts, "/", &[host]), expected, "{host:?}");
        }
        for host in ["evil.example", "", "a b"] {
            assert_eq!(status(&Hosts::default(), "/", &[host]), 200, "by default any: {host:?}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = Hosts::loopback();
        for (target, headers, expected) in [
            ("/", &[][..], 400),
            ("/", &["localhost", "localhost"], 400),
            ("/", &["localhost", "evil.example"], 400),
            ("http://localhost/", &[], 200),
            ("http://localhost:80/", &["localhost:80"], 200),
            ("http://localhost/", &["LOCALHOST"], 200),
            ("http://localhost/", &["evil.example"], 400),
            ("http://evil.example/", &["localhost"], 400),
            ("http://localhost:81/", &["localhost"], 400),
            ("http://evil.example/", &[], 421),
            ("http://evil.example/", &["evil.example"], 421),
        ] {
            assert_eq!(status(&hosts, target, headers), expected, "{target} {headers:?}");
        }
    }

    #[test]
    #[should_panic(expected = "no host")]
    fn a_url_is_no_host() {
        let _ = Hosts::default().allow("https://app.example");
    }
}
