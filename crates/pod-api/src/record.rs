//! The pod's record: Kubernetes objects on disk, written by the owner of the pod's lock alone.
//!
//! `pod.json` is the v1 Pod as it is now, replaced by rename so that a reader never sees half of
//! it. `events.jsonl` has every v1 Event. Each version of either is written first, with room for its
//! resourceVersion, and then announced in the journal of the store, which gives it one: whoever has
//! been told of a change finds it in the files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

use k8s_openapi::api::core::v1;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::journal::{self, Journal, JournalError, Verb, Version};
use crate::places::{Places, PodDir};
use crate::random::hex;
use crate::resource::Resource;
use crate::roots;

/// Why the record cannot be written or read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A file of the record.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The journal of the store.
    #[error("cannot announce a change")]
    Journal(#[from] JournalError),
    /// The record is not what minipod writes.
    #[error("cannot understand the pod record {}", path.display())]
    Garbled {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The writing end of a pod's record.
#[derive(Debug)]
pub struct PodRecord {
    dir: PodDir,
    pod: v1::Pod,
    /// The last version has not been written as a whole.
    is_stale: bool,
    journal: Journal,
    events: EventsFile,
}

impl PodRecord {
    /// Takes over the record of a pod that was created before.
    pub fn open(places: &Places, dir: PodDir) -> Result<Self, RecordError> {
        let pod = read_pod(&dir)?;
        let journal = Journal::open(places)?;
        let events = EventsFile::open(dir.events())?;
        Ok(Self { dir, pod, is_stale: false, journal, events })
    }

    /// The pod as last published.
    pub fn pod(&self) -> &v1::Pod {
        &self.pod
    }

    /// Changes the pod and publishes it, if the change made a difference or could not be published
    /// before.
    pub fn update(&mut self, change: impl FnOnce(&mut v1::Pod)) -> Result<(), RecordError> {
        let before = self.pod.clone();
        change(&mut self.pod);
        if self.pod == before && !self.is_stale { Ok(()) } else { self.publish(Verb::Modified) }
    }

    /// Changes the pod, to be published.
    pub fn replace(&mut self, change: impl FnOnce(&mut v1::Pod)) {
        change(&mut self.pod);
    }

    /// Whether the pod as it is now could not be published.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Writes the pod down and announces it.
    pub fn publish(&mut self, verb: Verb) -> Result<(), RecordError> {
        self.is_stale = true;
        self.pod.metadata.resource_version = None;
        let text = encode(&self.pod, &self.dir)?;
        let path = self.dir.record();
        let file = replace(&path, roomy(&text).as_bytes())?;
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let version = self.journal.append(verb, Resource::Pod, uid, &text)?;
        self.pod.metadata.resource_version = Some(version.to_string());
        let failed = |source| RecordError::File { verb: "write", path: path.clone(), source };
        file.write_all_at(&stamp(version), room_in(&text)).map_err(failed)?;
        self.is_stale = false;
        Ok(())
    }

    /// Adds an event, or a new count of one that was added before.
    pub fn add_event(&mut self, mut event: v1::Event) -> Result<(), RecordError> {
        let text = self.complete(&mut event)?;
        let at = self.events.append(&(roomy(&text) + "\n"))?;
        let version = self.announce(&event, &text)?;
        self.events.write_at(at + room_in(&text), &stamp(version))
    }

    /// Whether the events should be given again, shortened, through [`Self::replace_events`].
    pub fn has_long_events(&self) -> bool {
        self.events.length > LONG
    }

    /// Replaces the events by these.
    pub fn replace_events(&mut self, events: Vec<v1::Event>) -> Result<(), RecordError> {
        let mut lines = String::new();
        for mut event in events {
            let text = self.complete(&mut event)?;
            let version = self.announce(&event, &text)?;
            lines.push_str(&journal::with_version(&text, version));
            lines.push('\n');
        }
        self.events.replace(&lines)
    }

    /// Gives an event its uid; the event as text.
    fn complete(&self, event: &mut v1::Event) -> Result<String, RecordError> {
        let name = event.metadata.name.as_deref().unwrap_or_default();
        let pod = self.pod.metadata.uid.as_deref().unwrap_or_default();
        event.metadata.uid = Some(event_uid(pod, name));
        encode(event, &self.dir)
    }

    /// Announces an event, unless just this has been announced.
    fn announce(&mut self, event: &v1::Event, text: &str) -> Result<Version, RecordError> {
        let name = event.metadata.name.clone().unwrap_or_default();
        let known = self.events.announced.get(&name);
        if let Some((version, _)) = known.filter(|(_, known)| *known == hash(text)) {
            return Ok(*version);
        }
        let verb = if known.is_some() { Verb::Modified } else { Verb::Added };
        let uid = event.metadata.uid.as_deref().unwrap_or_default();
        let version = self.journal.append(verb, Resource::Event, uid, text)?;
        self.events.announced.insert(name, (version, hash(text)));
        Ok(version)
    }
}

/// Writes the first record of a pod, which nobody knows yet: it has no version until it is
/// published.
pub fn prepare(dir: &PodDir, pod: &v1::Pod) -> Result<(), RecordError> {
    write_by_rename(&dir.record(), encode(pod, dir)?.as_bytes())
}

/// Reads the pod record as it is now. One that is just being announced is waited for, but not for
/// long: its owner may have been stopped, and then it has no version.
pub fn read_pod(dir: &PodDir) -> Result<v1::Pod, RecordError> {
    let path = dir.record();
    let mut looks = 0;
    loop {
        let text = fs::read(&path).map_err(|source| RecordError::File {
            verb: "read",
            path: path.clone(),
            source,
        })?;
        looks += 1;
        match serde_json::from_slice::<v1::Pod>(&text) {
            Ok(pod) if pod.metadata.resource_version.is_some() || looks > MOST_LOOKS => {
                return Ok(pod);
            }
            Err(source) if looks > MOST_LOOKS => return Err(RecordError::Garbled { path, source }),
            _ => thread::yield_now(), // what is missing comes in two system calls
        }
    }
}

/// The events of a pod in the order of their first occurrence.
pub fn read_events(dir: &PodDir) -> Result<Vec<v1::Event>, RecordError> {
    let path = dir.events();
    let mut looks = 0;
    let read = loop {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(|source| RecordError::File {
                verb: "read",
                path: path.clone(),
                source,
            })?,
        };
        looks += 1;
        // A line of which a full disk took only a part is followed by all of them in a new file.
        let read = text.lines().filter_map(|line| serde_json::from_str::<v1::Event>(line).ok());
        let read: Vec<v1::Event> = read.collect();
        if looks > MOST_LOOKS || read.iter().all(|one| one.metadata.resource_version.is_some()) {
            break read;
        }
        thread::yield_now(); // the same as with a pod
    };
    let mut events: Vec<v1::Event> = Vec::new();
    let mut places: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for event in read {
        let at = *places.entry(event.metadata.name.clone()).or_insert(events.len());
        if at < events.len() {
            events[at] = event;
        } else {
            events.push(event);
        }
    }
    Ok(events)
}

/// How often something that is being announced is looked at.
const MOST_LOOKS: usize = 200;
/// What metadata begins with, as serde writes Kubernetes' objects.
const METADATA: &str = "\"metadata\":{";
/// The room for a resourceVersion, in bytes.
const ROOM: usize = 41;

/// The text of an object with room for its version, which JSON does not mind.
fn roomy(text: &str) -> String {
    let (before, after) = text.split_at(usize::try_from(room_in(text)).unwrap_or(0));
    format!("{before}{:ROOM$}{after}", "")
}

/// Where the room is.
fn room_in(text: &str) -> u64 {
    text.find(METADATA).map_or(0, |at| (at + METADATA.len()) as u64)
}

/// What goes into the room.
fn stamp(version: Version) -> Vec<u8> {
    format!("\"resourceVersion\":\"{version}\",").into_bytes()
}

/// An event's uid. It is the same for every count of the event, and nobody has to remember it.
fn event_uid(pod: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{pod}/{name}"));
    let text = hex(&digest[..16]);
    // Version 8 and variant 10 (RFC 9562): an identifier by a rule of its maker's.
    format!("{}-{}-8{}-9{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..])
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn encode(value: &impl serde::Serialize, dir: &PodDir) -> Result<String, RecordError> {
    serde_json::to_string(value)
        .map_err(|source| RecordError::Garbled { path: dir.record(), source })
}

/// Events take more than so many bytes only when equal ones were counted often.
const LONG: u64 = 1 << 20;

/// The file of a pod's events, one per line; a later line replaces an earlier one of the same name.
#[derive(Debug)]
struct EventsFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// The last version of each event that was announced, with the hash of its text.
    announced: BTreeMap<String, (Version, u64)>,
}

impl EventsFile {
    fn open(path: PathBuf) -> Result<Self, RecordError> {
        let (file, length) = Self::open_file(&path)?;
        Ok(Self { path, file, length, announced: BTreeMap::new() })
    }

    fn open_file(path: &Path) -> Result<(File, u64), RecordError> {
        let opened = roots::private_file().open(path);
        let opened = opened.and_then(|file| file.metadata().map(|data| (file, data.len())));
        opened.map_err(|source| RecordError::File { verb: "open", path: path.to_owned(), source })
    }

    /// Adds lines, and says where they begin.
    fn append(&mut self, lines: &str) -> Result<u64, RecordError> {
        let at = self.length;
        self.length += lines.len() as u64;
        self.write_at(at, lines.as_bytes()).map(|()| at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), RecordError> {
        self.file.write_all_at(bytes, at).map_err(|source| RecordError::File {
            verb: "write",
            path: self.path.clone(),
            source,
        })
    }

    fn replace(&mut self, lines: &str) -> Result<(), RecordError> {
        write_by_rename(&self.path, lines.as_bytes())?;
        (self.file, self.length) = Self::open_file(&self.path)?;
        Ok(())
    }
}

/// Replaces a file's content so that a reader sees the old or the new one, never a part.
pub fn write_by_rename(path: &Path, text: &[u8]) -> Result<(), RecordError> {
    replace(path, text).map(drop)
}

/// The same; the new file, to be written to.
fn replace(path: &Path, text: &[u8]) -> Result<File, RecordError> {
    let aside = path.with_extension("new");
    let write = || {
        let mut file = roots::create(&aside)?;
        file.write_all(text)?;
        fs::rename(&aside, path)?;
        Ok(file)
    };
    write().map_err(|source| RecordError::File { verb: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_goes_into_the_room_that_was_left_for_it() {
        let text = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#;
        let mut roomy = roomy(text).into_bytes();
        let same: v1::Pod = serde_json::from_slice(&roomy).unwrap();
        assert_eq!(same.metadata.resource_version, None);
        let version: Version = u64::MAX.to_string().parse().unwrap();
        let (stamp, at) = (stamp(version), usize::try_from(room_in(text)).unwrap());
        assert!(stamp.len() <= ROOM);
        roomy[at..at + stamp.len()].copy_from_slice(&stamp);
        let stamped: v1::Pod = serde_json::from_slice(&roomy).unwrap();
        assert_eq!(stamped.metadata.resource_version, Some(version.to_string()));
        assert_eq!(stamped.metadata.name, same.metadata.name);
    }

    #[test]
    fn an_event_has_a_uid_of_its_own_that_stays() {
        let uid = event_uid("pod", "web.1");
        assert_eq!(uid, event_uid("pod", "web.1"));
        assert_ne!(uid, event_uid("pod", "web.2"));
        let lengths: Vec<usize> = uid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uid}");
    }

    #[test]
    fn a_later_count_of_an_event_replaces_the_earlier_one() {
        let top = tempfile::tempdir().unwrap();
        let dir = PodDir::at(top.path().to_owned());
        let lines = ["a 1", "b 1", "a 2"].map(|line| {
            let (name, count) = line.split_once(' ').unwrap();
            format!(
                "{{\"metadata\":{{\"name\":{name:?}}},\"involvedObject\":{{}},\"count\":{count}}}\n"
            )
        });
        fs::write(dir.events(), lines.concat() + "{\"metadata\":{\"na").unwrap();
        let events = read_events(&dir).unwrap();
        let read = events.iter().map(|one| (one.metadata.name.as_deref().unwrap(), one.count));
        assert_eq!(read.collect::<Vec<_>>(), [("a", Some(2)), ("b", Some(1))]);
    }
}
