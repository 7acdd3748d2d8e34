//! What a page gets without a line of ours: `browser/native.mjs`.

use crate::driver::drive;
use crate::server::Stage;

#[test]
fn native_pieces_read_resume_see_gaps_and_stop_in_chromium() {
    let stage = Stage::start();
    drive("native.mjs", &[stage.url()]);
}
