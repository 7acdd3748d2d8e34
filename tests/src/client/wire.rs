//! Reads the JSON envelope and the page, strictly, and keeps JSON payloads byte for byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Event, Gap, Seen};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// A key that is there has a value, and `null` is one: a payload may be `null`, a gap may not.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What a poll answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage<'a> {
    #[serde(default, deserialize_with = "present")]
    gap: Option<Gap>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next: String,
    up_to_date: bool,
    closed: bool,
}

pub(crate) struct Page {
    pub(crate) seen: Vec<Seen>,
    pub(crate) next: String,
    pub(crate) up_to_date: bool,
    pub(crate) closed: bool,
}

/// One envelope: an event or a control.
pub(crate) fn message(text: &str) -> Seen {
    read_message(text).unwrap_or_else(|why| Seen::Broken(format!("{why} in {text:.200}")))
}

fn read_message(text: &str) -> Result<Seen, String> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = envelope.event.as_deref().unwrap_or("message").to_owned();
    let Some(data) = envelope.data.map(RawValue::get) else {
        return if name == "$reply" { whole(name, text) } else { Err("no data".to_owned()) };
    };
    if name.starts_with('$') {
        return if is_known(&name) { control(&name, data, envelope.id) } else { whole(name, text) };
    }
    let (data, binary) = payload(data, envelope.encoding.as_deref())?;
    if envelope.id.is_none() {
        return Err("no id".to_owned());
    }
    Ok(Seen::Event(Event { id: envelope.id, name, topic: envelope.topic, key: envelope.key, data, binary }))
}

fn whole(name: String, text: &str) -> Result<Seen, String> {
    let envelope = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Seen::Control { name, envelope })
}

pub(crate) fn is_known(name: &str) -> bool {
    matches!(name, "$open" | "$gap" | "$live" | "$ping" | "$end")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opening {
    cursor: String,
    outcome: String,
    #[serde(default)]
    heartbeat_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Place {
    cursor: String,
}

#[derive(Deserialize)]
struct Ending {
    reason: String,
    retry: serde_json::Value,
}

/// A control by its name, data and id; only for [known](is_known) names. The id must be the place that its data says,
/// and that of an `$open` with a gap must be missing: the place may not move before the gap is told.
pub(crate) fn control(name: &str, data: &str, id: Option<String>) -> Result<Seen, String> {
    let seen = read_control(name, data, id.clone())?;
    let expected = match &seen {
        Seen::Open { outcome, .. } if outcome == "gap" => None,
        Seen::Open { cursor, .. } | Seen::Live { cursor } | Seen::Ping { cursor } => Some(cursor),
        Seen::Gap(gap) => Some(&gap.to),
        _ => id.as_ref(),
    };
    if expected == id.as_ref() { Ok(seen) } else { Err(format!("{name} {data} with the id {id:?}")) }
}

fn read_control(name: &str, data: &str, id: Option<String>) -> Result<Seen, String> {
    let why = |error: serde_json::Error| format!("{name}: {error}");
    Ok(match name {
        "$open" => {
            let open: Opening = serde_json::from_str(data).map_err(why)?;
            if !matches!(open.outcome.as_str(), "fresh" | "resumed" | "gap") {
                return Err(format!("outcome {:?}", open.outcome));
            }
            Seen::Open { cursor: open.cursor, outcome: open.outcome, heartbeat_ms: open.heartbeat_ms }
        }
        "$gap" => Seen::Gap(checked(serde_json::from_str(data).map_err(why)?)?),
        "$live" => Seen::Live { cursor: serde_json::from_str::<Place>(data).map_err(why)?.cursor },
        "$ping" => Seen::Ping { cursor: serde_json::from_str::<Place>(data).map_err(why)?.cursor },
        "$end" => {
            let end: Ending = serde_json::from_str(data).map_err(why)?;
            if !matches!(end.reason.as_str(), "closed" | "drain" | "source" | "expired" | "slow") {
                return Err(format!("end reason {:?}", end.reason));
            }
            let retry_ms = match (end.retry.as_bool(), end.retry.as_u64()) {
                (Some(false), _) => None,
                (_, Some(ms)) => Some(ms),
                _ => return Err(format!("retry {}", end.retry)),
            };
            Seen::End { reason: end.reason, retry_ms, cursor: id }
        }
        other => return Err(format!("{other} is no control of the wire")),
    })
}

fn checked(gap: Gap) -> Result<Gap, String> {
    match gap.reason.as_str() {
        "trimmed" | "epoch" | "diverged" | "overflow" | "source" => Ok(gap),
        other => Err(format!("gap reason {other:?}")),
    }
}

/// The payload's bytes: base64 decoded, a string's characters, any other JSON as its text.
fn payload(raw: &str, encoding: Option<&str>) -> Result<(Vec<u8>, bool), String> {
    let text = || serde_json::from_str::<String>(raw).map_err(|error| error.to_string());
    match encoding {
        Some("base64") => Ok((STANDARD.decode(text()?).map_err(|error| error.to_string())?, true)),
        Some(other) => Err(format!("encoding {other:?}")),
        None if raw.starts_with('"') => Ok((text()?.into_bytes(), false)),
        None => Ok((raw.as_bytes().to_vec(), false)),
    }
}

/// A page: its gap if there is one, then its events.
pub(crate) fn page(body: &[u8]) -> Result<Page, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let page: RawPage<'_> = serde_json::from_str(text).map_err(|error| format!("{error} in {text:.200}"))?;
    if page.gap.is_some() && !text.starts_with(r#"{"gap":"#) {
        return Err("gap is not the first key".to_owned());
    }
    let mut seen = Vec::with_capacity(page.events.len() + 1);
    if let Some(gap) = page.gap {
        seen.push(Seen::Gap(checked(gap)?));
    }
    for raw in page.events {
        let event = read_message(raw.get())?;
        if event.event().is_none() {
            return Err(format!("a control inside a page: {}", raw.get()));
        }
        seen.push(event);
    }
    Ok(Page { seen, next: page.next, up_to_date: page.up_to_date, closed: page.closed })
}
