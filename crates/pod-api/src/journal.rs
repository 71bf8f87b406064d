//! The journal of the store: every change of every object, in one order for everybody.
//!
//! One file in the state directory, to which every supervisor and every command appends, a change
//! with one write(2). With `O_APPEND` the kernel puts such writes one behind the other, so there is
//! no lock that a stopped process could keep from the others. A change's resourceVersion is where
//! its line ends, counted from a base that no earlier journal of this machine has reached: versions
//! are unique, grow, and tell a watch where to resume. The oldest lines are given back to the file
//! system (fallocate(2), `FALLOC_FL_PUNCH_HOLE`); the file is never replaced.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::object::Object;
use crate::places::Places;
use crate::random;
use crate::resource::Resource;
use crate::roots;

/// So many bytes of history are kept at least …
const KEPT: u64 = 4 << 20;
/// … and after so many more the rest is given back.
const SURPLUS: u64 = 1 << 20;
/// The first line is in the first page, which is never given back.
const FIRST_PAGE: u64 = 4096;

/// A resourceVersion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Version {
    /// That of an object that has been announced.
    pub fn of(
        metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    ) -> Option<Self> {
        metadata.resource_version.as_deref()?.parse().ok()
    }
}

/// What happened to an object, in the words of a Kubernetes watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// It is new.
    Added,
    /// It has changed.
    Modified,
    /// It is gone; its last state.
    Deleted,
}

impl Verb {
    /// As a watch writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Why the journal cannot be written or read.
#[derive(Debug, Error)]
#[error("cannot {verb} {}", path.display())]
pub struct JournalError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Why a watch cannot resume from a version.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// What happened since then is not kept any more: Kubernetes' `Expired`.
    #[error("too old resource version: {asked} ({oldest})")]
    TooOld {
        /// The version that was asked for.
        asked: Version,
        /// The oldest that is kept.
        oldest: Version,
    },
    /// No change has that version yet.
    #[error("Too large resource version: {asked}, current: {current}")]
    TooLarge {
        /// The version that was asked for.
        asked: Version,
        /// The newest that there is.
        current: Version,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

#[derive(Serialize, Deserialize)]
struct Header {
    base: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    verb: Verb,
    kind: &'a str,
    uid: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The journal, to be read or appended to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    base: u64,
}

impl Journal {
    /// Opens the journal, and begins one where there is none.
    pub fn open(places: &Places) -> Result<Self, JournalError> {
        let path = places.journal();
        Self::open_file(&path)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => begin(places).and_then(|()| Self::open_file(&path)),
                _ => Err(error),
            })
            .map_err(|source| JournalError { verb: "open", path, source })
    }

    fn open_file(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).open(path)?;
        let mut start = [0; 64];
        let length = file.read_at(&mut start, 0)?;
        let line = start[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Header { base } = serde_json::from_slice(line)?;
        Ok(Self { path: path.to_owned(), file, base })
    }

    /// Adds a change. `object` is the object as JSON in one line, without a resourceVersion; the
    /// version that it has from now on is returned.
    pub fn append(
        &mut self,
        verb: Verb,
        kind: Resource,
        uid: &str,
        object: &str,
    ) -> Result<Version, JournalError> {
        let head = format!(
            "\n{{\"type\":\"{}\",\"kind\":\"{}\",\"uid\":{},\"object\":",
            verb.name(),
            kind.kind(),
            serde_json::Value::from(uid),
        );
        // The line break before ends a line of which a full disk took only a part.
        let line = [head.as_bytes(), object.as_bytes(), b"}\n"].concat();
        let end = self.append_bytes(&line).map_err(|source| self.error("write", source))?;
        self.trim(end, line.len() as u64);
        Ok(Version(self.base + end))
    }

    fn append_bytes(&mut self, line: &[u8]) -> io::Result<u64> {
        if self.file.write(line)? < line.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.stream_position() // where the kernel has put the end of the line
    }

    /// Whoever crosses a mark gives back what is older than it has to be. A file system that cannot
    /// do that keeps everything.
    fn trim(&self, end: u64, length: u64) {
        let crosses = (end - length) / SURPLUS != end / SURPLUS;
        if let Some(old) = end.checked_sub(KEPT + FIRST_PAGE).filter(|_| crosses) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.file, flags, FIRST_PAGE, old); // at worst it stays long
        }
    }

    /// The newest version.
    pub fn version(&self) -> Result<Version, JournalError> {
        self.end().map(|end| Version(self.base + end))
    }

    fn end(&self) -> Result<u64, JournalError> {
        self.file.metadata().map(|data| data.len()).map_err(|source| self.error("read", source))
    }

    /// The path of its file, to be watched.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on from now.
    pub fn reader(self) -> Result<JournalReader, JournalError> {
        let position = self.end()?;
        Ok(JournalReader { journal: self, position })
    }

    /// Reads on from everything that is kept.
    pub fn reader_of_all(self) -> Result<JournalReader, JournalError> {
        let position = self.start()?;
        Ok(JournalReader { journal: self, position })
    }

    /// Reads on after a version.
    pub fn reader_after(self, asked: Version) -> Result<JournalReader, ResumeError> {
        let current = self.version()?;
        if asked > current {
            return Err(ResumeError::TooLarge { asked, current });
        }
        let failed = |source| self.error("read", source);
        let position = asked.0.checked_sub(self.base).filter(|at| *at > 0);
        let mut before = [0];
        let is_kept = match position {
            Some(at) => self.file.read_at(&mut before, at - 1).map_err(failed)? > 0,
            None => false,
        };
        if let Some(position) = position.filter(|_| is_kept && before == *b"\n") {
            return Ok(JournalReader { journal: self, position });
        }
        let oldest = Version(self.base + self.start()?);
        Err(ResumeError::TooOld { asked, oldest })
    }

    /// Where the first whole line that is kept begins.
    fn start(&self) -> Result<u64, JournalError> {
        let failed = |source| self.error("read", source);
        let mut space = vec![0; 64 << 10];
        // In the first page are the first line and, as long as nothing was given back, others.
        let mut at = 0;
        let mut first = [0; 1];
        if self.file.read_at(&mut first, FIRST_PAGE).map_err(failed)? > 0 && first == [0] {
            at = rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(FIRST_PAGE))
                .map_err(|errno| failed(errno.into()))?;
        }
        loop {
            let length = self.file.read_at(&mut space, at).map_err(failed)?;
            let mut found = space[..length].iter().enumerate();
            match found.find(|(_, byte)| **byte == b'\n') {
                Some((offset, _)) => return Ok(at + offset as u64 + 1),
                None if length == 0 => return Ok(at),
                None => at += length as u64,
            }
        }
    }

    fn error(&self, verb: &'static str, source: io::Error) -> JournalError {
        JournalError { verb, path: self.path.clone(), source }
    }
}

/// Begins a journal, unless somebody else is faster.
fn begin(places: &Places) -> io::Result<()> {
    roots::make_directory(&places.state)?;
    let header = serde_json::to_string(&Header { base: base(places) })? + "\n";
    let aside = places.aside("new", &random::uid());
    roots::write(&aside, header.as_bytes())?;
    let linked = fs::hard_link(&aside, places.journal());
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// A number that is above every version of a journal that was lost with the memory it was in:
/// the microseconds since 1970, which no journal outruns; above those of the objects that were kept,
/// should the clock have gone back.
fn base(places: &Places) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let now = u64::try_from(now).unwrap_or(u64::MAX / 2);
    now.max(crate::object_store::highest_version(places).map_or(0, |version| version.0))
}

/// A change that was read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The version that the object has since then.
    pub version: Version,
    /// What happened.
    pub verb: Verb,
    /// The kind of the object.
    pub kind: Resource,
    /// Its uid.
    pub uid: String,
    /// The object as JSON, without its version.
    pub text: String,
}

impl Entry {
    /// The object with its version; nothing if it is not what minipod writes.
    pub fn object(&self) -> Option<Object> {
        let mut object = Object::from_json(self.kind, &self.text)?;
        object.metadata_mut().resource_version = Some(self.version.to_string());
        Some(object)
    }
}

/// The reading end: hands out each change once.
#[derive(Debug)]
pub struct JournalReader {
    journal: Journal,
    position: u64,
}

impl JournalReader {
    /// The journal that is read.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Up to which version all has been read.
    pub fn version(&self) -> Version {
        Version(self.journal.base + self.position)
    }

    /// The changes since the last call, of the kinds that are wanted.
    pub fn read(&mut self, wanted: &[Resource]) -> Result<Vec<Entry>, JournalError> {
        let failed = |journal: &Journal, source| journal.error("read", source);
        let end = self.journal.end()?;
        let length = usize::try_from(end.saturating_sub(self.position)).unwrap_or(0);
        let mut text = vec![0; length];
        let read = self.journal.file.read_at(&mut text, self.position);
        let read = read.map_err(|source| failed(&self.journal, source))?;
        // What comes after the last line break is being written.
        let whole = text[..read].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut entries = Vec::new();
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.position += line.len() as u64;
            let Ok(Line { verb, kind, uid, object }) = serde_json::from_slice(line) else {
                continue; // the break before a line, or a line that a full disk has cut
            };
            let Some(kind) = Resource::of_kind(kind).filter(|kind| wanted.contains(kind)) else {
                continue;
            };
            let version = Version(self.journal.base + self.position);
            let (uid, text) = (uid.to_owned(), object.get().to_owned());
            entries.push(Entry { version, verb, kind, uid, text });
        }
        Ok(entries)
    }
}

/// The last change of one object that is kept, if any.
pub fn last_of(places: &Places, kind: Resource, uid: &str) -> Result<Option<Entry>, JournalError> {
    let entries = Journal::open(places)?.reader_of_all()?.read(&[kind])?;
    Ok(entries.into_iter().rev().find(|entry| entry.uid == uid))
}

/// The text of an object with its version put in; `text` is JSON as serde writes Kubernetes'
/// objects, whose metadata begins with an empty resourceVersion or none.
pub fn with_version(text: &str, version: Version) -> String {
    const METADATA: &str = "\"metadata\":{";
    let Some(at) = text.find(METADATA) else {
        return text.to_owned();
    };
    let (before, after) = text.split_at(at + METADATA.len());
    let comma = if after.starts_with('}') { "" } else { "," };
    format!("{before}\"resourceVersion\":\"{version}\"{comma}{after}")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let places = Places { state: at("state"), data: at("data"), logs: at("logs") };
        (top, places)
    }

    fn append(journal: &mut Journal, uid: &str, text: &str) -> Version {
        let object = format!("{{\"metadata\":{{\"name\":\"{text}\"}}}}");
        journal.append(Verb::Modified, Resource::Pod, uid, &object).unwrap()
    }

    const PODS: [Resource; 1] = [Resource::Pod];

    #[test]
    fn changes_of_many_writers_come_once_and_in_the_order_of_their_versions() {
        let (_top, places) = places();
        let mut reader = Journal::open(&places).unwrap().reader().unwrap();
        let written: Vec<(Version, String)> = thread::scope(|scope| {
            let write = |writer: usize| {
                let mut journal = Journal::open(&places).unwrap();
                let write = |number: usize| {
                    let name = format!("{writer}-{number}");
                    (append(&mut journal, &writer.to_string(), &name), name)
                };
                (0..200).map(write).collect::<Vec<_>>()
            };
            let writers: Vec<_> = (0..4).map(|one| scope.spawn(move || write(one))).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let mut written = written;
        written.sort();
        let read = reader.read(&PODS).unwrap();
        let name = |entry: &Entry| entry.object().unwrap().name().to_owned();
        let read: Vec<_> = read.iter().map(|entry| (entry.version, name(entry))).collect();
        assert_eq!(read, written);
        assert_eq!(reader.version(), written.last().unwrap().0);
        assert!(reader.read(&PODS).unwrap().is_empty());
    }

    #[test]
    fn a_watch_resumes_after_any_version_and_is_told_when_it_cannot() {
        let (_top, places) = places();
        let mut journal = Journal::open(&places).unwrap();
        let versions: Vec<Version> =
            (0..5).map(|number| append(&mut journal, "u", &number.to_string())).collect();
        let after = |version| Journal::open(&places).unwrap().reader_after(version);
        for (at, version) in versions.iter().enumerate() {
            let read = after(*version).unwrap().read(&PODS).unwrap();
            let read: Vec<Version> = read.iter().map(|entry| entry.version).collect();
            assert_eq!(read, versions[at + 1..]);
        }
        let wrong = |version| after(version).unwrap_err();
        let current = *versions.last().unwrap();
        assert!(matches!(wrong(Version(current.0 + 1)), ResumeError::TooLarge { .. }));
        assert!(matches!(wrong(Version(current.0 - 1)), ResumeError::TooOld { .. }));
        assert!(matches!(wrong(Version(7)), ResumeError::TooOld { .. }), "of another journal");
    }

    #[test]
    fn old_changes_are_given_back_and_the_rest_can_be_read() {
        let (_top, places) = places();
        let mut journal = Journal::open(&places).unwrap();
        let long = "x".repeat(100 << 10);
        let versions: Vec<Version> = (0..80).map(|_| append(&mut journal, "u", &long)).collect();
        let oldest = Journal::open(&places).unwrap().reader_of_all().unwrap().read(&PODS).unwrap();
        let kept = oldest.len() * long.len();
        assert!((4 << 20..6 << 20).contains(&kept), "{kept}");
        assert_eq!(oldest.last().unwrap().version, *versions.last().unwrap());
        let resumed = Journal::open(&places).unwrap().reader_after(versions[0]);
        assert!(matches!(resumed, Err(ResumeError::TooOld { .. })));
    }

    #[test]
    fn a_line_that_was_cut_is_passed_over_and_one_that_is_being_written_waited_for() {
        let (_top, places) = places();
        let mut journal = Journal::open(&places).unwrap();
        let mut reader = Journal::open(&places).unwrap().reader().unwrap();
        journal.file.write_all(b"\n{\"type\":\"ADDED\",\"kind\":\"Po").unwrap();
        append(&mut journal, "u", "whole");
        let read = reader.read(&PODS).unwrap();
        assert_eq!(read.len(), 1);
        journal.file.write_all(b"\n{\"type\":\"MODIFIED\",\"kind\":\"Pod\",").unwrap();
        assert!(reader.read(&PODS).unwrap().is_empty());
        journal.file.write_all(b"\"uid\":\"u\",\"object\":{}}\n").unwrap();
        assert_eq!(reader.read(&PODS).unwrap().len(), 1);
    }

    #[test]
    fn a_new_journal_begins_above_the_versions_of_every_former_one() {
        let (_top, places) = places();
        let mut journal = Journal::open(&places).unwrap();
        let last = append(&mut journal, "u", "old");
        fs::remove_dir_all(&places.state).unwrap(); // as a reboot does
        assert!(Journal::open(&places).unwrap().version().unwrap() > last);
    }

    #[test]
    fn a_version_is_put_into_the_text_of_an_object() {
        let put = |text| with_version(text, Version(7));
        let text = r#"{"kind":"Pod","metadata":{"name":"a"}}"#;
        let with = r#"{"kind":"Pod","metadata":{"resourceVersion":"7","name":"a"}}"#;
        assert_eq!(put(text), with);
        assert_eq!(put(r#"{"metadata":{}}"#), r#"{"metadata":{"resourceVersion":"7"}}"#);
    }
}
