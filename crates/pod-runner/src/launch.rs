//! Creates a pod: its directory, its first record, its supervisor.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use thiserror::Error;

use crate::lock;
use crate::own_program::OwnProgram;
use crate::places::PodDir;
use crate::record::{PodRecord, RecordError};
use crate::settings::Settings;

/// The hidden subcommand that starts a supervisor; its argument is the pod's directory.
pub const SUPERVISE: &str = "supervise";

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
pub fn launch(mut pod: v1::Pod, settings: &Settings) -> Result<Launched, LaunchError> {
    complete(&mut pod, settings);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let dir = settings.places.pod(&namespace, &name);
    create_pod_dir(&dir, &name, settings)?;
    let supervisor = record_and_start(&dir, &pod, settings).inspect_err(|_| {
        let _ = fs::remove_dir_all(dir.path()); // the first error is the one to tell
    })?;
    Ok(Launched { dir, pod, supervisor })
}

/// Gives a new pod its identity and its node, as an API server and a scheduler do.
fn complete(pod: &mut v1::Pod, settings: &Settings) {
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some(settings.node_name.clone());
    }
    pod.metadata.uid = Some(new_uid());
    pod.metadata.creation_timestamp = Some(now());
    pod.status = Some(v1::PodStatus { phase: Some("Pending".into()), ..Default::default() });
}

/// The date as Kubernetes keeps it in objects: to the second.
pub(crate) fn now() -> Time {
    let date = Timestamp::now();
    Time(Timestamp::from_second(date.as_second()).unwrap_or(date))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn new_uid() -> String {
    let mut bytes = [0_u8; 16];
    crate::random::fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = crate::random::hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Creates the pod's directory; that it is new is what makes the name ours.
fn create_pod_dir(dir: &PodDir, name: &str, settings: &Settings) -> Result<(), LaunchError> {
    let pods = settings.places.pods();
    fs::create_dir_all(&pods).map_err(|source| LaunchError::File { path: pods, source })?;
    fs::create_dir(dir.path()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => LaunchError::AlreadyExists { name: name.to_owned() },
        _ => LaunchError::File { path: dir.path().to_owned(), source },
    })
}

fn record_and_start(
    dir: &PodDir,
    pod: &v1::Pod,
    settings: &Settings,
) -> Result<Child, LaunchError> {
    let lock = lock::take(dir).map_err(|source| LaunchError::File { path: dir.lock(), source })?;
    settings.save(dir)?;
    PodRecord::create(dir.clone(), pod.clone())?;
    start_supervisor(dir, lock)
}

fn start_supervisor(dir: &PodDir, lock: File) -> Result<Child, LaunchError> {
    let path = dir.supervisor_log();
    let log = File::create(&path).map_err(|source| LaunchError::File { path, source })?;
    let supervisor = |source| LaunchError::Supervisor { source };
    let program = OwnProgram::open().map_err(supervisor)?;
    Command::new(program.path())
        .arg0("minipod")
        .arg(SUPERVISE)
        .arg(dir.path())
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .current_dir("/")
        .spawn()
        .map_err(supervisor)
}
