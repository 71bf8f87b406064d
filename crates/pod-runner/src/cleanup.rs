//! Leaves nothing of a pod, whether its supervisor is at the end of its life or died before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pod_model::Pod;
use sandbox::cgroup::{CgroupError, PodCgroup};
use sandbox::network::{self, NetworkError, ParseError};
use thiserror::Error;

use crate::ids;
use crate::lock;
use crate::places::PodDir;
use crate::record::{self, RecordError};
use crate::settings::Settings;

/// Why something of a pod is left.
#[derive(Debug, Error)]
pub enum CleanupError {
    /// The pod's processes or its cgroup.
    #[error("cannot end the processes of the pod")]
    Cgroup(#[from] CgroupError),
    /// The pod's network.
    #[error("cannot take down the pod's network")]
    Network(#[from] NetworkError),
    /// The settings of the pod's network.
    #[error("cannot understand the pod network's settings")]
    Settings(#[from] ParseError),
    /// The pod's record.
    #[error("cannot read what is to be cleaned up")]
    Record(#[from] RecordError),
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
/// network, cgroups and files are still there.
pub fn after_dead_supervisor(dir: &PodDir) -> Result<(), CleanupError> {
    lock::wait_until_free(dir).map_err(CleanupError::Lock)?;
    if !dir.path().exists() {
        return Ok(());
    }
    let settings = Settings::load(dir)?;
    let pod = record::read_pod(dir)?;
    let uid = pod.metadata.uid.unwrap_or_default();
    if let Some(cgroup) = PodCgroup::open(&uid)? {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    network::detach(&settings.network()?, &uid)?;
    let name = pod.metadata.name.unwrap_or_default();
    let namespace = pod.metadata.namespace.unwrap_or_default();
    remove(settings.places.pod_data(&uid).path())?;
    remove(settings.places.pod_logs(&namespace, &name, &uid).path())?;
    remove_pod_dir(&settings, dir, &uid)
}

/// Removes the files of a pod whose processes and network are gone already.
pub(crate) fn remove_files(settings: &Settings, dir: &PodDir, pod: &Pod) {
    let logs = settings.places.pod_logs(&pod.namespace, pod.name.as_str(), &pod.uid.0);
    // What cannot be removed stays visible as the pod's directory; deleting again says why.
    let removed =
        remove(settings.places.pod_data(&pod.uid.0).path()).and_then(|()| remove(logs.path()));
    if removed.is_ok() {
        let _ = remove_pod_dir(settings, dir, &pod.uid.0);
    }
}

/// Removes a directory that nobody needs any more; a failure shows when the pod is deleted.
pub(crate) fn remove_directory(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

/// The pod's directory goes in one step, so that no view sees half a pod.
fn remove_pod_dir(settings: &Settings, dir: &PodDir, uid: &str) -> Result<(), CleanupError> {
    let leases = settings.places.id_ranges();
    ids::release(&leases, uid)
        .map_err(|source| CleanupError::Directory { path: leases, source })?;
    let aside = settings.places.state.join(format!("removed-{uid}"));
    match fs::rename(dir.path(), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CleanupError::Directory { path: dir.path().to_owned(), source }),
        Ok(()) => remove(&aside),
    }
}

fn remove(path: &Path) -> Result<(), CleanupError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CleanupError::Directory { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
