//! A tiny server, written by hand from the wire: what the kit proves itself against. It holds a list of entries that
//! never changes while it is read, and says what is trimmed.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::util::BoxCloneSyncService;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The entries (cursor, JSON) of a tiny server, the place that all before is lost, and the largest page.
#[derive(Clone)]
pub(crate) struct Tiny {
    pub(crate) entries: Arc<Vec<(String, String)>>,
    pub(crate) lost_to: Option<String>,
    pub(crate) page_max: usize,
    pub(crate) asked: Arc<Mutex<Vec<HeaderMap>>>,
}

/// The n-th cursor, as the wire has them; 0 is the place before the first entry.
pub(crate) fn cursor(n: u32) -> String {
    format!("{:016x}.{:016x}", 0xfeed, n)
}

impl Tiny {
    pub(crate) fn of(entries: u32) -> Self {
        let entries = (1..=entries).map(|n| (cursor(n), format!(r#"{{"n": {n}, "s":"ä\r"}}"#))).collect();
        Self { entries: Arc::new(entries), lost_to: None, page_max: usize::MAX, asked: Arc::default() }
    }

    pub(crate) fn service(&self) -> BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible> {
        let tiny = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request| future::ready(Ok(tiny.answer(request)))))
    }

    fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        self.asked.lock().unwrap().push(request.headers().clone());
        let text =
            |name| request.headers().get(name).map(|v: &http::HeaderValue| v.to_str().unwrap().to_owned());
        let offset = request.uri().query().and_then(|q| q.strip_prefix("offset=")).map(str::to_owned);
        let came = text("last-event-id").or(offset).unwrap_or_else(|| cursor(0));
        let fresh = came == "-1";
        let came = if fresh { cursor(0) } else { came };
        let mut from = came.clone();
        let gap = self.lost_to.clone().filter(|lost| !fresh && *lost > from);
        let gap_json =
            gap.as_ref().map(|to| format!(r#"{{"reason":"trimmed","from":"{from}","to":"{to}"}}"#));
        if let Some(lost) = &self.lost_to {
            from = from.max(lost.clone());
        }
        let mut due: Vec<_> = self.entries.iter().filter(|(id, _)| *id > from).cloned().collect();
        let outcome = if fresh { "fresh" } else { gap.as_ref().map_or("resumed", |_| "gap") };
        let open = format!(r#"{{"cursor":"{came}","outcome":"{outcome}","heartbeatMs":20000}}"#);
        let last = due.last().map_or(from.clone(), |(id, _)| id.clone());

        if let Some(key) = text("sec-websocket-key") {
            let open_id = if gap.is_some() { String::new() } else { format!(r#""id":"{came}","#) };
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let io = TokioIo::new(upgrade.await.unwrap());
                let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                let mut lines = vec![format!(r#"{{{open_id}"event":"$open","data":{open}}}"#)];
                lines.extend(gap.zip(gap_json).map(|(to, gap)| control("$gap", &to, &gap)));
                lines.extend(due.iter().map(|(id, data)| envelope(id, data)));
                lines.push(control("$live", &last, &format!(r#"{{"cursor":"{last}"}}"#)));
                for line in lines {
                    if socket.send(line.into()).await.is_err() {
                        return;
                    }
                }
                while socket.next().await.is_some() {}
            });
            let head = Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket");
            let head = head.header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
            return head.header("sec-websocket-protocol", "realtime.v1").body(full("")).unwrap();
        }
        if text("accept").as_deref() == Some("text/event-stream") {
            let id = if gap.is_some() { String::new() } else { format!("id: {came}\n") };
            let mut text = format!(": hello\n\nretry: 500\n{id}event: $open\ndata: {open}\n\n");
            if let (Some(to), Some(gap)) = (gap, gap_json) {
                text += &format!("id: {to}\nevent: $gap\ndata: {gap}\n\n");
            }
            for (id, data) in &due {
                text += &format!("id: {id}\ndata: {data}\n\n");
            }
            text += &format!("id: {last}\nevent: $live\ndata: {{\"cursor\":\"{last}\"}}\n\n");
            let frame = future::ready(Ok(Frame::data(Bytes::from(text))));
            let body =
                StreamBody::new(futures_util::stream::once(frame).chain(futures_util::stream::pending()));
            return Response::builder()
                .header("content-type", "text/event-stream")
                .body(body.boxed_unsync())
                .unwrap();
        }
        let etag = format!(r#"W/"{from}-{last}""#);
        if due.is_empty() && gap_json.is_none() {
            if text("if-none-match").as_deref() == Some(&etag) {
                return Response::builder()
                    .status(304)
                    .header("stream-next-offset", &last)
                    .body(full(""))
                    .unwrap();
            }
            if text("prefer").is_some() {
                return Response::builder()
                    .status(204)
                    .header("stream-next-offset", &last)
                    .body(full(""))
                    .unwrap();
            }
        }
        let cut = due.len() > self.page_max;
        due.truncate(self.page_max);
        let next = due.last().map_or(from.clone(), |(id, _)| id.clone());
        let events: Vec<_> = due.iter().map(|(id, data)| envelope(id, data)).collect();
        let gap = gap_json.map_or(String::new(), |gap| format!(r#""gap":{gap},"#));
        let (events, live) = (events.join(","), !cut);
        let body =
            format!(r#"{{{gap}"events":[{events}],"next":"{next}","upToDate":{live},"closed":false}}"#);
        let mut head = Response::builder().header("etag", etag).header("stream-next-offset", next);
        if live {
            head = head.header("stream-up-to-date", "true");
        }
        head.body(full(body)).unwrap()
    }
}

fn control(name: &str, id: &str, data: &str) -> String {
    format!(r#"{{"id":"{id}","event":"{name}","data":{data}}}"#)
}

fn envelope(id: &str, data: &str) -> String {
    format!(r#"{{"id":"{id}","data":{data}}}"#)
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}
