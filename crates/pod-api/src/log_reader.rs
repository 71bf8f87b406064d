//! Reads container logs back: all of one, the end of one, or on and on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::log_directory::{self, LogDirectory};
use crate::places::PodLogs;

/// Follows the log of one start of a container, from file to file when it is put aside; hands out
/// whole lines in the CRI format.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    directory: Option<LogDirectory>,
    file: Option<File>,
    unfinished: Vec<u8>,
}

impl LogReader {
    /// Reads the log at that path from its beginning; it need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, directory: None, file: None, unfinished: Vec::new() }
    }

    /// The log's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a log, or something in its place that reading will tell of.
    pub fn exists(&self) -> bool {
        match LogDirectory::of(&self.path) {
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(directory) => directory.number_of(&log_directory::name_of(&self.path)).is_some(),
        }
    }

    /// Calls `take` with each whole line that was written since the last call, without its line
    /// break.
    pub fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if self.directory.is_none() {
            self.directory = match LogDirectory::of(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()), // not yet
                directory => Some(directory?),
            };
        }
        if self.file.is_none() {
            self.file = self.next_file(None)?;
        }
        while let Some(file) = &self.file {
            let current = file.metadata()?.ino();
            self.read_file(&mut take)?;
            let directory = self.directory.as_ref();
            let newest =
                directory.and_then(|one| one.number_of(&log_directory::name_of(&self.path)));
            if newest.is_none_or(|newest| newest == current) {
                break;
            }
            self.read_file(&mut take)?; // what was written until it was put aside
            match self.next_file(Some(current))? {
                Some(next) => self.file = Some(next),
                None => break,
            }
        }
        Ok(())
    }

    fn read_file(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.unfinished.extend_from_slice(&buffer[..count]);
            let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = self.unfinished.split_off(end + 1);
            self.unfinished[..end].split(|byte| *byte == b'\n').for_each(&mut *take);
            self.unfinished = rest;
        }
    }

    /// The file after the one of that number; the oldest when there is no such one any more.
    fn next_file(&self, current: Option<u64>) -> io::Result<Option<File>> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for name in directory.segments(&log_directory::name_of(&self.path)) {
            match directory.read_from(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // put aside just now
                file => files.push(file?),
            }
        }
        let number = |file: &File| file.metadata().map_or(0, |metadata| metadata.ino());
        let at = current.and_then(|current| files.iter().position(|one| number(one) == current));
        Ok(files.into_iter().nth(at.map_or(0, |at| at + 1)))
    }
}

/// The numbers of the starts of a container that have a log, in order.
pub fn attempts(logs: &PodLogs, container: &str) -> Vec<u32> {
    let directory = LogDirectory::of(&logs.file(container, 0));
    let names = directory.map(|directory| directory.names()).unwrap_or_default();
    let mut attempts: Vec<u32> =
        names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    attempts.sort_unstable();
    attempts
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    #[test]
    fn a_reader_hands_out_whole_lines_as_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut reader = LogReader::new(path.clone());
        let read = |reader: &mut LogReader| {
            let mut lines = Vec::new();
            reader.read(|line| lines.push(String::from_utf8_lossy(line).into_owned())).unwrap();
            lines
        };
        assert!(read(&mut reader).is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(read(&mut reader), ["one", "two"]);
        file.write_all(b"ee\n").unwrap();
        assert_eq!(read(&mut reader), ["three"]);
    }

    #[test]
    fn a_reader_goes_on_from_file_to_file_when_a_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut reader = LogReader::new(path.clone());
        let mut lines = Vec::new();
        let mut read = |reader: &mut LogReader| {
            reader.read(|line| lines.push(String::from_utf8_lossy(line).into_owned())).unwrap();
        };
        fs::write(dir.path().join("0.log.20260101-000000"), "one\n").unwrap();
        fs::write(&path, "two\n").unwrap();
        read(&mut reader);
        for (aside, text) in
            [("0.log.20260101-000001", "three\n"), ("0.log.20260101-000002", "four\n")]
        {
            OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more\n").unwrap();
            fs::rename(&path, dir.path().join(aside)).unwrap();
            fs::write(&path, text).unwrap();
        }
        read(&mut reader);
        read(&mut reader);
        assert_eq!(lines, ["one", "two", "more", "three", "more", "four"]);
    }
}
