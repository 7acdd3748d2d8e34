//! Real ports and foreign clients: curl, reqwest, an SSE crate and tungstenite hand one cursor on.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use realtime_core::{Event, Log, SourceExt};
use realtime_tests::host::TcpHost;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::mount::{Knobs, Mount};

/// The numbers of a page, and its cursor.
fn page(page: &Value) -> (Vec<u64>, String) {
    let numbers = page["events"].as_array().unwrap().iter().map(|event| event["data"].as_u64().unwrap());
    (numbers.collect(), page["next"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn foreign_clients_hand_one_cursor_on_without_a_hole() {
    let log = Log::new();
    let mount = Mount::new(log.clone().boxed(), Knobs::default());
    let host = TcpHost::bind(mount.host).await.unwrap();
    let url = format!("http://{}/events", host.addr());
    let mut published = 0;
    let mut publish = |events: u64| {
        for _ in 0..events {
            published += 1;
            log.publish(Event::json("tick", &published).unwrap()).unwrap();
        }
    };
    let mut numbers = Vec::new();

    // curl, a poll.
    publish(3);
    let curl = std::env::var("REALTIME_CURL").unwrap_or_else(|_| "curl".into());
    let asked = format!("{url}?offset=-1");
    let output = tokio::process::Command::new(curl).args(["-sS", "--max-time", "20", &asked]).output();
    let output = output.await.expect("curl is here; cargo xtask test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (seen, cursor) = page(&serde_json::from_slice(&output.stdout).unwrap());
    numbers.extend(seen);

    // reqwest, a long-poll that waits.
    let asked =
        reqwest::Client::new().get(format!("{url}?offset={cursor}")).header("prefer", "wait=20").send();
    let asked = tokio::spawn(asked);
    while mount.handle.stats().of("long-poll").unwrap().connections == 0 {
        tokio::task::yield_now().await;
    }
    publish(1);
    let (seen, cursor) = page(&asked.await.unwrap().unwrap().json().await.unwrap());
    numbers.extend(seen);

    // An SSE crate.
    publish(3);
    let response = reqwest::Client::new()
        .get(&url)
        .header("accept", "text/event-stream")
        .header("last-event-id", &cursor)
        .send()
        .await
        .unwrap();
    let mut events = response.bytes_stream().eventsource();
    let mut cursor = cursor;
    for _ in 0..4 {
        let event = events.next().await.unwrap().unwrap();
        if event.event == "tick" {
            numbers.push(event.data.parse().unwrap());
            cursor = event.id;
        }
    }
    drop(events);

    // tungstenite.
    publish(2);
    let mut request = format!("ws://{}/events?offset={cursor}", host.addr()).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "realtime.v1".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    while numbers.len() < 9 {
        let message =
            tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        numbers.extend(message["data"].as_u64());
    }
    assert_eq!(numbers, (1..=9).collect::<Vec<u64>>());
}
