//! The floor: one ready frame, sent to each socket in turn. Nothing is read, nothing is waited for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Heap, Order};
use crate::Outcome;
use crate::payload::payload;

/// An empty text frame, which tells a reader that it counts.
const GREETING: [u8; 2] = [0x81, 0];

pub(super) fn serve(data: TcpListener, control: &TcpListener, heap: Heap) -> Outcome {
    let readers = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
    std::thread::spawn({
        let readers = readers.clone();
        move || {
            for tcp in data.incoming().map_while(Result::ok) {
                let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
                if tcp.set_nodelay(true).and_then(|()| (&tcp).write_all(&GREETING)).is_ok() {
                    readers.push(tcp);
                }
            }
        }
    });
    let (tcp, _) = control.accept()?;
    for line in BufReader::new(&tcp).lines() {
        match Order::read(&line?)? {
            Order::Publish(events) => {
                let readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
                for n in events {
                    let frame = frame(n);
                    for mut reader in readers.iter() {
                        reader.write_all(&frame)?;
                    }
                }
            }
            Order::Heap => {
                let (made, live_bytes) = heap();
                writeln!(&tcp, "{made} {live_bytes}")?;
            }
        }
    }
    Ok(())
}

/// The payload as a text frame.
fn frame(n: u64) -> Vec<u8> {
    let payload = payload(n);
    let mut frame = vec![0x81, 126, 0, payload.len() as u8];
    frame.extend_from_slice(&payload);
    frame
}
