//! The socket itself: what a WebSocket is given by each of hyper's servers on a real port, its first bytes too.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use realtime_core::{Event, Log};
use realtime_tests::client::{Place, Reader, Seen, Target, Transport};
use realtime_tests::dial::Dialer;
use realtime_tests::host::Protocol;
use realtime_tower::{Handle, Inbound, builder, uplink_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::mount::{is_event, until};

/// Serves as a service by hand would: nothing stands between hyper and the socket, as `Host` does with its count.
async fn serve(log: &Log, protocol: Protocol) -> (SocketAddr, Handle) {
    let echo =
        uplink_fn(
            |message: Inbound| async move { message.as_str().map(|text| format!("Roger that! {text}")) },
        );
    let (service, handle) = builder().source(log.clone()).uplink(echo).service();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(service.clone()));
            // A peer that is gone is no failure of the test.
            match protocol {
                Protocol::Http1 => {
                    let serving = http1::Builder::new().serve_connection(io, service).with_upgrades();
                    tokio::spawn(async move { drop(serving.await) });
                }
                Protocol::Auto => {
                    tokio::spawn(async move {
                        let server = auto::Builder::new(TokioExecutor::new());
                        drop(server.serve_connection_with_upgrades(io, service).await);
                    });
                }
            }
        }
    });
    (addr, handle)
}

/// A client's text frame, masked with zeros.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a short text");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

const HEAD: &str = "GET /events?offset=-1 HTTP/1.1\r\nHost: realtime.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes within 20 s")
}

/// Frames right behind the request, in the same segment, are the first that the server hears; one split over the two
/// segments too. (P-WS-07)
#[tokio::test]
async fn frames_in_the_segment_of_the_request_are_heard_whatever_serves() {
    for protocol in [Protocol::Http1, Protocol::Auto] {
        let log = Log::new();
        log.publish(Event::text("note", "one").unwrap()).unwrap();
        let (addr, handle) = serve(&log, protocol).await;
        let frames = [masked("hello"), masked("again")].concat();
        for split in [frames.len(), 3, 9, 0] {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let (with, after) = frames.split_at(split);
            stream.write_all(&[HEAD.as_bytes(), with].concat()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(patient(stream.read_u8()).await.unwrap());
            }
            assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
            stream.write_all(after).await.unwrap();
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            let mut said = Vec::new();
            while said.len() < 3 {
                let message = patient(socket.next()).await.unwrap().unwrap();
                said.push(message.into_text().unwrap().to_string());
            }
            said.sort();
            assert_eq!(said, ["Roger that! again", "Roger that! hello", "one"], "{protocol:?}, {split}");
            socket.send(Message::Close(None)).await.unwrap();
            while patient(socket.next()).await.is_some_and(|message| message.is_ok()) {}
        }
        patient(async {
            while handle.stats().of("websocket").unwrap().connections > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// Each transport over a bare socket, each way of serving it: replay, live, drain.
#[tokio::test]
async fn every_transport_reads_and_is_drained_on_a_real_port() {
    for protocol in [Protocol::Http1, Protocol::Auto] {
        let log = Log::new();
        let (addr, handle) = serve(&log, protocol).await;
        let target = Target { wait_s: 1, ..Target::new(Dialer::tcp(addr), "/events") };
        let mut published = Vec::new();
        let mut publish = |events: usize| {
            let mut newest = String::new();
            for n in 0..events {
                let text = format!("{n:0>2000}");
                newest = log.publish(Event::text("tick", &*text).unwrap()).unwrap().to_string();
                published.push(text.into_bytes());
            }
            (newest, published.clone())
        };
        let mut streams = Vec::new();
        for transport in Transport::ALL {
            let what = format!("{transport:?} on {protocol:?}");
            let mut reader = Reader::connect(transport, &target, Place::Earliest).await;
            let (newest, _) = publish(50);
            let mut seen = patient(until(&mut reader, &what, is_event(&newest))).await;
            let (newest, all) = publish(1);
            seen.extend(patient(until(&mut reader, &what, is_event(&newest))).await);
            let data: Vec<_> = seen.iter().filter_map(Seen::event).map(|event| event.data.clone()).collect();
            assert!(data == all, "{what}: {} of {}", data.len(), all.len());
            if matches!(transport, Transport::Sse | Transport::WebSocket) {
                streams.push(tokio::spawn(async move { until(&mut reader, &what, |_| false).await }));
            }
        }
        let drained = patient(handle.drain(Duration::from_secs(10))).await;
        assert_eq!((drained.told, drained.left), (2, 0), "{protocol:?}");
        for stream in streams {
            let seen = patient(stream).await.unwrap();
            let is_told =
                seen.iter().any(|seen| matches!(seen, Seen::End { reason, .. } if reason == "drain"));
            assert!(is_told, "{protocol:?}: {seen:?}");
        }
    }
}
