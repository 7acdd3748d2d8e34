//! Connections from many addresses: all of 127/8 is this machine, and one address alone runs out of ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use realtime_tests::dial::{Conn, Dialer};
use tokio::net::{TcpSocket, TcpStream};

/// The addresses that are taken in turn, 127.1.0.1 and behind: some 27 ports of each for a million connections a minute.
const ADDRESSES: u32 = 1 << 16;

/// Opens connections, each from another address where the other end is on loopback.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    to: SocketAddr,
    made: Arc<AtomicU32>,
}

impl Dial {
    /// To there, beginning at some address.
    pub(crate) fn new(to: SocketAddr, seed: u64) -> Self {
        Self { to, made: Arc::new(AtomicU32::new(seed as u32)) }
    }

    /// As the kit wants it.
    pub(crate) fn dialer(&self) -> Dialer {
        let this = self.clone();
        Dialer::new(move || {
            let this = this.clone();
            async move { Ok(Box::new(this.open(None).await?) as Conn) }
        })
    }

    /// One connection, and what it may be sent unread.
    ///
    /// # Errors
    /// Nobody is there, or the kernel has no more of something.
    pub(crate) async fn open(&self, receive_bytes: Option<u32>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if self.to.ip().is_loopback() {
            socket.bind(SocketAddr::new(self.from(), 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(self.to).await
    }

    fn from(&self) -> IpAddr {
        let nth = self.made.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
        IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_comes_from_another_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dial = Dial::new(listener.local_addr().unwrap(), u64::from(ADDRESSES) - 1);
        let (_last, _first) = (dial.open(None).await.unwrap(), dial.open(Some(2_304)).await.unwrap());
        let peers = [listener.accept().await.unwrap().1.ip(), listener.accept().await.unwrap().1.ip()];
        assert_eq!(peers.map(|ip| ip.to_string()), ["127.2.0.0", "127.1.0.1"]);
    }
}
