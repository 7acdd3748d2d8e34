//! Short streamed answers by the million on all threads: not one is left unfinished (G-24).
//!
//! Each answer is a log of its own, which is written and closed while the answer may be on its way: a wake-up that is
//! lost once in a million shows here as an answer that never ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Scenario;
use crate::crowd::dial::Dial;
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "streams",
    proves: &["G-24"],
    does: "short event streams and long-polls over HTTP/1.1 and 2, by the hundred thousand: none is left unfinished",
    seeds_small: 1,
    seeds_full: 60,
    run,
};

/// Answers of a seed: a sixtieth of what sixty of them prove.
const ANSWERS: usize = 50_000;
/// Connections of each HTTP, and streams at once on one of HTTP/2.
const CONNECTIONS_H1: usize = 32;
const CONNECTIONS_H2: usize = 4;
const STREAMS: usize = 8;
/// An answer that takes longer never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rounded up: what is left over on each of them is a thousand answers over all seeds, and the figure is a floor.
const EACH: usize = ANSWERS.div_ceil(AT_ONCE);
const AT_ONCE: usize = CONNECTIONS_H1 + CONNECTIONS_H2 * STREAMS;

fn run(run: &Run) -> Result<Figures, Failure> {
    let runtime = run::runtime().map_err(|error| Failure::of(run.seed(), error))?;
    let mut sum = Sum::default();
    let (site, addr, _) = runtime
        .block_on(site::start(&Settings::new(run.seed())))
        .map_err(|error| Failure::of(run.seed(), error))?;
    for seed in run.seeds() {
        let world =
            runtime.block_on(world(&Dial::new(addr, seed))).map_err(|error| Failure::of(seed, error))?;
        sum = sum.and(world);
        run.tell(format_args!("{} event streams, {} long-polls", sum.streams, sum.polls));
    }
    let left = runtime.block_on(site.figures()).map_err(|error| Failure::of(run.seed(), error))?;
    if left.readers > 0 {
        return Err(Failure::of(run.seed(), format_args!("{} readers are left", left.readers)));
    }
    Ok(Figures::default()
        .with("answers", sum.streams + sum.polls)
        .with("of them event streams, long-polls", format_args!("{}, {}", sum.streams, sum.polls))
        .with("over HTTP/1.1, HTTP/2", format_args!("{}, {}", sum.h1, sum.h2))
        .with("left unfinished", 0))
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    streams: usize,
    polls: usize,
    h1: usize,
    h2: usize,
}

impl Sum {
    fn and(self, other: Self) -> Self {
        Self {
            streams: self.streams + other.streams,
            polls: self.polls + other.polls,
            h1: self.h1 + other.h1,
            h2: self.h2 + other.h2,
        }
    }
}

async fn world(dial: &Dial) -> Outcome<Sum> {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS_H1 {
        let io = TokioIo::new(dial.open(None).await?);
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        tasks.spawn(async move {
            let mut sum = Sum { h1: EACH, ..Sum::default() };
            for nth in 0..EACH {
                timeout(PATIENCE, sender.ready()).await.map_err(|_| "a connection never came free")??;
                answer(nth, sender.send_request(request(nth)?), &mut sum).await?;
            }
            Outcome::Ok(sum)
        });
    }
    for _ in 0..CONNECTIONS_H2 {
        let io = TokioIo::new(dial.open(None).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        for _ in 0..STREAMS {
            let mut sender = sender.clone();
            tasks.spawn(async move {
                let mut sum = Sum { h2: EACH, ..Sum::default() };
                for nth in 0..EACH {
                    answer(nth, sender.send_request(request(nth)?), &mut sum).await?;
                }
                Outcome::Ok(sum)
            });
        }
    }
    let mut sum = Sum::default();
    while let Some(done) = tasks.join_next().await {
        sum = sum.and(done??);
    }
    Ok(sum)
}

/// An event stream or a long-poll, in turn.
fn is_stream(nth: usize) -> bool {
    nth.is_multiple_of(2)
}

fn request(nth: usize) -> Outcome<Request<Empty<Bytes>>> {
    let (path, accept) = if is_stream(nth) {
        ("http://realtime.test/short?offset=-1", "text/event-stream")
    } else {
        ("http://realtime.test/short?offset=-1&live=long-poll", "application/json")
    };
    Ok(Request::get(path)
        .header(header::HOST, "realtime.test")
        .header(header::ACCEPT, accept)
        .body(Empty::new())?)
}

async fn answer(
    nth: usize,
    answering: impl Future<Output = hyper::Result<http::Response<Incoming>>>,
    sum: &mut Sum,
) -> Outcome {
    let whole = async {
        let (head, body) = answering.await?.into_parts();
        Outcome::Ok((head.status, body.collect().await?.to_bytes()))
    };
    let (status, body) =
        timeout(PATIENCE, whole).await.map_err(|_| format!("answer {nth} was left unfinished"))??;
    let text = String::from_utf8_lossy(&body);
    if is_stream(nth) {
        sum.streams += 1;
        // A log that is closed already, with nothing read yet, still has its events.
        if status != StatusCode::OK || !text.contains("event: $end") || !text.contains("data: {") {
            return Err(format!("an event stream was answered {status} {text}").into());
        }
    } else {
        sum.polls += 1;
        if status != StatusCode::OK || !text.ends_with('}') {
            return Err(format!("a long-poll was answered {status} {text}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_three_million_answers() {
        assert!(SCENARIO.seeds_full as usize * EACH * AT_ONCE >= 3_000_000);
    }
}
