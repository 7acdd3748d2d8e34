//! `serve` with TLS on a real port, before clients that are not ours: curl, Chromium, reqwest and rustls itself.
//!
//! Node, playwright-core, Chromium and curl are found or installed by `cargo xtask test`, which names them in the
//! environment; without them the tests fail.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::response::{Html, Response};
use axum::routing::get;
use http::{Method, Version};
use realtime_axum::{Handle, Listen, Realtime, ServeConfig, Stopped, Tls};
use realtime_core::{Event, Log};
use realtime_tests::rules::case_async;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(60);

/// A listener that counts.
struct Counted {
    listener: TcpListener,
    accepted: Arc<AtomicUsize>,
}

impl Listen for Counted {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.listener.accept().await?;
        self.accepted.fetch_add(1, Ordering::SeqCst);
        Ok(accepted)
    }

    fn prepare(&self, io: &TcpStream, config: &ServeConfig) -> io::Result<()> {
        self.listener.prepare(io, config)
    }
}

type Asked = (SocketAddr, Version, Method);

#[derive(Clone)]
struct App {
    log: Log,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn events(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    version: Version,
    method: Method,
    State(app): State<App>,
    rt: Realtime,
) -> Response {
    app.asked.lock().unwrap_or_else(PoisonError::into_inner).push((peer, version, method));
    rt.serve(app.log).await
}

struct Served {
    log: Log,
    handle: Handle,
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    certificate: rcgen::Certificate,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Stopped>,
}

impl Served {
    async fn new(protocols: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider knows them")
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .expect("the key is the certificate's");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();

        let log = Log::new();
        let (asked, accepted) = (Arc::default(), Arc::<AtomicUsize>::default());
        let app = App { log: log.clone(), asked: Arc::clone(&asked) };
        let (mount, handle) = realtime_axum::mount().build();
        let router = Router::new()
            .route(
                "/",
                get(|| async { Html("<!doctype html><link rel=icon href=data:,><title>one</title>") }),
            )
            .route("/events", mount.route(events))
            .with_state(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("it has one");
        let listener = Tls::new(Counted { listener, accepted: accepted.clone() }, Arc::new(config));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = realtime_axum::serve(listener, router, handle.clone())
            .with_graceful_shutdown(async move { drop(stopped.await) });
        let running = tokio::spawn(async move { server.await });
        Self { log, handle, addr, accepted, asked, certificate: made.cert, stop: Some(stop), running }
    }

    fn tick(&self) {
        self.log.publish(Event::json("tick", &1).expect("a number is JSON")).expect("the log is open");
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }

    /// The certificate, as a file.
    fn pem(&self, name: &str) -> PathBuf {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, self.certificate.pem()).expect("the target directory takes files");
        file
    }

    /// A client by rustls that offers these protocols: what was agreed on, and the connection.
    async fn dial(&self, offers: &[&[u8]]) -> (Option<Vec<u8>>, tokio_rustls::client::TlsStream<TcpStream>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider knows them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = offers.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let tcp = TcpStream::connect(self.addr).await.expect("it listens");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (agreed, stream)
    }

    async fn stop(mut self) -> Stopped {
        drop(self.stop.take());
        timeout(PATIENCE, self.running).await.expect("it stops").expect("no panic")
    }
}

fn tool(name: &str) -> String {
    std::env::var(name).ok().filter(|file| !file.is_empty()).unwrap_or_else(|| {
        panic!("{name} is not set: `cargo xtask test` finds or installs what this test needs, and sets it")
    })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let looked = timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_offered_unless_the_configuration_names_its_own() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    type Row<'a> = (&'a [&'a [u8]], &'a [&'a [u8]], Option<&'a [u8]>);
    let rows: [Row<'_>; 4] = [
        (&[], both, Some(b"h2")),
        (&[], &[b"http/1.1"], Some(b"http/1.1")),
        (&[], &[], None),
        (&[b"http/1.1"], both, Some(b"http/1.1")),
    ];
    for (named, offers, agreed) in rows {
        let served = Served::new(named).await;
        let (seen, _) = served.dial(offers).await;
        assert_eq!(seen.as_deref(), agreed, "{named:?} before {offers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_websocket_and_an_event_stream_of_http_1_1_go_on_and_are_told_of_a_stop() {
    let served = Served::new(&[]).await;
    let mut connections = Vec::new();
    for headers in [
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: realtime.v1\r\n",
        "accept: text/event-stream\r\n",
    ] {
        let (_, mut stream) = served.dial(&[b"http/1.1"]).await;
        let request = format!("GET /events HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        connections.push((stream, Vec::new()));
    }
    let mut read = async |needle: &str| {
        for (stream, seen) in &mut connections {
            let reading = timeout(PATIENCE, async {
                while !String::from_utf8_lossy(seen).contains(needle) {
                    assert!(stream.read_buf(seen).await.expect("it goes on") > 0, "over before {needle}");
                }
            });
            reading.await.unwrap_or_else(|_| panic!("no {needle} in {seen:?}"));
        }
    };
    read("$live").await;
    served.tick();
    read("tick").await;
    let stopping = tokio::spawn(served.stop());
    read("$end").await;
    // The WebSocket's Close is not answered: gone, it is no reader that was left.
    drop(connections);
    let stopped = stopping.await.expect("no panic");
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_shake_hands_is_no_burden_to_those_who_do() {
    let served = Served::new(&[]).await;
    let silent = TcpStream::connect(served.addr).await.expect("it listens");
    let mut plain = TcpStream::connect(served.addr).await.expect("it listens");
    plain.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it takes bytes");
    let (_, mut stream) = served.dial(&[b"http/1.1"]).await;
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it takes a request");
    let mut seen = [0; 15];
    stream.read_exact(&mut seen).await.expect("an answer");
    assert_eq!(&seen, b"HTTP/1.1 200 OK");
    // Who speaks no TLS is told so, in TLS, and is gone.
    let mut refused = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut refused)).await.expect("it is closed");
    assert!(!refused.starts_with(b"HTTP"), "{refused:?}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_an_event_stream_and_a_page_over_http_2() {
    let served = Served::new(&[]).await;
    let pem = served.pem("curl.pem");
    let url = format!("https://localhost:{}/events", served.addr.port());
    let curl = |arguments: &[&str]| {
        let mut command = Command::new(tool("REALTIME_CURL"));
        command.args(["--silent", "--no-buffer", "--include", "--http2", "--cacert"]).arg(&pem);
        command.args(arguments).arg(&url).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().expect("curl starts")
    };
    let mut stream = curl(&["--header", "accept: text/event-stream"]);
    let mut lines = BufReader::new(stream.stdout.take().expect("it is piped")).lines();
    let mut next =
        async || timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("text").expect("more");
    assert_eq!(next().await.trim_end(), "HTTP/2 200");
    while next().await != "event: $live" {}
    served.tick();
    while next().await != "event: tick" {}
    assert_eq!(next().await, "data: 1");
    assert_eq!(served.readers(), 1);
    drop(stream);
    until("the reader is gone", || served.readers() == 0).await;

    let page =
        curl(&["--header", "prefer: wait=20", "--header", "last-event-id:", "--get", "--data", "offset=-1"]);
    let page = timeout(PATIENCE, page.wait_with_output()).await.expect("in time").expect("it ends");
    let text = String::from_utf8_lossy(&page.stdout);
    assert!(text.starts_with("HTTP/2 200") && text.contains(r#""event":"tick""#), "{text}");
    let versions: BTreeSet<_> = served.asked().iter().map(|(_, version, _)| format!("{version:?}")).collect();
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["HTTP/2.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reqwest_reads_by_prior_knowledge_in_the_clear() {
    let log = Log::new();
    let (mount, handle) = realtime_axum::mount().build();
    let router = Router::new().route("/events", mount.source(log.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/events", listener.local_addr().expect("it has one"));
    let running = tokio::spawn(async move { realtime_axum::serve(listener, router, handle).await });
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let mut stream = client.get(&url).header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!((stream.version(), stream.status().as_u16()), (Version::HTTP_2, 200));
    log.publish(Event::json("tick", &1).expect("JSON")).expect("open");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("event: tick") {
        seen.extend_from_slice(&stream.chunk().await.expect("it goes on").expect("more"));
    }
    let page: serde_json::Value =
        client.get(format!("{url}?offset=-1")).send().await.expect("an answer").json().await.expect("a page");
    assert_eq!(page["events"][0]["event"], "tick");
    running.abort();
}

/// What HTTP/1.1 takes six connections for, and refuses the seventh.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_has_one_connection_for_five_websockets_and_an_event_stream() {
    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        browser.join("node_modules/playwright-core").is_dir(),
        "{} has no playwright-core: run `npm ci` there, or `cargo xtask test`, which does",
        browser.display()
    );
    case_async("P-H2-01", "Chromium opens five WebSockets on the page's own connection", async {
        let served = Served::new(&[]).await;
        let mut driver = Command::new(tool("REALTIME_NODE"))
            .arg("http2.mjs")
            .arg(format!("https://localhost:{}/", served.addr.port()))
            .arg(served.pem("chromium.pem"))
            .env("REALTIME_CHROMIUM", tool("REALTIME_CHROMIUM"))
            .current_dir(&browser)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let mut to_driver = driver.stdin.take().expect("it is piped");
        let mut said = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
        let mut next = async || timeout(PATIENCE, said.next_line()).await.expect("in time").expect("text");
        assert_eq!(next().await.as_deref(), Some("open"), "it says above what did not hold");

        let asked = served.asked();
        let by_connect = asked.iter().filter(|(.., method)| *method == Method::CONNECT).count();
        assert_eq!((by_connect, asked.len(), served.readers()), (5, 6, 6), "{asked:?}");
        assert!(asked.iter().all(|(_, version, _)| *version == Version::HTTP_2), "{asked:?}");
        let peers: BTreeSet<_> = asked.iter().map(|(peer, ..)| *peer).collect();
        assert_eq!((peers.len(), served.accepted.load(Ordering::SeqCst)), (1, 1), "one connection for all");

        served.tick();
        to_driver.write_all(b"published\n").await.expect("the driver reads");
        assert_eq!(next().await.as_deref(), Some("heard"), "it says above what did not hold");
        let ended = timeout(PATIENCE, driver.wait()).await.expect("in time").expect("it ends");
        assert!(ended.success());
        until("every reader is gone", || served.readers() == 0).await;
    })
    .await;
}
