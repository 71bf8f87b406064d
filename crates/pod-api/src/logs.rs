//! Container output becomes log files in the CRI format.
//!
//! Each line is `<date> <stream> <tag> <text>`: the date in RFC 3339 with nanoseconds, the stream
//! `stdout` or `stderr`, the tag `F` for a whole line and `P` for a part of a longer one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;

use crate::log_directory::{self, LogDirectory};

/// A line longer than this many bytes is logged in parts, as containerd does.
const LONGEST_PART: usize = 16 * 1024;

/// A file that has grown to so many bytes is put aside (kubelet: `containerLogMaxSize`).
pub const LONGEST_FILE: u64 = 10 << 20;
/// So many files of one start are kept (kubelet: `containerLogMaxFiles`).
pub const MOST_FILES: usize = 5;

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
///
/// Output is never held back for want of room: a container waits only while its pipe is full,
/// which is while the supervisor writes. A file that has grown to [`LONGEST_FILE`] is put aside,
/// and the oldest of [`MOST_FILES`] goes. What a full disk does not take is left out, whole lines
/// at a time, and neither the container nor the supervisor is stopped.
#[derive(Debug)]
pub struct ContainerLog {
    directory: LogDirectory,
    name: String,
    file: File,
    length: u64,
    longest: u64,
    unfinished: [Vec<u8>; 2],
}

impl ContainerLog {
    /// Creates the log file and the directories above it.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::with_longest(path, LONGEST_FILE)
    }

    fn with_longest(path: &Path, longest: u64) -> io::Result<Self> {
        let (directory, name) = (LogDirectory::create(path)?, log_directory::name_of(path));
        let file = directory.append_to(&name)?;
        let length = file.metadata()?.len();
        Ok(Self { directory, name, file, length, longest, unfinished: Default::default() })
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
        self.append(&text, at)
    }

    /// Logs a last line that has no line break: as a part, so that none is read back.
    pub fn finish(&mut self, at: Timestamp) -> io::Result<()> {
        let mut text = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let unfinished = std::mem::take(&mut self.unfinished[stream as usize]);
            if !unfinished.is_empty() {
                add_line(&mut text, &format!("{at:.9} {} ", stream.name()), b"P ", &unfinished);
            }
        }
        self.append(&text, at)
    }

    fn append(&mut self, text: &[u8], at: Timestamp) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.length >= self.longest {
            self.rotate(at)?;
        }
        let written = self.file.write_all(text);
        match &written {
            Ok(()) => self.length += text.len() as u64,
            // Half a line would garble those that come after it.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }

    /// Puts the file aside under its name and the date, and starts a new one.
    fn rotate(&mut self, at: Timestamp) -> io::Result<()> {
        let aside = format!("{}{}", self.name, at.strftime(".%Y%m%d-%H%M%S.%9f"));
        self.directory.rename(&self.name, &aside)?;
        self.file = self.directory.append_to(&self.name)?;
        self.length = 0;
        let all = self.directory.segments(&self.name);
        for old in &all[..all.len().saturating_sub(MOST_FILES)] {
            self.directory.remove(old)?;
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
    use std::fs;

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
        1970-01-01T00:00:00.000000000Z stdout P last
        ");
    }

    #[test]
    fn a_long_line_is_logged_in_parts() {
        let log = logged(&[(Stream::Stdout, &[b'x'; 40_000]), (Stream::Stdout, b"\n")]);
        let parts: Vec<(&str, usize)> =
            log.lines().map(|line| (&line[38..39], line.len() - 40)).collect();
        assert_eq!(parts, [("P", 16_384), ("P", 16_384), ("F", 7_232)]);
    }

    #[test]
    fn a_log_that_grows_is_put_aside_and_the_oldest_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web/0.log");
        let mut log = ContainerLog::with_longest(&path, 100).unwrap();
        for second in 0..20 {
            let at = Timestamp::from_second(second).unwrap();
            log.write(Stream::Stdout, format!("line {second}\n").as_bytes(), at).unwrap();
        }
        let files = LogDirectory::of(&path).unwrap().segments("0.log");
        assert_eq!(files.len(), MOST_FILES);
        assert_eq!(files.last().map(String::as_str), Some("0.log"));
        let read = |file: &String| fs::read_to_string(path.with_file_name(file)).unwrap();
        let text: String = files.iter().map(read).collect();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.first().unwrap().ends_with("line 6"), "{text}");
        assert!(lines.last().unwrap().ends_with("line 19"), "{text}");
        assert_eq!(lines.len(), 14, "nothing between is missing");
    }

    #[test]
    fn a_link_in_place_of_a_log_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(ContainerLog::create(&path).is_err());
    }
}
