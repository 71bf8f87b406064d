//! Creates a pod: its directory, its first record, its supervisor.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use thiserror::Error;

use crate::cleanup;
use crate::journal::Verb;
use crate::lock;
use crate::machine::Machine;
use crate::places::PodDir;
use crate::record::{self, PodRecord, RecordError};
use crate::roots;
use crate::settings::Settings;

/// The word before the uid of a directory that is being made.
const NEW: &str = "new";
/// A directory that is being made for longer than this has been left.
const LEFT_AFTER: Duration = Duration::from_mins(1);

/// Why a pod was not created.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// A pod of that name exists.
    #[error("pods {name:?} already exists")]
    AlreadyExists {
        /// The pod's name.
        name: String,
    },
    /// A file or directory of the pod.
    #[error("cannot create {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The record.
    #[error("cannot record the pod")]
    Record(#[from] RecordError),
    /// No supervisor can run here.
    #[error(transparent)]
    Machine(Box<dyn Error + Send + Sync>),
    /// The supervisor's process.
    #[error("cannot start the pod's supervisor")]
    Supervisor {
        /// Why not.
        source: io::Error,
    },
}

/// A pod whose supervisor has been started.
#[derive(Debug)]
pub struct Launched {
    /// The pod's directory.
    pub dir: PodDir,
    /// The pod as first recorded.
    pub pod: v1::Pod,
    /// The supervisor; whoever outlives it has to wait for it.
    pub supervisor: Child,
}

/// Creates the pod and starts its supervisor. Returns without waiting for either.
pub fn launch(
    mut pod: v1::Pod,
    settings: &Settings,
    machine: &dyn Machine,
) -> Result<Launched, LaunchError> {
    machine.check().map_err(LaunchError::Machine)?;
    complete(&mut pod, settings);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let dir = settings.places.pod(&namespace, &name);
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let aside = PodDir::at(settings.places.aside(NEW, &uid));
    let removed = |dir: &PodDir| {
        let _ = fs::remove_dir_all(dir.path()); // the first error is the one to tell
    };
    let lock = prepare(&aside, &pod, settings)
        .and_then(|lock| publish(&aside, &dir, &name).map(|()| lock))
        .inspect_err(|_| removed(&aside))?;
    let started = announce(&dir, settings).and_then(|announced| {
        start_supervisor(&dir, lock, machine).map(|supervisor| (announced, supervisor))
    });
    let (pod, supervisor) = started.inspect_err(|_| {
        let _ = cleanup::remove_pod_dir(settings, &dir); // the first error is the one to tell
    })?;
    Ok(Launched { dir, pod, supervisor })
}

/// Gives a new pod its identity and its node, as an API server and a scheduler do.
fn complete(pod: &mut v1::Pod, settings: &Settings) {
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some(settings.node_name.clone());
    }
    pod.metadata.uid = Some(crate::random::uid());
    pod.metadata.creation_timestamp = Some(now());
    pod.status = Some(v1::PodStatus { phase: Some("Pending".into()), ..Default::default() });
}

/// The date as Kubernetes keeps it in objects: to the second.
pub fn now() -> Time {
    let date = Timestamp::now();
    Time(Timestamp::from_second(date.as_second()).unwrap_or(date))
}

/// Makes the pod's directory with all that is in it from the start, beside its place.
fn prepare(aside: &PodDir, pod: &v1::Pod, settings: &Settings) -> Result<File, LaunchError> {
    let failed = |path: PathBuf| move |source| LaunchError::File { path, source };
    let pods = settings.places.pods();
    roots::make_directory(&pods).map_err(failed(pods))?;
    cleanup::finish_removals(&settings.places);
    sweep(&settings.places.state);
    roots::make_directory(aside.path()).map_err(failed(aside.path().to_owned()))?;
    let lock = lock::take(aside).map_err(failed(aside.lock()))?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    roots::write(&aside.uid(), uid.as_bytes()).map_err(failed(aside.uid()))?;
    settings.save(aside)?;
    record::prepare(aside, pod)?;
    Ok(lock)
}

/// Puts the directory into its place. That nothing is there is what makes the name ours: of two
/// who create the same pod at the same time, one wins.
fn publish(aside: &PodDir, dir: &PodDir, name: &str) -> Result<(), LaunchError> {
    match renameat_with(CWD, aside.path(), CWD, dir.path(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(LaunchError::AlreadyExists { name: name.to_owned() }),
        Err(error) => Err(LaunchError::File { path: dir.path().to_owned(), source: error.into() }),
    }
}

/// Tells everybody of the pod; as it is from now on, with its version.
fn announce(dir: &PodDir, settings: &Settings) -> Result<v1::Pod, LaunchError> {
    let mut record = PodRecord::open(&settings.places, dir.clone())?;
    record.publish(Verb::Added)?;
    Ok(record.pod().clone())
}

/// Removes what those have left who were killed while they created a pod. Whoever is at it now is
/// much faster than that.
fn sweep(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let kind = name.to_string_lossy().split('-').next().map(str::to_owned);
        let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
        let dir = PodDir::at(entry.path());
        let may_be_left = kind.as_deref() == Some(NEW) && age > LEFT_AFTER;
        // In this order: whoever asks for the lock holds it for a moment, which would keep one who
        // makes a directory right now from taking it.
        if may_be_left && !lock::is_held(&dir) {
            let _ = fs::remove_dir_all(dir.path()); // whoever comes next tries again
        }
    }
}

fn start_supervisor(dir: &PodDir, lock: File, machine: &dyn Machine) -> Result<Child, LaunchError> {
    let path = dir.supervisor_log();
    let log = roots::create(&path).map_err(|source| LaunchError::File { path, source })?;
    machine.start_supervisor(dir, lock, log).map_err(|source| LaunchError::Supervisor { source })
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_was_left_half_made_is_swept_and_what_is_being_made_is_not() {
        let state = tempfile::tempdir().unwrap();
        let make = |name: &str, is_old: bool| {
            let dir = PodDir::at(state.path().join(name));
            fs::create_dir(dir.path()).unwrap();
            let lock = lock::take(&dir).unwrap();
            let changed = SystemTime::now() - if is_old { LEFT_AFTER * 2 } else { Duration::ZERO };
            let times = FileTimes::new().set_modified(changed);
            File::open(dir.path()).unwrap().set_times(times).unwrap();
            lock
        };
        drop(make("new-1", true));
        drop(make("new-3", false));
        let _held = make("new-4", true);
        drop(make("pods", true));
        sweep(state.path());
        let mut left: Vec<_> =
            fs::read_dir(state.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["new-3", "new-4", "pods"]);
    }
}
