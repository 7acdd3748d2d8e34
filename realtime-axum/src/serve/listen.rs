use std::future::Future;
use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::ServeConfig;

/// Where connections come from: a [`TcpListener`], or one of your own around it.
///
/// ```
/// use std::{io, net::SocketAddr};
/// use realtime_axum::{Listen, ServeConfig};
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// Two addresses, one server.
/// struct Both(TcpListener, TcpListener);
///
/// impl Listen for Both {
///     type Io = TcpStream;
///
///     async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
///         tokio::select! {
///             accepted = self.0.accept() => accepted,
///             accepted = self.1.accept() => accepted,
///         }
///     }
///
///     /// Else the kernel holds megabytes for a peer that reads nothing.
///     fn prepare(&self, io: &TcpStream, config: &ServeConfig) -> io::Result<()> {
///         self.0.prepare(io, config)
///     }
/// }
/// ```
pub trait Listen: Send + 'static {
    /// A connection. A WebSocket gets the socket itself where this is a [`TcpStream`].
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, and its peer. What takes long, such as a TLS handshake, is not for here: the next one
    /// waits for it.
    ///
    /// # Errors
    /// A connection could not be accepted. It is tried again, after a pause unless it was the connection's own fault.
    ///
    /// # Cancel safety
    /// It may be dropped at any point, and must not lose a connection by that.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// Sets what the configuration wants of the kernel, for one connection. By default nothing: a listener around others hands it on to
    /// them, or goes without `TCP_NODELAY`, [`unsent_bytes_max`](ServeConfig::unsent_bytes_max), `send_buffer_bytes` and
    /// `unacknowledged_wait`.
    ///
    /// # Errors
    /// The kernel refuses. The connection is served all the same.
    fn prepare(&self, io: &Self::Io, config: &ServeConfig) -> io::Result<()> {
        let _ = (io, config);
        Ok(())
    }
}

impl Listen for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }

    fn prepare(&self, io: &TcpStream, config: &ServeConfig) -> io::Result<()> {
        prepare(io, config)
    }
}

fn prepare(io: &TcpStream, config: &ServeConfig) -> io::Result<()> {
    // An event is small and must not wait for the acknowledgement of the one before.
    io.set_nodelay(true)?;
    let socket = SockRef::from(io);
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    #[cfg(target_os = "linux")]
    {
        if let Some(bytes) = config.unsent_bytes_max {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        socket.set_tcp_user_timeout(config.unacknowledged_wait)?;
    }
    Ok(())
}

/// Whether it is over with one connection only, and the next may be asked for at once.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_prepared_as_configured() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (server, peer) = listener.accept().await?;
        assert_eq!(peer, client.local_addr()?);
        let config = ServeConfig {
            send_buffer_bytes: Some(20_000),
            unsent_bytes_max: Some(30_000),
            unacknowledged_wait: Some(Duration::from_secs(7)),
            ..ServeConfig::default()
        };
        listener.prepare(&server, &config)?;
        let socket = SockRef::from(&server);
        assert!(server.nodelay()?);
        // Linux doubles what is asked for, to have room for its own notes.
        assert!((20_000..=40_000).contains(&socket.send_buffer_size()?));
        #[cfg(target_os = "linux")]
        assert_eq!(
            (socket.tcp_user_timeout()?, socket.tcp_notsent_lowat()?),
            (Some(Duration::from_secs(7)), 30_000)
        );
        Ok(())
    }

    /// What the kernel takes for a peer that reads nothing.
    #[cfg(target_os = "linux")]
    async fn taken_unread(config: &ServeConfig) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = tokio::net::TcpSocket::new_v4()?;
        client.set_recv_buffer_size(2_304)?;
        let _client = client.connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        listener.prepare(&server, config)?;
        let (piece, mut taken) = (vec![b'x'; 16 * 1024], 0);
        // Not writable for so long is full: the kernel makes its buffers larger as it goes.
        while let Ok(writable) = tokio::time::timeout(Duration::from_millis(200), server.writable()).await {
            writable?;
            taken += server.try_write(&piece).unwrap_or(0);
        }
        Ok(taken)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_peer_that_reads_nothing_costs_the_kernel_little() -> io::Result<()> {
        let taken = taken_unread(&ServeConfig::default()).await?;
        assert!((32 * 1024..=128 * 1024).contains(&taken), "{taken}");
        let unbound = taken_unread(&ServeConfig { unsent_bytes_max: None, ..ServeConfig::default() }).await?;
        assert!(unbound > 4 * taken, "{unbound}: without a bound it is the kernel's");
        Ok(())
    }
}
