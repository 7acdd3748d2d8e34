//! A listener that counts what it accepts, second by second.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use realtime_axum::{Listen, ServeConfig};
use tokio::net::{TcpListener, TcpStream};

/// Accepted connections, in each second from the first of them on.
#[derive(Clone, Debug, Default)]
pub(super) struct Accepts(Arc<Mutex<(Option<Instant>, Vec<u64>)>>);

impl Accepts {
    fn count(&self, now: Instant) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = (now - *counted.0.get_or_insert(now)).as_secs() as usize;
        if counted.1.len() <= second {
            counted.1.resize(second + 1, 0);
        }
        counted.1[second] += 1;
    }

    pub(super) fn read(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

/// A [`TcpListener`] whose connections are counted.
pub(super) struct Counted(pub(super) TcpListener, pub(super) Accepts);

impl Listen for Counted {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.0.accept().await?;
        self.1.count(Instant::now());
        Ok(accepted)
    }

    fn prepare(&self, io: &TcpStream, config: &ServeConfig) -> io::Result<()> {
        self.0.prepare(io, config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_begins_with_the_first_of_them() {
        let (accepts, begun) = (Accepts::default(), Instant::now());
        for ms in [0, 999, 1_000, 3_500] {
            accepts.count(begun + Duration::from_millis(ms));
        }
        assert_eq!(accepts.read(), [2, 1, 0, 1]);
    }
}
