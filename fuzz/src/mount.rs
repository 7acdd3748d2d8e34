//! A mount in memory.

use std::sync::{Arc, Mutex, PoisonError};

use realtime_core::{Cursor, Event, Log, Payload};
use realtime_tower::{
    All, Builder, Fixed, Handle, Inbound, IntoReply, NoSource, NoUplink, Realtime, Reply, Uplink,
    UplinkError, builder, uplink_fn,
};

/// The epoch of the log.
pub const EPOCH: u64 = 0x8f3a_61c0_d2e9_4b17;

/// How many events it has: none is lost.
pub const EVENTS: u128 = 5;

/// A cursor of the log.
pub fn at(position: u128) -> Cursor {
    Cursor::new(EPOCH, position)
}

/// Runs what a target does with one input, its timers without waiting. Nothing outlives it.
///
/// # Panics
/// There is no runtime to be had, or what runs panics.
pub fn run<F: Future>(of: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime").block_on(of)
}

/// A message that reached the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Payload,
}

/// A mount of every transport over a log of a few events, with an uplink that writes down what it hears.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Its grip.
    pub handle: Handle,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Mount {
    /// A mount by the defaults, and the service.
    ///
    /// # Panics
    /// The log takes no event.
    pub fn new() -> (Self, Realtime<All, Fixed<Log>, impl Uplink>) {
        Self::of(builder())
    }

    /// A mount by this builder.
    ///
    /// # Panics
    /// The log takes no event.
    pub fn of(builder: Builder<All, NoSource, NoUplink>) -> (Self, Realtime<All, Fixed<Log>, impl Uplink>) {
        let log = Log::builder().epoch(EPOCH).build();
        for n in 1..=EVENTS {
            let event = Event::json("tick", &(n as u64)).expect("a number is JSON");
            log.publish(event).expect("the log is open");
        }
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let kept = heard.clone();
        // The answer is the name, which is short and none of the parser's business.
        let uplink = uplink_fn(move |message: Inbound| {
            let (name, payload) = (message.name().to_owned(), message.payload().clone());
            let reply: Result<Reply, UplinkError> = name.clone().into_reply();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { name, payload });
            std::future::ready(reply)
        });
        let (service, handle) = builder.source(log).uplink(uplink).service();
        (Self { handle, heard }, service)
    }

    /// What reached the handler.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Readers that are there.
    pub fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    /// Lets tasks that are to end do so, and asserts that no reader is left.
    ///
    /// # Panics
    /// One is.
    pub async fn is_empty(&self) {
        for _ in 0..64 {
            if self.readers() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        panic!("a reader is left: {:?}", self.handle.stats());
    }
}
