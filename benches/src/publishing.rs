//! What publishing costs without a socket: the table that `bench-log` prints, and that the report reads.

use std::fmt;
use std::str::FromStr;

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Publishing {
    /// Who waits.
    pub readers: usize,
    /// Worker threads of the readers' runtime.
    pub threads: usize,
    /// Who publishes: a thread outside of the runtime, or a task in it.
    pub publisher: String,
    /// The log, a view of it, or another channel.
    pub what: String,
    /// How long the publisher's thread is in it: the median, microseconds.
    pub publish_us: f64,
    /// The same, 99 of 100.
    pub publish_p99_us: f64,
    /// Until the last has read, for each that is told: the median, nanoseconds.
    pub reader_ns: u64,
    /// The least of it.
    pub reader_least_ns: u64,
    /// Processor time of all threads, for each that is told: nanoseconds.
    pub processor_ns: u64,
    /// Allocations of one event.
    pub allocations: u64,
}

impl Publishing {
    /// The head of the table.
    pub const HEAD: &str = "\
| readers | threads | publisher | what | publish us, median | p99 | ns per reader, median | least | CPU ns per reader | \
allocations per event |
|---|---|---|---|---|---|---|---|---|---|";

    /// Reads the lines of a table; what is none of them is passed over.
    pub(crate) fn read(table: &str) -> Vec<Self> {
        table.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl fmt::Display for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { readers, threads, publisher, what, publish_us, publish_p99_us, .. } = self;
        let Self { reader_ns, reader_least_ns, processor_ns, allocations, .. } = self;
        write!(
            f,
            "| {readers} | {threads} | {publisher} | {what} | {publish_us:.1} | {publish_p99_us:.1} | {reader_ns} | \
             {reader_least_ns} | {processor_ns} | {allocations} |"
        )
    }
}

impl FromStr for Publishing {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[readers, threads, publisher, what, publish, p99, reader, least, processor, allocations] =
            &cells[..]
        else {
            return Err(format!("no line of the table: {line}").into());
        };
        Ok(Self {
            readers: readers.parse()?,
            threads: threads.parse()?,
            publisher: publisher.into(),
            what: what.into(),
            publish_us: publish.parse()?,
            publish_p99_us: p99.parse()?,
            reader_ns: reader.parse()?,
            reader_least_ns: least.parse()?,
            processor_ns: processor.parse()?,
            allocations: allocations.parse()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn line(publisher: &str, threads: usize, publish_us: f64, reader_ns: u64) -> Publishing {
        Publishing {
            readers: 100_000,
            threads,
            publisher: publisher.into(),
            what: "log".into(),
            publish_us,
            publish_p99_us: 1_632.5,
            reader_ns,
            reader_least_ns: 326,
            processor_ns: 435,
            allocations: 1,
        }
    }

    #[test]
    fn what_is_printed_is_what_is_read() {
        let lines = [line("Outside", 1, 44.0, 406), line("Task", 2, 27.4, 343)];
        let table = format!("{}\n{}\n{}\n", Publishing::HEAD, lines[0], lines[1]);
        assert_eq!(Publishing::read(&table), lines);
    }
}
