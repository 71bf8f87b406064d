//! Container output becomes log files in the CRI format.
//!
//! Each line is `<date> <stream> <tag> <text>`: the date in RFC 3339 with nanoseconds, the stream
//! `stdout` or `stderr`, the tag `F` for a whole line and `P` for a part of a longer one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;

/// A line longer than this many bytes is logged in parts, as containerd does.
const LONGEST_PART: usize = 16 * 1024;

/// Which of a container's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log of one start of a container.
#[derive(Debug)]
pub struct ContainerLog {
    file: File,
    unfinished: [Vec<u8>; 2],
}

impl ContainerLog {
    /// Creates the log file and the directories above it.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, unfinished: [Vec::new(), Vec::new()] })
    }

    /// Logs a piece of output; what follows the last line break waits for the rest of its line.
    pub fn write(&mut self, stream: Stream, output: &[u8], at: Timestamp) -> io::Result<()> {
        let head = format!("{at:.9} {} ", stream.name());
        let unfinished = &mut self.unfinished[stream as usize];
        let mut text = Vec::with_capacity(output.len() + 128);
        let mut pieces = output.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            unfinished.extend_from_slice(piece);
            while unfinished.len() > LONGEST_PART {
                let rest = unfinished.split_off(LONGEST_PART);
                add_line(&mut text, &head, b"P ", unfinished);
                *unfinished = rest;
            }
            if pieces.peek().is_some() {
                add_line(&mut text, &head, b"F ", unfinished);
                unfinished.clear();
            }
        }
        self.file.write_all(&text)
    }

    /// Logs a last line that has no line break.
    pub fn finish(&mut self, at: Timestamp) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.unfinished[stream as usize].is_empty() {
                self.write(stream, b"\n", at)?;
            }
        }
        Ok(())
    }
}

fn add_line(text: &mut Vec<u8>, head: &str, tag: &[u8], line: &[u8]) {
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(tag);
    text.extend_from_slice(line);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(pieces: &[(Stream, &[u8])]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web/0.log");
        let mut log = ContainerLog::create(&path).unwrap();
        for (stream, piece) in pieces {
            log.write(*stream, piece, Timestamp::UNIX_EPOCH).unwrap();
        }
        log.finish(Timestamp::UNIX_EPOCH).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_joined_from_pieces_and_kept_apart_by_stream() {
        let log = logged(&[
            (Stream::Stdout, b"one\ntw"),
            (Stream::Stderr, b"oops\n"),
            (Stream::Stdout, b"o\n\nlast"),
        ]);
        insta::assert_snapshot!(log, @r"
        1970-01-01T00:00:00.000000000Z stdout F one
        1970-01-01T00:00:00.000000000Z stderr F oops
        1970-01-01T00:00:00.000000000Z stdout F two
        1970-01-01T00:00:00.000000000Z stdout F 
        1970-01-01T00:00:00.000000000Z stdout F last
        ");
    }

    #[test]
    fn a_long_line_is_logged_in_parts() {
        let log = logged(&[(Stream::Stdout, &[b'x'; 40_000]), (Stream::Stdout, b"\n")]);
        let parts: Vec<(&str, usize)> =
            log.lines().map(|line| (&line[38..39], line.len() - 40)).collect();
        assert_eq!(parts, [("P", 16_384), ("P", 16_384), ("F", 7_232)]);
    }
}
