//! Tags: what they are, and that none is taken for another's.

use std::collections::HashSet;

use http::Extensions;
use proptest::prelude::*;
use realtime_core::{Cursor, Start};

use super::*;
use crate::once::Principal;
use crate::resume::{self, Begin, Came, Signing};

const EPOCH: u64 = 0x8f3a_61c0_d2e9_4b17;

fn key(n: u8) -> [u8; 32] {
    [n; 32]
}

fn keys(n: u8) -> CursorKeys {
    CursorKeys::new(key(n)).unwrap()
}

/// A claim without a cursor.
fn who(scope: Option<&str>, subject: Option<&str>) -> Claim {
    let mut extensions = Extensions::new();
    scope.map(|scope| extensions.insert(CursorScope::new(scope)));
    subject.map(|subject| extensions.insert(Principal::new(subject)));
    Claim::new(None, &extensions)
}

fn signed(cursor: Cursor, keys: &CursorKeys, claim: &Claim) -> String {
    claim.form(keys).expect("no cursor is claimed").text(cursor).to_string()
}

/// Where this text begins, for whoever sends it.
fn begin(text: &str, keys: &CursorKeys, claim: &Claim) -> Option<Start> {
    let came = resume::came(std::iter::empty(), &[text.to_owned()]);
    let Begin { start, claimed, .. } = came.begin(Start::Live, Signing::On).ok()?;
    let claim = Claim { cursor: claimed, ..*claim };
    claim.form(keys).map(|_| start)
}

#[test]
fn a_tag_is_what_another_program_makes_it() {
    // Made with Python's hmac and hashlib, from the words of docs/wire.md.
    let keys = CursorKeys::new((0..32).collect::<Vec<u8>>()).unwrap();
    let long = CursorKeys::new([b'x'; 100]).unwrap();
    let at = Cursor::new(EPOCH, 12);
    let wide = Cursor::new(EPOCH, 1 << 64);
    for (cursor, keys, scope, subject, tag) in [
        (at, &keys, None, None, "lQCnmfU3RWEOupCOpN5X7A"),
        (at, &keys, Some("room/7"), None, "Yc8jF5f_VsovhClSgIas7w"),
        (at, &keys, None, Some("ann"), "3KrqMH8qIIM3XvcDbw7UwQ"),
        (at, &keys, Some("room/7"), Some("ann"), "VIn9HNOk64qNeKRXCcT8jA"),
        (wide, &keys, Some("room/7"), Some("ann"), "qedX1Px81kXYKnEpcL3dBw"),
        (Cursor::new(0, 0), &long, None, None, "NcREPbLiUenQzfqkDf-pqQ"),
    ] {
        let claim = who(scope, subject);
        let text = signed(cursor, keys, &claim);
        assert_eq!(text, format!("{cursor}-{tag}"));
        assert!(text.len() <= 96 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
        assert_eq!(begin(&text, keys, &claim), Some(Start::After(cursor)));
    }
}

#[test]
fn a_token_with_any_byte_changed_cut_off_or_added_is_refused() {
    let (keys, claim) = (keys(1), who(Some("room"), Some("ann")));
    for cursor in [Cursor::new(EPOCH, 12), Cursor::new(EPOCH, u128::MAX)] {
        let good = signed(cursor, &keys, &claim);
        assert_eq!(begin(&good, &keys, &claim), Some(Start::After(cursor)));
        for place in 0..good.len() {
            for byte in (0..=0x7F).filter(|byte| *byte != good.as_bytes()[place]) {
                let mut bad = good.clone().into_bytes();
                bad[place] = byte;
                let bad = String::from_utf8(bad).unwrap();
                assert_eq!(begin(&bad, &keys, &claim), None, "{bad:?}");
            }
            assert_eq!(begin(&good[..place], &keys, &claim), None, "cut to {place}");
            assert_eq!(begin(&good[place + 1..], &keys, &claim), None, "without the first {}", place + 1);
            for more in ["A", "-", ".", "0", "=", " ", "\0"] {
                let mut bad = good.clone();
                bad.insert_str(place, more);
                assert_eq!(begin(&bad, &keys, &claim), None, "{bad:?}");
            }
        }
        for bad in [
            format!("{good}="),
            format!("{good}=="),
            format!("{good}A"),
            format!("{good} "),
            format!("{good}{good}"),
            format!("{good},{good}"),
            format!("{good}{}", &good[good.len() - TAG_BYTES..]),
            good.to_uppercase(),
            cursor.to_string(),
            format!("{cursor}-"),
            format!("{cursor}-{}", "A".repeat(22)),
            format!("{cursor}-{}", "\u{e9}".repeat(11)),
        ] {
            assert_eq!(begin(&bad, &keys, &claim), None, "{bad:?}");
        }
    }
}

/// One is made for every event of every reader, on the stack.
#[test]
fn a_text_has_room_for_the_longest_cursor_and_its_tag_and_no_more() {
    let longest = signed(Cursor::new(u64::MAX, u128::MAX), &keys(1), &who(None, None));
    assert_eq!(size_of::<super::form::CursorText>(), longest.len() + 2 * size_of::<usize>());
}

#[test]
fn the_bits_that_a_tag_does_not_use_are_zero() {
    let (keys, claim, cursor) = (keys(1), who(None, None), Cursor::new(1, 2));
    let good = signed(cursor, &keys, &claim);
    let (start, last) = good.split_at(good.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let taken: Vec<_> = alphabet
        .chars()
        .map(|last| format!("{start}{last}"))
        .filter(|text| begin(text, &keys, &claim).is_some())
        .collect();
    assert_eq!(taken, [format!("{start}{last}")], "a cursor has one text");
}

#[test]
fn another_scope_subject_or_key_is_another_tag_and_each_refuses_the_others() {
    let cursor = Cursor::new(EPOCH, 12);
    let all: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|n| {
            // Names that run into one another, and the same name in either place.
            let names = [None, Some(""), Some("a"), Some("ab"), Some("b"), Some("a\0b")];
            names.into_iter().flat_map(move |scope| names.map(|subject| (n, scope, subject)))
        })
        .collect();
    let mut texts = HashSet::new();
    for (n, scope, subject) in &all {
        let text = signed(cursor, &keys(*n), &who(*scope, *subject));
        for other in &all {
            let is_taken = begin(&text, &keys(other.0), &who(other.1, other.2)).is_some();
            assert_eq!(is_taken, other == &(*n, *scope, *subject), "{n} {scope:?} {subject:?} for {other:?}");
        }
        assert!(texts.insert(text));
    }
    assert_eq!(texts.len(), 72);
}

#[test]
fn the_first_key_signs_and_all_verify() {
    let (claim, cursor) = (who(Some("room"), None), Cursor::new(EPOCH, 12));
    let (old, new) = (keys(1), keys(2));
    let both = keys(2).also(key(1)).unwrap();
    let ahead = keys(1).also(key(2)).unwrap();
    let of_old = signed(cursor, &old, &claim);
    let of_new = signed(cursor, &new, &claim);
    assert_eq!(
        (signed(cursor, &both, &claim), signed(cursor, &ahead, &claim)),
        (of_new.clone(), of_old.clone())
    );
    let is_taken = |text: &str, keys: &CursorKeys| begin(text, keys, &claim).is_some();
    for keys in [&both, &ahead] {
        assert!(is_taken(&of_old, keys) && is_taken(&of_new, keys));
    }
    assert!(!is_taken(&of_new, &old) && !is_taken(&of_old, &new), "a key that is not there, or is gone");
}

#[test]
fn keys_are_bounded_below_and_in_number_and_never_shown() {
    let kind = |result: Result<CursorKeys, CursorKeysError>| result.err().map(|error| error.kind());
    for (bytes, expected) in [
        (0, Some(CursorKeysErrorKind::TooShort)),
        (CURSOR_KEY_BYTES_MIN - 1, Some(CursorKeysErrorKind::TooShort)),
        (CURSOR_KEY_BYTES_MIN, None),
        (CURSOR_KEY_BYTES_MIN + 1, None),
        (1000, None),
    ] {
        assert_eq!(kind(CursorKeys::new(vec![1; bytes])), expected, "{bytes} bytes");
        assert_eq!(kind(keys(1).also(vec![1; bytes])), expected, "{bytes} bytes");
    }
    let of = |n: usize| (1..n).try_fold(keys(0), |keys, n| keys.also(key(n as u8)));
    assert_eq!(kind(of(CURSOR_KEYS_MAX - 1)), None);
    assert_eq!(kind(of(CURSOR_KEYS_MAX)), None);
    assert_eq!(kind(of(CURSOR_KEYS_MAX + 1)), Some(CursorKeysErrorKind::TooMany));
    for (kind, bound) in [
        (CursorKeysErrorKind::TooShort, "at least 32 bytes"),
        (CursorKeysErrorKind::TooMany, "at most 8 cursor keys"),
    ] {
        let said = CursorKeysError::from(kind).to_string();
        assert!(said.contains(bound), "{said}");
    }

    let secret = CursorKeys::new("correct horse battery staple, 32 bytes").unwrap();
    let config = crate::Config { cursor_keys: Some(secret.clone()), ..crate::Config::default() };
    let claim = who(Some("acme"), Some("ann"));
    let text = signed(Cursor::new(1, 2), &secret, &claim);
    let came = resume::came(std::iter::empty(), std::slice::from_ref(&text));
    let shown = format!("{config:?} {claim:?} {came:?} {:?}", claim.form(&secret));
    for told in ["CursorKeys(1 of them)", "signed", "CursorScope(..)", "Tag(..)"] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    for hidden in ["correct", "horse", "acme", "ann\"", &text[text.len() - 22..]] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[test]
fn a_mount_takes_the_form_it_gives_and_no_other() {
    let cursor = Cursor::new(1, 2);
    let text = signed(cursor, &keys(1), &who(None, None));
    let came = |text: &str| resume::came(std::iter::empty(), &[text.to_owned()]);
    let plain = came(&cursor.to_string());
    assert_eq!(plain.begin(Start::Live, Signing::On), Err(resume::NO_CURSOR));
    assert_eq!(came(&text).begin(Start::Live, Signing::Off), Err(resume::NO_CURSOR));
    let begin = plain.begin(Start::Live, Signing::Off).unwrap();
    assert_eq!((begin.start, begin.resumed, begin.claimed), (Start::After(cursor), true, None));
    let begin = came(&text).begin(Start::Live, Signing::On).unwrap();
    assert_eq!((begin.start, begin.resumed, begin.claimed.is_some()), (Start::After(cursor), true, true));
    for signing in [Signing::On, Signing::Off] {
        for (came, start) in [
            (Came::Without, Start::Last(3)),
            (came("-1"), Start::Earliest),
            (came("now"), Start::Live),
            (came("last-7"), Start::Last(7)),
        ] {
            let begin = came.begin(Start::Last(3), signing).unwrap();
            assert_eq!((begin.start, begin.resumed, begin.claimed), (start, false, None));
        }
    }
}

proptest! {
    #[test]
    fn tokens_of_one_epoch_sort_as_bytes_in_reading_order(a: u128, b: u128, epoch: u64, shift in 0u32..128) {
        let (keys, claim) = (keys(1), who(None, None));
        let (a, b) = (Cursor::new(epoch, a >> shift), Cursor::new(epoch, b >> shift));
        let (first, second) = (signed(a, &keys, &claim), signed(b, &keys, &claim));
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        prop_assert_eq!(begin(&first, &keys, &claim), Some(Start::After(a)));
    }

    #[test]
    fn no_text_that_was_not_given_is_taken(text in "\\PC{0,80}", tail in "[-A-Za-z0-9_.~]{0,40}") {
        let (keys, claim) = (keys(1), who(None, None));
        for text in [text, tail.clone(), format!("{}{tail}", Cursor::new(1, 2))] {
            let start = begin(&text, &keys, &claim);
            prop_assert!(!matches!(start, Some(Start::After(_))), "{}", text);
        }
    }
}
