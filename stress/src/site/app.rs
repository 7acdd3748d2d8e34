//! The application of a site.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, process};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use realtime_axum::{Realtime, serve};
use realtime_core::{Event, Keep, Log, Topic, TopicSet};
use realtime_tower::{
    Data, Handle, Inbound, LongPollTransport, PollTransport, SseConfig, SseTransport, UplinkError,
    WebSocketTransport,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::accepts::{Accepts, Counted};
use super::{Answer, Command, Figures, Settings, Stamp, TOPIC};
use crate::machine::Held;
use crate::role;
use crate::run::Outcome;

type Transports = (WebSocketTransport, SseTransport, LongPollTransport, PollTransport);

/// What [`Settings::events`] are as long as.
pub(super) const BYTES: usize = 64;

struct App {
    runtime: Runtime,
    log: Log,
    topic: Topic,
    handle: Handle,
    accepts: Accepts,
    published: AtomicU64,
}

pub(super) fn start(settings: Settings) -> Outcome<(Answer, impl FnMut(Command) -> Outcome<Answer>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let keep = Keep::history().entries(settings.entries_max);
    let log = Log::builder().keep(TopicSet::all(), keep).epoch(settings.epoch).build();
    let (router, handle) = router(log.clone());
    let accepts = Accepts::default();
    let listener = runtime.block_on(TcpListener::bind(settings.addr))?;
    let addr = listener.local_addr()?;
    let app = App {
        runtime,
        log,
        topic: Topic::new(TOPIC)?,
        handle: handle.clone(),
        accepts: accepts.clone(),
        published: AtomicU64::new(0),
    };
    app.publish(settings.events, BYTES, Stamp::None)?;
    let newest = app.log.tail().to_string();
    let mut term = {
        let _entered = app.runtime.enter();
        signal(SignalKind::terminate())?
    };
    app.runtime.spawn(async move {
        let stop = async move {
            term.recv().await;
        };
        let stopped = serve(Counted(listener, accepts), router, handle).with_graceful_shutdown(stop).await;
        role::say(Ok(Answer::Stopped {
            told: stopped.told,
            readers_left: stopped.readers_left,
            connections_left: stopped.connections_left,
        }));
        process::exit(0)
    });
    Ok((Answer::Listening(addr, newest), move |command| app.obey(command)))
}

impl App {
    fn obey(&self, command: Command) -> Outcome<Answer> {
        match command {
            Command::Publish { events, bytes, stamp } => {
                Ok(Answer::Published(self.publish(events, bytes, stamp)?))
            }
            Command::Figures => Ok(Answer::Figures(Box::new(self.figures()?))),
        }
    }

    fn publish(&self, events: u64, bytes: usize, stamp: Stamp) -> Outcome<Vec<(String, String)>> {
        let first = self.published.fetch_add(events, Ordering::Relaxed);
        let texts: Vec<_> = (first..first + events).map(|n| text(n, bytes, stamp)).collect();
        let event = |text: &String| Ok(Event::text("message", text.clone())?.with_topic(self.topic.clone()));
        let events = texts.iter().map(event).collect::<Outcome<Vec<_>>>()?;
        let cursors = self.log.publish_all(events)?;
        Ok(cursors.iter().map(ToString::to_string).zip(texts).collect())
    }

    fn figures(&self) -> Outcome<Figures> {
        let Held { rss_bytes, threads, files } = Held::by(process::id())?;
        let stats = self.handle.stats();
        let sum = |of: fn(&realtime_tower::TransportStats) -> u64| {
            stats.transports.iter().map(|(_, stats)| of(stats)).sum()
        };
        let allocated = crate::ALLOCATOR.stats();
        Ok(Figures {
            rss_bytes,
            heap_bytes: allocated.bytes_allocated.saturating_sub(allocated.bytes_deallocated) as u64,
            files,
            threads,
            tasks: self.runtime.metrics().num_alive_tasks() as u64,
            readers: sum(|stats| stats.connections),
            subscribed: self.log.readers(&self.topic) as u64,
            evictions: sum(|stats| stats.evictions),
            cpu_us: cpu_us()?,
            accepts: self.accepts.read(),
        })
    }
}

/// What an event says: its number, when it was published, and what fills it up.
fn text(n: u64, bytes: usize, stamp: Stamp) -> String {
    let at = match stamp {
        Stamp::None => 0,
        Stamp::Now => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros()),
    };
    let mut text = format!("{n} {at} ");
    text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
    text
}

/// What all threads have had of a processor.
fn cpu_us() -> Outcome<u64> {
    let mut sum_ns = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile.
        let Ok(said) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum_ns += said.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum_ns / 1_000)
}

fn router(log: Log) -> (Router, Handle) {
    let transports: Transports = (
        WebSocketTransport::default(),
        SseTransport(SseConfig { data: Data::Envelope, ..SseConfig::default() }),
        LongPollTransport::default(),
        PollTransport::default(),
    );
    let (mount, handle) = realtime_axum::mount().transports(transports).build();
    let router = Router::new()
        .route("/events", mount.route(events))
        .route("/short", mount.route(short))
        .with_state(Arc::new(log));
    (router, handle)
}

async fn events(State(log): State<Arc<Log>>, rt: Realtime<Transports>) -> Response {
    rt.serve(log.topic(TOPIC)).on_message(read_json).await
}

/// Reads what was sent as JSON of whatever form, and says how long it was.
async fn read_json(message: Inbound) -> Result<String, UplinkError> {
    let value: serde_json::Value = message.json()?;
    Ok(value.to_string().len().to_string())
}

/// Two events and the end, each published while the answer may be on its way already.
async fn short(rt: Realtime<Transports>) -> Response {
    let log = Log::new();
    let publisher = log.clone();
    tokio::spawn(async move {
        for n in 0..2 {
            tokio::task::yield_now().await;
            if let Ok(event) = Event::text("message", n.to_string()) {
                let _ = publisher.publish(event);
            }
        }
        tokio::task::yield_now().await;
        publisher.close();
    });
    rt.serve(log).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_its_number_and_is_as_long_as_it_should_be() {
        assert_eq!(text(7, 12, Stamp::None), "7 0 xxxxxxxx");
        assert_eq!(text(7, 0, Stamp::None), "7 0 ");
        let stamped = text(7, 256, Stamp::Now);
        assert!(stamped.len() == 256 && stamped.split(' ').nth(1).is_some_and(|at| at != "0"), "{stamped}");
    }

    #[test]
    fn time_on_a_processor_is_seen() {
        let before = cpu_us().unwrap();
        let mut sum = 0_u64;
        while cpu_us().unwrap() < before + 2_000 {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(sum != 1);
    }
}
