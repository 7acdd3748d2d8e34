//! The process that is put under stress: a log behind `realtime_axum::serve`, led over stdin and stdout.
//!
//! The first line says how it is set up ([`Settings`]), each further one is a [`Command`]; every line has one
//! [`Answer`]. When stdin ends, whoever started it is gone, however it went, and so this goes too: nothing is left
//! behind.

mod app;
mod control;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use app::App;
pub(crate) use control::{Answer, Command, Holding, Item, Settings};

use crate::run::Outcome;

/// What makes this program the server.
pub(crate) const NAME: &str = "server";

/// Serves until stdin ends.
pub(crate) fn main() -> ExitCode {
    match lead() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stress server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lead() -> Outcome {
    let mut lines = io::stdin().lock().lines();
    let Some(settings) = lines.next() else { return Ok(()) };
    let app = App::start(serde_json::from_str(&settings?)?)?;
    answer(&Answer::Listening(app.addr()))?;
    for line in lines {
        let done = serde_json::from_str(&line?).map_err(Into::into).and_then(|command| app.obey(command));
        answer(&done.unwrap_or_else(|error| Answer::Failed(error.to_string())))?;
    }
    // What still runs is not waited for: nobody is there any more to whom it would matter.
    std::process::exit(0)
}

fn answer(answer: &Answer) -> Outcome {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
