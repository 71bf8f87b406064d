//! Follows pods as they change: what `-w` shows.
//!
//! Every version that a supervisor published is handed out, none twice. That a supervisor died is
//! seen too: its lock file is closed with it, which inotify(7) tells.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Instant;

use k8s_openapi::api::core::v1;

use crate::journal::JournalReader;
use crate::places::PodDir;
use crate::pods::{self, Pods, PodsError};
use crate::watch::{Watcher, Woken};

/// Something that happened to a pod.
#[derive(Clone, Debug)]
pub enum PodChange {
    /// A new version of the pod.
    Version(Box<v1::Pod>),
    /// The pod is gone; its last version.
    Deleted(Box<v1::Pod>),
    /// A new event, or a new count of a known one.
    Event(Box<v1::Event>),
}

/// Follows every pod of the machine.
#[derive(Debug)]
pub struct PodsFollower {
    pods: Pods,
    watcher: Watcher,
    followed: BTreeMap<PathBuf, Followed>,
}

#[derive(Debug)]
struct Followed {
    dir: PodDir,
    versions: JournalReader,
    events: JournalReader,
    last: Option<v1::Pod>,
    is_dead: bool,
}

impl PodsFollower {
    /// Follows all pods from their beginning.
    pub fn new(pods: Pods) -> Result<Self, PodsError> {
        let failed = |path: PathBuf| move |source| PodsError::List { path, source };
        let path = pods.directory().map_err(failed("pods".into()))?;
        let watcher = Watcher::new().map_err(failed(path.clone()))?;
        watcher.add(&path).map_err(failed(path))?;
        Ok(Self { pods, watcher, followed: BTreeMap::new() })
    }

    /// What has happened since the last call.
    pub fn changes(&mut self) -> Result<Vec<PodChange>, PodsError> {
        let directories = self.pods.directories()?;
        let mut changes = Vec::new();
        self.followed.retain(|path, followed| {
            let is_there = directories.iter().any(|dir| dir.path() == path);
            if !is_there {
                changes.extend(followed.last.take().map(|pod| PodChange::Deleted(Box::new(pod))));
            }
            is_there
        });
        for dir in directories {
            let followed = self.followed.entry(dir.path().to_owned()).or_insert_with(|| {
                let _ = self.watcher.add(dir.path()); // gone already, then it is not there next time
                Followed::new(dir)
            });
            changes.extend(followed.changes()?);
        }
        Ok(changes)
    }

    /// Waits until there may be changes, until `interrupt` is readable, or until the deadline.
    pub fn wait(
        &self,
        interrupt: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        self.watcher.wait(interrupt, deadline)
    }

    /// Watches another path, so that a wait ends when it changes too.
    pub fn also_watch(&self, path: &std::path::Path) -> io::Result<()> {
        self.watcher.add(path)
    }
}

impl Followed {
    fn new(dir: PodDir) -> Self {
        let versions = JournalReader::new(&dir.changes());
        let events = JournalReader::new(&dir.events());
        Self { dir, versions, events, last: None, is_dead: false }
    }

    fn changes(&mut self) -> Result<Vec<PodChange>, PodsError> {
        let mut changes = Vec::new();
        for event in pods::new_events(&mut self.events)? {
            changes.push(PodChange::Event(Box::new(event)));
        }
        for pod in pods::new_versions(&mut self.versions)? {
            if self.is_newer(&pod) {
                self.last = Some(pod.clone());
                changes.push(PodChange::Version(Box::new(pod)));
            }
        }
        changes.extend(self.death().map(|pod| PodChange::Version(Box::new(pod))));
        Ok(changes)
    }

    /// Versions come again after the journal was shortened.
    fn is_newer(&self, pod: &v1::Pod) -> bool {
        let version = |pod: &v1::Pod| {
            let text = pod.metadata.resource_version.as_deref();
            text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        self.last.as_ref().is_none_or(|last| {
            version(pod) > version(last) || pod.metadata.uid != last.metadata.uid
        })
    }

    /// The pod as it looks once its supervisor has died, the first time that this is seen.
    fn death(&mut self) -> Option<v1::Pod> {
        let mut pod = self.last.clone()?;
        pods::mark_if_dead(&self.dir, &mut pod);
        let is_dead = self.last.as_ref() != Some(&pod);
        let is_new = is_dead && !self.is_dead;
        self.is_dead = is_dead;
        is_new.then_some(pod)
    }
}
