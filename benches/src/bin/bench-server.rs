//! One kind of server, for its time and memory to be taken.

use realtime_benches::{Outcome, server};

fn main() -> Outcome {
    let kind = std::env::args().nth(1).ok_or("which kind?")?.parse()?;
    server::serve(kind, || (0, 0))
}
