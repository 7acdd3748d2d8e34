//! The process that is measured: one kind of server, and a control connection that says what to publish.
//!
//! It prints `<address> <control address> <process>` and serves until the control connection ends. The control speaks lines:
//! `publish <first> <count>`, which is not answered (readers see it), and `heap`, which is answered by two numbers: the
//! allocations made so far, and the bytes of those that live.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::{Kind, Outcome};

mod axum;
mod bare;
mod hyper;
mod ours;
mod peers;
mod slowed;

/// Publishes the events of these numbers, as one burst.
type Publish = Box<dyn Fn(Range<u64>) + Send + Sync>;

/// How many allocations the process has made, and how many bytes of them live.
pub type Heap = fn() -> (u64, u64);

/// Serves until the control connection ends.
///
/// # Errors
/// A socket fails, or the control says what is not understood.
pub fn serve(asked: Asked, heap: Heap) -> Outcome {
    let (data, control) = (listen()?, listen()?);
    announce(data.local_addr()?, control.local_addr()?)?;
    if let Kind::SendLoop | Kind::SendBurst = asked.kind {
        // The floor has no runtime either.
        return bare::serve(&asked, data, &control, heap);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(asked.workers).enable_all().build()?;
    runtime.block_on(async {
        data.set_nonblocking(true)?;
        control.set_nonblocking(true)?;
        let data = tokio::net::TcpListener::from_std(data)?;
        let control = tokio::net::TcpListener::from_std(control)?;
        // On a worker, where a service's own tasks publish too.
        let served = tokio::spawn(async move {
            let publish = start(asked, data);
            obey(&control, &publish, heap).await.map_err(|error| error.to_string())
        });
        Outcome::Ok(served.await??)
    })?;
    // Connections are not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(())
}

/// What is to be served.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Which server.
    pub kind: Kind,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Worker threads of the runtime.
    pub workers: usize,
    /// Whether one of ours encodes every event once more for every reader, to show that this is seen.
    pub is_slowed: bool,
}

impl Asked {
    /// Reads the command line.
    ///
    /// # Errors
    /// It does not say what to serve, or something that there is not.
    pub fn read() -> Outcome<Self> {
        use lexopt::prelude::*;

        let (mut kind, mut payload_bytes, mut workers, mut is_slowed) = (None, 128, 1, false);
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("payload-bytes") => payload_bytes = args.value()?.parse()?,
                Long("workers") => workers = args.value()?.parse()?,
                Long("slowed") => is_slowed = true,
                Value(name) if kind.is_none() => kind = Some(name.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if workers == 0 {
            return Err("no worker, no service".into());
        }
        Ok(Self { kind: kind.ok_or("which kind?")?, payload_bytes, workers, is_slowed })
    }
}

fn start(asked: Asked, data: tokio::net::TcpListener) -> Publish {
    let bytes = asked.payload_bytes;
    match asked.kind {
        Kind::SendLoop | Kind::SendBurst => unreachable!("the floor has no runtime"),
        Kind::AxumWs => axum::web_socket(data, bytes, None),
        Kind::AxumWs4k => axum::web_socket(data, bytes, Some(4 * 1024)),
        Kind::AxumSse => axum::sse(data, bytes),
        Kind::AxumSharedSse => axum::shared_sse(data, bytes),
        Kind::AxumLongPoll => axum::long_poll(data, bytes),
        Kind::FastWs => peers::fastwebsockets(data, bytes),
        Kind::TokioWs => peers::tokio_websockets(data, bytes),
        Kind::SocketIo => peers::socketioxide(data, bytes),
        Kind::HyperSse => hyper::sse(data, bytes),
        Kind::HyperLongPoll => hyper::long_poll(data, bytes),
        Kind::HyperPoll | Kind::HyperNotModified => hyper::same_answers(data),
        Kind::OursWs | Kind::OursSse | Kind::OursLongPoll | Kind::OursPoll | Kind::OursNotModified => {
            ours::serve(&asked, data, ours::Host::Axum)
        }
        Kind::OursWsDeflate => ours::serve(&asked, data, ours::Host::Deflating),
        Kind::OursWsServe | Kind::OursSseServe | Kind::OursWsH2 | Kind::OursSseH2 => {
            ours::serve(&asked, data, ours::Host::Ours)
        }
        Kind::OursSseHyper | Kind::OursLongPollHyper | Kind::OursPollHyper | Kind::OursNotModifiedHyper => {
            ours::serve(&asked, data, ours::Host::Hyper)
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

fn announce(data: SocketAddr, control: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{data} {control} {}", std::process::id())?;
    out.flush()
}

/// What the control asks for.
enum Order {
    Publish(Range<u64>),
    Heap,
}

impl Order {
    fn read(line: &str) -> Outcome<Self> {
        let mut words = line.split(' ');
        let order = match (words.next(), words.next(), words.next()) {
            (Some("publish"), Some(first), Some(count)) => {
                let first = first.parse::<u64>()?;
                Self::Publish(first..first + count.parse::<u64>()?)
            }
            (Some("heap"), None, None) => Self::Heap,
            _ => return Err(format!("no order: {line}").into()),
        };
        Ok(order)
    }
}

async fn obey(
    control: &tokio::net::TcpListener,
    publish: &Publish,
    heap: Heap,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut tcp, _) = control.accept().await?;
    let (read, mut write) = tcp.split();
    let (mut lines, mut line) = (BufReader::new(read), String::new());
    while lines.read_line(&mut line).await? > 0 {
        match Order::read(line.trim_end()).map_err(|error| error.to_string())? {
            Order::Publish(events) => publish(events),
            Order::Heap => {
                let (made, live_bytes) = heap();
                write.write_all(format!("{made} {live_bytes}\n").as_bytes()).await?;
            }
        }
        line.clear();
    }
    Ok(())
}
