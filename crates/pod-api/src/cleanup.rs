//! Leaves nothing of a pod, whether its supervisor is at the end of its life or died before.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pod_model::Pod;
use thiserror::Error;

use crate::claims;
use crate::journal::{Journal, Verb};
use crate::lock;
use crate::machine::Machine;
use crate::places::{Places, PodDir};
use crate::record::{self, RecordError};
use crate::resource::Resource;
use crate::settings::Settings;

/// Why something of a pod is left.
#[derive(Debug, Error)]
pub enum CleanupError {
    /// Its processes, its network or its user ids.
    #[error(transparent)]
    Machine(Box<dyn Error + Send + Sync>),
    /// The pod's lock.
    #[error("cannot wait for the pod's supervisor to end")]
    Lock(#[source] io::Error),
    /// A directory.
    #[error("cannot remove {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Cleans up after a supervisor that is gone. The kernel has killed its children with it; their
/// network, cgroups and files are still there. What cannot be removed does not keep the rest; then
/// the pod stays visible, and deleting it again says why. `lock` is the lock file of the pod that
/// is meant, which is waited for until the deadline; `fallback` is for a pod whose own settings cannot be read.
pub fn after_dead_supervisor(
    dir: &PodDir,
    lock: File,
    deadline: Instant,
    fallback: &Settings,
    machine: &dyn Machine,
) -> Result<(), CleanupError> {
    let Some(_lock) = lock::take_over(dir, lock, deadline).map_err(CleanupError::Lock)? else {
        return Ok(()); // somebody else was faster
    };
    let settings = Settings::load(dir).unwrap_or_else(|_| fallback.clone());
    let (namespace, name) = dir.namespace_and_name();
    let mut outcome = Ok(());
    for uid in uids(dir, &settings) {
        let logs = settings.places.pod_logs(&namespace, &name, &uid);
        let steps = [
            machine.release(&settings, &uid).map_err(CleanupError::Machine),
            remove(settings.places.pod_data(&uid).path()),
            remove(logs.path()),
        ];
        outcome = steps.into_iter().fold(outcome, Result::and);
    }
    outcome?;
    remove_pod_dir(&settings, dir)?;
    claims::finish_deletions(&settings.places);
    Ok(())
}

/// The pod's uid: from its record, or from what stays when the record is damaged.
fn uids(dir: &PodDir, settings: &Settings) -> Vec<String> {
    let recorded = record::read_pod(dir).ok().and_then(|pod| pod.metadata.uid);
    let known = recorded.or_else(|| fs::read_to_string(dir.uid()).ok());
    if let Some(uid) = known.filter(|uid| !uid.is_empty()) {
        return vec![uid];
    }
    let (namespace, name) = dir.namespace_and_name();
    let head = format!("{namespace}_{name}_");
    let logs = fs::read_dir(&settings.places.logs).into_iter().flatten().flatten();
    let names = logs.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix(&head).map(str::to_owned)).collect()
}

/// Removes the files of a pod whose processes are gone already, but for its record: as long as
/// something is left, the pod stays visible, and deleting it again says why.
pub fn remove_files(settings: &Settings, pod: &Pod) -> Result<(), CleanupError> {
    let logs = settings.places.pod_logs(&pod.namespace, pod.name.as_str(), &pod.uid.0);
    remove(settings.places.pod_data(&pod.uid.0).path()).and_then(|()| remove(logs.path()))
}

/// What directories are called that are about to be removed.
pub const REMOVED: &str = "removed";

/// Finishes the removals of pods' directories whose owners were killed meanwhile: tells that the pod
/// is gone, if they have not, and removes what is left.
pub fn finish_removals(places: &Places) {
    for entry in fs::read_dir(&places.state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().split_once('-').is_some_and(|(kind, _)| kind == REMOVED) {
            let dir = PodDir::at(entry.path());
            // Whoever holds the pod's lock is at it, and tells.
            let is_told = !dir.record().exists()
                || lock::take(&dir).is_ok_and(|_lock| announce_removal(places, &dir).is_ok());
            if is_told {
                remove_directory(dir.path());
            }
        }
    }
}

/// Tells that a pod is gone whose directory has been put aside. Without its record it has been told.
fn announce_removal(places: &Places, aside: &PodDir) -> Result<(), RecordError> {
    let Ok(mut pod) = record::read_pod(aside) else {
        return Ok(()); // damaged, or told by somebody else: nobody can say more of it
    };
    if pod.metadata.resource_version.take().is_some() {
        let text = serde_json::to_string(&pod)
            .map_err(|source| RecordError::Garbled { path: aside.record(), source })?;
        let uid = pod.metadata.uid.unwrap_or_default();
        Journal::open(places)?.append(Verb::Deleted, Resource::Pod, &uid, &text)?;
    }
    let _ = fs::remove_file(aside.record()); // else it is told twice, which readers notice
    Ok(())
}

/// Removes the record of a pod of which nothing else is left.
pub fn remove_record(settings: &Settings, dir: &PodDir) {
    let _ = remove_pod_dir(settings, dir); // what cannot be removed is swept up later
    claims::finish_deletions(&settings.places);
}

/// Removes a directory that nobody needs any more; a failure shows when the pod is deleted.
pub fn remove_directory(path: &Path) {
    let _ = confined::remove_tree(path);
}

/// The pod's directory goes in one step, so that no view sees half a pod. Only who holds the
/// pod's lock may do so.
pub(crate) fn remove_pod_dir(settings: &Settings, dir: &PodDir) -> Result<(), CleanupError> {
    let uid = fs::read_to_string(dir.uid()).unwrap_or_else(|_| crate::random::uid());
    let aside = settings.places.aside(REMOVED, &uid);
    match fs::rename(dir.path(), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CleanupError::Directory { path: dir.path().to_owned(), source }),
        Ok(()) => {
            // With a full disk, whoever comes next tells.
            match announce_removal(&settings.places, &PodDir::at(aside.clone())) {
                Ok(()) => remove(&aside),
                Err(_) => Ok(()),
            }
        }
    }
}

fn remove(path: &Path) -> Result<(), CleanupError> {
    match confined::remove_tree(path) {
        Err(source) if !is_absence(&source) => {
            Err(CleanupError::Directory { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Below a file that was named as a directory there is nothing, either.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
