//! Follows pods as they change: what `-w` shows.
//!
//! Every version that a supervisor published is handed out, none twice. That a supervisor died is
//! seen too: its lock file is closed with it, which a [`Watcher`] notices.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Instant;

use k8s_openapi::api::core::v1;

use crate::journal::JournalReader;
use crate::places::HeldPodDir;
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
    held: HeldPodDir,
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
        let watcher = Watcher::new();
        watcher.add(&path).map_err(failed(path))?;
        Ok(Self { pods, watcher, followed: BTreeMap::new() })
    }

    /// What has happened since the last call.
    pub fn changes(&mut self) -> Result<Vec<PodChange>, PodsError> {
        let directories = self.pods.directories()?;
        let mut changes = Vec::new();
        self.followed.retain(|path, followed| {
            let is_there = directories.iter().any(|dir| dir.path() == path);
            let is_there = is_there && followed.held.is_in_its_place();
            if !is_there {
                changes.extend(followed.changes().unwrap_or_default()); // what it did last
                changes.extend(followed.last.take().map(|pod| PodChange::Deleted(Box::new(pod))));
            }
            is_there
        });
        for dir in directories {
            let followed = match self.followed.entry(dir.path().to_owned()) {
                Entry::Occupied(followed) => followed.into_mut(),
                Entry::Vacant(place) => {
                    let Ok(held) = dir.hold() else {
                        continue; // gone already
                    };
                    let _ = self.watcher.add(dir.path()); // gone, then it is not there next time
                    place.insert(Followed::new(held))
                }
            };
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
    fn new(held: HeldPodDir) -> Self {
        let dir = held.itself();
        let versions = JournalReader::new(&dir.changes());
        let events = JournalReader::new(&dir.events());
        Self { held, versions, events, last: None, is_dead: false }
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
        self.last.as_ref().is_none_or(|last| version(pod) > version(last))
    }

    /// The pod as it looks once its supervisor has died, the first time that this is seen.
    fn death(&mut self) -> Option<v1::Pod> {
        let mut pod = self.last.clone()?;
        pods::mark_if_dead(&self.held.itself(), &mut pod);
        // The supervisor of a pod that is deleted is gone only after the pod's directory.
        let is_dead = self.last.as_ref() != Some(&pod) && self.held.is_in_its_place();
        let is_new = is_dead && !self.is_dead;
        self.is_dead = is_dead;
        is_new.then_some(pod)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::Places;
    use crate::places::PodDir;
    use crate::record::PodRecord;

    /// A new pod of that name and uid in its place, as whoever creates one puts it there.
    fn create(places: &Places, uid: &str) -> PodRecord {
        let dir = places.pod("default", "web");
        let aside = PodDir::at(places.aside("new", uid));
        fs::create_dir_all(aside.path()).unwrap();
        let mut pod = v1::Pod::default();
        pod.metadata.name = Some("web".into());
        pod.metadata.uid = Some(uid.into());
        drop(PodRecord::create(aside.clone(), pod).unwrap());
        fs::rename(aside.path(), dir.path()).unwrap();
        PodRecord::open(dir).unwrap()
    }

    fn told(follower: &mut PodsFollower) -> Vec<String> {
        let uid = |pod: &v1::Pod| pod.metadata.uid.clone().unwrap_or_default();
        let text = |change: &PodChange| match change {
            PodChange::Version(pod) => format!("version of {}", uid(pod)),
            PodChange::Deleted(pod) => format!("{} is gone", uid(pod)),
            PodChange::Event(_) => "event".to_owned(),
        };
        follower.changes().unwrap().iter().map(text).collect()
    }

    #[test]
    fn a_pod_that_takes_the_place_of_another_is_followed_like_any_other() {
        let state = tempfile::tempdir().unwrap();
        let places = Places { state: state.path().to_owned(), ..Places::default() };
        let mut follower = PodsFollower::new(Pods::new(&places)).unwrap();
        let mut first = create(&places, "first");
        let before = told(&mut follower);
        assert_eq!(before[0], "version of first");
        first.update(|pod| pod.metadata.generation = Some(2)).unwrap();
        fs::rename(places.pod("default", "web").path(), places.aside("removed", "x")).unwrap();
        drop(first);
        let mut second = create(&places, "second");
        let after = told(&mut follower);
        assert_eq!(after[..3], ["version of first", "first is gone", "version of second"]);
        // What the second does is noticed, too.
        let soon = || Some(Instant::now() + Duration::from_secs(10));
        while follower.wait(None, Some(Instant::now())).unwrap() == Woken::Changed {}
        second.update(|pod| pod.metadata.generation = Some(2)).unwrap();
        assert_eq!(follower.wait(None, soon()).unwrap(), Woken::Changed);
        assert_eq!(told(&mut follower)[0], "version of second");
    }
}
