//! The pods of this machine as views see them: files, read without asking anybody.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1;
use thiserror::Error;

use crate::journal::{self, Verb, Version};
use crate::lock;
use crate::lost_pod;
use crate::places::{Places, PodDir};
use crate::record::{self, PodRecord, RecordError};
use crate::resource::Resource;
use crate::roots;

/// The annotation that a view finds on a pod whose supervisor has died.
pub const SUPERVISOR: &str = "minipod.dev/supervisor";

/// Why pods cannot be read.
#[derive(Debug, Error)]
pub enum PodsError {
    /// The directory of all pods.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One pod's events.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The pods of this machine.
#[derive(Clone, Debug)]
pub struct Pods {
    places: Places,
}

/// A pod as read at one moment.
#[derive(Clone, Debug)]
pub struct FoundPod {
    /// Its directory.
    pub dir: PodDir,
    /// Its record; with the annotation [`SUPERVISOR`] when its supervisor has died.
    pub pod: v1::Pod,
}

impl FoundPod {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// A supervisor that has more to say than this has had a bug.
const LONGEST_WORDS: usize = 1000;

impl Pods {
    /// The pods below the state directory.
    pub fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }

    /// Every pod, in the order of namespace and name. A pod that is deleted meanwhile is left out.
    pub fn list(&self) -> Result<Vec<FoundPod>, PodsError> {
        let mut found = Vec::new();
        for dir in self.directories()? {
            found.extend(read(&self.places, dir));
        }
        found.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(found)
    }

    /// The pod of that name.
    pub fn find(&self, namespace: &str, name: &str) -> Result<Option<FoundPod>, PodsError> {
        Ok(read(&self.places, self.places.pod(namespace, name)))
    }

    /// The directories of all pods.
    pub fn directories(&self) -> Result<Vec<PodDir>, PodsError> {
        let path = self.places.pods();
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| PodsError::List { path: path.clone(), source })?,
        };
        let paths = entries.map(|entry| entry.map(|entry| PodDir::at(entry.path())));
        paths.collect::<Result<_, _>>().map_err(|source| PodsError::List { path, source })
    }

    /// The directory that holds all pods' directories, created if missing so that it can be
    /// watched.
    pub fn directory(&self) -> io::Result<PathBuf> {
        let path = self.places.pods();
        roots::make_directory(&path)?;
        Ok(path)
    }
}

fn read(places: &Places, dir: PodDir) -> Option<FoundPod> {
    // One that is damaged must not hide the others, and can still be deleted.
    let unreadable = |error: &dyn Error| lost_pod::unreadable(&dir, crate::text::chain(error));
    let pod = loop {
        let held = match dir.hold() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => break unreadable(&error),
            Ok(held) => held,
        };
        let pod = match record::read_pod(&dir) {
            Ok(pod) if is_lost(&dir, &pod) => lose(places, &dir, pod),
            Ok(pod) => pod,
            Err(error) => unreadable(&error),
        };
        // One that was deleted meanwhile has neither record nor supervisor any more, and its
        // place may be another one's.
        if held.is_in_its_place() {
            break pod;
        }
    };
    Some(FoundPod { dir, pod })
}

/// Whether the pod's supervisor died before the pod had ended, and nobody has written that down.
fn is_lost(dir: &PodDir, pod: &v1::Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    let is_deleted = pod.metadata.deletion_timestamp.is_some();
    let is_new = Version::of(&pod.metadata).is_none();
    (!is_over || is_deleted || is_new) && !has_died(pod) && !lock::is_held(dir)
}

/// The pod as it is without its supervisor, whose place in the record the first one takes who finds
/// it so: then everybody sees the same, and is told once. Where that cannot be written, it is seen
/// all the same.
fn lose(places: &Places, dir: &PodDir, mut pod: v1::Pod) -> v1::Pod {
    write_lost(places, dir).unwrap_or_else(|_| {
        mark_lost(dir, &mut pod);
        pod.metadata.resource_version = None; // nobody has been told
        pod
    })
}

fn write_lost(places: &Places, dir: &PodDir) -> Result<v1::Pod, RecordError> {
    let failed = |source| RecordError::File { verb: "lock", path: dir.lock(), source };
    let _lock = lock::take(dir).map_err(failed)?;
    let mut record = PodRecord::open(places, dir.clone())?;
    let metadata = &record.pod().metadata;
    let known = Version::of(metadata);
    if known.is_some() && has_died(record.pod()) {
        return Ok(record.pod().clone()); // somebody was faster
    }
    let uid = metadata.uid.as_deref().unwrap_or_default();
    let is_new = known.is_none() && journal::last_of(places, Resource::Pod, uid)?.is_none();
    record.replace(|pod| mark_lost(dir, pod));
    let verb = if is_new { Verb::Added } else { Verb::Modified };
    record.publish(verb)?;
    Ok(record.pod().clone())
}

fn mark_lost(dir: &PodDir, pod: &mut v1::Pod) {
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(SUPERVISOR.into(), "dead".into());
    lost_pod::mark(pod, &last_words(dir));
}

/// Why the pod's supervisor could not go on, in one line; empty when it was killed or lives.
pub fn last_words(dir: &PodDir) -> String {
    let text = fs::read_to_string(dir.supervisor_log()).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("try: "));
    let bare = |line: &str| {
        let known = ["error: ", "because: "].iter().find_map(|word| line.strip_prefix(word));
        known.unwrap_or(line).to_owned()
    };
    lines.map(bare).collect::<Vec<_>>().join(": ").chars().take(LONGEST_WORDS).collect()
}

/// Whether the pod was found without its supervisor.
pub fn has_died(pod: &v1::Pod) -> bool {
    let is_marked = pod.metadata.annotations.iter().flatten().any(|(key, _)| key == SUPERVISOR);
    let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
    is_marked && reason == Some(lost_pod::REASON) // anybody can write an annotation
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// How often the pod is found while it comes and goes.
    const FOUND: usize = 300;

    #[test]
    fn a_pod_that_comes_and_goes_is_whole_or_not_there() {
        let state = tempfile::tempdir().unwrap();
        let places = Places { state: state.path().to_owned(), ..Places::default() };
        let pods = Pods::new(&places);
        fs::create_dir_all(places.pods()).unwrap();
        let record =
            r#"{"metadata":{"resourceVersion":"1","deletionTimestamp":"2026-01-01T00:00:00Z"}}"#;
        let place = places.pod("default", "web");
        // Many after each other, each of which is there once.
        let come_and_go = || {
            let alive: Vec<_> = (0..20)
                .map(|number| {
                    let dir = PodDir::at(places.aside("new", &format!("{number}")));
                    fs::create_dir(dir.path()).unwrap();
                    fs::write(dir.record(), record).unwrap();
                    (lock::take(&dir).unwrap(), dir)
                })
                .collect();
            for (_lock, dir) in &alive {
                fs::rename(dir.path(), place.path()).unwrap();
                fs::rename(place.path(), dir.path()).unwrap();
            }
            alive.iter().for_each(|(_lock, dir)| fs::remove_dir_all(dir.path()).unwrap());
        };
        let is_over = AtomicBool::new(false);
        let wrong: Vec<v1::Pod> = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    come_and_go();
                }
            });
            let looks = std::iter::repeat_with(|| pods.find("default", "web").unwrap());
            let found = looks.flatten().take(FOUND).map(|found| found.pod);
            let wrong = found.filter(|pod| pod.status.is_some()).collect();
            is_over.store(true, Ordering::Relaxed);
            wrong
        });
        assert_eq!(wrong, [], "neither unreadable nor without its supervisor");
    }

    #[test]
    fn a_supervisors_last_words_are_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let dir = PodDir::at(directory.path().to_owned());
        assert_eq!(last_words(&dir), "");
        let said = "error: cannot open the image store\n  because: cannot create /d\n  because: Not a directory\n  try: this\n";
        fs::write(dir.supervisor_log(), said).unwrap();
        let words = "cannot open the image store: cannot create /d: Not a directory";
        assert_eq!(last_words(&dir), words);
    }
}
