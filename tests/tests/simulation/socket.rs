//! The server's sockets, which can be closed all at once, in the order in which they came: as a kernel does it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

type Shared = Mutex<Option<TcpStream>>;

/// Those that were opened.
#[derive(Clone, Default)]
pub(crate) struct Sockets(Arc<Mutex<Vec<Weak<Shared>>>>);

impl Sockets {
    pub(crate) fn open(&self, stream: TcpStream) -> Socket {
        let socket = Arc::new(Mutex::new(Some(stream)));
        self.0.lock().unwrap().push(Arc::downgrade(&socket));
        Socket(socket)
    }

    pub(crate) fn close(&self) {
        for socket in self.0.lock().unwrap().drain(..).filter_map(|socket| socket.upgrade()) {
            let stream = socket.lock().unwrap().take();
            drop(stream);
        }
    }
}

/// One of them.
pub(crate) struct Socket(Arc<Shared>);

impl Socket {
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.0.lock().unwrap().as_mut() {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}
