//! JSON messages into typed ones: the envelope of `docs/wire.md`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use realtime_core::envelope::EndReason;
use realtime_core::{Cursor, DEFAULT_NAME, Gap, GapReason};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Unexpected;
use super::message::{Data, Event, Message, Outcome, Reply};
use crate::signed::Tag;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<'a> {
    pub(super) id: Option<String>,
    #[serde(rename = "ref", borrow)]
    reference: Option<&'a RawValue>,
    event: Option<String>,
    topic: Option<String>,
    key: Option<String>,
    encoding: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenData {
    cursor: String,
    outcome: String,
    heartbeat_ms: u64,
}

#[derive(Deserialize)]
struct GapData {
    reason: String,
    from: Option<String>,
    to: String,
}

#[derive(Deserialize)]
struct PlaceData {
    cursor: String,
}

#[derive(Deserialize)]
struct EndData {
    reason: String,
    retry: serde_json::Value,
}

#[derive(Deserialize)]
struct ErrorData {
    status: u16,
    title: String,
}

impl Envelope<'_> {
    /// Whether it is of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.event.as_deref() == Some(name)
    }
}

/// One whole message of `realtime.v1`.
pub(super) fn message(text: &str) -> Result<Message, Unexpected> {
    let envelope: Envelope<'_> = read(text)?;
    let id = envelope.id.as_deref().map(cursor).transpose()?;
    match envelope.event.as_deref() {
        Some("$reply") => Ok(Message::Reply(reply(&envelope)?)),
        Some(name) if name.starts_with('$') => control(name, id, envelope.data.map_or("null", RawValue::get)),
        _ => event(envelope, id).map(Message::Event),
    }
}

/// The place that a message of `realtime.v1` says, as it stands there.
pub(super) fn token(text: &str) -> Option<String> {
    read::<Envelope<'_>>(text).ok()?.id
}

/// A whole event, of a page or of a stream whose data are envelopes.
pub(super) fn event(envelope: Envelope<'_>, id: Option<Cursor>) -> Result<Event, Unexpected> {
    let data = envelope.data.map_or("null", RawValue::get);
    let data = match envelope.encoding.as_deref() {
        None => Data::Member(data.to_owned()),
        Some("base64") => {
            let text: String = read(data)?;
            let bytes = STANDARD
                .decode(&text)
                .map_err(|error| unreadable(&text, "base64").because(error.to_string()))?;
            Data::Binary(bytes.into())
        }
        Some(other) => return Err(unreadable(other, "an encoding")),
    };
    Ok(Event {
        id,
        name: envelope.event.unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        topic: envelope.topic,
        key: envelope.key,
        data,
    })
}

/// A control by its name and its data.
pub(super) fn control(name: &str, id: Option<Cursor>, data: &str) -> Result<Message, Unexpected> {
    Ok(match name {
        "$open" => {
            let open: OpenData = read(data)?;
            let outcome = match &*open.outcome {
                "fresh" => Outcome::Fresh,
                "resumed" => Outcome::Resumed,
                "gap" => Outcome::Gap,
                other => return Err(unreadable(other, "an outcome")),
            };
            let heartbeat = Duration::from_millis(open.heartbeat_ms);
            Message::Open { cursor: cursor(&open.cursor)?, outcome, heartbeat }
        }
        "$gap" => Message::Gap(gap(data)?),
        "$live" => Message::Live(place(data)?),
        "$ping" => Message::Ping(Some(place(data)?)),
        "$end" => {
            let end: EndData = read(data)?;
            Message::End {
                reason: reason(&end.reason)?,
                cursor: id,
                retry: end.retry.as_u64().map(Duration::from_millis),
            }
        }
        other => return Err(unreadable(other, "a control")),
    })
}

fn place(data: &str) -> Result<Cursor, Unexpected> {
    cursor(&read::<PlaceData>(data)?.cursor)
}

fn reason(word: &str) -> Result<EndReason, Unexpected> {
    use EndReason::{Closed, Drain, Expired, Slow, Source};
    let known = [Closed, Drain, Source, Expired, Slow];
    known.into_iter().find(|reason| reason.as_str() == word).ok_or_else(|| unreadable(word, "a reason"))
}

/// The data of `$gap`, and the member `gap` of a page.
pub(super) fn gap(data: &str) -> Result<Gap, Unexpected> {
    use GapReason::{Diverged, Epoch, Overflow, Source, Trimmed};
    let GapData { reason, from, to } = read(data)?;
    let known = [Trimmed, Epoch, Diverged, Overflow, Source].into_iter().find(|r| r.as_str() == reason);
    let from = from.as_deref().map(cursor).transpose()?;
    Ok(Gap::new(known.ok_or_else(|| unreadable(&reason, "a reason"))?, from, cursor(&to)?))
}

fn reply(envelope: &Envelope<'_>) -> Result<Reply, Unexpected> {
    let answer = match envelope.error {
        Some(error) => {
            let ErrorData { status, title } = read(error.get())?;
            let status = StatusCode::from_u16(status)
                .map_err(|error| unreadable(&status.to_string(), "a status").because(error))?;
            Err((status, title))
        }
        None => Ok(read(envelope.data.map_or("null", RawValue::get))?),
    };
    Ok(Reply { reference: envelope.reference.map(|reference| reference.get().to_owned()), answer })
}

/// A cursor, whether or not the mount signs them: whose tag it is, the mount says when it comes back.
pub(super) fn cursor(text: &str) -> Result<Cursor, Unexpected> {
    let plain = Tag::split(text).map_or(text, |(cursor, _)| cursor);
    plain.parse().map_err(|error| unreadable(text, "a cursor").because(error))
}

pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unexpected> {
    serde_json::from_str(text).map_err(|error| unreadable(text, "the JSON of a message").because(error))
}

fn unreadable(text: &str, what: &str) -> Unexpected {
    Unexpected::new(format!("{text:?} cannot be read as {what}"))
}
