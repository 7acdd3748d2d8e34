//! Whose word is believed about who asks and for which host.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

/// The address of the peer, where the host knows it: put it into the request's extensions, to have readers counted by
/// address and a proxy believed. `realtime_axum` does it for you, unless a layer has put in another.
///
/// ```
/// use std::net::SocketAddr;
/// use http::Request;
/// use realtime_tower::Peer;
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Peer(SocketAddr::from(([10, 0, 0, 1], 40_000))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The reverse proxies in front of a mount: what they say of a client is believed, of anybody else it is not looked at.
///
/// Of them `X-Forwarded-Host` is the host that a page's `Origin` is compared with: the last one in it. `X-Forwarded-For` is the address
/// that readers are counted by: the last one in it that is no proxy of ours. What stands before, in the same line or in one of its own,
/// anybody may have written. So every proxy of a chain is to be named, and each has to add to the header or to overwrite it.
///
/// ```
/// use realtime_tower::{Config, Proxies};
///
/// let config = Config { proxies: Proxies::default().trust([10, 0, 0, 1]), ..Config::default() };
/// ```
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<Vec<IpAddr>>);

impl Proxies {
    /// Believes the peer that has this address.
    #[must_use]
    pub fn trust(mut self, proxy: impl Into<IpAddr>) -> Self {
        Arc::make_mut(&mut self.0).push(proxy.into().to_canonical());
        self
    }

    /// The host the client asked for.
    pub(crate) fn host<'a>(&self, parts: &'a Parts) -> Option<&'a str> {
        const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-host");
        let believed = peer(parts).filter(|peer| self.0.contains(peer));
        // Of several lines the last, as within one: what stands before it came with the request.
        let forwarded = believed.and_then(|_| parts.headers.get_all(FORWARDED).iter().next_back());
        let host = |value: &'a HeaderValue| value.to_str().ok();
        match forwarded {
            Some(hosts) => host(hosts)?.split(',').next_back().map(str::trim),
            None => match parts.uri.authority() {
                Some(authority) => Some(authority.as_str()),
                None => parts.headers.get(HOST).and_then(host),
            },
        }
    }

    /// The client's address, as far as it is known: beyond the first word that is none, nothing is believed.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
        let mut client = peer(parts)?;
        let lines: Vec<_> = parts.headers.get_all(FORWARDED).iter().collect();
        let mut hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.0.contains(&client) {
            let Some(next) = hops.next().and_then(address) else { break };
            client = next;
        }
        Some(client)
    }
}

fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical())
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whom an address stands for: of IPv6 a customer has a whole /64 (RFC 6177), and as many addresses as it wants.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(peer: [u8; 4], lines: &[&str]) -> Parts {
        let request =
            lines.iter().fold(Request::get("/"), |request, line| request.header("x-forwarded-for", *line));
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Peer((peer, 9).into()));
        parts
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy_of_ours() {
        let proxies = Proxies::default().trust([10, 0, 0, 1]).trust([10, 0, 0, 2]);
        for (peer, lines, client) in [
            ([10, 0, 0, 1], &["203.0.113.9"][..], "203.0.113.9"),
            ([10, 0, 0, 1], &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            ([10, 0, 0, 1], &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
            ([10, 0, 0, 1], &["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ([10, 0, 0, 1], &["198.51.100.1", "203.0.113.9, 10.0.0.2,10.0.0.1"], "203.0.113.9"),
            ([10, 0, 0, 1], &["203.0.113.9:4711"], "203.0.113.9"),
            ([10, 0, 0, 1], &["2001:db8::9"], "2001:db8::9"),
            ([10, 0, 0, 1], &["[2001:db8::9]"], "2001:db8::9"),
            ([10, 0, 0, 1], &["[2001:db8::9]:4711"], "2001:db8::9"),
            ([10, 0, 0, 1], &["::ffff:203.0.113.9"], "203.0.113.9"),
            // Nobody is named, or nothing that could be believed.
            ([10, 0, 0, 1], &[], "10.0.0.1"),
            ([10, 0, 0, 1], &["203.0.113.9, unknown"], "10.0.0.1"),
            ([10, 0, 0, 1], &["203.0.113.9,"], "10.0.0.1"),
            ([10, 0, 0, 1], &["10.0.0.2"], "10.0.0.2"),
            // Whoever is no proxy of ours may write what he likes.
            ([192, 0, 2, 7], &["203.0.113.9"], "192.0.2.7"),
        ] {
            assert_eq!(proxies.client(&parts(peer, lines)), client.parse().ok(), "{peer:?} {lines:?}");
        }
        let mut unknown = parts([10, 0, 0, 1], &["203.0.113.9"]);
        unknown.extensions.clear();
        assert_eq!(proxies.client(&unknown), None);
    }

    #[test]
    fn a_network_is_one_address_of_ipv4_and_a_64_of_ipv6() {
        let same = |one: &str, two: &str| network(one.parse().unwrap()) == network(two.parse().unwrap());
        assert!(same("203.0.113.9", "::ffff:203.0.113.9"));
        assert!(!same("203.0.113.9", "203.0.113.8"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
