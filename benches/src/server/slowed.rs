//! A source that encodes every event once more for every reader: what the gate of costs has to see.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use realtime_core::{Delivery, Log, Source, SourceError, Start};

/// A log that is read with a needless encoding, as everybody writes it who shares no bytes.
#[derive(Debug, Clone)]
pub(super) struct Slowed(pub(super) Log);

impl Source for Slowed {
    type Feed = Pin<Box<dyn Stream<Item = Result<Delivery, SourceError>> + Send>>;

    fn subscribe(&self, start: Start) -> Self::Feed {
        Box::pin(self.0.subscribe(start).inspect(|delivery| {
            if let Ok(Delivery::Events(batch)) = delivery {
                for entry in batch {
                    let event = entry.event();
                    let payload = String::from_utf8_lossy(event.payload().bytes());
                    let encoded = serde_json::to_vec(&(event.name(), payload));
                    drop(std::hint::black_box(encoded));
                }
            }
        }))
    }
}
