//! Hosts: a tower service behind real hyper, in memory ([`Host`]) or on a real port ([`TcpHost`]).
//!
//! An open connection is counted by its stream and not by hyper's future, so that one which was upgraded counts until
//! the WebSocket itself is gone.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Service;

use crate::dial::{Conn, Dialer};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Which of hyper's servers stands behind a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `hyper::server::conn::http1` with upgrades.
    Http1,
    /// `hyper_util::server::conn::auto`: HTTP/1.1 or HTTP/2 with prior knowledge, extended CONNECT on, upgrades too.
    Auto,
}

/// Bytes that an in-memory connection holds per direction before a write waits, like a socket's buffer.
pub const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Serving,
    ShuttingDown,
    Killed,
}

/// A service served over in-memory connections; cheap to clone.
///
/// ```
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// use realtime_tests::host::Host;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let host = Host::new(tower::service_fn(|_: Request<hyper::body::Incoming>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// }));
/// let connection = host.connect();
/// assert_eq!(host.open(), 1);
/// # drop(connection);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Host {
    serve: Arc<dyn Fn(Tracked, watch::Receiver<Phase>) -> BoxFuture<'static, ()> + Send + Sync>,
    phase: Arc<watch::Sender<Phase>>,
    open: Arc<watch::Sender<usize>>,
    buffer_bytes: usize,
}

impl Host {
    /// Serves `service` over HTTP/1.1.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self::with(Protocol::Http1, service)
    }

    /// Serves `service` by the given of hyper's servers.
    pub fn with<S, B>(protocol: Protocol, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let serve = move |io: Tracked, phase| {
            let (io, service) = (TokioIo::new(io), TowerToHyperService::new(service.clone()));
            match protocol {
                Protocol::Http1 => {
                    let conn = http1::Builder::new().serve_connection(io, service).with_upgrades();
                    run(conn, phase, |c| c.graceful_shutdown()).boxed()
                }
                Protocol::Auto => async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().enable_connect_protocol();
                    let conn = builder.serve_connection_with_upgrades(io, service);
                    run(conn, phase, |c| c.graceful_shutdown()).await;
                }
                .boxed(),
            }
        };
        Self {
            serve: Arc::new(serve),
            phase: Arc::new(watch::Sender::new(Phase::Serving)),
            open: Arc::new(watch::Sender::new(0)),
            buffer_bytes: BUFFER_BYTES,
        }
    }

    /// Another size for the buffer of each direction: a small one makes a client that does not read a slow reader.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// A new connection, served by a task of its own. After [`kill`](Host::kill) it is dead on arrival.
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(self.buffer_bytes);
        self.accept(Box::new(theirs));
        ours
    }

    /// Dials this host.
    pub fn dialer(&self) -> Dialer {
        let host = self.clone();
        Dialer::new(move || std::future::ready(Ok(Box::new(host.connect()) as Conn)))
    }

    /// How many connections are open, upgraded ones included.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until no connection is open.
    pub async fn all_gone(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Asks every connection to end after the answer that it is in the middle of.
    pub fn shutdown(&self) {
        self.phase.send_replace(Phase::ShuttingDown);
    }

    /// Drops every connection where it stands, in mid frame if need be, upgraded ones too.
    pub fn kill(&self) {
        self.phase.send_replace(Phase::Killed);
    }

    fn accept(&self, io: Conn) {
        let io = Tracked::new(io, self.open.clone(), self.phase.subscribe());
        tokio::spawn((self.serve)(io, self.phase.subscribe()));
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("open", &self.open()).finish_non_exhaustive()
    }
}

/// The same [`Host`] on a real port of 127.0.0.1; dropping it stops listening and kills what is open.
#[derive(Debug)]
pub struct TcpHost {
    host: Host,
    addr: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl TcpHost {
    /// Listens on a free port and serves what `host` serves.
    ///
    /// # Errors
    /// The operating system has no port to give.
    pub async fn bind(host: Host) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let served = host.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A peer that is gone already shows on the first read.
                let _ = stream.set_nodelay(true);
                served.accept(Box::new(stream));
            }
        });
        Ok(Self { host, addr, accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The host behind it, for counting, shutdown and kill.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Dials this host over TCP.
    pub fn dialer(&self) -> Dialer {
        Dialer::tcp(self.addr)
    }
}

impl Drop for TcpHost {
    fn drop(&mut self) {
        self.accepting.abort();
        self.host.kill();
    }
}

/// Drives one connection until it ends, is shut down gracefully and then ends, or is killed.
async fn run<C: Future>(conn: C, mut phase: watch::Receiver<Phase>, graceful: impl Fn(Pin<&mut C>)) {
    let mut conn = std::pin::pin!(conn);
    tokio::select! {
        biased;
        Ok(_) = phase.wait_for(|phase| *phase != Phase::Serving) => graceful(conn.as_mut()),
        _ = conn.as_mut() => return,
    }
    tokio::select! {
        biased;
        Ok(_) = phase.wait_for(|phase| *phase == Phase::Killed) => {}
        _ = conn => {}
    }
}

/// The server's end of a connection: counted while it lives, dead as soon as its host is killed.
struct Tracked {
    io: Conn,
    open: Arc<watch::Sender<usize>>,
    // One per direction: the two halves of a split stream are polled by different tasks, and each must be woken.
    read_killed: BoxFuture<'static, ()>,
    write_killed: BoxFuture<'static, ()>,
    dead: bool,
}

impl Tracked {
    fn new(io: Conn, open: Arc<watch::Sender<usize>>, phase: watch::Receiver<Phase>) -> Self {
        open.send_modify(|open| *open += 1);
        Self { io, open, read_killed: killed(phase.clone()), write_killed: killed(phase), dead: false }
    }

    fn readable(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.dead = self.dead || self.read_killed.poll_unpin(cx).is_ready();
        self.alive()
    }

    fn writable(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.dead = self.dead || self.write_killed.poll_unpin(cx).is_ready();
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// Resolves when the host is killed, never when it is merely forgotten.
fn killed(mut phase: watch::Receiver<Phase>) -> BoxFuture<'static, ()> {
    async move {
        if phase.wait_for(|phase| *phase == Phase::Killed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    .boxed()
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open -= 1);
    }
}

impl AsyncRead for Tracked {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.readable(cx)?;
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writable(cx)?;
        Pin::new(&mut this.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writable(cx)?;
        Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writable(cx)?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
