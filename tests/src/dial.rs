//! How a client comes to a connection: a [`Dialer`] is the only thing it knows about hosts and faults.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::fault::{Faulty, Link, Plan};

/// Anything that bytes go through both ways.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for T {}

impl fmt::Debug for dyn Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// One open connection, whatever carries it.
pub type Conn = Box<dyn Wire>;

type Dialing = Pin<Box<dyn Future<Output = io::Result<Conn>> + Send>>;

/// Opens connections to one server; cheap to clone.
///
/// ```
/// use realtime_tests::dial::Dialer;
///
/// let dead = Dialer::new(|| async { Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)) });
/// # let _ = dead;
/// ```
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn() -> Dialing + Send + Sync>);

impl Dialer {
    /// A dialer that calls `open` for every connection.
    pub fn new<F, Fut>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Conn>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(open())))
    }

    /// A dialer for a real address, with Nagle's delay off so that small writes leave at once.
    pub fn tcp(addr: SocketAddr) -> Self {
        Self::new(move || async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Conn)
        })
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// Whatever the connection attempt failed with.
    pub async fn dial(&self) -> io::Result<Conn> {
        (self.0)().await
    }

    /// The same server behind faults: `plan(n)` says what happens to the n-th connection, counted from 0. What is
    /// returned beside the dialer are the grips on the connections made so far.
    pub fn through(&self, plan: impl Fn(usize) -> Plan + Send + Sync + 'static) -> (Self, Links) {
        let links = Links::default();
        let (inner, kept, made) = (self.clone(), links.clone(), Arc::new(AtomicUsize::new(0)));
        let plan = Arc::new(plan);
        let dialer = Self::new(move || {
            let (inner, kept, plan, made) = (inner.clone(), kept.clone(), plan.clone(), made.clone());
            async move {
                let (faulty, link) =
                    Faulty::new(inner.dial().await?, plan(made.fetch_add(1, Ordering::SeqCst)));
                kept.push(link);
                Ok(Box::new(faulty) as Conn)
            }
        });
        (dialer, links)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

/// The grips on every connection that went [`through`](Dialer::through) faults, in order.
#[derive(Clone, Debug, Default)]
pub struct Links(Arc<std::sync::Mutex<Vec<Link>>>);

impl Links {
    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn push(&self, link: Link) {
        self.locked().push(link);
    }

    /// How many connections were made.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// Whether none was made yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The grip on the n-th connection, from 0.
    pub fn nth(&self, n: usize) -> Option<Link> {
        self.locked().get(n).cloned()
    }

    /// The grip on the newest connection.
    pub fn last(&self) -> Option<Link> {
        self.locked().last().cloned()
    }
}
