//! What is sent: 128 bytes of JSON that say which event they are.

/// Bytes of a payload.
pub(crate) const BYTES: usize = 128;

/// How a payload begins; nothing else on any wire contains it.
pub(crate) const PREFIX: &[u8] = b"{\"n\":\"";
const DIGITS: usize = 12;
const MIDDLE: &[u8] = b"\",\"pad\":\"";
const END: &[u8] = b"\"}";

/// The payload of event `n`.
pub(crate) fn payload(n: u64) -> [u8; BYTES] {
    let mut bytes = [b'.'; BYTES];
    let (digits, middle) = (PREFIX.len(), PREFIX.len() + DIGITS);
    bytes[..digits].copy_from_slice(PREFIX);
    let mut left = n;
    for digit in bytes[digits..middle].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    bytes[middle..middle + MIDDLE.len()].copy_from_slice(MIDDLE);
    bytes[BYTES - END.len()..].copy_from_slice(END);
    bytes
}

/// The same as text.
pub(crate) fn text(n: u64) -> String {
    String::from_utf8_lossy(&payload(n)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_that_says_its_number() {
        for n in [0, 7, 999_999_999_999] {
            let value: serde_json::Value = serde_json::from_slice(&payload(n)).unwrap();
            assert_eq!(value["n"].as_str().unwrap().parse(), Ok(n));
            assert_eq!(text(n).len(), BYTES);
        }
    }
}
