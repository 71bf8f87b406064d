//! The log of one start of a container, shown as the options say.

use std::collections::VecDeque;

use jiff::Timestamp;
use pod_api::Places;
use pod_api::log_reader::LogReader;
use pod_api::pods::FoundPod;

use super::Options;
use super::instance::Instance;
use crate::failure::Failure;
use crate::screen;
use crate::views::log_line::{self, Format};

/// So many bytes are collected before they are printed.
const ENOUGH: usize = 64 * 1024;

pub(super) struct Stream {
    reader: LogReader,
    format: Format,
    tail: Option<usize>,
    since: Option<Timestamp>,
    budget: Option<u64>,
    starts_line: bool,
}

impl Stream {
    pub(super) fn new(
        places: &Places,
        found: &FoundPod,
        (container, instance): (&str, &Instance),
        options: &Options<'_>,
    ) -> Self {
        let logs = places.pod_logs(found.namespace(), found.name(), found.uid());
        let prefix = if options.logs.prefix {
            format!("[pod/{}/{container}] ", found.name())
        } else {
            String::new()
        };
        Self {
            reader: LogReader::new(logs.file(container, instance.attempt)),
            format: Format { timestamps: options.logs.timestamps, prefix },
            tail: options.tail,
            since: options.since,
            budget: options.logs.limit_bytes,
            starts_line: true,
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.reader.exists()
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.reader.path()
    }

    /// Whether nothing more may be shown.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget == Some(0)
    }

    /// Prints what is new; the first time, only the last lines.
    pub(super) fn print(&mut self) -> Result<(), Failure> {
        let mut sink = Sink {
            format: &self.format,
            since: self.since,
            budget: self.budget,
            starts_line: self.starts_line,
            text: Vec::new(),
            failure: None,
        };
        match self.tail.take() {
            None => self.reader.read(|line| sink.take(line))?,
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
                last.iter().for_each(|line| sink.take(line));
            }
        }
        sink.flush();
        (self.starts_line, self.budget) = (sink.starts_line, sink.budget);
        sink.failure.map_or(Ok(()), Err)
    }
}

/// Where lines become what is shown.
struct Sink<'a> {
    format: &'a Format,
    since: Option<Timestamp>,
    budget: Option<u64>,
    starts_line: bool,
    text: Vec<u8>,
    failure: Option<Failure>,
}

impl Sink<'_> {
    fn take(&mut self, line: &[u8]) {
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
            self.failure = screen::answer_bytes(&text).err();
        }
    }
}
