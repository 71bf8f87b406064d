//! Follows objects as they change: list, then watch.
//!
//! A follower first hands out what there is, then every change, each once and in the order of their
//! versions. It learns of changes from the journal of the store alone. Two things nobody can announce
//! at once: that a supervisor was killed, and that somebody was killed between doing and
//! announcing. The kernel closes their locks, which a follower notices; it then sees to it that the
//! journal says so.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use thiserror::Error;

use crate::journal::{Entry, Journal, JournalError, JournalReader, Verb, Version};
use crate::object::Object;
use crate::object_store::{ObjectError, Objects};
use crate::places::{Places, PodDir};
use crate::pods::{self, Pods, PodsError};
use crate::resource::Resource;
use crate::roots;
use crate::watch::{Seen, WatchId, Watcher, Woken};
use crate::{cleanup, lock, record};

/// Why objects cannot be followed.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Pods.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// Other objects.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// A directory.
    #[error("cannot watch {}", path.display())]
    Watch {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// What.
    pub verb: Verb,
    /// The object since then; of one that is gone, its last state.
    pub object: Object,
}

/// Follows every object of some kinds.
#[derive(Debug)]
pub struct Follower {
    places: Places,
    wanted: Vec<Resource>,
    reader: JournalReader,
    watcher: Watcher,
    pods_directory: WatchId,
    /// The directories of stored objects.
    stored: Vec<(Resource, WatchId)>,
    /// The locks of the pods' supervisors, by the pods' directories.
    locks: BTreeMap<PathBuf, WatchId>,
    /// The locks of those who remove pods right now.
    leaving: Vec<WatchId>,
    /// What has been handed out, by uid.
    known: BTreeMap<String, Known>,
    /// Pods whose supervisors died and of whom that could not be written, by uid.
    unwritten: BTreeSet<String>,
    has_begun: bool,
    /// When all locks were looked at last.
    looked: Instant,
}

/// How often all locks are looked at when the kernel does not tell which were closed.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Known {
    version: Option<Version>,
    /// The uid of the pod that an event is about.
    of_pod: Option<String>,
    /// Where a pod is.
    dir: Option<PodDir>,
}

impl Follower {
    /// Follows the objects of these kinds from now on.
    pub fn new(places: &Places, wanted: &[Resource]) -> Result<Self, FollowError> {
        let watcher = Watcher::new();
        let watch = |path: &Path, added: io::Result<WatchId>| {
            added.map_err(|source| FollowError::Watch { path: path.to_owned(), source })
        };
        let reader = Journal::open(places)?.reader()?;
        let path = reader.journal().path();
        watch(path, watcher.add_written(path))?;
        let directory = |path: PathBuf| {
            let made = roots::make_directory(&path).and_then(|()| watcher.add_directory(&path));
            watch(&path, made)
        };
        let pods_directory = directory(places.pods())?;
        let mut stored = Vec::new();
        for resource in wanted {
            if !matches!(resource, Resource::Pod | Resource::Event) {
                stored.push((*resource, directory(places.objects(resource.plural()))?));
            }
        }
        Ok(Self {
            places: places.clone(),
            wanted: wanted.to_vec(),
            reader,
            watcher,
            pods_directory,
            stored,
            locks: BTreeMap::new(),
            leaving: Vec::new(),
            known: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            has_begun: false,
            looked: Instant::now(),
        })
    }

    /// The first time everything that there is, later what has happened since the last call.
    pub fn changes(&mut self) -> Result<Vec<Change>, FollowError> {
        let seen = self.watcher.seen();
        let mut changes = Vec::new();
        let mut lost = Vec::new();
        if std::mem::replace(&mut self.has_begun, true) {
            if !seen.is_incomplete() || self.looked.elapsed() > LOOKS_AGAIN {
                self.looked = Instant::now();
                changes.extend(self.look_for_the_dead(&seen)?);
                self.finish_abandoned(&seen)?;
                lost = self.removed_by_hand();
            }
        } else {
            self.watch_all_locks()?;
            changes = self.everything()?;
        }
        for entry in self.reader.read(&self.kinds())? {
            changes.extend(self.take(&entry));
        }
        changes.extend(lost.into_iter().filter_map(|(uid, dir)| self.lose(&uid, &dir)));
        changes.retain(|change| self.wanted.contains(&change.object.resource()));
        Ok(changes)
    }

    /// Up to which version all has been handed out.
    pub fn version(&self) -> Version {
        self.reader.version()
    }

    /// Waits until there may be changes, until `interrupt` is readable, or until the deadline.
    pub fn wait(
        &self,
        interrupt: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        self.watcher.wait(interrupt, deadline)
    }

    /// Watches another path, so that a wait ends when it changes, too.
    pub fn also_watch(&self, path: &Path) -> io::Result<()> {
        self.watcher.add(path).map(drop)
    }

    /// An event is known as long as its pod is, so pods are always followed.
    fn kinds(&self) -> Vec<Resource> {
        let pods = [Resource::Pod].into_iter().filter(|pod| !self.wanted.contains(pod));
        self.wanted.iter().copied().chain(pods).collect()
    }

    fn everything(&mut self) -> Result<Vec<Change>, FollowError> {
        let mut objects: Vec<Object> = Vec::new();
        let pods = Pods::new(&self.places);
        let found = pods.list()?;
        if self.wanted.contains(&Resource::Event) {
            let mut events = Vec::new();
            for pod in &found {
                events.extend(record::read_events(&pod.dir).map_err(PodsError::from)?);
            }
            events.sort_by_key(|event| Version::of(&event.metadata));
            objects.extend(events.into_iter().map(Object::from));
        }
        objects.extend(found.into_iter().map(|one| Object::from(one.pod)));
        let stored = Objects::new(&self.places);
        for resource in &self.wanted {
            match resource {
                Resource::Pod | Resource::Event => {}
                Resource::ConfigMap => {
                    objects.extend(stored.list::<ConfigMap>()?.into_iter().map(Object::from));
                }
                Resource::Secret => {
                    objects.extend(stored.list::<Secret>()?.into_iter().map(Object::from));
                }
                Resource::Claim => {
                    let claims = stored.list::<PersistentVolumeClaim>()?;
                    objects.extend(claims.into_iter().map(Object::from));
                }
            }
        }
        objects.iter().for_each(|object| self.note(object));
        // What was announced before now is in the files: it is written there first.
        let added = |object| Change { verb: Verb::Added, object };
        Ok(objects.into_iter().map(added).collect())
    }

    /// Takes in a change; nothing if it is known, or of something that nobody knows.
    fn take(&mut self, entry: &Entry) -> Option<Change> {
        let known = self.known.get(&entry.uid);
        let is_known = known.is_some();
        if known.is_some_and(|known| known.version >= Some(entry.version)) {
            return None;
        }
        let object = entry.object()?;
        let verb = match (entry.verb, is_known) {
            // Who was killed meanwhile may have said it, and who finished it, too.
            (Verb::Deleted, false) => return None,
            (Verb::Deleted, true) => {
                self.known.remove(&entry.uid);
                self.known.retain(|_, known| known.of_pod.as_ref() != Some(&entry.uid));
                self.unwritten.remove(&entry.uid);
                return Some(Change { verb: Verb::Deleted, object });
            }
            (_, false) => Verb::Added,
            (_, true) => Verb::Modified,
        };
        self.note(&object);
        Some(Change { verb, object })
    }

    fn note(&mut self, object: &Object) {
        let version = Version::of(object.metadata());
        let (of_pod, dir) = match object {
            Object::Event(event) => (event.involved_object.uid.clone(), None),
            Object::Pod(_) => (None, Some(self.places.pod(object.namespace(), object.name()))),
            _ => (None, None),
        };
        self.known.insert(object.uid().to_owned(), Known { version, of_pod, dir });
    }

    fn watch_all_locks(&mut self) -> Result<(), FollowError> {
        for dir in Pods::new(&self.places).directories()? {
            self.watch_lock(&dir);
        }
        Ok(())
    }

    fn watch_lock(&mut self, dir: &PodDir) {
        // Not there: it is gone already.
        if let Ok(watched) = self.watcher.add_closed(&dir.lock()) {
            self.locks.insert(dir.path().to_owned(), watched);
        }
    }

    /// Looks at the pods whose locks were closed, and at those that have come or gone, so that their
    /// ends are announced. Returns the deaths that could not be written.
    fn look_for_the_dead(&mut self, seen: &Seen) -> Result<Vec<Change>, FollowError> {
        let mut suspects: BTreeSet<PathBuf> = self
            .locks
            .iter()
            .filter(|(_, watched)| seen.has(**watched))
            .map(|(path, _)| path.clone())
            .collect();
        if let Some(names) = seen.names(self.pods_directory) {
            suspects.extend(names.map(|name| self.places.pods().join(name)));
        } else {
            let all = Pods::new(&self.places).directories()?;
            suspects.extend(all.iter().map(|dir| dir.path().to_owned()));
        }
        let mut changes = Vec::new();
        let before = self.leaving.len();
        self.leaving.retain(|watched| !seen.has(*watched));
        let mut has_gone = self.leaving.len() < before;
        for path in suspects {
            let dir = PodDir::at(path);
            self.watch_lock(&dir);
            if !dir.path().exists() {
                has_gone = true;
                self.leaving.extend(self.locks.remove(dir.path()));
            } else if !lock::is_held(&dir) {
                changes.extend(self.unwritten_death(&dir)?);
            }
        }
        if has_gone {
            cleanup::finish_removals(&self.places);
        }
        Ok(changes)
    }

    /// Pods that are neither in their place nor on their way out of it: either their ends are in
    /// the journal, or somebody has removed their directories.
    fn removed_by_hand(&self) -> Vec<(String, PodDir)> {
        let is_lost = |(uid, known): (&String, &Known)| {
            let dir = known.dir.clone().filter(|dir| !self.locks.contains_key(dir.path()))?;
            let is_there = [dir.path(), &self.places.aside(cleanup::REMOVED, uid)]
                .into_iter()
                .any(Path::exists);
            (!is_there).then(|| (uid.clone(), dir))
        };
        self.known.iter().filter_map(is_lost).collect()
    }

    /// The end of a pod that nobody has announced.
    fn lose(&mut self, uid: &str, dir: &PodDir) -> Option<Change> {
        self.known.remove(uid)?;
        let mut pod = Pod::default();
        let (namespace, name) = dir.namespace_and_name();
        (pod.metadata.namespace, pod.metadata.name) = (Some(namespace), Some(name));
        pod.metadata.uid = Some(uid.to_owned());
        Some(Change { verb: Verb::Deleted, object: Object::Pod(pod.into()) })
    }

    /// Has a death written; if it cannot be, it is handed out all the same, once.
    fn unwritten_death(&mut self, dir: &PodDir) -> Result<Option<Change>, FollowError> {
        let (namespace, name) = dir.namespace_and_name();
        let Some(found) = Pods::new(&self.places).find(&namespace, &name)? else {
            return Ok(None);
        };
        let is_new = pods::has_died(&found.pod)
            && found.pod.metadata.resource_version.is_none()
            && self.unwritten.insert(found.uid().to_owned());
        let change = || Change { verb: Verb::Modified, object: Object::Pod(found.pod.into()) };
        Ok(is_new.then(change))
    }

    /// Has finished what those have begun who were killed while they changed a stored object.
    fn finish_abandoned(&self, seen: &Seen) -> Result<(), FollowError> {
        let objects = Objects::new(&self.places);
        let is_begun = |name: &OsStr| {
            let extension = Path::new(name).extension();
            extension.is_some_and(|extension| extension == "next" || extension == "gone")
        };
        for (resource, watched) in &self.stored {
            let has_begun = seen.names(*watched).is_none_or(|mut names| names.any(is_begun));
            match resource {
                _ if !has_begun => {}
                Resource::ConfigMap => objects.finish_abandoned::<ConfigMap>()?,
                Resource::Secret => objects.finish_abandoned::<Secret>()?,
                Resource::Claim => objects.finish_abandoned::<PersistentVolumeClaim>()?,
                Resource::Pod | Resource::Event => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
