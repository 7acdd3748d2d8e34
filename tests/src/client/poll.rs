//! Polling: asks, hands over the page, rests, asks again.
//!
//! The place moves with what is *handed over*, not with what has arrived: a test that stops in the middle of a page
//! resumes in the middle of it. `next` takes effect when the page is used up, and a page that did not arrive whole
//! moves nothing.

use std::collections::VecDeque;

use ::http::{HeaderValue, Method, StatusCode, header};

use super::http::Answer;
use super::{Over, Place, Seen, Target, wire};

/// A client that polls.
#[derive(Debug)]
pub struct Poll {
    target: Target,
    wait_s: Option<u32>,
    place: Place,
    etag: Option<HeaderValue>,
    page: VecDeque<Seen>,
    next: Option<String>,
    resting: bool,
    requests: u64,
    over: Option<Over>,
}

impl Poll {
    /// A client at `start`. Nothing is sent before the first [`next`](Poll::next).
    pub fn connect(target: &Target, start: Place) -> Self {
        Self::waiting(target, start, None)
    }

    pub(super) fn waiting(target: &Target, start: Place, wait_s: Option<u32>) -> Self {
        Self {
            target: target.clone(),
            wait_s,
            place: start,
            etag: None,
            page: VecDeque::new(),
            next: None,
            resting: false,
            requests: 0,
            over: None,
        }
    }

    /// The next thing told; `None` once nothing more comes, see [`over`](Poll::over).
    ///
    /// # Cancel safety
    /// A request in flight is dropped and the place stays; the next call asks again.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.page.pop_front() {
                self.place.follow(&seen);
                if self.page.is_empty() {
                    self.turn_page();
                }
                return Some(seen);
            }
            if self.over.is_some() {
                return None;
            }
            if self.resting && self.wait_s.is_none() {
                tokio::time::sleep(self.target.interval).await;
            }
            self.resting = false;
            if let Err(over) = self.ask().await {
                self.over = Some(over);
            }
            if self.page.is_empty() {
                self.turn_page();
            }
        }
    }

    fn turn_page(&mut self) {
        if let Some(next) = self.next.take() {
            self.place = Place::After(next);
        }
    }

    async fn ask(&mut self) -> Result<(), Over> {
        let mut request =
            self.target.request(Method::GET, &self.place).header(header::ACCEPT, "application/json");
        if let Some(etag) = &self.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(wait) = self.wait_s {
            request = request.header("prefer", format!("wait={wait}"));
        }
        self.requests += 1;
        let answer = self.target.send(request, "").await?;
        match answer.status {
            StatusCode::OK => self.take_page(answer).await?,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
                self.next = answer.header("stream-next-offset").map(str::to_owned);
                self.page.push_back(Seen::Status { status: answer.status, headers: answer.headers.clone() });
                if answer.header("stream-closed") == Some("true") {
                    self.page.push_back(Seen::End {
                        reason: "closed".to_owned(),
                        retry_ms: None,
                        cursor: None,
                    });
                    self.over = Some(Over::Clean);
                }
                self.resting = true;
            }
            status => {
                let headers = answer.headers.clone();
                let body = answer.whole().await?;
                self.page.push_back(Seen::Refused { status, headers, body });
                self.over = Some(Over::Clean);
            }
        }
        Ok(())
    }

    async fn take_page(&mut self, answer: Answer) -> Result<(), Over> {
        let etag = answer.headers.get(header::ETAG).cloned();
        let said = answer.header("stream-next-offset").map(str::to_owned);
        let flags = ["stream-up-to-date", "stream-closed"].map(|name| answer.header(name).map(str::to_owned));
        let page = match wire::page(&answer.whole().await?) {
            Ok(page) => page,
            Err(why) => return self.broken(why),
        };
        if let Some(said) = said {
            let flags = flags.each_ref().map(Option::as_deref);
            let expected = [page.up_to_date, page.closed].map(|flag| flag.then_some("true"));
            if said != page.next || flags != expected {
                return self
                    .broken(format!("headers {said} {flags:?} beside next {} {expected:?}", page.next));
            }
        }
        if page.seen.is_empty() && !page.up_to_date && !page.closed && self.place.cursor() == Some(&page.next)
        {
            return self.broken("an empty page that is not up to date and leads nowhere".to_owned());
        }
        self.etag = etag;
        self.page.extend(page.seen);
        if page.up_to_date {
            self.page.push_back(Seen::Live { cursor: page.next.clone() });
            self.resting = true;
        }
        if page.closed && page.up_to_date {
            self.page.push_back(Seen::End { reason: "closed".to_owned(), retry_ms: None, cursor: None });
            self.over = Some(Over::Clean);
        }
        self.next = Some(page.next);
        Ok(())
    }

    fn broken(&mut self, why: String) -> Result<(), Over> {
        self.page.push_back(Seen::Broken(why));
        self.over = Some(Over::Clean);
        Ok(())
    }

    /// The place that it would resume from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it ended, if it did.
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// How many requests it has made.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}
