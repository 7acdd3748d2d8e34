//! The floor: one ready frame, or a burst of them, sent to each socket in turn. Nothing is read, nothing is waited for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Asked, Heap, Order};
use crate::payload::payload;
use crate::{Kind, Outcome};

/// An empty text frame, which tells a reader that it counts.
const GREETING: [u8; 2] = [0x81, 0];

pub(super) fn serve(asked: &Asked, data: TcpListener, control: &TcpListener, heap: Heap) -> Outcome {
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
                let mut send =
                    |frames: Vec<u8>| readers.iter().try_for_each(|mut reader| reader.write_all(&frames));
                let mut frames = events.map(|n| frame(n, asked.payload_bytes));
                if asked.kind == Kind::SendBurst {
                    send(frames.flatten().collect())?;
                } else {
                    frames.try_for_each(&mut send)?;
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
fn frame(n: u64, bytes: usize) -> Vec<u8> {
    let payload = payload(n, bytes);
    let mut frame = vec![0x81, 126];
    // The command line allows none that is longer.
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&payload);
    frame
}
