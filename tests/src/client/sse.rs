//! Server-sent events: one request, whose answer does not end by itself.
//!
//! The place is the stream's last event ID and nothing else, as EventSource has it: a cursor inside `$open`'s data does
//! not move it, an `id:` moves it at the blank line, a block that was cut moves nothing.

use std::collections::VecDeque;

use ::http::{Method, StatusCode, header};

use super::http::Answer;
use super::sse_parser::{Block, Parser};
use super::{Event, Over, Place, Seen, SseForm, Target, wire};

/// A client that reads an event stream.
#[derive(Debug)]
pub struct Sse {
    form: SseForm,
    place: Place,
    parser: Parser,
    waiting: VecDeque<Turn>,
    answer: Option<Answer>,
    over: Option<Over>,
}

#[derive(Debug)]
enum Turn {
    Block(Block),
    Tell(Seen),
}

impl Sse {
    /// Asks for the stream and waits for the head of the answer. What went wrong shows in [`next`](Sse::next).
    pub async fn connect(target: &Target, start: Place) -> Self {
        let (parser, waiting) = (Parser::default(), VecDeque::new());
        let mut this = Self { form: target.sse, place: start, parser, waiting, answer: None, over: None };
        if let Err(over) = this.ask(target).await {
            this.over = Some(over);
        }
        this
    }

    async fn ask(&mut self, target: &Target) -> Result<(), Over> {
        let request = target.request(Method::GET, &self.place).header(header::ACCEPT, "text/event-stream");
        let answer = target.send(request, "").await?;
        let media = answer.header("content-type").and_then(|value| value.split(';').next()).map(str::trim);
        let seen = match answer.status {
            StatusCode::OK if media == Some("text/event-stream") => {
                self.answer = Some(answer);
                return Ok(());
            }
            StatusCode::NO_CONTENT => Seen::Status { status: answer.status, headers: answer.headers.clone() },
            status => {
                let headers = answer.headers.clone();
                Seen::Refused { status, headers, body: answer.whole().await? }
            }
        };
        self.waiting.push_back(Turn::Tell(seen));
        Err(Over::Clean)
    }

    /// The next thing told; `None` once nothing more comes. A block without data that sets the id is a
    /// [`Seen::Ping`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            match self.waiting.pop_front() {
                Some(Turn::Tell(seen)) => return Some(seen),
                Some(Turn::Block(block)) => match self.take(block) {
                    Some(seen) => return Some(seen),
                    None => continue,
                },
                None => {}
            }
            match self.answer.as_mut()?.piece().await {
                Ok(Some(bytes)) => self.waiting.extend(self.parser.feed(&bytes).into_iter().map(Turn::Block)),
                Ok(None) => self.end(Over::Clean),
                Err(over) => self.end(over),
            }
        }
    }

    fn end(&mut self, over: Over) {
        self.answer = None;
        self.over = Some(over);
    }

    fn take(&mut self, block: Block) -> Option<Seen> {
        if block.sets_id {
            let id = block.last_id.clone();
            self.place = if id.is_empty() { Place::Default } else { Place::After(id) };
        }
        let id = Some(block.last_id).filter(|id| !id.is_empty());
        let Some((name, data)) = block.event else {
            return id.filter(|_| block.sets_id).map(|cursor| Seen::Ping { cursor });
        };
        Some(match self.form {
            SseForm::Envelope => wire::message(&data),
            SseForm::Bare if wire::is_known(&name) => {
                wire::control(&name, &data, id.filter(|_| block.sets_id)).unwrap_or_else(Seen::Broken)
            }
            SseForm::Bare => {
                let data = data.into_bytes();
                Seen::Event(Event { id, name, topic: None, key: None, data, binary: false })
            }
        })
    }

    /// The place that it would resume from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it ended, if it did.
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// The reconnection time that the stream set.
    pub fn retry_ms(&self) -> Option<u64> {
        self.parser.retry_ms()
    }
}
