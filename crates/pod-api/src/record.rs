//! The pod's record: Kubernetes objects on disk, written by the supervisor alone.
//!
//! `pod.json` is the v1 Pod as it is now, replaced by rename so that a reader never sees half of
//! it. `changes.jsonl` keeps every version for those who watch, `events.jsonl` every v1 Event.

use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1;
use thiserror::Error;

use crate::journal::{Journal, JournalError};
use crate::places::PodDir;
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
    /// A journal of the record.
    #[error("cannot keep the pod's history")]
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
    version: u64,
    /// The last version has not been written as a whole.
    is_stale: bool,
    changes: Journal,
    events: Journal,
}

impl PodRecord {
    /// Creates the record of a new pod and publishes its first version.
    pub fn create(dir: PodDir, pod: v1::Pod) -> Result<Self, RecordError> {
        let mut record = Self::with(dir, pod, 0)?;
        record.publish()?;
        Ok(record)
    }

    /// Takes over the record of a pod that was created before.
    pub fn open(dir: PodDir) -> Result<Self, RecordError> {
        let pod = read_pod(&dir)?;
        let version = pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        Self::with(dir, pod, version.unwrap_or(0))
    }

    fn with(dir: PodDir, pod: v1::Pod, version: u64) -> Result<Self, RecordError> {
        let changes = Journal::open(dir.changes())?;
        let events = Journal::open(dir.events())?;
        Ok(Self { dir, pod, version, is_stale: false, changes, events })
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
        if self.pod == before && !self.is_stale { Ok(()) } else { self.publish() }
    }

    /// Whether the pod as it is now could not be published.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Adds an event, or a new count of one that was added before.
    pub fn add_event(&mut self, event: &v1::Event) -> Result<(), RecordError> {
        let line = self.encode(event)?;
        Ok(self.events.append(line)?)
    }

    /// Whether the events should be given again, shortened, through [`Self::replace_events`].
    pub fn has_long_events(&self) -> bool {
        self.events.is_long()
    }

    /// Replaces the events by these.
    pub fn replace_events(&mut self, events: &[v1::Event]) -> Result<(), RecordError> {
        let lines = events.iter().map(|event| self.encode(event)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.events.shorten(&lines)?)
    }

    fn publish(&mut self) -> Result<(), RecordError> {
        self.version += 1;
        self.pod.metadata.resource_version = Some(self.version.to_string());
        let text = self.encode(&self.pod)?;
        // A line of which only a part was written is mended by writing the journal anew.
        let is_damaged = std::mem::replace(&mut self.is_stale, true);
        write_by_rename(&self.dir.record(), &text)?;
        if is_damaged || self.changes.is_long() {
            self.changes.shorten(&[text])?;
        } else {
            self.changes.append(text)?;
        }
        self.is_stale = false;
        Ok(())
    }

    fn encode(&self, value: &impl serde::Serialize) -> Result<Vec<u8>, RecordError> {
        serde_json::to_vec(value)
            .map_err(|source| RecordError::Garbled { path: self.dir.record(), source })
    }
}

/// Reads the pod record as it is now.
pub fn read_pod(dir: &PodDir) -> Result<v1::Pod, RecordError> {
    let path = dir.record();
    let text = fs::read(&path).map_err(|source| RecordError::File {
        verb: "read",
        path: path.clone(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| RecordError::Garbled { path, source })
}

/// Replaces a file's content so that a reader sees the old or the new one, never a part.
pub fn write_by_rename(path: &std::path::Path, text: &[u8]) -> Result<(), RecordError> {
    let aside = path.with_extension("new");
    roots::write(&aside, text)
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|source| RecordError::File { verb: "write", path: path.to_owned(), source })
}
