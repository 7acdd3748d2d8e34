//! One honest client: reads for a while on one transport, is cut or leaves, and comes back with its place on another.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::AddAssign;
use std::time::Duration;

use realtime_tests::checker::{Checker, Report, Vacuity};
use realtime_tests::client::{Http, Over, Place, Reader, Seen, SseForm, Target, Transport};
use realtime_tests::dial::{Conn, Dialer};
use tokio::time::{Instant, sleep, timeout};
use turmoil::net::TcpStream;

use crate::server::PORT;
use crate::world::{TOPICS, World};

/// How long a client waits for its connection, and for a sign of life on it: more than two heartbeats.
const PATIENCE: Duration = Duration::from_secs(5);

/// What readers there are: of everything, and of one topic.
pub(crate) const READERS: [&[&str]; 5] = [&TOPICS, &TOPICS, &TOPICS, &["lobby"], &["room/1"]];

/// How often each thing happened, so that no run passes for having been quiet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    pub(crate) connects: usize,
    pub(crate) switches: usize,
    /// Connections that were refused, reset or ended in the middle of something.
    pub(crate) cuts: usize,
    /// Connections that were given up because nothing came any more.
    pub(crate) silences: usize,
    /// Connections that the server ended, with a word or a status.
    pub(crate) sent_away: usize,
    pub(crate) gaps: usize,
    /// Entries that a gap covered.
    pub(crate) skipped: usize,
    /// Events by each transport, over each HTTP.
    pub(crate) by_way: [[usize; 4]; 2],
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.connects += other.connects;
        self.switches += other.switches;
        self.cuts += other.cuts;
        self.silences += other.silences;
        self.sent_away += other.sent_away;
        self.gaps += other.gaps;
        self.skipped += other.skipped;
        for (ours, theirs) in self.by_way.iter_mut().flatten().zip(other.by_way.iter().flatten()) {
            *ours += theirs;
        }
    }
}

/// A reader, and all that it was told.
pub(crate) struct Client {
    world: World,
    topics: &'static [&'static str],
    spoken: &'static [Http],
    random: fastrand::Rng,
    place: Place,
    pub(crate) checker: Checker,
    pub(crate) tally: Tally,
    trace: DefaultHasher,
    begun: Instant,
}

/// Why a connection is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Done,
    Wished,
    Ended,
    Silent,
}

impl Client {
    pub(crate) fn new(
        world: World,
        topics: &'static [&'static str],
        spoken: &'static [Http],
        mut random: fastrand::Rng,
    ) -> Self {
        let place = match random.u8(..3) {
            0 => Place::Earliest,
            1 => Place::Live,
            _ => Place::Last(3),
        };
        let (checker, tally) = (Checker::of_topics(topics.iter().copied()), Tally::default());
        Self {
            world,
            topics,
            spoken,
            random,
            place,
            checker,
            tally,
            trace: DefaultHasher::new(),
            begun: Instant::now(),
        }
    }

    /// Reads until it has been told the last event there is.
    pub(crate) async fn read(&mut self) {
        self.begun = Instant::now();
        let mut before = None;
        loop {
            let transport = Transport::ALL[self.random.usize(..Transport::ALL.len())];
            let http = self.spoken[self.random.usize(..self.spoken.len())];
            self.tally.connects += 1;
            self.tally.switches +=
                usize::from(before.replace(transport).is_some_and(|before| before != transport));
            if self.connection(transport, http).await == Left::Done {
                return;
            }
            sleep(Duration::from_millis(self.random.u64(20..=400))).await;
        }
    }

    async fn connection(&mut self, transport: Transport, http: Http) -> Left {
        self.checker.begin(transport, &self.place);
        let target = self.target(http);
        let connected = timeout(PATIENCE, Reader::connect(transport, &target, self.place.clone())).await;
        let Ok(mut reader) = connected else {
            self.tally.silences += 1;
            return Left::Silent;
        };
        let wishes = Instant::now() + Duration::from_millis(self.random.u64(200..=9_000));
        let left = loop {
            let wait = PATIENCE.min(wishes.saturating_duration_since(Instant::now()));
            let left = match timeout(wait, reader.next()).await {
                Ok(Some(seen)) if self.told(transport, http, &seen) => Left::Done,
                Ok(Some(_)) => continue,
                Ok(None) => Left::Ended,
                Err(_) if wait < PATIENCE => Left::Wished,
                Err(_) => Left::Silent,
            };
            break left;
        };
        match (left, reader.over()) {
            (Left::Silent, _) => self.tally.silences += 1,
            (Left::Ended, Some(Over::Cut(_))) => self.tally.cuts += 1,
            (Left::Ended, _) => self.tally.sent_away += 1,
            _ => {}
        }
        self.place = reader.place().clone();
        left
    }

    fn target(&self, http: Http) -> Target {
        let dialer = Dialer::new(|| async {
            let stream: io::Result<TcpStream> = TcpStream::connect(("server", PORT)).await;
            Ok(Box::new(stream?) as Conn)
        });
        let path =
            if self.topics.len() == 1 { format!("/topics/{}", self.topics[0]) } else { "/events".to_owned() };
        let interval = Duration::from_millis(250);
        Target { http, wait_s: 3, interval, sse: SseForm::Bare, ..Target::new(dialer, path) }
    }

    /// Takes note; true once it was the last event.
    fn told(&mut self, transport: Transport, http: Http, seen: &Seen) -> bool {
        self.checker.see(seen);
        self.begun.elapsed().hash(&mut self.trace);
        (transport, http).hash(&mut self.trace);
        match seen {
            // Their headers have the date in them.
            Seen::Status { status, .. } | Seen::Refused { status, .. } => status.hash(&mut self.trace),
            seen => format!("{seen:?}").hash(&mut self.trace),
        }
        let Some(event) = seen.event() else { return false };
        self.tally.by_way[http as usize][transport as usize] += 1;
        event.id.is_some() && event.id == self.world.last_of(self.topics)
    }

    /// A fingerprint of all that it was told, and when.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// The verdict.
    pub(crate) fn judge(mut self) -> Result<(Tally, Report), String> {
        let vacuity = Vacuity { min_events: 10, min_disconnects: 2, min_switches: 1, ..Vacuity::default() };
        let report =
            self.checker.finish(&self.world.state().truth, vacuity).map_err(|faults| faults.to_string())?;
        (self.tally.events, self.tally.gaps) = (report.events, report.gaps);
        self.tally.skipped = report.skipped;
        Ok((self.tally, report))
    }
}
