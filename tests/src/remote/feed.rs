//! Reading the stand-in: opens late, reads page by page, waits at the doorbell and not by asking.

use std::collections::VecDeque;

use futures_util::stream;
use realtime_core::{Batch, BoxFeed, Cursor, Delivery, Entry, Gap, GapReason, SourceError, Start};
use tokio::sync::watch;

use super::{Page, Remote};

struct Reader {
    remote: Remote,
    /// Where to begin; none once it is open.
    start: Option<Start>,
    place: Option<Cursor>,
    /// What is still to be delivered of the last answer.
    waiting: VecDeque<Delivery>,
    is_live: bool,
    is_over: bool,
    /// What the doorbell showed when the reader was caught up.
    seen: Option<u64>,
    doorbell: watch::Receiver<u64>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.remote.state().feeds -= 1;
    }
}

pub(super) fn feed(remote: Remote, start: Start) -> BoxFeed {
    remote.state().feeds += 1;
    let doorbell = remote.0.doorbell.subscribe();
    let reader = Reader {
        remote,
        start: Some(start),
        place: None,
        waiting: VecDeque::new(),
        is_live: false,
        is_over: false,
        seen: None,
        doorbell,
    };
    Box::pin(stream::unfold(reader, |mut reader| async move {
        let delivery = reader.next().await?;
        Some((delivery, reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Delivery, SourceError>> {
        loop {
            if let Some(delivery) = self.waiting.pop_front() {
                return Some(Ok(delivery));
            }
            if self.is_over {
                return None;
            }
            if let Some(start) = self.start {
                return Some(self.open(start).await);
            }
            let place = self.place?;
            if let Some(seen) = self.seen {
                // The sender lives in the remote, so waiting cannot fail.
                let _ = self.doorbell.wait_for(|changes| *changes != seen).await;
            }
            match self.remote.read(place).await {
                Ok(page) => self.take(place, page),
                Err(failure) => {
                    self.is_over = true;
                    return Some(Err(failure.error()));
                }
            }
        }
    }

    async fn open(&mut self, start: Start) -> Result<Delivery, SourceError> {
        tokio::time::sleep(self.remote.manners().opens_after).await;
        self.start = None;
        let state = self.remote.state();
        if let Some(failure) = state.fails_to_open {
            self.is_over = true;
            return Err(failure.error());
        }
        let opened = state.open(start);
        self.place = Some(opened.place());
        Ok(Delivery::Open(opened))
    }

    fn take(&mut self, mut place: Cursor, page: Page) {
        if let Some((reason, to)) = page.gap {
            // Whoever was connected when it happened did not keep up.
            let reason = if reason == GapReason::Trimmed { GapReason::Overflow } else { reason };
            self.waiting.push_back(Delivery::Gap(Gap::new(reason, Some(place), to)));
            place = to;
        }
        if let Some(last) = page.entries.last().map(Entry::cursor) {
            place = last;
            self.waiting.extend(Batch::new(page.entries, last, page.is_last).map(Delivery::Events));
        }
        if page.is_last && !std::mem::replace(&mut self.is_live, true) {
            self.waiting.push_back(Delivery::Live(place));
        }
        self.seen = page.is_last.then_some(page.seen);
        self.is_over = page.is_last && page.is_closed;
        self.place = Some(place);
    }
}
