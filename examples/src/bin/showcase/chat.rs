//! Two browsers, one room: what one says is heard by all, whatever transport each of them has.

use axum::http::StatusCode;
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::{Event, Log};
use realtime_tower::{Inbound, IntoReply, UplinkError};
use serde::{Deserialize, Serialize};

const FROM_CHARS_MAX: usize = 24;
const TEXT_CHARS_MAX: usize = 200;

#[derive(Deserialize, Serialize)]
struct Said {
    from: String,
    text: String,
}

/// The room. Whoever opens the page may speak; the `chat` example asks who it is.
pub(crate) async fn room(log: Log, rt: Realtime) -> Response {
    let said = log.clone();
    rt.serve(log).on_message(move |message| std::future::ready(say(&said, &message))).await
}

/// # Errors
/// It is not what is expected here, too long, or empty.
fn say(log: &Log, message: &Inbound) -> Result<impl IntoReply + use<>, UplinkError> {
    let said: Said = message.json()?;
    let is_within = |text: &str, max: usize| !text.trim().is_empty() && text.chars().count() <= max;
    if !is_within(&said.from, FROM_CHARS_MAX) || !is_within(&said.text, TEXT_CHARS_MAX) {
        return Err(UplinkError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a name of 1 to 24 characters and a text of 1 to 200, please",
        ));
    }
    log.publish(Event::json("said", &said)?)?;
    Ok(())
}
