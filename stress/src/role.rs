//! Processes beside the scenario's own: this program under another name, one JSON line each way over stdin and stdout.
//!
//! What is asked is answered with one line, a `Result` in serde's form. A process may say one thing more by itself: its
//! last word. When stdin ends, whoever started it is gone, and so it goes too.

use std::io::{self, BufRead, Write};
use std::marker::PhantomData;
use std::process::{ExitCode, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};
use tokio::sync::Mutex;

use crate::run::Outcome;

/// The grip on a process that takes commands `C` and answers with `A`. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Grip<C, A> {
    pid: u32,
    line: Mutex<Line>,
    said: PhantomData<fn(C) -> A>,
}

#[derive(Debug)]
struct Line {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

/// This program as another role.
///
/// # Errors
/// The operating system does not say where it is.
pub(crate) fn program(name: &str) -> io::Result<Program> {
    let mut program = Program::new(std::env::current_exe()?);
    program.arg(name);
    Ok(program)
}

impl<C: Serialize, A: DeserializeOwned> Grip<C, A> {
    /// Starts it with its settings, and waits for its first answer.
    ///
    /// # Errors
    /// It does not come up: what it said is on stderr.
    pub(crate) async fn start(mut program: Program, settings: &impl Serialize) -> Outcome<(Self, A)> {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or("a child without a number")?;
        let to = child.stdin.take().ok_or("a child without stdin")?;
        let from = BufReader::new(child.stdout.take().ok_or("a child without stdout")?).lines();
        let mut line = Line { child, to, from };
        line.say(settings).await?;
        let first = line.hear().await?;
        Ok((Self { pid, line: Mutex::new(line), said: PhantomData }, first))
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Has something done.
    ///
    /// # Errors
    /// It is gone, or says that it was not done.
    pub(crate) async fn tell(&self, command: C) -> Outcome<A> {
        let mut line = self.line.lock().await;
        line.say(&command).await?;
        line.hear().await
    }

    /// What it says by itself.
    ///
    /// # Errors
    /// It is gone without a word.
    pub(crate) async fn last_word(&self) -> Outcome<A> {
        self.line.lock().await.hear().await
    }

    /// Waits until it is gone by itself.
    ///
    /// # Errors
    /// It did not go well.
    pub(crate) async fn gone(&self) -> Outcome {
        let status = self.line.lock().await.child.wait().await?;
        if status.success() { Ok(()) } else { Err(format!("a process went wrong: {status}").into()) }
    }

    /// Kills it where it stands, and waits until it is gone.
    ///
    /// # Errors
    /// It was gone already.
    pub(crate) async fn kill(&self) -> Outcome {
        let mut line = self.line.lock().await;
        if let Some(status) = line.child.try_wait()? {
            return Err(format!("a process died by itself: {status}").into());
        }
        Ok(line.child.kill().await?)
    }
}

impl Line {
    async fn say(&mut self, what: &impl Serialize) -> Outcome {
        let mut text = serde_json::to_vec(what)?;
        text.push(b'\n');
        Ok(self.to.write_all(&text).await?)
    }

    async fn hear<A: DeserializeOwned>(&mut self) -> Outcome<A> {
        match self.from.next_line().await? {
            Some(answer) => Ok(serde_json::from_str::<Result<A, String>>(&answer)??),
            None => Err(format!("a process is gone: {}", self.child.wait().await?).into()),
        }
    }
}

/// The other end: starts with the settings, then obeys until stdin ends.
pub(crate) fn lead<S, C, A, O>(start: impl FnOnce(S) -> Outcome<(A, O)>) -> ExitCode
where
    S: DeserializeOwned,
    C: DeserializeOwned,
    A: Serialize,
    O: FnMut(C) -> Outcome<A>,
{
    let mut lines = io::stdin().lock().lines().map_while(Result::ok);
    let Some(settings) = lines.next() else { return ExitCode::SUCCESS };
    let begun = serde_json::from_str(&settings).map_err(Into::into).and_then(start);
    let (first, mut obey) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            say::<A>(Err(error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    say(Ok(first));
    for line in lines {
        let done: Outcome<A> = serde_json::from_str(&line).map_err(Into::into).and_then(&mut obey);
        say(done.map_err(|error| error.to_string()));
    }
    // What still runs is not waited for: nobody is there any more to whom it would matter.
    std::process::exit(0)
}

/// Says something. Nobody to hear it is nobody to tell.
pub(crate) fn say<A: Serialize>(what: Result<A, String>) {
    let mut stdout = io::stdout().lock();
    if serde_json::to_writer(&mut stdout, &what).is_ok() {
        let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
    }
}
