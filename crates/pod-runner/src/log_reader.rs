//! Reads container logs back: all of one, the end of one, or on and on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::places::PodLogs;

/// Follows one container's log file; hands out whole lines in the CRI format.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: Option<File>,
    unfinished: Vec<u8>,
}

impl LogReader {
    /// Reads the log at that path from its beginning; it need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, unfinished: Vec::new() }
    }

    /// The log's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `take` with each whole line that was written since the last call, without its line
    /// break.
    pub fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => Some(file?),
            };
        }
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
            self.unfinished[..end].split(|byte| *byte == b'\n').for_each(&mut take);
            self.unfinished = rest;
        }
    }
}

/// The numbers of the starts of a container that have a log, in order.
pub fn attempts(logs: &PodLogs, container: &str) -> Vec<u32> {
    let entries = fs::read_dir(logs.container(container)).into_iter().flatten().flatten();
    let mut attempts: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    attempts.sort_unstable();
    attempts
}

#[cfg(test)]
mod tests {
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
}
