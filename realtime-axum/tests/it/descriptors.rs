//! A process that runs out of descriptors, for real: in a process of its own, with 40 of them.

use std::process::Command;
use std::time::Duration;

use realtime_axum::ServeConfig;
use realtime_core::Log;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::kit::{Client, Lines, app, listener};

const INSIDE: &str = "REALTIME_FEW_DESCRIPTORS";
const NAME: &str = "descriptors::a_server_out_of_descriptors_is_back_within_a_second_of_one_being_free";

///
#[test]
fn a_server_out_of_descriptors_is_back_within_a_second_of_one_being_free() {
    if std::env::var_os(INSIDE).is_some() {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(inside());
    }
    let this = std::env::current_exe().unwrap();
    let script = format!("ulimit -n 40 && exec \"$0\" --exact {NAME} --nocapture");
    let output = Command::new("sh").arg("-c").arg(script).arg(this).env(INSIDE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn inside() {
    let lines = Lines::new();
    let (router, handle) = app(&Log::new());
    let (tcp, addr) = listener().await;
    let server = realtime_axum::serve(tcp, router, handle).config(ServeConfig::default());
    let server = tokio::spawn(async move { _ = server.await });
    // Both ends are here: the last connections have one for the client, and none for the server.
    let mut held = Vec::new();
    while let Ok(Ok(client)) = timeout(Duration::from_secs(5), TcpStream::connect(addr)).await {
        held.push(client);
        tokio::task::yield_now().await;
    }
    assert!(held.len() > 10, "{}", held.len());
    crate::kit::until(|| lines.contain("no connection can be accepted")).await;
    let start = Instant::now();
    held.truncate(2);
    let mut client = Client::connect(addr).await;
    client.get("/events", &[]).await;
    client.until("upToDate").await;
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(lines.contain("connections are accepted again"));
    // The server lives, and so do those that it had.
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(50), held[0].read(&mut byte)).await.is_err());
    server.abort();
}
