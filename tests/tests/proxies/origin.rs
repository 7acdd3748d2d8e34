//! P-PX-04: forwarded headers count from named peers only; and a page of the proxy's own host and port may.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, StatusCode};
use realtime_core::Log;
use realtime_tests::client::{Place, Seen, Target, Transport};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::Proxies;

use crate::app::{App, Knobs};
use crate::client::{connect, patient, until};
use crate::proxy::{Conf, Kind, Proxy};

/// Where the proxies come from, and where nobody does (RFC 5737).
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn app(named: IpAddr) -> App {
    App::start(&Log::new(), Knobs { proxies: Proxies::default().trust(named), ..Knobs::default() })
}

/// A proxy that tells the app another host than the client's, as many do; X-Forwarded-Host alone still says it.
fn renaming(kind: Kind) -> Conf {
    let conf = Conf::shipped(kind);
    match kind {
        Kind::Nginx => conf.with("Host $http_host;\n            # In", "Host app.internal;\n# In"),
        _ => conf.and(
            "",
            "http-request set-header Host app.internal",
            r#"set req.http.Host = "app.internal";"#,
        ),
    }
}

/// What a page is told that opens a WebSocket and sends.
async fn asked(proxy: &Proxy, headers: &[(&'static str, &str)]) -> (StatusCode, StatusCode) {
    let mut target = proxy.target();
    for (name, value) in headers {
        target.headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    ask(&target).await
}

async fn ask(target: &Target) -> (StatusCode, StatusCode) {
    let posted = patient("a POST", target.post(None, r#""hello""#)).await.unwrap().status;
    let mut reader = connect(Transport::WebSocket, target, Place::Live).await;
    let seen = until(&mut reader, "an answer", |_| true).await;
    let opened = match &seen[0] {
        Seen::Refused { status, .. } => *status,
        Seen::Open { .. } => StatusCode::SWITCHING_PROTOCOLS,
        other => panic!("{other:?}"),
    };
    (posted, opened)
}

const MAY: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS);
const MAY_NOT: (StatusCode, StatusCode) = (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN);

#[tokio::test]
async fn a_forwarded_host_counts_from_a_named_proxy_and_from_nobody_else() {
    // The kit's clients ask for this host; it reaches the app in X-Forwarded-Host alone.
    let page = [("origin", "https://realtime.test")];
    for kind in Kind::ALL {
        let (named, unnamed) = (app(PROXY), app(NOBODY));
        let what = format!("{kind:?}: X-Forwarded-Host of a proxy that is not named");
        case_async("P-PX-04", &what, async {
            assert_eq!(asked(&renaming(kind).start(unnamed.addr), &page).await, MAY_NOT);
        })
        .await;
        twin_async("P-PX-04", &format!("{kind:?}: X-Forwarded-Host of a named proxy"), async {
            assert_eq!(asked(&renaming(kind).start(named.addr), &page).await, MAY);
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_client_says_was_forwarded_is_not_passed_on() {
    let forged = [("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")];
    for kind in Kind::ALL {
        let app = app(PROXY);
        let proxy = Conf::shipped(kind).start(app.addr);
        let what =
            format!("{kind:?}: X-Forwarded-Host of a client, through a named proxy with the shipped config");
        case_async("P-PX-04", &what, async {
            assert_eq!(asked(&proxy, &forged).await, MAY_NOT);
        })
        .await;
        twin_async("P-PX-04", &format!("{kind:?}: the page of the host that was asked for"), async {
            let own = [("origin", "http://realtime.test"), ("x-forwarded-host", "evil.example")];
            assert_eq!(asked(&proxy, &own).await, MAY);
        })
        .await;
    }
}

/// With a port, which is part of an origin: a proxy that passes the host on without it would lock its own pages out.
#[tokio::test]
async fn a_page_of_the_proxys_own_host_and_port_may() {
    for kind in Kind::ALL {
        let app = App::start(&Log::new(), Knobs::default());
        let proxy = Conf::shipped(kind).start(app.addr);
        let url = format!("http://{}", proxy.addr());
        let post = |origin: String| async {
            let headers = HeaderMap::from_iter([
                (http::header::ORIGIN, HeaderValue::try_from(origin).unwrap()),
                (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            ]);
            let sent = reqwest::Client::new().post(format!("{url}/events")).headers(headers).body("1").send();
            patient("a POST", sent).await.unwrap().status()
        };
        assert_eq!(post(url.clone()).await, StatusCode::OK, "{kind:?}");
        assert_eq!(
            post("http://127.0.0.1".to_owned()).await,
            StatusCode::FORBIDDEN,
            "{kind:?}: another port"
        );
    }
}
