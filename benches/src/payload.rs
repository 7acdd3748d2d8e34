//! What is sent: JSON of a set length that says which event it is.

/// How a payload begins; nothing else on any wire contains it.
pub(crate) const PREFIX: &[u8] = b"{\"n\":\"";
const DIGITS: usize = 12;
const MIDDLE: &[u8] = b"\",\"pad\":\"";
const END: &[u8] = b"\"}";

/// What a payload has at least.
pub const PAYLOAD_BYTES_MIN: usize = PREFIX.len() + DIGITS + MIDDLE.len() + END.len();
/// And at most: a frame of this length has a head of four bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// The payload of event `n`, so many bytes long.
pub(crate) fn payload(n: u64, bytes: usize) -> Vec<u8> {
    let mut payload = vec![b'.'; bytes.max(PAYLOAD_BYTES_MIN)];
    let (digits, middle) = (PREFIX.len(), PREFIX.len() + DIGITS);
    payload[..digits].copy_from_slice(PREFIX);
    payload[middle..middle + MIDDLE.len()].copy_from_slice(MIDDLE);
    let end = payload.len() - END.len();
    payload[end..].copy_from_slice(END);
    number(&mut payload, n);
    payload
}

fn number(payload: &mut [u8], mut n: u64) {
    for digit in payload[PREFIX.len()..PREFIX.len() + DIGITS].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

/// The same as text.
pub(crate) fn text(n: u64, bytes: usize) -> String {
    String::from_utf8_lossy(&payload(n, bytes)).into_owned()
}

/// What a payload is held against: made once, its number written over.
#[derive(Debug)]
pub(crate) struct Expected {
    n: u64,
    payload: Vec<u8>,
}

impl Expected {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { n: 0, payload: payload(0, bytes) }
    }

    /// Whether this is the payload of event `n`, to the byte.
    pub(crate) fn is(&mut self, n: u64, got: &[u8]) -> bool {
        if self.n != n {
            number(&mut self.payload, n);
            self.n = n;
        }
        got == self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_that_says_its_number() {
        for (n, bytes) in [(0, 128), (7, 1_024), (999_999_999_999, PAYLOAD_BYTES_MIN)] {
            let value: serde_json::Value = serde_json::from_slice(&payload(n, bytes)).unwrap();
            assert_eq!(value["n"].as_str().unwrap().parse(), Ok(n));
            assert_eq!(text(n, bytes).len(), bytes);
        }
    }

    #[test]
    fn only_the_payload_of_its_number_is_the_expected_one() {
        let mut expected = Expected::new(128);
        assert!(expected.is(7, &payload(7, 128)) && expected.is(6, &payload(6, 128)));
        assert!(!expected.is(7, &payload(6, 128)), "another number");
        assert!(!expected.is(7, &payload(7, 129)), "another length");
        let mut altered = payload(7, 128);
        altered[100] ^= 1;
        assert!(!expected.is(7, &altered), "another byte");
    }
}
