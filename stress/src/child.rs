//! The grip on a server's process.

use std::net::SocketAddr;
use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};
use tokio::sync::Mutex;

use crate::run::Outcome;
use crate::server::{Answer, Command, Holding, Item, NAME, Settings};

/// A server in a process of its own. Dropping it kills the process; if we are killed ourselves its stdin ends, and so
/// does it.
#[derive(Debug)]
pub(crate) struct Server {
    settings: Settings,
    addr: SocketAddr,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts this very program as a server, and waits until it listens.
    ///
    /// # Errors
    /// The process does not come up: what it said is on stderr.
    pub(crate) async fn start(settings: Settings) -> Outcome<Self> {
        let mut child = Program::new(std::env::current_exe()?)
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let to = child.stdin.take().ok_or("a child without stdin")?;
        let from = BufReader::new(child.stdout.take().ok_or("a child without stdout")?).lines();
        let mut line = Line { child, to, from };
        match line.say(&settings).await? {
            Answer::Listening(addr) => {
                let settings = Settings { port: addr.port(), ..settings };
                Ok(Self { settings, addr, line: Mutex::new(line) })
            }
            other => Err(format!("the server answered {other:?} in place of its address").into()),
        }
    }

    /// Kills the process where it stands, and starts another on the same port, with the same settings and an empty log.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) async fn restart(self) -> Outcome<Self> {
        let settings = self.settings.clone();
        self.kill().await?;
        Self::start(settings).await
    }

    /// Kills the process where it stands, and waits until it is gone.
    ///
    /// # Errors
    /// It was gone already.
    pub(crate) async fn kill(self) -> Outcome {
        let mut line = self.line.into_inner();
        if let Some(status) = line.child.try_wait()? {
            return Err(format!("the server died by itself: {status}").into());
        }
        Ok(line.child.kill().await?)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Has something done.
    ///
    /// # Errors
    /// The server is gone, or says that it was not done.
    pub(crate) async fn tell(&self, command: Command) -> Outcome<Answer> {
        match self.line.lock().await.say(&command).await? {
            Answer::Failed(why) => Err(format!("{command:?}: {why}").into()),
            answer => Ok(answer),
        }
    }

    /// What its process holds, and who reads.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub(crate) async fn figures(&self) -> Outcome<Holding> {
        match self.tell(Command::Figures).await? {
            Answer::Figures(holding) => Ok(holding),
            other => Err(format!("the server answered {other:?} in place of figures").into()),
        }
    }

    /// Publishes, and returns the places.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub(crate) async fn publish(&self, items: Vec<Item>) -> Outcome<Vec<String>> {
        match self.tell(Command::Publish(items)).await? {
            Answer::Cursors(cursors) => Ok(cursors),
            other => Err(format!("the server answered {other:?} in place of cursors").into()),
        }
    }
}

impl Line {
    async fn say(&mut self, what: &impl Serialize) -> Outcome<Answer> {
        let mut text = serde_json::to_vec(what)?;
        text.push(b'\n');
        self.to.write_all(&text).await?;
        match self.from.next_line().await? {
            Some(answer) => Ok(serde_json::from_str(&answer)?),
            None => Err(format!("the server is gone: {}", self.child.wait().await?).into()),
        }
    }
}
