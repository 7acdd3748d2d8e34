//! The page and its scripts, inside the binary.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Path, type and text of each.
const ASSETS: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/pane.js", SCRIPT, include_str!("page/pane.js")),
    ("/transports.js", SCRIPT, include_str!("page/transports.js")),
    ("/style.css", STYLE, include_str!("page/style.css")),
    ("/vendor/uPlot.esm.js", SCRIPT, include_str!("page/vendor/uPlot.esm.js")),
    ("/vendor/uPlot.min.css", STYLE, include_str!("page/vendor/uPlot.min.css")),
];

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        let head = [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "no-cache"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // uPlot sets styles on its elements.
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
            ),
        ];
        router.route(path, get(move || async move { (head, text) }))
    })
}
