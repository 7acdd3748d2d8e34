//! Readers that wait for something, and readers that come back by themselves until they have seen the last event.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use realtime_tests::checker::Checker;
use realtime_tests::client::{Place, Reader, Seen, Target, Transport};

use crate::app::LAST;

/// Longer than anything here takes, on a machine that does ten other things; reached only by a run that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn patient<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    patient(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// [`Reader::connect`], for so long.
pub(crate) async fn connect(transport: Transport, target: &Target, start: Place) -> Reader {
    patient("a connection", Reader::connect(transport, target, start)).await
}

/// Reads up to and with what `last` holds of.
pub(crate) async fn until(reader: &mut Reader, what: &str, last: impl FnMut(&Seen) -> bool) -> Vec<Seen> {
    let (what, over) = (format!("{what}, {:?}", reader.transport()), reader.over().cloned());
    patient(&format!("{what}, {over:?}"), reader.collect_until(last)).await
}

/// The event with this cursor.
pub(crate) fn is_event(id: &str) -> impl FnMut(&Seen) -> bool {
    move |seen| seen.event().is_some_and(|event| event.id.as_deref() == Some(id))
}

fn is_last(seen: &Seen) -> bool {
    seen.event().is_some_and(|event| event.data == LAST.as_bytes())
}

/// What a reader went through that came back whenever its connection was over.
pub(crate) struct Followed {
    pub(crate) checker: Checker,
    /// Connections that had told something and were lost.
    pub(crate) cuts: usize,
}

/// The answers that a reader got in the place of events, for whoever waits for one.
pub(crate) type Refusals = Arc<Mutex<Vec<StatusCode>>>;

/// Reads to the last event and comes back as often as it takes, on the same transport.
pub(crate) async fn follow(
    target: Target,
    transport: Transport,
    start: Place,
    refusals: Refusals,
) -> Followed {
    let (mut checker, mut cuts) = (Checker::default(), 0);
    checker.begin(transport, &start);
    let mut reader = connect(transport, &target, start).await;
    loop {
        let mut heard = false;
        while let Some(seen) = reader.next().await {
            checker.see(&seen);
            if is_last(&seen) {
                return Followed { checker, cuts };
            }
            match seen {
                Seen::Refused { status, .. } => refusals.lock().unwrap().push(status),
                _ => heard = true,
            }
        }
        cuts += usize::from(heard);
        tokio::time::sleep(Duration::from_millis(50)).await;
        checker.begin(transport, reader.place());
        reader = patient("a connection", reader.resume(transport)).await;
    }
}
