//! The log of one start of a container, as much of it as is asked for.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::log_instance::Instance;
use crate::log_line::{self, Format};
use crate::log_reader::LogReader;
use crate::places::Places;
use crate::pods::FoundPod;

/// So many bytes are collected before they are handed out.
const ENOUGH: usize = 64 * 1024;

/// Which part of a log is asked for, and how it is shown.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// No more than the last so many lines of what is there at the beginning.
    pub tail: Option<usize>,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// No more bytes than these.
    pub limit_bytes: Option<u64>,
    /// Whether each line begins with its date.
    pub timestamps: bool,
    /// Whether each line begins with the names of pod and container.
    pub prefix: bool,
}

/// The log of one start of a container, read on and on.
#[derive(Debug)]
pub struct LogStream {
    reader: LogReader,
    format: Format,
    tail: Option<usize>,
    since: Option<Timestamp>,
    budget: Option<u64>,
    starts_line: bool,
}

impl LogStream {
    /// The log of that start of a container.
    pub fn new(
        places: &Places,
        found: &FoundPod,
        container: &str,
        instance: &Instance,
        options: &LogOptions,
    ) -> Self {
        let logs = places.pod_logs(found.namespace(), found.name(), found.uid());
        let prefix = if options.prefix {
            format!("[pod/{}/{container}] ", found.name())
        } else {
            String::new()
        };
        Self {
            reader: LogReader::new(logs.file(container, instance.attempt)),
            format: Format { timestamps: options.timestamps, prefix },
            tail: options.tail,
            since: options.since,
            budget: options.limit_bytes,
            starts_line: true,
        }
    }

    /// Whether there is a log, or something in its place that reading will tell of.
    pub fn exists(&self) -> bool {
        self.reader.exists()
    }

    /// The log's path, to be watched.
    pub fn path(&self) -> &Path {
        self.reader.path()
    }

    /// Whether nothing more may be shown.
    pub fn is_exhausted(&self) -> bool {
        self.budget == Some(0)
    }

    /// Hands out what is new, in pieces; the first time, only the last lines.
    ///
    /// # Errors
    ///
    /// Those of `take`, after which it gets nothing more, and those of the files.
    pub fn read<E: From<io::Error>>(
        &mut self,
        take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut sink = Sink {
            format: &self.format,
            since: self.since,
            budget: self.budget,
            starts_line: self.starts_line,
            text: Vec::new(),
            take,
            failure: None,
        };
        match self.tail.take() {
            None => self.reader.read(|line| sink.add(line))?,
            Some(most) => {
                let mut last: VecDeque<Vec<u8>> = VecDeque::new();
                self.reader.read(|line| {
                    if last.len() == most {
                        last.pop_front();
                    }
                    if most > 0 {
                        last.push_back(line.to_vec());
                    }
                })?;
                last.iter().for_each(|line| sink.add(line));
            }
        }
        sink.flush();
        (self.starts_line, self.budget) = (sink.starts_line, sink.budget);
        sink.failure.map_or(Ok(()), Err)
    }
}

/// Where lines become what is shown.
struct Sink<'a, E, F> {
    format: &'a Format,
    since: Option<Timestamp>,
    budget: Option<u64>,
    starts_line: bool,
    text: Vec<u8>,
    take: F,
    failure: Option<E>,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Sink<'_, E, F> {
    fn add(&mut self, line: &[u8]) {
        let Some(line) = log_line::parse(line) else {
            return;
        };
        if self.failure.is_some() || !log_line::is_since(&line, self.since) {
            return;
        }
        let mut shown = log_line::show(line, self.format, self.starts_line);
        self.starts_line = line.is_whole;
        if let Some(budget) = &mut self.budget {
            shown.truncate(usize::try_from(*budget).unwrap_or(usize::MAX));
            *budget -= shown.len() as u64;
        }
        self.text.extend(shown);
        if self.text.len() >= ENOUGH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.failure.is_none() {
            self.failure = (self.take)(&text).err();
        }
    }
}
