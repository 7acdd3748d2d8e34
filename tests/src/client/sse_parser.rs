//! An event stream parser after WHATWG HTML 9.2.6, to the letter and nothing more.
//!
//! Fed with bytes in any pieces, it gives [`Block`]s: one per blank line at which the stream's last event ID was
//! committed, whether or not an event was fired there, because a block without data still moves the place (9.2.6,
//! dispatch step 1). A block that the end of the stream cut short is never given.

/// What a blank line made of the lines before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The type and data of the event that is fired; `None` if there was no `data` line.
    pub event: Option<(String, String)>,
    /// The last event ID of the stream after this block.
    pub last_id: String,
    /// Whether this block set it, even to what it was.
    pub sets_id: bool,
}

/// The parser's state between two pieces of the stream.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    first_line_seen: bool,
    after_cr: bool,
    data: Option<String>,
    event: String,
    id: String,
    sets_id: bool,
    retry_ms: Option<u64>,
}

impl Parser {
    /// Takes a piece of the stream and gives the blocks that it completed.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {} // the second half of CRLF
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    blocks.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
        }
        blocks
    }

    /// The reconnection time that the stream set last.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn end_line(&mut self) -> Option<Block> {
        let bytes = std::mem::take(&mut self.line);
        // Line ends are ASCII and break every ill-formed sequence alike, so decoding by line decodes the stream.
        let line = String::from_utf8_lossy(&bytes);
        let first = !std::mem::replace(&mut self.first_line_seen, true);
        let line = if first { line.strip_prefix('\u{FEFF}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            return Some(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => data.extend(["\n", value]),
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => {
                value.clone_into(&mut self.id);
                self.sets_id = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(Some(u64::MAX)); // too long for a number is for ever
            }
            _ => {} // a comment is a field without a name
        }
    }

    fn dispatch(&mut self) -> Block {
        let name = std::mem::take(&mut self.event);
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Block {
            event: self.data.take().map(|data| (name, data)),
            last_id: self.id.clone(),
            sets_id: std::mem::take(&mut self.sets_id),
        }
    }
}
