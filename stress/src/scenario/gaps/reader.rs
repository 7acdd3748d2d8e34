//! One logical reader: away at a place, or connected and not reading just now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use realtime_tests::checker::{Checker, Truth};
use realtime_tests::client::{self, Place, Seen, SseForm, Target, Transport, Via};
use realtime_tests::dial::Dialer;
use tokio::time::timeout;

/// How long it waits for anything at all: nothing is slow here.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that it tries in a turn, most of which are not cut.
const TRIES_MAX: usize = 50;
/// One turn of so many it leaves in the midst of what there is,
const LEAVES_ONE_OF: u8 = 3;
/// after so many events at most.
const LEAVES_AFTER_MAX: usize = 12;
/// One turn of so many it stays connected to the next.
const STAYS_ONE_OF: u8 = 2;

/// A reader of some topics.
pub(super) struct Reader {
    rng: Rng,
    target: Target,
    topics: BTreeSet<String>,
    checker: Checker,
    place: Place,
    connected: Option<(Via, client::Reader)>,
    told: Told,
}

/// What it was told, as it counts it itself.
#[derive(Default)]
pub(super) struct Told {
    /// Gaps by each way.
    pub(super) gaps: BTreeMap<Via, usize>,
    /// Of them those on a stream that had stayed through the loss.
    pub(super) in_mid_stream: usize,
    /// Connections that were owed a gap, and lost before it came: cut, or with their server or log.
    pub(super) lost_before: usize,
    /// Connections that were owed none, and told none.
    pub(super) quiet: usize,
}

/// How long it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// To the end of what there is, or until it has had enough.
    AsDrawn,
    /// To the end.
    ToTheEnd,
}

/// How a connection was left.
enum Left {
    /// It had all there is.
    AtTheEnd,
    /// It had had enough.
    Early,
    /// The connection was lost.
    Cut,
}

impl Reader {
    pub(super) fn new(mut rng: Rng, topics: &[String], dialer: Dialer) -> Self {
        let wanted = rng.usize(1..=topics.len());
        let topics: BTreeSet<_> = rng.choose_multiple(topics.iter(), wanted).into_iter().cloned().collect();
        let path = format!("/topics/{}", topics.iter().map(String::as_str).collect::<Vec<_>>().join(","));
        let target = Target {
            wait_s: 1,
            interval: Duration::from_millis(1),
            sse: SseForm::Envelope,
            ..Target::new(dialer, path)
        };
        let checker = Checker::of_topics(topics.iter().map(String::as_str));
        Self { rng, target, topics, checker, place: Place::Earliest, connected: None, told: Told::default() }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// Whether one of these was still before it. Places of one epoch compare as bytes.
    pub(super) fn misses(&self, lost: &[(String, String)]) -> bool {
        let place = self.place.cursor().unwrap_or("");
        lost.iter().any(|(topic, cursor)| self.topics.contains(topic) && cursor.as_str() > place)
    }

    pub(super) fn leave(self) -> (Checker, Told) {
        (self.checker, self.told)
    }

    /// Reads; nothing is lost meanwhile.
    pub(super) async fn read(&mut self, truth: &Truth, stay: Stay) -> Result<(), String> {
        for _ in 0..TRIES_MAX {
            let stayed = self.connected.take();
            let has_stayed = stayed.is_some();
            let owed = self.place.cursor().is_some_and(|place| truth.owes_gap(&self.topics, place));
            let is_at_end = self.place.cursor().is_some_and(|place| truth.is_at_end(&self.topics, place));
            if has_stayed && is_at_end {
                self.connected = stayed; // there is nothing for it, and a stream says so by silence
                return Ok(());
            }
            let (via, mut reader) = match stayed {
                Some(stayed) => stayed,
                None => self.come_back(is_at_end).await?,
            };
            let leaves = stay == Stay::AsDrawn && self.rng.u8(..LEAVES_ONE_OF) == 0;
            let enough = if leaves { self.rng.usize(1..=LEAVES_AFTER_MAX) } else { usize::MAX };
            let from = self.place.clone();
            let (gaps, events, left) = self.take(via, &mut reader, truth, enough).await?;
            self.place = reader.place().clone();
            self.count(via, has_stayed, owed, gaps, events, &left).map_err(|why| {
                format!(
                    "{why}: {via} from {from:?}, {gaps} gaps, {events} events, stayed connected: {has_stayed}"
                )
            })?;
            match left {
                Left::Cut => {}
                Left::Early => return Ok(()),
                Left::AtTheEnd => {
                    if self.rng.u8(..STAYS_ONE_OF) == 0 && reader.over().is_none() {
                        self.connected = Some((via, reader));
                    }
                    return Ok(());
                }
            }
        }
        Err(format!("{TRIES_MAX} connections one after the other were lost"))
    }

    async fn come_back(&mut self, is_at_end: bool) -> Result<(Via, client::Reader), String> {
        let mut via = Via::SIX[self.rng.usize(..Via::SIX.len())];
        if is_at_end && via.transport == Transport::LongPoll {
            via = Transport::Poll.into(); // a wait that nothing ends costs a second, and shows no more
        }
        self.checker.begin(via, &self.place);
        let target = Target { http: via.http, ..self.target.clone() };
        let connecting = client::Reader::connect(via.transport, &target, self.place.clone());
        let reader = timeout(PATIENCE, connecting)
            .await
            .map_err(|_| format!("{via}: no answer within {PATIENCE:?}"))?;
        Ok((via, reader))
    }

    /// Takes what comes, up to the newest event of its topics: how many gaps and events, and how it was left.
    async fn take(
        &mut self,
        via: Via,
        reader: &mut client::Reader,
        truth: &Truth,
        enough: usize,
    ) -> Result<(usize, usize, Left), String> {
        let (mut gaps, mut events, newest) = (0, 0, truth.newest_of(&self.topics));
        while events < enough {
            let next = timeout(PATIENCE, reader.next()).await;
            let next =
                next.map_err(|_| format!("{via}: nothing within {PATIENCE:?}, at {:?}", reader.place()))?;
            let Some(seen) = next else { return Ok((gaps, events, Left::Cut)) };
            self.checker.see(&seen);
            match &seen {
                Seen::Gap(_) => gaps += 1,
                Seen::Event(event) => {
                    events += 1;
                    // A page is handed over to its end, or its `next` would not move the place.
                    if event.id.as_deref() == newest && !via.transport.is_poll() {
                        return Ok((gaps, events, Left::AtTheEnd));
                    }
                }
                // One that stood in the stream before the loss says nothing about now.
                Seen::Live { cursor } if truth.is_at_end(&self.topics, cursor) => {
                    return Ok((gaps, events, Left::AtTheEnd));
                }
                Seen::Status { .. } => return Ok((gaps, events, Left::AtTheEnd)),
                _ => {}
            }
        }
        Ok((gaps, events, Left::Early))
    }

    /// A connection that is owed a gap is told one before anything else, one that is not is told none.
    fn count(
        &mut self,
        via: Via,
        has_stayed: bool,
        owed: bool,
        gaps: usize,
        events: usize,
        left: &Left,
    ) -> Result<(), &'static str> {
        let is_lost_before = matches!(left, Left::Cut) && events == 0 && gaps == 0;
        match (owed, gaps) {
            (true, 0) if is_lost_before => self.told.lost_before += 1,
            (true, 0) => return Err("what is gone was not told"),
            (true, 1) => {
                *self.told.gaps.entry(via).or_default() += 1;
                self.told.in_mid_stream += usize::from(has_stayed && !via.transport.is_poll());
            }
            (false, 0) => self.told.quiet += usize::from(!is_lost_before),
            (true, _) => return Err("one loss was told more than once"),
            (false, _) => return Err("nothing was gone, and a gap was told"),
        }
        Ok(())
    }
}
