//! One event or one control as one JSON message: what poll, WebSocket and the data channels share.
//!
//! ```json
//! {"id":"000000000000feed.0000000000000007","event":"tick","topic":"clock","data":42}
//! ```
//!
//! Members stand in this order and are left out where they say nothing: `id`, `event` (absent for the name
//! `message`), `topic`, `key` (of a topic that keeps the latest per key), `encoding` (`base64` for binary payloads),
//! `data`. Controls are messages whose `event` starts with `$`.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::cursor::Cursor;
use crate::entry::{Entry, Format};
use crate::event::{DEFAULT_NAME, Payload};
use crate::feed::{Gap, Opened};

/// The format under which entries keep their envelope: `entry.encoded(envelope::FORMAT, envelope::event)`.
pub const FORMAT: Format = Format::new("realtime-core/envelope");

/// Where the id of an event's message begins: what is before and after it is the same for all readers, whatever else a
/// transport puts behind the cursor.
///
/// ```
/// use realtime_core::{Cursor, Entry, Event, envelope};
///
/// let message = envelope::event(&Entry::new(Cursor::new(1, 2), Event::text("note", "hi")?));
/// assert!(message[envelope::ID_AT..].starts_with(Cursor::new(1, 2).to_string().as_bytes()));
/// # Ok::<(), realtime_core::EventError>(())
/// ```
pub const ID_AT: usize = ID.len();

const ID: &str = "{\"id\":\"";

/// An event as one message.
///
/// ```
/// use realtime_core::{Cursor, Entry, Event, envelope};
///
/// let entry = Entry::new(Cursor::new(1, 2), Event::text("note", "a \"b\"")?);
/// let message = entry.encoded(envelope::FORMAT, envelope::event);
/// assert_eq!(message, r#"{"id":"0000000000000001.0000000000000002","event":"note","data":"a \"b\""}"#);
/// # Ok::<(), realtime_core::EventError>(())
/// ```
pub fn event(entry: &Entry) -> Bytes {
    let mut out = Vec::with_capacity(96 + entry.event().payload().bytes().len());
    write_event(entry, &mut out);
    out.into()
}

/// Writes what [`event`] makes, for a codec that puts more around it.
///
/// ```
/// use realtime_core::{Cursor, Entry, Event, envelope};
///
/// let entry = Entry::new(Cursor::new(1, 2), Event::json("tick", &7)?);
/// let mut out = b"message: ".to_vec();
/// envelope::write_event(&entry, &mut out);
/// assert!(out.ends_with(br#""event":"tick","data":7}"#));
/// # Ok::<(), realtime_core::EventError>(())
/// ```
pub fn write_event(entry: &Entry, out: &mut Vec<u8>) {
    let event = entry.event();
    out.extend_from_slice(ID.as_bytes());
    out.extend_from_slice(entry.cursor().to_string().as_bytes());
    out.push(b'"');
    if event.name() != DEFAULT_NAME {
        member(out, "event", event.name());
    }
    if let Some(topic) = event.topic() {
        member(out, "topic", topic.as_str());
    }
    if let Some(key) = event.key() {
        member(out, "key", key);
    }
    if matches!(event.payload(), Payload::Binary(_)) {
        member(out, "encoding", "base64");
    }
    out.extend_from_slice(b",\"data\":");
    write_payload(event.payload(), out);
    out.push(b'}');
}

/// Writes a payload as one JSON value: JSON as it is, text as a string, binary as a string of base64.
///
/// ```
/// use realtime_core::{Event, envelope};
///
/// let mut out = Vec::new();
/// envelope::write_payload(Event::text("note", "hi")?.payload(), &mut out);
/// assert_eq!(out, b"\"hi\"");
/// # Ok::<(), realtime_core::EventError>(())
/// ```
pub fn write_payload(payload: &Payload, out: &mut Vec<u8>) {
    match payload {
        Payload::Json(json) => out.extend_from_slice(json),
        Payload::Text(text) => string(out, &String::from_utf8_lossy(text)),
        Payload::Binary(bytes) => string(out, &STANDARD.encode(bytes)),
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    string(out, value);
}

fn string(out: &mut Vec<u8>, value: &str) {
    // A string always turns into JSON, and a Vec takes every byte.
    let _ = serde_json::to_writer(out, value);
}

/// What the server says besides events.
///
/// ```
/// use realtime_core::{Cursor, envelope::Control};
///
/// let here = Cursor::new(1, 2);
/// assert_eq!(
///     Control::Live(here).message(),
///     r#"{"id":"0000000000000001.0000000000000002","event":"$live","data":{"cursor":"0000000000000001.0000000000000002"}}"#,
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// `$open`: the place before the first event, and how the stream begins.
    Open {
        /// Where the reader stands.
        opened: Opened,
        /// Whether the reader came with a cursor.
        resumed: bool,
        /// The longest pause to expect between two messages.
        heartbeat: Duration,
    },
    /// `$gap`: events that are gone.
    Gap(Gap),
    /// `$live`: everything up to here has been sent.
    Live(Cursor),
    /// `$ping`: nothing new; the place may have moved.
    Ping(Cursor),
    /// `$end`: nothing follows on this connection.
    End {
        /// The client's place.
        cursor: Option<Cursor>,
        /// Why.
        reason: EndReason,
        /// When to come back; never, when there is nothing to come back for.
        retry: Option<Duration>,
    },
}

/// Why a stream ended.
///
/// ```
/// assert_eq!(realtime_core::envelope::EndReason::Drain.as_str(), "drain");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The source is closed and all of it was sent.
    Closed,
    /// The server is going away.
    Drain,
    /// The source failed or cannot be had now.
    Source,
    /// The reader's permission ended.
    Expired,
    /// The reader did not keep up.
    Slow,
}

impl EndReason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Drain => "drain",
            Self::Source => "source",
            Self::Expired => "expired",
            Self::Slow => "slow",
        }
    }
}

impl Control {
    /// The event name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "$open",
            Self::Gap(_) => "$gap",
            Self::Live(_) => "$live",
            Self::Ping(_) => "$ping",
            Self::End { .. } => "$end",
        }
    }

    /// The client's place once it has this message: controls repeat a place and never mint one. `$open` with a gap
    /// has none, or a cut before the `$gap` behind it would lose the gap.
    pub fn id(&self) -> Option<Cursor> {
        match self {
            Self::Open { opened, .. } => opened.gap.is_none().then_some(opened.cursor),
            Self::Gap(gap) => Some(gap.to),
            Self::Live(cursor) | Self::Ping(cursor) => Some(*cursor),
            Self::End { cursor, .. } => *cursor,
        }
    }

    /// The payload: a JSON object.
    pub fn data(&self) -> String {
        self.data_with(|cursor| cursor)
    }

    /// The payload, with every cursor written as `text` has it.
    pub fn data_with<T: Display>(&self, text: impl Fn(Cursor) -> T) -> String {
        match self {
            Self::Open { opened, resumed, heartbeat } => {
                let outcome = match (opened.gap, resumed) {
                    (Some(_), _) => "gap",
                    (None, true) => "resumed",
                    (None, false) => "fresh",
                };
                format!(
                    r#"{{"cursor":"{}","outcome":"{outcome}","heartbeatMs":{}}}"#,
                    text(opened.cursor),
                    heartbeat.as_millis()
                )
            }
            Self::Gap(gap) => gap_with(gap, text),
            Self::Live(cursor) | Self::Ping(cursor) => format!(r#"{{"cursor":"{}"}}"#, text(*cursor)),
            Self::End { reason, retry, .. } => {
                let retry = retry.map_or("false".to_owned(), |pause| pause.as_millis().to_string());
                format!(r#"{{"reason":"{}","retry":{retry}}}"#, reason.as_str())
            }
        }
    }

    /// The whole message.
    pub fn message(&self) -> String {
        self.message_with(|cursor| cursor)
    }

    /// The whole message, with every cursor written as `text` has it: a transport may put something behind it.
    ///
    /// ```
    /// use realtime_core::{Cursor, envelope::Control};
    ///
    /// let signed = Control::Live(Cursor::new(1, 2)).message_with(|cursor| format!("{cursor}-tag"));
    /// assert!(signed.starts_with(r#"{"id":"0000000000000001.0000000000000002-tag","event":"$live""#));
    /// ```
    pub fn message_with<T: Display>(&self, text: impl Fn(Cursor) -> T) -> String {
        let (name, data) = (self.name(), self.data_with(&text));
        match self.id().map(text) {
            Some(id) => format!(r#"{{"id":"{id}","event":"{name}","data":{data}}}"#),
            None => format!(r#"{{"event":"{name}","data":{data}}}"#),
        }
    }
}

/// A gap as a JSON object: the data of `$gap` and the member `gap` of a poll's answer.
///
/// ```
/// use realtime_core::{Cursor, Gap, GapReason, envelope};
///
/// let gap = Gap::new(GapReason::Epoch, None, Cursor::new(1, 0));
/// assert_eq!(
///     envelope::gap(&gap),
///     r#"{"reason":"epoch","from":null,"to":"0000000000000001.0000000000000000"}"#,
/// );
/// ```
pub fn gap(gap: &Gap) -> String {
    gap_with(gap, |cursor| cursor)
}

/// The same, with every cursor written as `text` has it.
pub fn gap_with<T: Display>(gap: &Gap, text: impl Fn(Cursor) -> T) -> String {
    let from = gap.from.map_or("null".to_owned(), |from| format!("\"{}\"", text(from)));
    format!(r#"{{"reason":"{}","from":{from},"to":"{}"}}"#, gap.reason.as_str(), text(gap.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::feed::GapReason;
    use crate::topic::Topic;

    fn message(event: Event) -> serde_json::Value {
        let entry = Entry::new(Cursor::new(1, 2), event);
        let bytes = super::event(&entry);
        assert!(!bytes.contains(&b'\n'), "one message, one line: {bytes:?}");
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn every_payload_reads_back() {
        let id = Cursor::new(1, 2).to_string();
        let text = "a\nb\r\u{2028}\"\\\0é";
        assert_eq!(
            message(Event::text("message", text).unwrap()),
            serde_json::json!({"id": id, "data": text})
        );
        assert_eq!(
            message(Event::binary("b", vec![0, 255, 10]).unwrap()),
            serde_json::json!({"id": id, "event": "b", "encoding": "base64", "data": "AP8K"})
        );
        let raw = serde_json::value::RawValue::from_string("[1,\r\n \"a\\nb\"]".to_owned()).unwrap();
        let event = Event::raw_json("raw", raw).unwrap().with_topic(Topic::new("t\"x").unwrap());
        let event = event.with_key("k").unwrap();
        assert_eq!(
            message(event),
            serde_json::json!({"id": id, "event": "raw", "topic": "t\"x", "key": "k", "data": [1, "a\nb"]})
        );
    }

    #[test]
    fn an_open_with_a_gap_has_no_id_and_the_gap_has_its_to() {
        let (came, to) = (Cursor::new(1, 2), Cursor::new(9, 0));
        let gap = Gap::new(GapReason::Epoch, Some(came), to);
        let open = Control::Open {
            opened: Opened::new(came).with_gap(gap),
            resumed: true,
            heartbeat: Duration::from_secs(15),
        };
        assert_eq!(
            open.message(),
            format!(
                r#"{{"event":"$open","data":{{"cursor":"{came}","outcome":"gap","heartbeatMs":15000}}}}"#
            )
        );
        assert_eq!(Control::Gap(gap).id(), Some(to));
        for control in [
            open,
            Control::Gap(gap),
            Control::Gap(Gap::new(GapReason::Source, None, to)),
            Control::Ping(to),
            Control::End {
                cursor: Some(to),
                reason: EndReason::Drain,
                retry: Some(Duration::from_millis(1500)),
            },
            Control::End { cursor: None, reason: EndReason::Closed, retry: None },
        ] {
            let value: serde_json::Value = serde_json::from_str(&control.message()).unwrap();
            assert_eq!(value["event"], control.name());
            assert!(value["data"].is_object());
        }
    }

    #[test]
    fn an_end_says_why_in_a_word_of_the_wire_and_when_to_come_back() {
        let at = Cursor::new(1, 2);
        for (reason, word) in [
            (EndReason::Closed, "closed"),
            (EndReason::Drain, "drain"),
            (EndReason::Source, "source"),
            (EndReason::Expired, "expired"),
            (EndReason::Slow, "slow"),
        ] {
            let retry = (reason != EndReason::Closed).then_some(Duration::from_millis(1500));
            let end = Control::End { cursor: Some(at), reason, retry };
            let again = if retry.is_some() { "1500" } else { "false" };
            assert_eq!(end.data(), format!(r#"{{"reason":"{word}","retry":{again}}}"#));
            assert_eq!((reason.as_str(), end.id()), (word, Some(at)));
        }
    }

    #[test]
    fn a_gap_is_the_same_object_in_a_page_and_in_a_stream() {
        let told = Gap::new(GapReason::Overflow, Some(Cursor::new(1, 2)), Cursor::new(1, 9));
        let (from, to) = (Cursor::new(1, 2), Cursor::new(1, 9));
        let expected = format!(r#"{{"reason":"overflow","from":"{from}","to":"{to}"}}"#);
        assert_eq!([gap(&told), Control::Gap(told).data()], [expected.clone(), expected]);
    }

    #[test]
    fn every_control_has_a_name_of_its_own_and_the_place_it_repeats() {
        let at = Cursor::new(1, 2);
        let open =
            Control::Open { opened: Opened::new(at), resumed: true, heartbeat: Duration::from_secs(15) };
        assert_eq!(open.data(), format!(r#"{{"cursor":"{at}","outcome":"resumed","heartbeatMs":15000}}"#));
        for (control, name) in [
            (open, "$open"),
            (Control::Gap(Gap::new(GapReason::Trimmed, None, at)), "$gap"),
            (Control::Live(at), "$live"),
            (Control::Ping(at), "$ping"),
            (Control::End { cursor: Some(at), reason: EndReason::Slow, retry: None }, "$end"),
        ] {
            assert_eq!((control.name(), control.id()), (name, Some(at)));
            assert!(control.message().starts_with(&format!(r#"{{"id":"{at}","event":"{name}","data":{{"#)));
        }
    }
}
