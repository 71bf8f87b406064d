//! A file of JSON lines that one process appends to and many follow.
//!
//! A line is written with one `write`, so a reader sees whole lines or an unfinished last one,
//! which it leaves for the next time. A journal that has grown too long is replaced by a shorter
//! one through `rename`; a reader notices by the file's number and starts again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::roots;

/// Why a journal cannot be written or read.
#[derive(Debug, Error)]
#[error("cannot {verb} {}", path.display())]
pub struct JournalError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The writing end of a journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

/// A journal longer than this many bytes is due to be shortened.
const LONG: u64 = 1 << 20;

impl Journal {
    /// Opens the journal, creating it when it does not exist.
    pub fn open(path: PathBuf) -> Result<Self, JournalError> {
        match roots::private_file().append(true).open(&path) {
            Ok(file) => {
                let length = file.metadata().map_or(0, |metadata| metadata.len());
                Ok(Self { path, file, length })
            }
            Err(source) => Err(JournalError { verb: "open", path, source }),
        }
    }

    /// Adds one line; `line` has no line break in it.
    pub fn append(&mut self, mut line: Vec<u8>) -> Result<(), JournalError> {
        line.push(b'\n');
        self.length += line.len() as u64;
        self.file.write_all(&line).map_err(|source| self.error("write", source))
    }

    /// Whether the journal has grown enough to be shortened.
    pub fn is_long(&self) -> bool {
        self.length > LONG
    }

    /// Replaces the journal's content.
    pub fn shorten(&mut self, lines: &[Vec<u8>]) -> Result<(), JournalError> {
        let aside = self.path.with_extension("new");
        let mut text = lines.join(&b'\n');
        text.push(b'\n');
        roots::write(&aside, &text)
            .and_then(|()| std::fs::rename(&aside, &self.path))
            .map_err(|source| self.error("replace", source))?;
        *self = Self::open(self.path.clone())?;
        Ok(())
    }

    fn error(&self, verb: &'static str, source: io::Error) -> JournalError {
        JournalError { verb, path: self.path.clone(), source }
    }
}

/// The reading end of a journal: hands out each whole line once.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: Option<(File, u64)>,
    unfinished: Vec<u8>,
}

impl JournalReader {
    /// Reads the journal at that path from its beginning; it need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, unfinished: Vec::new() }
    }

    /// The lines that were added since the last call. After a replacement lines may come again.
    pub fn read(&mut self) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut text = std::mem::take(&mut self.unfinished);
        self.read_into(&mut text).map_err(|source| JournalError {
            verb: "read",
            path: self.path.clone(),
            source,
        })?;
        let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(Vec::from).collect();
        self.unfinished = lines.pop().unwrap_or_default();
        lines.retain(|line| !line.is_empty());
        Ok(lines)
    }

    /// Skips what is there already.
    pub fn skip_to_end(&mut self) -> Result<(), JournalError> {
        self.read().map(drop)
    }

    fn read_into(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let current = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        if let Some(current) = current {
            let number = current.metadata()?.ino();
            if self.file.as_ref().is_none_or(|(_, known)| *known != number) {
                if let Some((mut old, _)) = self.file.take() {
                    old.read_to_end(text)?;
                }
                self.file = Some((current, number));
            }
        }
        if let Some((file, _)) = &mut self.file {
            file.read_to_end(text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn texts(reader: &mut JournalReader) -> Vec<String> {
        let lines = reader.read().unwrap();
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn a_reader_gets_each_whole_line_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut reader = JournalReader::new(&path);
        assert!(texts(&mut reader).is_empty());
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.append(b"one".to_vec()).unwrap();
        journal.append(b"two".to_vec()).unwrap();
        assert_eq!(texts(&mut reader), ["one", "two"]);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"thr").unwrap();
        assert!(texts(&mut reader).is_empty());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"ee\n").unwrap();
        assert_eq!(texts(&mut reader), ["three"]);
    }

    #[test]
    fn a_reader_misses_nothing_when_the_journal_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut journal = Journal::open(path.clone()).unwrap();
        let mut reader = JournalReader::new(&path);
        journal.append(b"one".to_vec()).unwrap();
        assert_eq!(texts(&mut reader), ["one"]);
        journal.append(b"two".to_vec()).unwrap();
        journal.shorten(&[b"two".to_vec()]).unwrap();
        journal.append(b"three".to_vec()).unwrap();
        assert_eq!(texts(&mut reader), ["two", "two", "three"]);
    }
}
