//! What pages send, by WebSocket or by POST: `echo`, `pace` for how often the machine is looked at, `restart`.

use std::time::Duration;

use realtime_tower::{Inbound, UplinkError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::Shared;
use crate::figures::now_ms;

/// The longest text that is sent back. Characters enough for a greeting.
const TEXT_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
struct Echo {
    /// When the page sent it, by the page's clock. With our own time and that of its return the page knows how far
    /// the two clocks are apart (as NTP does), and so how long an event took.
    t0: f64,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct SetPace {
    every_ms: u64,
}

/// Answers one message.
///
/// # Errors
/// Its name or its data is not what is expected here; the page is told.
pub(crate) fn answer(message: &Inbound, shared: &Shared) -> Result<Value, UplinkError> {
    match message.name() {
        "echo" => {
            let Echo { t0, text } = message.json()?;
            if text.len() > TEXT_BYTES_MAX {
                return Err(UplinkError::new(
                    axum::http::StatusCode::PAYLOAD_TOO_LARGE,
                    "a shorter text, please",
                ));
            }
            Ok(json!({ "t0": t0, "server": now_ms(), "text": text }))
        }
        "pace" => {
            let SetPace { every_ms } = message.json()?;
            let every = shared.pace.set(Duration::from_millis(every_ms));
            Ok(json!({ "every_ms": every.as_millis() as u64, "server": now_ms() }))
        }
        "restart" => {
            shared.figures.restart();
            Ok(json!({ "server": now_ms() }))
        }
        _ => Err(UplinkError::new(axum::http::StatusCode::NOT_FOUND, "`echo`, `pace` or `restart`, please")),
    }
}
