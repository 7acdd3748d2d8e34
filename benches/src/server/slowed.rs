//! A source that copies every event once more for every reader: what the gate of costs has to see.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use realtime_core::{Delivery, Log, Source, SourceError, Start};

/// A log that is read with a needless copy.
#[derive(Debug, Clone)]
pub(super) struct Slowed(pub(super) Log);

impl Source for Slowed {
    type Feed = Pin<Box<dyn Stream<Item = Result<Delivery, SourceError>> + Send>>;

    fn subscribe(&self, start: Start) -> Self::Feed {
        Box::pin(self.0.subscribe(start).inspect(|delivery| {
            if let Ok(Delivery::Events(batch)) = delivery {
                for entry in batch {
                    let name = entry.event().name().as_bytes();
                    drop(std::hint::black_box(Bytes::copy_from_slice(name)));
                }
            }
        }))
    }
}
