//! A proxy in front of a world that does to WebSockets what corporate ones do, and lets all else through.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

use super::in_tokio;

/// What becomes of a WebSocket.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// It goes through.
    Open,
    /// It is opened, its first message never comes, and 200 ms later it is dead.
    KillOpened,
}

/// How long a killed WebSocket seems to live.
const KILLED_AFTER: Duration = Duration::from_millis(200);

/// Bytes of a request's head that are looked at.
const HEAD_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Door {
    port: u16,
    way: Arc<Mutex<Way>>,
    close: broadcast::Sender<u16>,
    accepting: JoinHandle<()>,
}

impl Door {
    /// A door to a port of 127.0.0.1.
    pub(super) fn open(to: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let (way, close) = (Arc::new(Mutex::new(Way::Open)), broadcast::Sender::new(4));
        let (kept, closing) = (way.clone(), close.clone());
        let accepting = tokio::spawn(async move {
            let mut pumps = JoinSet::new(); // they end with this task
            let listener = in_tokio(listener);
            while let Ok((client, _)) = TcpListener::accept(&listener).await {
                while pumps.try_join_next().is_some() {}
                let (way, closed) = (kept.clone(), closing.subscribe());
                // How a connection ended is for the page to see.
                pumps.spawn(async move { drop(pump(client, to, &way, closed).await) });
            }
        });
        Self { port, way, close, accepting }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, way: Way) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    /// Ends every connection that is a WebSocket with a Close frame of our own; how many connections there are.
    pub(super) fn close_sockets(&self, code: u16) -> usize {
        self.close.send(code).unwrap_or(0)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pump(
    mut client: TcpStream,
    to: u16,
    way: &Mutex<Way>,
    mut closed: broadcast::Receiver<u16>,
) -> io::Result<()> {
    let is_web_socket = peek_head(&client).await?.to_ascii_lowercase().contains("\r\nupgrade: websocket");
    let mut server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    if !is_web_socket {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    if *way.lock().unwrap_or_else(PoisonError::into_inner) == Way::KillOpened {
        return kill_opened(client, server).await;
    }
    let code = tokio::select! {
        ended = copy_bidirectional(&mut client, &mut server) => return ended.map(drop),
        code = closed.recv() => code.map_err(io::Error::other)?,
    };
    // Between two frames: what the server writes for one message it writes at once, and nothing is on its way.
    let [high, low] = code.to_be_bytes();
    client.write_all(&[0x88, 2, high, low]).await?;
    client.shutdown().await
}

async fn peek_head(client: &TcpStream) -> io::Result<String> {
    let mut head = vec![0; HEAD_BYTES_MAX];
    loop {
        let seen = client.peek(&mut head).await?;
        let text = String::from_utf8_lossy(&head[..seen]);
        if seen == 0 || seen == head.len() || text.contains("\r\n\r\n") {
            return Ok(text.into_owned());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Passes the handshake on, and nothing after it.
async fn kill_opened(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let request = peek_head(&client).await?;
    let mut head = vec![0; request.len()];
    client.read_exact(&mut head).await?;
    server.write_all(&head).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(server.read_u8().await?);
    }
    client.write_all(&answer).await?;
    tokio::time::sleep(KILLED_AFTER).await;
    Ok(())
}
