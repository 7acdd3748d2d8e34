//! The process that is measured: one kind of server, and a control connection that says what to publish.
//!
//! It prints `<address> <control address>` and serves until the control connection ends. The control speaks lines:
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

/// Publishes the events of these numbers, as one burst.
type Publish = Box<dyn Fn(Range<u64>) + Send + Sync>;

/// How many allocations the process has made, and how many bytes of them live.
pub type Heap = fn() -> (u64, u64);

/// Serves until the control connection ends.
///
/// # Errors
/// A socket fails, or the control says what is not understood.
pub fn serve(kind: Kind, heap: Heap) -> Outcome {
    let (data, control) = (listen()?, listen()?);
    announce(data.local_addr()?, control.local_addr()?)?;
    if kind == Kind::SendLoop {
        // The floor has no runtime either.
        return bare::serve(data, &control, heap);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        data.set_nonblocking(true)?;
        control.set_nonblocking(true)?;
        let data = tokio::net::TcpListener::from_std(data)?;
        let control = tokio::net::TcpListener::from_std(control)?;
        // On a worker, where a service's own tasks publish too.
        let served = tokio::spawn(async move {
            let publish = start(kind, data);
            obey(&control, &publish, heap).await.map_err(|error| error.to_string())
        });
        Outcome::Ok(served.await??)
    })?;
    // Connections are not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(())
}

fn start(kind: Kind, data: tokio::net::TcpListener) -> Publish {
    match kind {
        Kind::SendLoop => unreachable!("the floor has no runtime"),
        Kind::AxumWs => axum::web_socket(data, None),
        Kind::AxumWs4k => axum::web_socket(data, Some(4 * 1024)),
        Kind::AxumSse => axum::sse(data),
        Kind::AxumLongPoll => axum::long_poll(data),
        Kind::HyperSse => hyper::sse(data),
        Kind::HyperLongPoll => hyper::long_poll(data),
        Kind::OursWs | Kind::OursSse | Kind::OursLongPoll => ours::serve(data),
        Kind::OursSseHyper | Kind::OursLongPollHyper => ours::serve_bare(data),
    }
}

fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

fn announce(data: SocketAddr, control: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{data} {control}")?;
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
