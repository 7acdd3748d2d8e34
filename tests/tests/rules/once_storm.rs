//! D-14 at length: thousands of messages over connections that are cut anywhere, each applied once: G-30, whose 100,000 are
//! `REALTIME_ONCE_MESSAGES=100000 cargo test --release -p realtime-tests --test rules once_storm -- --nocapture`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use realtime_core::Log;
use realtime_tests::client::{Over, Place, Target};
use realtime_tests::dial::Dialer;
use realtime_tests::fault::{Cut, FaultProxy, Plan, Way};
use realtime_tests::host::{Host, TcpHost};
use realtime_tests::rules::case_async;
use realtime_tower::{Inbound, UplinkError, builder, uplink_fn};
use tokio::time::{sleep, timeout};

use crate::size;

/// The effects of messages by their number, and the order they had them in.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<u64, Vec<usize>>>>, Arc<AtomicUsize>);

impl Ledger {
    fn host(&self) -> Host {
        let ledger = self.clone();
        let (service, _handle) = builder()
            .source(Log::new())
            .uplink(uplink_fn(move |message: Inbound| {
                let (ledger, n) = (ledger.clone(), message.json::<u64>());
                async move {
                    let n = n?;
                    sleep(Duration::from_millis(n % 20)).await;
                    let order = ledger.1.fetch_add(1, Ordering::SeqCst);
                    ledger.0.lock().expect("nobody panics").entry(n).or_default().push(order);
                    sleep(Duration::from_millis(n % 7)).await;
                    Ok::<_, UplinkError>(serde_json::json!({ "n": n, "order": order }))
                }
            }))
            .service();
        Host::new(service)
    }
}

/// Sends message `n` till it is answered, now and then by a client that leaves before it is; returns the answer, and how often it was sent.
async fn insist(target: &Target, n: u64) -> (Bytes, usize) {
    let mut random = fastrand::Rng::with_seed(n);
    for sent in 1.. {
        let patience_ms = if random.u8(0..8) == 0 { random.u64(0..30) } else { 30_000 };
        let attempt = async {
            let request = target.request(Method::POST, &Place::Default);
            let request = request
                .header("content-type", "application/json")
                .header("idempotency-key", format!("\"{n}\""));
            let answer = target.send(request, n.to_string()).await?;
            Ok::<_, Over>((answer.status.as_u16(), answer.whole().await?))
        };
        match timeout(Duration::from_millis(patience_ms), attempt).await {
            Ok(Ok((200, body))) => return (body, sent),
            Ok(Ok((409, _)) | Err(_)) | Err(_) => sleep(Duration::from_millis(50)).await,
            other => panic!("message {n}: {other:?}"),
        }
        assert!(sent < 100, "message {n} is never answered");
    }
    unreachable!("it is sent for ever")
}

/// Sends so many messages, fifty at a time, and each tenth once more when it was answered. Returns how many were sent
/// more than once.
async fn storm(dialer: Dialer, ledger: &Ledger, messages: u64) -> usize {
    let target = Target::new(dialer, "/events");
    let sending = stream::iter(0..messages).map(|n| {
        let target = &target;
        async move {
            let (body, mut sent) = insist(target, n).await;
            if n % 10 == 0 {
                let (again, more) = insist(target, n).await;
                assert_eq!(again, body, "message {n}");
                sent += more;
            }
            (n, body, sent)
        }
    });
    let answers: Vec<_> = sending.buffer_unordered(50).collect().await;
    let effects = ledger.0.lock().expect("nobody panics");
    assert_eq!((answers.len() as u64, effects.len() as u64), (messages, messages));
    for (n, body, _) in &answers {
        let orders = &effects[n];
        assert_eq!(orders.len(), 1, "message {n} had its effect {} times", orders.len());
        let said: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!(said, serde_json::json!({ "n": n, "order": orders[0] }));
    }
    answers.iter().filter(|(_, _, sent)| *sent > 1).count()
}

/// A quarter of the connections is cut, at any byte of the request or of the answer.
fn cuts(n: usize) -> Plan {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let cut = if random.bool() { Cut::Fin } else { Cut::Abrupt };
    match random.u8(0..8) {
        0 => Plan::default().cut(Way::Up, random.u64(0..180), cut),
        1 => Plan::default().cut(Way::Down, random.u64(0..400), cut),
        _ => Plan::default(),
    }
}

#[allow(clippy::print_stdout, reason = "the figures of a run by command")]
#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_a_third_of_them_retried_are_each_applied_once() {
    let messages = size::asked("REALTIME_ONCE_MESSAGES", 10_000);
    case_async(
        "D-14",
        &format!("{messages} messages, 30 % retried at random points, are each applied once"),
        async {
            let ledger = Ledger::default();
            let (dialer, _links) = ledger.host().dialer().through(cuts);
            let retried = storm(dialer, &ledger, messages).await;
            println!("{messages} messages, {retried} of them sent more than once");
            // What the seeds of the first 10,000 come to.
            let share = retried as f64 / messages as f64;
            assert!((0.3..=0.38).contains(&share), "{retried}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_real_sockets_each_is_applied_once_too() {
    case_async("D-14", "500 messages over TCP, through a proxy that cuts, are each applied once", async {
        let ledger = Ledger::default();
        let server = TcpHost::bind(ledger.host()).await.expect("a port");
        let proxy = FaultProxy::bind(server.addr(), cuts).await.expect("a port");
        let retried = storm(proxy.dialer(), &ledger, 500).await;
        assert!((110..=230).contains(&retried), "{retried}");
    })
    .await;
}
