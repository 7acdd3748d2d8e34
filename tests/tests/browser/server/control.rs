//! What a script may cause.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use realtime_core::Event;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::door::Way;
use super::faults::Fault;
use super::in_tokio;
use super::world::{Settings, World};
use crate::payloads::tricky;

/// One request of a script. Every one but the first names a world.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Command {
    /// Makes a world, and answers `{world, url}`.
    World(Settings),
    /// Publishes `tick` events `{"n": from}` to `{"n": to}`, and answers their cursors.
    Publish { world: usize, from: u64, to: u64 },
    /// Publishes what the script has made.
    Say { world: usize, events: Vec<Said> },
    /// Publishes what is tricky, and answers the truth: `[{id, name, sha1, lines}]`.
    Tricky { world: usize, seed: u64, count: usize },
    /// The server is gone in the middle of whatever it is doing, and tells nobody.
    Kill { world: usize },
    /// The server stops as it should; answers how many readers were told.
    Stop { world: usize },
    /// It is there again, on the same port, with the same log.
    Start { world: usize },
    /// Its log is another one from now on: another epoch.
    Forget { world: usize },
    /// Its source ends.
    End { world: usize },
    /// Requests of a transport meet a fault.
    Fault { world: usize, fault: Fault },
    /// All faults are over.
    Heal { world: usize },
    /// What its door does with WebSockets.
    Door { world: usize, way: Way },
    /// Its door closes every WebSocket with a code.
    CloseSockets { world: usize, code: u16 },
    /// Its proxy loads its config anew: who reads through it is cut within a second.
    Reload { world: usize },
    /// The token that it takes from now on.
    Token { world: usize, token: String },
    /// What was asked of it, and what it heard: `{asked: [..], heard: [..], readers, bytes}`.
    Seen { world: usize },
    /// It is not needed any more.
    Gone { world: usize },
}

/// An event as a script has made it, its name its kind: `text`, `json`, or `binary`, of the bytes of the text.
#[derive(Debug, Deserialize)]
struct Said {
    name: String,
    text: String,
}

impl Said {
    fn event(self) -> Result<Event, String> {
        let Self { name, text } = self;
        let event = match name.as_str() {
            "text" => Event::text(name, text),
            "json" => Event::raw_json(name, RawValue::from_string(text).map_err(|error| error.to_string())?),
            "binary" => Event::binary(name, text.into_bytes()),
            _ => return Err(format!("no event is of the kind {name}")),
        };
        event.map_err(|error| error.to_string())
    }
}

type Worlds = Arc<Mutex<HashMap<usize, World>>>;

pub(super) async fn serve(listener: TcpListener) {
    let app = Router::new().route("/", post(command)).with_state(Worlds::default());
    let (_mount, handle) = realtime_axum::mount().build();
    realtime_axum::serve(in_tokio(listener), app, handle).await;
}

async fn command(State(worlds): State<Worlds>, Json(command): Json<Command>) -> (StatusCode, Json<Value>) {
    match obey(&mut *worlds.lock().await, command).await {
        Ok(answer) => (StatusCode::OK, Json(answer)),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))),
    }
}

async fn obey(worlds: &mut HashMap<usize, World>, command: Command) -> Result<Value, String> {
    match command {
        Command::World(settings) => {
            // A proxy is waited for.
            let world = block_in_place(|| World::new(settings));
            let (id, url) = (world.id(), world.url());
            worlds.insert(id, world);
            return Ok(json!({ "world": id, "url": url }));
        }
        Command::Publish { world, from, to } => {
            let log = of(worlds, world)?.log();
            let ticks = (from..=to).map(|n| Event::json("tick", &json!({ "n": n })));
            let ticks = ticks.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            let cursors = log.publish_all(ticks).map_err(|error| error.to_string())?;
            return Ok(cursors.iter().map(ToString::to_string).collect());
        }
        Command::Say { world, events } => {
            let events = events.into_iter().map(Said::event).collect::<Result<Vec<_>, _>>()?;
            of(worlds, world)?.log().publish_all(events).map_err(|error| error.to_string())?;
        }
        Command::Tricky { world, seed, count } => {
            let payloads = tricky(seed, count);
            let events = payloads.iter().map(|payload| payload.event());
            let cursors = of(worlds, world)?.log().publish_all(events).map_err(|error| error.to_string())?;
            let truth = cursors.iter().zip(&payloads).map(|(cursor, payload)| {
                let (sha1, lines) = (payload.sha1(), payload.sha1_of_lines());
                json!({ "id": cursor.to_string(), "name": payload.name(), "sha1": sha1, "lines": lines })
            });
            return Ok(truth.collect());
        }
        Command::Kill { world } => of(worlds, world)?.kill().await?,
        Command::Stop { world } => return Ok(json!({ "told": of(worlds, world)?.stop().await? })),
        Command::Start { world } => of(worlds, world)?.start().await?,
        Command::Forget { world } => of(worlds, world)?.forget(),
        Command::End { world } => of(worlds, world)?.log().close(),
        Command::Fault { world, fault } => of(worlds, world)?.ways().fault(fault),
        Command::Heal { world } => of(worlds, world)?.ways().heal(),
        Command::Door { world, way } => of(worlds, world)?.door()?.set(way),
        Command::CloseSockets { world, code } => {
            return Ok(json!({ "closed": of(worlds, world)?.door()?.close_sockets(code) }));
        }
        Command::Reload { world } => block_in_place(|| of(worlds, world)?.reload())?,
        Command::Token { world, token } => of(worlds, world)?.ways().set_token(token),
        Command::Seen { world } => return Ok(of(worlds, world)?.seen()),
        Command::Gone { world } => block_in_place(|| drop(worlds.remove(&world))),
    }
    Ok(Value::Null)
}

fn of(worlds: &mut HashMap<usize, World>, id: usize) -> Result<&mut World, String> {
    worlds.get_mut(&id).ok_or(format!("there is no world {id}"))
}
