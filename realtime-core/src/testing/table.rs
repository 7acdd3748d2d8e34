//! D-07: a snapshot and the changes after it.

use std::collections::BTreeMap;

use super::fixture::Fixture;
use super::law::{Law, Untested, Violation};
use super::reader::{Heard, Reader};
use crate::cursor::{Cursor, Start};
use crate::limits::BATCH_ENTRIES_MAX;

const LAW: Law = Law::NoTear;

/// More keys than a batch of the [`Log`](crate::Log) has, so that there is a middle of the snapshot.
const KEYS: usize = BATCH_ENTRIES_MAX + 44;

/// D-07: what a fresh reader has gathered is the authoritative table whenever it is told `Live`, although keys change
/// while it reads, and also where it is cut in the middle and comes back.
///
/// # Errors
/// A table that is not the author's.
pub async fn no_tear<F: Fixture>(fixture: &F) -> Result<Untested, Violation> {
    let mut table = Table { fixture, rows: BTreeMap::new(), former: BTreeMap::new(), value: 0 };
    for key in 0..KEYS {
        if !table.put(&format!("key-{key:03}")).await {
            return Ok(vec!["all of it: the fixture keeps no latest per key"]);
        }
    }
    for start in [Start::Live, Start::Earliest, Start::Last(1)] {
        for polls in 0..4 {
            let mut mirror = Mirror::new(Reader::new(LAW, fixture, start));
            for _ in 0..polls {
                mirror.step(&table).await?;
            }
            table.change().await;
            mirror.rest(&table).await?;
            table.change().await;
            mirror.rest(&table).await?;
        }
    }
    for polls in 1..4 {
        let mut mirror = Mirror::new(Reader::new(LAW, fixture, Start::Live));
        for _ in 0..polls {
            mirror.step(&table).await?;
        }
        table.change().await;
        if let Some(place) = mirror.place {
            mirror.reader = Reader::new(LAW, fixture, Start::After(place));
            mirror.is_live = false;
        }
        mirror.rest(&table).await?;
    }
    Ok(Vec::new())
}

/// The table as its author knows it.
struct Table<'a, F> {
    fixture: &'a F,
    rows: BTreeMap<String, u64>,
    /// Before the last changes: a feed that reads ahead may say `Live` of then.
    former: BTreeMap<String, u64>,
    value: u64,
}

impl<F: Fixture> Table<'_, F> {
    async fn put(&mut self, key: &str) -> bool {
        self.value += 1;
        self.rows.insert(key.to_owned(), self.value);
        self.fixture.put(key, self.value).await
    }

    /// The first, one in the middle, the last, and one of the newest.
    async fn change(&mut self) {
        self.former.clone_from(&self.rows);
        for key in [0, KEYS / 2, KEYS - 1, KEYS - 10] {
            self.put(&format!("key-{key:03}")).await;
        }
    }
}

/// The table as a reader has gathered it.
struct Mirror<'a, F: Fixture> {
    reader: Reader<'a, F>,
    rows: BTreeMap<String, u64>,
    place: Option<Cursor>,
    is_live: bool,
}

impl<'a, F: Fixture> Mirror<'a, F> {
    fn new(reader: Reader<'a, F>) -> Self {
        Self { reader, rows: BTreeMap::new(), place: None, is_live: false }
    }

    /// Takes one delivery; true when there was none.
    async fn step(&mut self, table: &Table<'_, F>) -> Result<bool, Violation> {
        for heard in self.reader.next().await? {
            match heard {
                Heard::Open(opened) => self.place = Some(opened.place()),
                Heard::Event(number) => {
                    self.place = Some(number.cursor);
                    if let Some(key) = number.key {
                        self.rows.insert(key, number.n);
                    }
                }
                Heard::Batch(cursor) => self.place = Some(cursor),
                Heard::Live(cursor) => {
                    self.place = Some(cursor);
                    self.is_live = true;
                    if self.rows != table.former {
                        self.compare(table)?;
                    }
                }
                Heard::Gap(gap) => return self.reader.broken(format!("a gap in a table: {gap:?}")),
                Heard::End | Heard::Failed => return self.reader.broken("the feed ended"),
                Heard::Silence => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Reads on until nothing comes: it has been told `Live`, and has the table.
    async fn rest(&mut self, table: &Table<'_, F>) -> Result<(), Violation> {
        while !self.step(table).await? {}
        if !self.is_live {
            return self.reader.broken("`Live` was never said");
        }
        self.compare(table)
    }

    fn compare(&self, table: &Table<'_, F>) -> Result<(), Violation> {
        let wrong = table.rows.iter().find(|(key, value)| self.rows.get(*key) != Some(*value));
        match wrong {
            Some((key, value)) => {
                let got = self.rows.get(key);
                self.reader
                    .broken(format!("{key} is {value}, and the reader that was told `Live` has {got:?}"))
            }
            None if self.rows.len() > table.rows.len() => self.reader.broken("a key that nobody put"),
            None => Ok(()),
        }
    }
}
