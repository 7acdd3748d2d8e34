//! Other WebSocket servers, each as its own documentation has it where one payload goes to many.

use std::convert::Infallible;

use bytes::Bytes;
use fastwebsockets::{FragmentCollectorRead, Frame, Payload, WebSocketError, upgrade};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Response;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_websockets::{Message, ServerBuilder};

use super::Publish;
use crate::decode::SOCKET_IO_EVENT;
use crate::payload;

/// Events that a reader may be behind: more than any burst.
const CAPACITY: usize = 256;

async fn accept(data: &TcpListener) -> Option<TcpStream> {
    let (tcp, _) = data.accept().await.ok()?;
    // Without it the visit is slow, and still right.
    let _ = tcp.set_nodelay(true);
    Some(tcp)
}

/// Upgraded from hyper and split, for what comes has to be read beside.
pub(super) fn fastwebsockets(data: TcpListener, bytes: usize) -> Publish {
    let (sender, _) = broadcast::channel::<Bytes>(CAPACITY);
    let subscribe = sender.clone();
    tokio::spawn(async move {
        while let Some(tcp) = accept(&data).await {
            let subscribe = subscribe.clone();
            let service = service_fn(move |mut request| {
                let receiver = subscribe.subscribe();
                let answer = upgrade::upgrade(&mut request).map(|(response, socket)| {
                    tokio::spawn(push(socket, receiver));
                    response
                });
                std::future::ready(Ok::<_, Infallible>(answer.unwrap_or_else(|_| {
                    let mut refused = Response::new(Empty::<Bytes>::new());
                    *refused.status_mut() = http::StatusCode::BAD_REQUEST;
                    refused
                })))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    Box::new(move |events| {
        for n in events {
            // Nobody listening is no error.
            let _ = sender.send(payload::text(n, bytes).into());
        }
    })
}

async fn push(
    socket: upgrade::UpgradeFut,
    mut receiver: broadcast::Receiver<Bytes>,
) -> Result<(), WebSocketError> {
    let (read, mut write) = socket.await?.split(tokio::io::split);
    let mut read = FragmentCollectorRead::new(read);
    // What is owed to a peer that pings or closes goes over a channel: these readers do neither.
    let reading = async {
        loop {
            read.read_frame::<_, WebSocketError>(&mut |_| std::future::ready(Ok(()))).await?;
        }
    };
    let writing = async {
        while let Ok(text) = receiver.recv().await {
            write.write_frame(Frame::text(Payload::Borrowed(&text))).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = reading => done,
        done = writing => done,
    }
}

/// The message is cloned, which shares its bytes.
pub(super) fn tokio_websockets(data: TcpListener, bytes: usize) -> Publish {
    let (sender, _) = broadcast::channel::<Message>(CAPACITY);
    let subscribe = sender.clone();
    tokio::spawn(async move {
        while let Some(tcp) = accept(&data).await {
            let mut receiver = subscribe.subscribe();
            tokio::spawn(async move {
                let (_, mut socket) = ServerBuilder::new().accept(tcp).await?;
                loop {
                    tokio::select! {
                        event = receiver.recv() => match event {
                            Ok(message) => socket.send(message).await?,
                            Err(_) => return Ok(()),
                        },
                        message = socket.next() => match message {
                            Some(message) => drop(message?),
                            None => return Ok::<_, tokio_websockets::Error>(()),
                        },
                    }
                }
            });
        }
    });
    Box::new(move |events| {
        for n in events {
            let text = Message::text(payload::text(n, bytes));
            let _ = sender.send(text);
        }
    })
}

/// Its own broadcast, which encodes once.
pub(super) fn socketioxide(data: TcpListener, bytes: usize) -> Publish {
    let (service, io) = SocketIo::builder().max_buffer_size(CAPACITY).build_svc();
    io.ns("/", async |_: SocketRef| ());
    tokio::spawn(async move {
        while let Some(tcp) = accept(&data).await {
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    Box::new(move |events| {
        for n in events {
            let json = serde_json::value::RawValue::from_string(payload::text(n, bytes));
            let json = json.expect("a payload is JSON: its test says so");
            // With the adapter for one process it waits for nothing.
            let done = futures_util::FutureExt::now_or_never(io.emit(SOCKET_IO_EVENT, &json));
            // A reader whose buffer is full is told as an error, and missed by the generator.
            drop(done);
        }
    })
}
