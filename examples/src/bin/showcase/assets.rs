//! The page and all it needs, embedded in the binary: its own files, the client, and the examples that it links to.

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
    ($at:literal, $folder:literal, $file:literal, $content_type:expr) => {
        Asset {
            path: concat!($at, $file),
            content_type: $content_type,
            text: include_str!(concat!($folder, $file)),
        }
    };
}

/// A file of the page.
macro_rules! page {
    ($file:literal, $content_type:expr) => {
        asset!("/", "page/", $file, $content_type)
    };
}

/// A file of the client that the page reads with: the very file that the package ships.
macro_rules! client {
    ($file:literal) => {
        asset!("/realtime-js/", "../../../../realtime-js/src/", $file, SCRIPT)
    };
}

/// The source of another example, to be read.
macro_rules! example {
    ($file:literal) => {
        asset!("/examples/", "../", $file, TEXT)
    };
}

static ASSETS: [Asset; 35] = [
    Asset { path: "/", ..page!("index.html", HTML) },
    page!("style.css", CSS),
    page!("icon.svg", SVG),
    page!("main.js", SCRIPT),
    page!("pane.js", SCRIPT),
    page!("mover.js", SCRIPT),
    page!("chat.js", SCRIPT),
    page!("transports.js", SCRIPT),
    page!("chart.js", SCRIPT),
    page!("cost_charts.js", SCRIPT),
    page!("colours.js", SCRIPT),
    page!("clock.js", SCRIPT),
    page!("costs.js", SCRIPT),
    page!("tabs.js", SCRIPT),
    page!("tally.js", SCRIPT),
    page!("vendor/uPlot.esm.js", SCRIPT),
    page!("vendor/uPlot.min.css", CSS),
    page!("vendor/uPlot.LICENSE.txt", TEXT),
    client!("realtime.js"),
    client!("reader.js"),
    client!("link.js"),
    client!("options.js"),
    client!("request.js"),
    client!("backoff.js"),
    client!("errors.js"),
    client!("choice.js"),
    client!("websocket.js"),
    client!("sse.js"),
    client!("parser.js"),
    client!("poll.js"),
    client!("uplink.js"),
    example!("polling.rs"),
    example!("long_polling.rs"),
    example!("sse.rs"),
    example!("websocket.rs"),
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
