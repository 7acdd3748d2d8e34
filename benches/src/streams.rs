//! Readers that share connections: streams of HTTP/2, a hundred on each.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::Outcome;
use crate::decode::{Decoder, Said};
use crate::kind::Wire;
use crate::latency::Latency;
use crate::payload::Expected;
use crate::readers::PATIENCE;

/// Streams of one connection: what servers allow by default.
const STREAMS: usize = 100;
/// What may be on the way: never what is measured.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// All streams of one server.
pub(crate) struct Streams {
    runtime: Runtime,
    tasks: LocalSet,
    wire: Wire,
    payload_bytes: usize,
    shared: Rc<Shared>,
}

/// What the tasks tell of their streams.
struct Shared {
    crowd: RefCell<Tally>,
    changed: Notify,
}

struct Tally {
    /// The newest event that each has.
    has: Vec<u64>,
    connected: usize,
    /// Up to which event all are awaited, and how many have not got there.
    last: u64,
    missing: usize,
    expected: Expected,
    latency: Latency,
    failure: Option<String>,
}

impl Streams {
    pub(crate) fn new(wire: Wire, payload_bytes: usize) -> Outcome<Self> {
        let tally = Tally {
            has: Vec::new(),
            connected: 0,
            last: 0,
            missing: 0,
            expected: Expected::new(payload_bytes),
            latency: Latency::none(),
            failure: None,
        };
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            tasks: LocalSet::new(),
            wire,
            payload_bytes,
            shared: Rc::new(Shared { crowd: RefCell::new(tally), changed: Notify::new() }),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.crowd.borrow().has.len()
    }

    pub(crate) fn connect(&mut self, address: SocketAddr, more: usize, has: u64) -> Outcome {
        let Self { runtime, tasks, wire, payload_bytes, shared } = self;
        tasks.block_on(runtime, async {
            for first in (0..more).step_by(STREAMS) {
                let mut send = connection(address, *wire).await?;
                for _ in first..(first + STREAMS).min(more) {
                    send = send.ready().await?;
                    let (response, request) = send.send_request(ask(*wire)?, *wire == Wire::StreamSse)?;
                    let at = {
                        let mut crowd = shared.crowd.borrow_mut();
                        crowd.has.push(has);
                        crowd.has.len() - 1
                    };
                    let (shared, decoder) = (shared.clone(), Decoder::new(*wire, *payload_bytes));
                    tokio::task::spawn_local(async move {
                        let failure = match read(&shared, at, decoder, response, request).await {
                            Ok(()) => "the server ended a stream".to_owned(),
                            Err(error) => error.to_string(),
                        };
                        shared.crowd.borrow_mut().failure = Some(failure);
                        shared.changed.notify_one();
                    });
                }
            }
            shared.wait(|crowd| crowd.connected == crowd.has.len()).await
        })
    }

    pub(crate) fn until(&mut self, last: u64, latency: &mut Latency) -> Outcome {
        let shared = &self.shared;
        {
            let mut crowd = shared.crowd.borrow_mut();
            crowd.last = last;
            crowd.missing = crowd.has.iter().filter(|has| **has < last).count();
            std::mem::swap(&mut crowd.latency, latency);
        }
        let done = self.tasks.block_on(&self.runtime, shared.wait(|crowd| crowd.missing == 0));
        std::mem::swap(&mut shared.crowd.borrow_mut().latency, latency);
        done
    }
}

impl Shared {
    async fn wait(&self, is_done: impl Fn(&Tally) -> bool) -> Outcome {
        let done = async {
            loop {
                let changed = self.changed.notified();
                {
                    let crowd = self.crowd.borrow();
                    if let Some(failure) = &crowd.failure {
                        return Err(failure.clone());
                    }
                    if is_done(&crowd) {
                        return Ok(());
                    }
                }
                changed.await;
            }
        };
        Ok(timeout(PATIENCE, done).await.map_err(|_| "the server does not deliver")??)
    }

    /// A stream has the next event.
    fn take(&self, at: usize, got: &[u8]) -> Outcome {
        let mut crowd = self.crowd.borrow_mut();
        let n = crowd.has[at] + 1;
        if !crowd.expected.is(n, got) {
            return Err(format!("not event {n}: {}", got.escape_ascii()).into());
        }
        crowd.has[at] = n;
        crowd.latency.received(1);
        if n == crowd.last {
            crowd.missing -= 1;
            if crowd.missing == 0 {
                self.changed.notify_one();
            }
        }
        Ok(())
    }
}

/// A connection, in the clear and without asking (RFC 9113, 3.3).
async fn connection(address: SocketAddr, wire: Wire) -> Outcome<SendRequest<Bytes>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let (send, connection) = builder.handshake(tcp).await?;
    tokio::task::spawn_local(async move {
        // Its streams tell.
        let _ = connection.await;
    });
    let send = send.ready().await?;
    let settled = async {
        while wire == Wire::StreamWebSocket && !send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, settled).await.map_err(|_| "the server takes no extended CONNECT")?;
    Ok(send)
}

fn ask(wire: Wire) -> Outcome<Request<()>> {
    let request = Request::builder().uri("http://127.0.0.1/events");
    Ok(if wire == Wire::StreamSse {
        request.header("accept", "text/event-stream").body(())?
    } else {
        let protocol = h2::ext::Protocol::from_static("websocket");
        let request = request.method(Method::CONNECT).extension(protocol);
        request.header("sec-websocket-version", "13").body(())?
    })
}

/// Reads a stream to its end, and gives back the window that it took.
async fn read(
    shared: &Shared,
    at: usize,
    mut decoder: Decoder,
    response: ResponseFuture,
    mut request: SendStream<Bytes>,
) -> Outcome {
    let response = response.await?;
    if !response.status().is_success() {
        return Err(format!("refused: {}", response.status()).into());
    }
    shared.crowd.borrow_mut().connected += 1;
    shared.changed.notify_one();
    let mut body: RecvStream = response.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        decoder.feed(&data, |said| match said {
            Said::Payload(got) => shared.take(at, got),
            Said::Wants(bytes) => Ok(request.send_data(Bytes::from_static(bytes), false)?),
            Said::Head | Said::Answer => Ok(()),
        })?;
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(())
}
