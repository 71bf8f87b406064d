//! Leaves nothing of a pod, whether its supervisor is at the end of its life or died before.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pod_model::Pod;
use thiserror::Error;

use crate::claims;
use crate::lock;
use crate::machine::Machine;
use crate::places::PodDir;
use crate::record;
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

/// Removes what those have left who were killed while they removed the record of a pod. Whoever is
/// at it now does not mind.
pub fn finish_removals(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().split_once('-').is_some_and(|(kind, _)| kind == REMOVED) {
            remove_directory(&entry.path());
        }
    }
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
fn remove_pod_dir(settings: &Settings, dir: &PodDir) -> Result<(), CleanupError> {
    let aside = settings.places.aside(REMOVED, &crate::random::uid());
    match fs::rename(dir.path(), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CleanupError::Directory { path: dir.path().to_owned(), source }),
        Ok(()) => remove(&aside),
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
