//! A proxy that compresses: events still come as they are published, and pages are still what they were.

use std::io::Write;
use std::time::Duration;

use flate2::write::GzDecoder;
use http::{HeaderValue, Method, StatusCode, header};
use realtime_tests::client::http::Answer;
use realtime_tests::client::{Place, Seen, Target, Transport};
use realtime_tests::rules::case_async;

use crate::app::{App, Knobs, World};
use crate::client::{connect, eventually, is_event, patient, until};
use crate::proxy::{Conf, Kind, Proxy};

const NGINX: &str = "gzip on; gzip_min_length 1; gzip_types text/event-stream application/json;";

/// Compresses all that we send, where it may.
fn start(kind: Kind, app: &App) -> Proxy {
    let haproxy = "compression algo gzip\n    compression type text/event-stream application/json";
    Conf::shipped(kind).and(NGINX, haproxy, "").start(app.addr)
}

fn asking(proxy: &Proxy) -> Target {
    let mut target = proxy.target();
    target.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    target
}

/// A compressed event stream, read as it comes.
struct Stream {
    answer: Answer,
    decoder: GzDecoder<Vec<u8>>,
}

impl Stream {
    async fn open(target: &Target) -> Self {
        let request =
            target.request(Method::GET, &Place::Earliest).header(header::ACCEPT, "text/event-stream");
        let answer = patient("a stream", target.send(request, "")).await.unwrap();
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "else this test shows nothing");
        Self { answer, decoder: GzDecoder::new(Vec::new()) }
    }

    /// Reads until the text holds this line.
    async fn comes_to(&mut self, line: &str) {
        loop {
            self.decoder.flush().unwrap();
            if String::from_utf8_lossy(self.decoder.get_ref()).contains(line) {
                return;
            }
            let piece = self.answer.piece().await.unwrap().expect("the event comes before the end");
            self.decoder.write_all(&piece).unwrap();
        }
    }
}

#[tokio::test]
async fn a_stream_that_nginx_compresses_is_not_held_back() {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs::default());
    let proxy = start(Kind::Nginx, &app);
    case_async("P-PX-01", "nginx compresses the stream, and each event still comes alone", async {
        let mut stream = Stream::open(&asking(&proxy)).await;
        for _ in 0..20 {
            let line = format!("id: {}\n", world.publish());
            patient("each event", stream.comes_to(&line)).await;
        }
    })
    .await;
}

/// What our header protects from: an nginx that is deaf to it compresses until it has enough.
#[tokio::test]
async fn a_stream_that_a_deaf_nginx_compresses_is_held_back() {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs { heartbeat: Duration::from_secs(600), ..Knobs::default() });
    let deaf = format!("{NGINX} proxy_ignore_headers X-Accel-Buffering;");
    let proxy = Conf::shipped(Kind::Nginx).and(&deaf, "", "").start(app.addr);
    let target = asking(&proxy);
    let opening = tokio::spawn(async move { Stream::open(&target).await });
    eventually("the stream is asked for", || app.streams() == 1).await;
    let line = format!("id: {}\n", world.publish());
    let reading = tokio::spawn(async move { opening.await.unwrap().comes_to(&line).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!reading.is_finished());
    world.log.close();
    patient("at the end it lets go", reading).await.unwrap();
}

/// `no-transform` is on every stream, and haproxy keeps to it.
#[tokio::test]
async fn a_stream_is_left_as_it_is_by_a_haproxy_that_compresses() {
    let mut world = World::new();
    let app = App::start(&world.log, Knobs::default());
    let proxy = start(Kind::Haproxy, &app);
    case_async("P-PX-01", "haproxy compresses, but no stream", async {
        let target = asking(&proxy);
        let page = target.request(Method::GET, &Place::Earliest).header(header::ACCEPT, "application/json");
        world.publish();
        let page = target.send(page, "").await.unwrap();
        assert_eq!(page.header("content-encoding"), Some("gzip"), "else this test shows nothing");
        let mut reader = connect(Transport::Sse, &target, Place::Live).await;
        until(&mut reader, "live", Seen::caught_up).await;
        for _ in 0..20 {
            let id = world.publish();
            until(&mut reader, "each event", is_event(&id)).await;
        }
    })
    .await;
}

/// The tag of a page is weak, so that a compressed page may keep it, and it is known again.
#[tokio::test]
async fn a_compressed_page_is_the_same_page_and_known_by_its_tag() {
    // Varnish compresses what it is told to in another part of its config; as it is shipped it leaves all alone.
    for kind in [Kind::Nginx, Kind::Haproxy] {
        let mut world = World::new();
        let app = App::start(&world.log, Knobs::default());
        let proxy = start(kind, &app);
        let target = asking(&proxy);
        let page =
            |place: &Place| target.request(Method::GET, place).header(header::ACCEPT, "application/json");
        let newest = Place::After(world.publish());

        let answer = target.send(page(&Place::Earliest), "").await.unwrap();
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{kind:?}");
        assert!(answer.header("stream-next-offset").is_some(), "{kind:?}");
        let mut decoder = GzDecoder::new(Vec::new());
        decoder.write_all(&answer.whole().await.unwrap()).unwrap();
        let page_there: serde_json::Value = serde_json::from_slice(&decoder.finish().unwrap()).unwrap();
        assert_eq!(page_there["next"], newest.cursor().unwrap(), "{kind:?}");

        let answer = target.send(page(&newest), "").await.unwrap();
        let tag = answer.headers.get(header::ETAG).expect("a page has a tag").clone();
        let again = target.send(page(&newest).header(header::IF_NONE_MATCH, tag), "").await.unwrap();
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{kind:?}");
    }
}
