//! realtime-js in a page: `browser/client.mjs`.

use crate::driver::drive;
use crate::server::Stage;

#[test]
fn realtime_js_reads_moves_resumes_and_sends_in_chromium() {
    let stage = Stage::start();
    drive("client.mjs", &[stage.url()]);
}
