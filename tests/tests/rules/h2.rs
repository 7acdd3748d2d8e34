//! WebSockets and streams over HTTP/2: RFC 8441, and what h2 holds against a connection.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ::h2::client::{Builder, ResponseFuture, SendRequest};
use ::h2::ext::Protocol;
use ::h2::{Reason, RecvStream, SendStream};
use axum::Router;
use axum::extract::State;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use realtime_axum::{Inbound, Listen, Realtime, ServeConfig};
use realtime_core::Log;
use realtime_tests::client::h2::OF_CONNECTIONS;
use realtime_tests::dial::Conn;
use realtime_tests::fault::{Faulty, Plan, Way};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Handle, Origins};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::mount::{Mount, log, tick};

const PATIENCE: Duration = Duration::from_secs(120);

/// RFC 6455, section 1.3: a key and its answer.
const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const VERSION: (&str, &str) = ("sec-websocket-version", "13");
const V1: (&str, &str) = ("sec-websocket-protocol", "realtime.v1");

/// A connection; dropping it drops the connection.
struct Two {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), ::h2::Error>>,
}

impl Drop for Two {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Two {
    async fn on(io: impl Into<Conn>) -> Self {
        Self::by(&Builder::new(), io).await
    }

    async fn by(builder: &Builder, io: impl Into<Conn>) -> Self {
        let (sender, connection) = builder.handshake(io.into()).await.expect("HTTP/2");
        let driver = tokio::spawn(connection);
        while !sender.is_extended_connect_protocol_enabled() {
            assert!(!driver.is_finished(), "over before its SETTINGS");
            sleep(Duration::from_millis(1)).await;
        }
        Self { sender, driver }
    }

    async fn send(&mut self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = self.sender.clone().ready().await.expect("the connection is open");
        sender.send_request(request, ends).expect("a request that may be sent")
    }

    /// A WebSocket, or the refusal's status and headers.
    async fn connect(&mut self, protocol: Option<&'static str>, headers: &[(&str, &str)]) -> Answer {
        self.connect_at("/events", protocol, headers).await
    }

    async fn connect_at(
        &mut self,
        path: &str,
        protocol: Option<&'static str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
        request = match protocol {
            Some(name) => {
                request.uri(format!("https://realtime.test{path}")).extension(Protocol::from_static(name))
            }
            None => request.uri("realtime.test:443"),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (answer, up) = self.send(request.body(()).expect("a request"), false).await;
        let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
        let (head, down) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            up,
            down: Down { stream: down, seen: BytesMut::new() },
        }
    }

    /// An event stream.
    async fn stream(&mut self) -> Answer {
        let request = Request::get("https://realtime.test/events").header("accept", "text/event-stream");
        let (answer, up) = self.send(request.body(()).expect("a request"), true).await;
        let (head, down) = answer.await.expect("an answer").into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            up,
            down: Down { stream: down, seen: BytesMut::new() },
        }
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    up: SendStream<Bytes>,
    down: Down,
}

impl Answer {
    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are text"))
    }

    fn has_none_of_connections(&self) -> bool {
        OF_CONNECTIONS.iter().all(|name| !self.headers.contains_key(name))
    }

    /// Sends so many bytes as they are, as one DATA frame.
    fn send(&mut self, bytes: impl Into<Bytes>) {
        self.up.send_data(bytes.into(), false).expect("the stream is open");
    }
}

/// What comes down, its window granted as it is read.
struct Down {
    stream: RecvStream,
    seen: BytesMut,
}

impl Down {
    /// Reads on until this has come. The end of the stream without it is none.
    async fn until(&mut self, needle: &str) -> Result<String, Option<::h2::Error>> {
        let reading = timeout(PATIENCE, async {
            loop {
                // Byte by byte, so that the code of a Close can be looked for.
                let text: String = self.seen.iter().map(|byte| char::from(*byte)).collect();
                if text.contains(needle) {
                    return Ok(text);
                }
                match self.stream.data().await {
                    None => return Err(None),
                    Some(Err(error)) => return Err(Some(error)),
                    Some(Ok(bytes)) => {
                        self.seen.extend_from_slice(&bytes);
                        let _ = self.stream.flow_control().release_capacity(bytes.len());
                    }
                }
            }
        });
        reading.await.unwrap_or_else(|_| panic!("no {needle:?} in {:?}", self.seen))
    }

    /// Reads to the end: what came, and how it ended.
    async fn end(&mut self) -> (Vec<u8>, Option<Reason>) {
        let end = match self.until("\u{1}no such text\u{2}").await {
            Ok(_) | Err(None) => None,
            Err(Some(error)) => error.reason(),
        };
        (self.seen.to_vec(), end)
    }
}

/// A masked frame.
fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    assert!(payload.len() < 126);
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

fn close(code: u16) -> Vec<u8> {
    masked(0x88, code.to_be_bytes())
}

// ---- `serve`, in memory

struct Memory(mpsc::UnboundedReceiver<DuplexStream>);

impl Listen for Memory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(io) => Ok((io, ([192, 0, 2, 1], 7).into())),
            None => std::future::pending().await,
        }
    }
}

/// `realtime_axum::serve` over connections in memory.
pub(crate) struct Served {
    doors: mpsc::UnboundedSender<DuplexStream>,
    handle: Handle,
    running: JoinHandle<realtime_axum::Stopped>,
    stop: Option<oneshot::Sender<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Served {
    /// What is sent to `/events` is sent back, to `/deaf` never answered.
    pub(crate) fn new(log: &Log, config: ServeConfig) -> Self {
        let (mount, handle) = realtime_axum::mount().build();
        Self::of(Self::router(log, &mount), handle, config)
    }

    fn router(log: &Log, mount: &realtime_axum::Mount) -> Router {
        async fn echo(State(log): State<Log>, rt: Realtime) -> axum::response::Response {
            rt.serve(log).on_message(|message: Inbound| ready(message.json::<serde_json::Value>())).await
        }
        async fn deaf(State(log): State<Log>, rt: Realtime) -> axum::response::Response {
            rt.serve(log).on_message(|_: Inbound| std::future::pending::<()>()).await
        }
        Router::new()
            .route("/events", mount.route(echo))
            .route("/deaf", mount.route(deaf))
            .with_state(log.clone())
    }

    fn of(router: Router, handle: Handle, config: ServeConfig) -> Self {
        let (doors, connections) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let signal = async {
            if stopped.await.is_err() {
                std::future::pending().await // dropped is not stopped
            }
        };
        let server = realtime_axum::serve(Memory(connections), router, handle.clone()).config(config);
        let running = tokio::spawn(async move { server.with_graceful_shutdown(signal).await });
        Self { doors, handle, running, stop: Some(stop) }
    }

    /// Stops it gracefully; [`stopped`](Self::stopped) says how that went.
    fn stop(&mut self) {
        self.stop.take().expect("it is stopped once").send(()).expect("it runs");
    }

    async fn stopped(&mut self) -> realtime_axum::Stopped {
        (&mut self.running).await.expect("no panic")
    }

    pub(crate) fn knock(&self) -> Conn {
        let (ours, theirs) = duplex(64 * 1024);
        self.doors.send(theirs).expect("it listens");
        Box::new(ours)
    }

    pub(crate) fn readers(&self) -> u64 {
        self.handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum()
    }
}

// ---- frames of HTTP/2, byte by byte

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Type, stream and payload of every frame that came within `wait`.
pub(crate) async fn frames(io: &mut (impl AsyncRead + Unpin), wait: Duration) -> Vec<(u8, u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    let _ = timeout(wait, async { while io.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {} }).await;
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let [a, b, c, kind, _, s1, s2, s3, s4, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, next)) = after.split_at_checked(length) else { break };
        frames.push((*kind, u32::from_be_bytes([*s1, *s2, *s3, *s4]), payload.to_vec()));
        rest = next;
    }
    frames
}

/// HEADERS that end their block, every field spelt out.
pub(crate) fn headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut frame = vec![0, (block.len() >> 8) as u8, block.len() as u8, 1, 4];
    frame.extend(stream.to_be_bytes());
    frame.extend(block);
    frame
}

const EXTENDED: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/events"),
    (":authority", "realtime.test"),
    VERSION,
];

// ---- the rules

#[tokio::test(start_paused = true)]
async fn extended_connect_is_announced_and_never_taken_back() {
    case_async(
        "P-H2-01",
        "one SETTINGS with ENABLE_CONNECT_PROTOCOL, over a connection's whole life",
        async {
            let log = log();
            let served = Served::new(&log, ServeConfig::default());
            let mut io = served.knock();
            io.write_all(&[PREFACE, &headers(1, &EXTENDED)].concat()).await.expect("open");
            let seen = frames(&mut io, Duration::from_secs(60)).await;
            let values: Vec<_> = seen
                .iter()
                .filter(|(kind, ..)| *kind == 4)
                .flat_map(|(.., payload)| payload.chunks(6).filter(|set| set[..2] == [0, 8]))
                .map(|set| set[2..].to_vec())
                .collect();
            assert_eq!(values, [vec![0, 0, 0, 1]], "{seen:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_extended_connect_opens_a_websocket() {
    for protocol in ["websocket", "WebSocket"] {
        case_async("P-H2-02", &format!("{protocol} is answered 200, and frames go both ways"), async {
            let mount = Mount::new();
            let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
            let mut answer = two.connect(Some(protocol), &[VERSION, V1]).await;
            assert_eq!(answer.status, 200);
            assert!(answer.has_none_of_connections(), "{:?}", answer.headers);
            assert_eq!(answer.text("sec-websocket-accept"), None, "no key came");
            assert_eq!(answer.text("sec-websocket-protocol"), Some("realtime.v1"));
            assert!(answer.text("stream-next-offset").is_some());
            answer.down.until("$live").await.expect("the stream goes on");
            mount.publish(1..=1);
            answer.down.until(r#""data":{"n":1}"#).await.expect("the stream goes on");
            answer.send(masked(0x81, r#"{"ref":"7","data":{"x":1}}"#));
            answer.down.until(r#"{"ref":"7","event":"$reply","data":{"x":1}}"#).await.expect("a reply");
        })
        .await;
    }
    twin_async("P-H2-02", "a key that came is answered, as bridges from HTTP/1.1 want it", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let answer = two.connect(Some("websocket"), &[VERSION, KEY]).await;
        assert_eq!((answer.status, answer.text("sec-websocket-accept")), (StatusCode::OK, Some(ACCEPT)));
        assert_eq!(answer.text("sec-websocket-protocol"), None, "bare mode");
    })
    .await;
    twin_async("P-H2-02", "an Origin of the same authority, and one that is allowed", async {
        let config = Config { origins: Origins::default().allow("https://app.example"), ..Config::default() };
        let mount = Mount::with(config);
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        for origin in ["https://realtime.test", "https://app.example"] {
            let answer = two.connect(Some("websocket"), &[VERSION, ("origin", origin)]).await;
            assert_eq!(answer.status, 200, "{origin}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_handshake_over_http_2_is_refused_before_a_source_is_made() {
    for (what, headers, status) in [
        ("a foreign Origin", &[VERSION, ("origin", "https://evil.example")][..], 403),
        ("a cookie without an Origin", &[VERSION, ("cookie", "a=b")], 403),
        ("another version", &[("sec-websocket-version", "8")], 400),
        ("no version", &[], 400),
        ("a key of another length", &[VERSION, ("sec-websocket-key", "AAAA")], 400),
        ("two keys", &[VERSION, KEY, KEY], 400),
        ("extensions that do not parse", &[VERSION, ("sec-websocket-extensions", ";")], 400),
        ("subprotocols that do not parse", &[VERSION, ("sec-websocket-protocol", "a b")], 400),
    ] {
        case_async("P-H2-02", &format!("{what} is {status}"), async {
            let mount = Mount::new();
            let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
            let mut answer = two.connect(Some("websocket"), headers).await;
            assert_eq!((answer.status.as_u16(), mount.made()), (status, 0));
            assert!(answer.has_none_of_connections());
            let is_version = what.ends_with("version");
            assert_eq!(answer.text("sec-websocket-version"), is_version.then_some("13"));
            let (body, end) = answer.down.end().await;
            assert!(body.starts_with(b"{") && end.is_none(), "{body:?} {end:?}");
        })
        .await;
    }
    twin_async("P-H2-02", "the same without what was wrong", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let answer = two.connect(Some("websocket"), &[VERSION]).await;
        assert_eq!((answer.status.as_u16(), mount.made()), (200, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_ends_of_a_stream_are_the_ends_of_a_connection() {
    for (what, protocol) in [("another protocol", Some("morse")), ("no protocol", None)] {
        case_async("P-H2-03", &format!("CONNECT with {what} is 501, and the connection goes on"), async {
            let mount = Mount::new();
            let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
            let answer = two.connect(protocol, &[VERSION]).await;
            assert_eq!((answer.status.as_u16(), mount.made()), (501, 0));
            assert_eq!(two.connect(Some("websocket"), &[VERSION]).await.status, 200);
        })
        .await;
    }
    twin_async("P-H2-03", "websocket is not 501", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        assert_eq!(two.connect(Some("websocket"), &[VERSION]).await.status, 200);
    })
    .await;
    case_async("P-H2-03", "a Close is answered, and the stream ends with END_STREAM", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let mut answer = two.connect(Some("websocket"), &[VERSION]).await;
        answer.send(close(1000));
        let (seen, end) = answer.down.end().await;
        assert_eq!((&seen[..], end), (&[0x88, 2, 3, 0xe8][..], None));
        assert_eq!(mount.readers(), 0);
    })
    .await;
    case_async("P-H2-03", "END_STREAM without a Close ends it, and ours follows", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let mut answer = two.connect(Some("websocket"), &[VERSION, V1]).await;
        answer.down.until("$live").await.expect("open");
        answer.up.send_data(Bytes::new(), true).expect("open");
        let (_, end) = answer.down.end().await;
        assert_eq!((end, mount.readers()), (None, 0));
    })
    .await;
    case_async("P-H2-03", "RST_STREAM(CANCEL) ends it, and no other stream of the connection", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let mut other = two.connect(Some("websocket"), &[VERSION, V1]).await;
        let mut answer = two.connect(Some("websocket"), &[VERSION, V1]).await;
        answer.down.until("$live").await.expect("open");
        assert_eq!(mount.readers(), 2);
        answer.up.send_reset(Reason::CANCEL);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(mount.readers(), 1);
        mount.publish(1..=1);
        other.down.until(r#""data":{"n":1}"#).await.expect("it goes on");
    })
    .await;
    case_async("P-H2-03", "an end of the source is a Close, then END_STREAM", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let mut answer = two.connect(Some("websocket"), &[VERSION, V1]).await;
        mount.log.close();
        answer.down.until("$end").await.expect("it is said");
        answer.send(close(1000));
        let (_, end) = answer.down.end().await;
        assert_eq!((end, mount.readers()), (None, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_connection_have_no_place_in_http_2() {
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "5"),
    ] {
        case_async("P-H2-04", &format!("{name} in a request makes it malformed"), async {
            let mount = Mount::new();
            let mut io = Box::new(mount.host.connect()) as Conn;
            let fields = [&EXTENDED[..], &[(name, value)]].concat();
            io.write_all(&[PREFACE, &headers(1, &fields)].concat()).await.expect("open");
            let seen = frames(&mut io, Duration::from_secs(5)).await;
            let reset = seen.iter().find(|(kind, stream, _)| (*kind, *stream) == (3, 1));
            assert_eq!(
                reset.map(|(.., code)| &code[..]),
                Some(&[0, 0, 0, 1][..]),
                "PROTOCOL_ERROR: {seen:?}"
            );
            assert_eq!(mount.made(), 0);
        })
        .await;
    }
    case_async("P-H2-04", "the same request without them is answered by HEADERS that have none", async {
        let mount = Mount::new();
        let mut two = Two::on(Box::new(mount.host.connect()) as Conn).await;
        let answers = [
            two.connect(Some("websocket"), &[VERSION, KEY]).await,
            two.stream().await,
            two.connect(None, &[]).await,
        ];
        for answer in &answers {
            assert!(answer.has_none_of_connections(), "{:?}", answer.headers);
        }
        assert_eq!(answers.map(|answer| answer.status.as_u16()), [200, 200, 501]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_way_of_mounting_lets_connect_through_and_a_layer_takes_no_tunnel_of_others() {
    let log = log();
    let (layer, handle) = realtime_tower::builder().source(log.clone()).layer();
    // A success would open the tunnel.
    let page = axum::routing::any(async || StatusCode::IM_A_TEAPOT);
    let nested = Router::new().route("/in", realtime_axum::source(log.clone()));
    let router = Router::new()
        .route("/events", page.layer(layer))
        .route_service("/service", realtime_tower::Realtime::new(log.clone()))
        .route("/source", realtime_axum::source(log.clone()))
        .nest("/nested", nested);
    let served = Served::of(router, handle, ServeConfig::default());
    let mut two = Two::on(served.knock()).await;
    for path in ["/events", "/service", "/source", "/nested/in"] {
        case_async("P-H2-02", &format!("{path} is reached by CONNECT"), async {
            let mut answer = two.connect_at(path, Some("websocket"), &[VERSION, V1]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text("sec-websocket-protocol")),
                (200, Some("realtime.v1"))
            );
            answer.down.until("$live").await.expect("it goes on");
        })
        .await;
    }
    case_async("P-H2-03", "another tunnel reaches the service inside of a layer, with a cursor too", async {
        for path in ["/events", "/events?offset=now"] {
            let answer = two.connect_at(path, Some("morse"), &[("accept", "text/event-stream")]).await;
            assert_eq!(answer.status, StatusCode::IM_A_TEAPOT, "{path}");
        }
    })
    .await;
}

/// As many DATA frames as messages; what h2 allows to wait is some 2,000 of them.
const BURST: u32 = 10_000;

#[tokio::test(start_paused = true)]
async fn a_burst_of_tiny_messages_is_taken_in() {
    case_async("P-H2-05", "10,000 tiny messages in a burst are each answered", async {
        let served = Served::new(&log(), ServeConfig::default());
        let mut two = Two::on(served.knock()).await;
        let mut answer = two.connect(Some("websocket"), &[VERSION]).await;
        for n in 0..BURST {
            answer.send(masked(0x81, n.to_string()));
        }
        let last = (BURST - 1).to_string();
        let text = answer.down.until(&last).await.expect("the connection lives");
        let replies: Vec<_> = text.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
        assert_eq!(replies.len(), BURST as usize);
    })
    .await;
    case_async(
        "P-H2-05",
        "a flood that its handler does not take ends that WebSocket, and no other stream",
        async {
            let log = log();
            let served = Served::new(&log, ServeConfig::default());
            let mut two = Two::on(served.knock()).await;
            let mut other = two.stream().await;
            let Answer { mut up, mut down, .. } =
                two.connect_at("/deaf", Some("websocket"), &[VERSION]).await;
            for n in 0..BURST {
                up.send_data(masked(0x81, n.to_string()).into(), false).expect("the stream is open");
            }
            down.until("\u{3}\u{f0}").await.expect("1008");
            log.publish(tick(1)).expect("open");
            other.down.until(r#"data: {"n":1}"#).await.expect("it goes on");
            up.send_data(close(1008).into(), true).expect("the stream is open");
            let (_, end) = down.end().await;
            // What came before the Close is given the close time-out.
            sleep(Duration::from_secs(6)).await;
            assert_eq!((end, served.readers()), (None, 1));
        },
    )
    .await;
    case_async("P-H2-05", "large messages that their handler does not take wait, and nothing ends", async {
        let log = log();
        let served = Served::new(&log, ServeConfig::default());
        let (io, link) = Faulty::new(served.knock(), Plan::default());
        let mut two = Two::on(Box::new(io) as Conn).await;
        let mut other = two.stream().await;
        let Answer { mut up, mut down, .. } = two.connect_at("/deaf", Some("websocket"), &[VERSION]).await;
        let text = format!("\"{}\"", "x".repeat(30_000));
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((text.len() as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        for _ in 0..100 {
            up.send_data(frame.clone().into(), false).expect("the stream is open");
        }
        sleep(Duration::from_secs(20)).await;
        log.publish(tick(1)).expect("open");
        for stream in [&mut down, &mut other.down] {
            stream.until(r#"{"n":1}"#).await.expect("it goes on");
        }
        assert_eq!(served.readers(), 2);
        // Two messages that wait, one that is handled, what is read ahead, and the window: the rest is with the client.
        let sent = link.bytes(Way::Up);
        assert!((3 * 30_000 + 64 * 1024..600_000).contains(&sent), "{sent} of 3,000,000 bytes have gone");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_grants_no_window_is_given_up_and_holds_up_nobody() {
    case_async(
        "P-H2-06",
        "WebSockets without a window end at their write deadline, and others are served",
        async {
            let log = log();
            let served = Served::new(&log, ServeConfig::default());
            let mut builder = Builder::new();
            builder.initial_window_size(0);
            let mut two = Two::by(&builder, served.knock()).await;
            let stalled = two.connect(Some("websocket"), &[VERSION, V1]).await;
            let other = two.connect(Some("websocket"), &[VERSION, V1]).await;
            assert_eq!(served.readers(), 2);
            for n in 1..=2_000 {
                log.publish(tick(n)).expect("open");
            }
            sleep(Duration::from_secs(12)).await;
            assert_eq!(served.readers(), 0, "both have taken nothing for 10 s");
            drop((stalled, other));
            let mut again = Two::on(served.knock()).await;
            let mut answer = again.stream().await;
            log.publish(tick(0)).expect("open");
            answer.down.until(r#"data: {"n":0}"#).await.expect("others are served");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_tells_every_stream_of_a_connection() {
    case_async("P-WF-08", "1001 over HTTP/2, `$end` over SSE, and the end of both streams", async {
        let log = log();
        let served = Served::new(&log, ServeConfig::default());
        let mut two = Two::on(served.knock()).await;
        let mut socket = two.connect(Some("websocket"), &[VERSION, V1]).await;
        let mut stream = two.stream().await;
        socket.down.until("$live").await.expect("open");
        stream.down.until("$live").await.expect("open");
        let handle = served.handle.clone();
        let drained = tokio::spawn(async move { handle.drain(Duration::from_secs(10)).await });
        socket.down.until("$end").await.expect("told");
        socket.down.until("\u{3}\u{e9}").await.expect("1001");
        stream.down.until(r#""reason":"drain""#).await.expect("told");
        socket.send(close(1001));
        assert_eq!((socket.down.end().await.1, stream.down.end().await.1), (None, None));
        let drained = drained.await.expect("no panic");
        assert_eq!((drained.told, drained.left), (2, 0));
    })
    .await;
}

/// The frames of a raw client with an event stream, from here on.
async fn an_event_stream(served: &Served) -> Conn {
    let mut io = served.knock();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/events"),
        (":authority", "a"),
        ("accept", "text/event-stream"),
    ];
    let mut asked = headers(1, &fields);
    asked[4] |= 1; // END_STREAM beside END_HEADERS
    io.write_all(&[PREFACE, &asked].concat()).await.expect("open");
    let seen = frames(&mut io, Duration::from_secs(1)).await;
    let has_begun = |(kind, stream, _): &(u8, u32, Vec<u8>)| (*kind, *stream) == (DATA, 1);
    assert!(seen.iter().any(has_begun) && !seen.iter().any(|(kind, ..)| *kind == GOAWAY), "{seen:?}");
    io
}

const DATA: u8 = 0;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// The last stream and the code of every GOAWAY.
fn goaways(seen: &[(u8, u32, Vec<u8>)]) -> Vec<(u32, u32)> {
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).expect("four bytes");
    let goaways = seen.iter().filter(|(kind, ..)| *kind == GOAWAY);
    goaways.map(|(.., payload)| (number(&payload[..4]), number(&payload[4..8]))).collect()
}

/// G-19, over HTTP/2 (RFC 9113, section 6.8): the first GOAWAY says that no request more is taken, the second which was the last.
#[tokio::test(start_paused = true)]
async fn a_stop_says_goaway_on_every_connection_and_nothing_else_does() {
    let mut served = Served::new(&log(), ServeConfig::default());
    let mut ios = [an_event_stream(&served).await, an_event_stream(&served).await];

    // A mount that is drained is no server that stops: others may be on the same connection.
    let (log, deaf) = (log(), Served::new(&log(), ServeConfig::default()));
    log.publish(tick(0)).expect("open");
    let mut kept = an_event_stream(&deaf).await;
    assert_eq!(deaf.handle.drain(Duration::from_secs(10)).await.left, 0);
    // Not for long: who answers no PING of `serve` is taken for dead.
    let seen = frames(&mut kept, Duration::from_secs(5)).await;
    let text = |seen: &[(u8, u32, Vec<u8>)]| {
        let data = seen.iter().filter(|(kind, ..)| *kind == DATA).flat_map(|(.., payload)| payload.clone());
        String::from_utf8(data.collect()).expect("text")
    };
    assert!(text(&seen).contains(r#""reason":"drain""#) && goaways(&seen).is_empty(), "{seen:?}");

    served.stop();
    for io in &mut ios {
        let seen = frames(io, Duration::from_secs(5)).await;
        assert!(text(&seen).contains(r#""reason":"drain""#), "{seen:?}");
        assert_eq!(goaways(&seen), [((1 << 31) - 1, 0)], "{seen:?}");
        let ping = seen.iter().find(|(kind, ..)| *kind == PING).expect("a PING behind it");
        io.write_all(&[&[0, 0, 8, PING, 1, 0, 0, 0, 0], &ping.2[..]].concat()).await.expect("open");
    }
    for io in &mut ios {
        assert_eq!(goaways(&frames(io, Duration::from_secs(5)).await), [(1, 0)]);
        assert_eq!(io.read(&mut [0]).await.expect("a clean end"), 0);
    }
    let stopped = served.stopped().await;
    assert_eq!((stopped.told, stopped.readers_left, stopped.connections_left), (2, 0, 0));
}
