//! Follows pods as they change: what `-w` shows.
//!
//! Every version that a supervisor published is handed out, none twice. That a supervisor died is
//! seen too: its lock file is closed with it, which inotify(7) tells.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
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
    /// The directory itself: at its path there may be that of another pod of the same name.
    opened: Option<File>,
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
            let is_there = is_there && followed.is_in_its_place();
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
        let opened = File::open(dir.path()).ok();
        Self { dir, opened, versions, events, last: None, is_dead: false }
    }

    /// Whether the pod's directory is still the one at its path. Its number is given to no other
    /// as long as it is open.
    fn is_in_its_place(&self) -> bool {
        let number = |data: io::Result<Metadata>| data.ok().map(|data| data.ino());
        let own = self.opened.as_ref().and_then(|file| number(file.metadata()));
        own.is_some() && own == number(fs::metadata(self.dir.path()))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Places;
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
        let first = create(&places, "first");
        let before = told(&mut follower);
        assert_eq!(before[0], "version of first");
        fs::rename(places.pod("default", "web").path(), places.aside("removed", "x")).unwrap();
        drop(first);
        let mut second = create(&places, "second");
        let after = told(&mut follower);
        assert_eq!(after[..2], ["first is gone", "version of second"]);
        // What the second does is noticed, too.
        let soon = || Some(Instant::now() + Duration::from_secs(10));
        while follower.wait(None, Some(Instant::now())).unwrap() == Woken::Changed {}
        second.update(|pod| pod.metadata.generation = Some(2)).unwrap();
        assert_eq!(follower.wait(None, soon()).unwrap(), Woken::Changed);
        assert_eq!(told(&mut follower)[0], "version of second");
    }
}
