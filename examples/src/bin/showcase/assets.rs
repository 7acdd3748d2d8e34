//! The page and all it needs, embedded in the binary.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file of the page: where it is served, as what, and its text.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! asset {
    ($file:literal, $content_type:expr) => {
        Asset {
            path: concat!("/", $file),
            content_type: $content_type,
            text: include_str!(concat!("page/", $file)),
        }
    };
}

static ASSETS: [Asset; 18] = [
    Asset { path: "/", ..asset!("index.html", HTML) },
    asset!("style.css", CSS),
    asset!("icon.svg", SVG),
    asset!("main.js", SCRIPT),
    asset!("pane.js", SCRIPT),
    asset!("chart.js", SCRIPT),
    asset!("clock.js", SCRIPT),
    asset!("costs.js", SCRIPT),
    asset!("tabs.js", SCRIPT),
    asset!("tally.js", SCRIPT),
    asset!("transports/page.js", SCRIPT),
    asset!("transports/poll.js", SCRIPT),
    asset!("transports/long_poll.js", SCRIPT),
    asset!("transports/sse.js", SCRIPT),
    asset!("transports/websocket.js", SCRIPT),
    asset!("vendor/uPlot.esm.js", SCRIPT),
    asset!("vendor/uPlot.min.css", CSS),
    asset!("vendor/uPlot.LICENSE.txt", TEXT),
];

/// Everything comes from here, nothing from elsewhere, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(move || async move { serve(asset) }))
    })
}

fn serve(asset: &'static Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new build may have a new page: ask each time.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, asset.text).into_response()
}

/// Where each is served, and as what.
#[cfg(test)]
pub(crate) fn served() -> impl Iterator<Item = (&'static str, &'static str)> {
    ASSETS.iter().map(|asset| (asset.path, asset.content_type))
}
