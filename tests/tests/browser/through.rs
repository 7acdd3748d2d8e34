//! realtime-js in a page that comes, as all that it asks, through nginx, haproxy and Varnish: `browser/proxies.mjs`.

use crate::driver::drive;
use crate::server::Stage;

#[test]
fn every_transport_reads_moves_sends_and_outlives_a_reload_through_each_proxy_in_chromium() {
    let stage = Stage::start();
    drive("proxies.mjs", &[stage.url()]);
}
