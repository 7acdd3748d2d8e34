//! permessage-deflate: what a client may send deflated, and what we deflate ourselves. Nothing inflates beyond its bound, what one
//! side deflates the other has back whole, and however frames were cut, the same is read.
//!
//! Input: the bytes; taken for frames, for a deflated payload, and for a plain one.

#![no_main]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use libfuzzer_sys::fuzz_target;
use realtime_fuzz::cut;
use realtime_tower::fuzzing::{Item, Limits, deflate, inflate, read_deflated};

const LIMITS: Limits = Limits { message_bytes_max: 300, fragments_max: 4 };

fuzz_target!(|bytes: &[u8]| {
    let whole = read_deflated(LIMITS, [bytes]);
    assert_eq!(read_deflated(LIMITS, cut(bytes)), whole, "cut otherwise");
    assert_eq!(read_deflated(LIMITS, bytes.chunks(1)), whole, "byte by byte");
    for item in &whole.items {
        match item {
            Item::Text(text) => {
                assert!(text.len() <= LIMITS.message_bytes_max && std::str::from_utf8(text).is_ok());
            }
            Item::Binary(binary) => assert!(binary.len() <= LIMITS.message_bytes_max),
            _ => {}
        }
    }
    stands(bytes);
    there_and_back(bytes);
});

/// What inflates is within its bound, and stays what it is under a greater one.
fn stands(deflated: &[u8]) {
    let Some(plain) = inflate(deflated, 300) else { return };
    assert!(plain.len() <= 300);
    assert_eq!(inflate(deflated, plain.len()).as_ref(), Some(&plain));
    assert_eq!(inflate(deflated, 100_000).as_ref(), Some(&plain));
    if let Some(less) = plain.len().checked_sub(1) {
        assert_eq!(inflate(deflated, less), None, "a byte beyond its bound");
    }
}

fn there_and_back(plain: &[u8]) {
    for (bits, deflated) in deflate(plain) {
        let Some(deflated) = deflated else { continue };
        assert!(deflated.len() < plain.len());
        let mut state = Decompress::new_with_window_bits(false, bits);
        let mut theirs = Vec::with_capacity(plain.len() + 64);
        let sent = [&deflated[..], &[0, 0, 0xff, 0xff]].concat();
        state
            .decompress_vec(&sent, &mut theirs, FlushDecompress::Sync)
            .expect("a foreign inflate has it back");
        assert_eq!(theirs, plain, "by a window of {bits} bits");
        assert_eq!(inflate(&deflated, plain.len()).as_deref(), Some(plain));
    }
    let mut state = Compress::new(Compression::default(), false);
    let mut theirs = Vec::with_capacity(2 * plain.len() + 64);
    state.compress_vec(plain, &mut theirs, FlushCompress::Sync).expect("a foreign deflate");
    theirs.truncate(theirs.len() - 4);
    assert_eq!(inflate(&theirs, plain.len()).as_deref(), Some(plain));
}
