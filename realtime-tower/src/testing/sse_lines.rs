//! The lines of an event stream (WHATWG HTML, section 9.2.6), fed in pieces of any size.

/// What stands between two blank lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) id: Option<String>,
    pub(super) event: Option<String>,
    pub(super) data: Option<String>,
    pub(super) retry: Option<u64>,
    pub(super) is_commented: bool,
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    block: Block,
    was_cr: bool,
}

impl Lines {
    /// The blocks that end in this piece. One that the end of the stream cuts off is never given.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for byte in bytes {
            let was_cr = std::mem::replace(&mut self.was_cr, *byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => self.end_line(&mut blocks),
                _ => self.line.push(*byte),
            }
        }
        blocks
    }

    fn end_line(&mut self, blocks: &mut Vec<Block>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            blocks.push(std::mem::take(&mut self.block));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let block = &mut self.block;
        match field {
            "" => block.is_commented = true,
            "id" if !value.contains('\0') => block.id = Some(value.to_owned()),
            "event" => block.event = Some(value.to_owned()),
            "retry" => block.retry = value.parse().ok().or(block.retry),
            "data" => match &mut block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => block.data = Some(value.to_owned()),
            },
            _ => {}
        }
    }
}
