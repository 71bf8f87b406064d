//! The pod's volumes: made before the first container, gone with the pod.
//!
//! All of a volume's content is made below one directory by the supervisor, before any container
//! runs, so nothing here has to fear a container that changes paths under its hands; what a
//! container mounts of a volume is resolved later, by descriptor, in the sandbox.

mod host_path;
mod payload;
mod projection;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, PersistentVolumeClaim, Volume};
use pod_model::Quantity;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sandbox::{PodSandboxPlan, Sharing};
use thiserror::Error;

use crate::objects::ObjectError;
use crate::plan::{PlanError, PlanInput};

/// Why a volume cannot be set up.
#[derive(Debug, Error)]
pub(crate) enum VolumeError {
    /// A file or directory of the volume.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// The volume.
        volume: String,
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the volume refers to is not there, or not what it should be.
    #[error("{message}")]
    Source {
        /// The volume.
        volume: String,
        /// Kubernetes' sentence.
        message: String,
    },
    /// A ConfigMap or Secret.
    #[error("{source}")]
    Plan {
        /// The volume.
        volume: String,
        /// Why not.
        source: Box<PlanError>,
    },
    /// A stored object.
    #[error("cannot read a stored object")]
    Object {
        /// The volume.
        volume: String,
        /// Why not.
        source: ObjectError,
    },
}

impl VolumeError {
    /// The volume's name.
    pub(crate) fn volume(&self) -> &str {
        match self {
            Self::File { volume, .. }
            | Self::Source { volume, .. }
            | Self::Plan { volume, .. }
            | Self::Object { volume, .. } => volume,
        }
    }

    fn source_of(volume: &Volume, message: String) -> Self {
        Self::Source { volume: volume.name.clone(), message }
    }

    fn file(volume: &Volume, verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { volume: volume.name.clone(), verb, path: path.to_owned(), source }
    }
}

/// Makes every volume of the pod. Doing it again is harmless.
pub(crate) fn set_up(input: &PlanInput<'_>) -> Result<(), VolumeError> {
    let spec = input.pod.object.spec.as_ref();
    for volume in spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        set_up_one(input, volume)?;
    }
    Ok(())
}

fn set_up_one(input: &PlanInput<'_>, volume: &Volume) -> Result<(), VolumeError> {
    if let Some(source) = &volume.host_path {
        return host_path::check(volume, source);
    }
    if volume.persistent_volume_claim.is_some() {
        let path = path(input, volume)?;
        return make_directory(volume, &path, 0o777);
    }
    let path = path(input, volume)?;
    if is_in_memory(volume) {
        make_directory(volume, &path, 0o777)?;
        mount_memory(volume, &path)?;
    }
    make_directory(volume, &path, 0o777)?;
    if let Some(payload) = projection::of_volume(input, volume)? {
        payload::write(&path, &payload)
            .map_err(|source| VolumeError::file(volume, "write", &path, source))?;
    }
    give_to_group(input, volume, &path)
        .map_err(|source| VolumeError::file(volume, "change the group of", &path, source))
}

/// The directory (or host path) that a volume is.
pub(crate) fn path(input: &PlanInput<'_>, volume: &Volume) -> Result<PathBuf, VolumeError> {
    if let Some(source) = &volume.host_path {
        return Ok(PathBuf::from(&source.path));
    }
    if let Some(source) = &volume.persistent_volume_claim {
        let namespace = &input.pod.namespace;
        let claim = input.objects.find::<PersistentVolumeClaim>(namespace, &source.claim_name);
        return match claim {
            Ok(Some(_)) => Ok(input.objects.claim_directory(namespace, &source.claim_name)),
            Ok(None) => Err(VolumeError::source_of(
                volume,
                format!("persistentvolumeclaim \"{}\" not found", source.claim_name),
            )),
            Err(source) => Err(VolumeError::Object { volume: volume.name.clone(), source }),
        };
    }
    Ok(if is_in_memory(volume) {
        input.dir.memory_volume(&volume.name)
    } else {
        input.data.volume(&volume.name)
    })
}

/// Whether containers can only read the volume, whatever their mount says.
pub(crate) fn is_read_only(volume: &Volume) -> bool {
    let claim = volume.persistent_volume_claim.as_ref();
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
        || claim.is_some_and(|claim| claim.read_only == Some(true))
}

/// Secrets and the like never touch a disk.
fn is_in_memory(volume: &Volume) -> bool {
    volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
        || memory_source(volume).is_some()
}

fn memory_source(volume: &Volume) -> Option<&EmptyDirVolumeSource> {
    volume.empty_dir.as_ref().filter(|source| source.medium.as_deref() == Some("Memory"))
}

fn make_directory(volume: &Volume, path: &Path, mode: u32) -> Result<(), VolumeError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|source| VolumeError::file(volume, "create", path, source))
}

/// Mounts memory at the path, in the supervisor's own mount namespace.
fn mount_memory(volume: &Volume, path: &Path) -> Result<(), VolumeError> {
    let limit = memory_source(volume).and_then(|source| source.size_limit.as_ref());
    let limit = limit.and_then(|text| Quantity::parse(&text.0).ok()).map(Quantity::value);
    let size = limit.filter(|size| *size > 0).map_or(String::new(), |size| format!(",size={size}"));
    let _ = unmount(path, UnmountFlags::DETACH); // left by an attempt before
    let options = format!("mode=0777{size}");
    let options = std::ffi::CString::new(options).unwrap_or_default();
    mount("tmpfs", path, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())
        .map_err(|error| VolumeError::file(volume, "mount memory at", path, error.into()))
}

/// Mounts the pod's `/dev/shm`, which all its containers share.
pub(crate) fn set_up_shared_memory(input: &PlanInput<'_>, plan: &PodSandboxPlan) -> io::Result<()> {
    if plan.ipc == Sharing::Host {
        return Ok(());
    }
    fs::create_dir_all(&plan.shm_dir)?;
    take_down_shared_memory(input);
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let options = std::ffi::CString::new(format!("mode=1777,size={}", plan.shm_size));
    let options = options.unwrap_or_default();
    Ok(mount("shm", &plan.shm_dir, "tmpfs", flags, options.as_c_str())?)
}

/// Unmounts everything that the pod keeps in memory, so that its directories can be removed.
pub(crate) fn take_down(input: &PlanInput<'_>) {
    take_down_shared_memory(input);
    let spec = input.pod.object.spec.as_ref();
    let volumes = spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    for volume in volumes.filter(|volume| is_in_memory(volume)) {
        // It may never have been mounted.
        let _ = unmount(input.dir.memory_volume(&volume.name), UnmountFlags::DETACH);
    }
}

/// Unmounts the pod's `/dev/shm`; containers that still use theirs keep it.
pub(crate) fn take_down_shared_memory(input: &PlanInput<'_>) {
    let _ = unmount(input.dir.shared_memory(), UnmountFlags::DETACH); // it may never have been
}

/// `fsGroup`: the volume's files belong to the group, which may read them, and write them where
/// the volume can be written.
fn give_to_group(input: &PlanInput<'_>, volume: &Volume, path: &Path) -> io::Result<()> {
    let spec = input.pod.object.spec.as_ref();
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let group = context.and_then(|context| context.fs_group);
    let Some(group) = group.and_then(|group| u32::try_from(group).ok()) else {
        return Ok(());
    };
    let masks = if is_read_only(volume) { (0o440, 0o2550) } else { (0o660, 0o2770) };
    give(path, group, masks)
}

fn give(path: &Path, group: u32, (file, directory): (u32, u32)) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return std::os::unix::fs::lchown(path, None, Some(group));
    }
    chown(path, None, Some(group))?;
    let mask = if metadata.is_dir() { directory } else { file };
    let mode = metadata.permissions().mode() | mask;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, (file, directory))?;
        }
    }
    Ok(())
}
