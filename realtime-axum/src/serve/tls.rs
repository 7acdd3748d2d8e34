use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::{Listen, ServeConfig};

/// A listener whose connections are encrypted: `https` and `wss`, over HTTP/2 where the client knows it and HTTP/1.1 where
/// not.
///
/// Certificates, keys and the CryptoProvider are the [`ServerConfig`]'s; this crate installs none. Where it names no
/// protocol for ALPN, `h2` and `http/1.1` are named, in this order. A client that offers neither speaks HTTP/1.1.
///
/// The handshake is done where the connection is served, and no other waits for it; it has to be over, and the first
/// request here, within [`ServeConfig::head_wait`].
///
/// ```no_run
/// use std::sync::Arc;
/// use axum::Router;
/// use realtime_axum::Tls;
/// use realtime_core::Log;
/// use rustls::ServerConfig;
/// use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
/// use tokio::net::TcpListener;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let chain = CertificateDer::pem_file_iter("cert.pem")?.collect::<Result<_, _>>()?;
/// let key = PrivateKeyDer::from_pem_file("key.pem")?;
/// let (mount, handle) = realtime_axum::mount().build();
/// let app = Router::new().route("/events", mount.source(Log::new()));
/// let provider = Arc::new(rustls::crypto::ring::default_provider()); // with the features "ring" and "tls12" of rustls
/// let config = ServerConfig::builder_with_provider(provider)
///     .with_safe_default_protocol_versions()?
///     .with_no_client_auth()
///     .with_single_cert(chain, key)?;
/// let listener = Tls::new(TcpListener::bind("0.0.0.0:443").await?, Arc::new(config));
/// realtime_axum::serve(listener, app, handle).await;
/// # Ok(())
/// # }
/// ```
pub struct Tls<L> {
    listener: L,
    acceptor: TlsAcceptor,
}

impl<L: Listen> Tls<L> {
    /// Encrypts what the listener accepts.
    pub fn new(listener: L, config: Arc<ServerConfig>) -> Self {
        let acceptor = TlsAcceptor::from(with_protocols(config));
        Self { listener, acceptor }
    }
}

fn with_protocols(mut config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if config.alpn_protocols.is_empty() {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    config
}

impl<L> fmt::Debug for Tls<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<L: Listen> Listen for Tls<L> {
    type Io = TlsIo<L::Io>;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)> {
        let (io, peer) = self.listener.accept().await?;
        Ok((TlsIo(State::Handshake(Box::new(self.acceptor.accept(io)))), peer))
    }

    fn prepare(&self, io: &Self::Io, config: &ServeConfig) -> io::Result<()> {
        match &io.0 {
            State::Handshake(accept) => {
                accept.get_ref().map_or(Ok(()), |io| self.listener.prepare(io, config))
            }
            State::Open(stream) => self.listener.prepare(stream.get_ref().0, config),
        }
    }
}

/// A connection of [`Tls`]. It shakes hands when it is first read from or written to.
pub struct TlsIo<I>(State<I>);

enum State<I> {
    Handshake(Box<Accept<I>>),
    Open(Box<TlsStream<I>>),
}

impl<I: AsyncRead + AsyncWrite + Unpin> TlsIo<I> {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<I>>>> {
        if let State::Handshake(accept) = &mut self.0 {
            let stream = ready!(Pin::new(accept).poll(cx))?;
            self.0 = State::Open(Box::new(stream));
        }
        Poll::Ready(match &mut self.0 {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Handshake(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl<I> fmt::Debug for TlsIo<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIo").finish_non_exhaustive()
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsIo<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_open(cx))?.poll_read(cx, buf)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsIo<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(cx))?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(cx))?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        // rustls gathers into its records.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Nothing has been written yet.
            Self(State::Handshake(_)) => Poll::Ready(Ok(())),
            Self(State::Open(stream)) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Who has not shaken hands understands no farewell.
            Self(State::Handshake(_)) => Poll::Ready(Ok(())),
            Self(State::Open(stream)) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
