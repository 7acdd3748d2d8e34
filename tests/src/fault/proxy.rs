//! The faults of [`Faulty`] on real sockets: a TCP proxy on a port of its own.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::{Cut, Faulty, Link, Plan};
use crate::dial::{Dialer, Links};

/// Bytes that are moved at once.
const PIECE_BYTES: usize = 16 * 1024;

/// A proxy in front of an address; dropping it cuts what goes through it.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    links: Links,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1; `plan(n)` says what happens to the n-th connection, from 0. A connection
    /// that `target` refuses is closed, as a proxy does.
    ///
    /// # Errors
    /// The operating system has no port to give.
    pub async fn bind(
        target: SocketAddr,
        plan: impl Fn(usize) -> Plan + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (addr, links) = (listener.local_addr()?, Links::default());
        let kept = links.clone();
        let accepting = tokio::spawn(async move {
            let mut pumps = JoinSet::new(); // aborts them all when this task is aborted
            while let Ok((client, _)) = listener.accept().await {
                while pumps.try_join_next().is_some() {}
                let Ok(server) = TcpStream::connect(target).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true)); // a dead socket shows soon enough
                let (faulty, link) =
                    Faulty::with_reset(server, plan(kept.len()), |s| drop(s.set_zero_linger()));
                kept.push(link.clone());
                pumps.spawn(pump(client, faulty, link));
            }
        });
        Ok(Self { addr, links, accepting })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Dials through the proxy.
    pub fn dialer(&self) -> Dialer {
        Dialer::tcp(self.addr)
    }

    /// The grips on the connections so far.
    pub fn links(&self) -> &Links {
        &self.links
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Moves bytes both ways, each way to its own end; a cut ends both, after what went down before it was passed on.
async fn pump(mut client: TcpStream, faulty: Faulty<TcpStream>, link: Link) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(faulty);
    let down = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = from_server.read(&mut piece).await?;
            to_client.write_all(&piece[..read]).await?;
            if link.fate().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            if read == 0 {
                return to_client.shutdown().await;
            }
        }
    };
    let up = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match from_client.read(&mut piece).await? {
                0 => return to_server.shutdown().await,
                read => to_server.write_all(&piece[..read]).await?,
            }
        }
    };
    // The outcome is in the link; what an error says beyond it is that the connection is over.
    let _ = tokio::try_join!(down, up);
    if link.fate() == Some(Cut::Abrupt) {
        drop(client.set_zero_linger());
    }
}
