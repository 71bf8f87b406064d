//! The pod's volumes: made before the first container, gone with the pod.
//!
//! A volume's content is made below one directory of minipod's own, by descriptor, because a
//! container may have changed what is in it; what a container mounts of a volume is resolved
//! later, by descriptor again, in the sandbox.

mod host_path;
mod memory;
mod payload;
mod projection;
mod refresh;
mod tree;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PersistentVolumeClaim, PodSecurityContext, PodSpec, Volume,
};
use pod_model::{PullPolicy, Quantity};
use rustix::mount::MountAttrFlags;
use thiserror::Error;

use crate::plan::PlanInput;
use pod_api::claims::{self, OwnClaimError};
use pod_api::object_store::ObjectError;
use pod_api::roots;

pub(crate) use host_path::kind as host_path_kind;
use memory::Memory;
pub(crate) use memory::{
    set_up_network_files, set_up_processes, set_up_shared_memory, take_down_shared,
};
pub(crate) use refresh::{ObjectWatch, refresh};
use tree::{GroupAccess, Tree};

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
            | Self::Object { volume, .. } => volume,
        }
    }

    fn source_of(volume: &Volume, message: String) -> Self {
        Self::Source { volume: volume.name.clone(), message }
    }

    fn file(
        volume: &Volume,
        verb: &'static str,
        path: &Path,
        source: impl Into<io::Error>,
    ) -> Self {
        let source = source.into();
        Self::File { volume: volume.name.clone(), verb, path: path.to_owned(), source }
    }
}

/// The volumes of the manifest.
pub(crate) fn of_pod<'a>(input: &PlanInput<'a>) -> impl Iterator<Item = &'a Volume> {
    let spec = input.pod.object.spec.as_ref();
    spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten())
}

/// Makes every volume of the pod and returns what failed. Doing it again is harmless.
pub(crate) fn set_up(input: &PlanInput<'_>) -> Vec<VolumeError> {
    of_pod(input).filter_map(|volume| set_up_one(input, volume).err()).collect()
}

fn set_up_one(input: &PlanInput<'_>, volume: &Volume) -> Result<(), VolumeError> {
    if volume.image.is_some() {
        return Ok(()); // its image is pulled before the first container that mounts it
    }
    if let Some(source) = &volume.host_path {
        return host_path::check(volume, source);
    }
    make_claim(input, volume)?;
    claim_stays(input, volume)?;
    let path = path(input, volume)?;
    let is_new = make(volume, &path)?;
    let tree =
        Tree::open(&path).map_err(|source| VolumeError::file(volume, "open", &path, source))?;
    if let Some(payload) = projection::of_volume(input, volume)? {
        return payload::write(&tree, &payload, group_access(input, volume))
            .map_err(|source| VolumeError::file(volume, "write", &path, source));
    }
    if is_new || is_claim(volume) {
        give_to_group(input, volume, &tree)
            .map_err(|source| VolumeError::file(volume, "change the group of", &path, source))?;
    }
    Ok(())
}

fn is_claim(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

fn claim_name(input: &PlanInput<'_>, volume: &Volume) -> Option<String> {
    claims::name_of(input.pod.name.as_str(), volume)
}

/// Makes the claim that goes with the pod.
fn make_claim(input: &PlanInput<'_>, volume: &Volume) -> Result<(), VolumeError> {
    let source = volume.ephemeral.as_ref();
    let template = source.and_then(|source| source.volume_claim_template.as_ref());
    let (Some(template), Some(name)) = (template, claim_name(input, volume)) else {
        return Ok(());
    };
    let made = claims::make_for_pod(input.objects, input.pod, (&name, template));
    made.map_err(|error| match error {
        OwnClaimError::Foreign(message) => VolumeError::source_of(volume, message),
        OwnClaimError::Object(source) => {
            VolumeError::Object { volume: volume.name.clone(), source }
        }
    })
}

/// No pod begins to use a claim that is about to go, as a kubelet has it.
fn claim_stays(input: &PlanInput<'_>, volume: &Volume) -> Result<(), VolumeError> {
    let Some(name) = claim_name(input, volume) else {
        return Ok(());
    };
    let namespace = &input.pod.namespace;
    match input.objects.find::<PersistentVolumeClaim>(namespace, &name) {
        Ok(Some(claim)) if claim.metadata.deletion_timestamp.is_some() => {
            let text = format!("error processing PVC {namespace}/{name}: PVC is being deleted");
            Err(VolumeError::source_of(volume, text))
        }
        _ => Ok(()), // what else is wrong with it, its path tells
    }
}

/// Makes the volume's directory; whether it was not there before. What a container did to a
/// directory that is there already stays.
fn make(volume: &Volume, path: &Path) -> Result<bool, VolumeError> {
    let failed = |source: io::Error| VolumeError::file(volume, "create", path, source);
    if is_in_memory(volume) {
        let limit = memory_source(volume).and_then(|source| source.size_limit.as_ref());
        let limit = limit.and_then(|text| Quantity::parse(&text.0).ok()).map(Quantity::value);
        let size = limit.and_then(|limit| u64::try_from(limit).ok()).filter(|size| *size > 0);
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        return memory::mount(path, Memory { mode: 0o777, size, attributes })
            .map_err(|source| VolumeError::file(volume, "mount memory at", path, source));
    }
    if let Some(parent) = path.parent() {
        roots::make_directory(parent).map_err(failed)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        made => made.map_err(failed)?,
    }
    Tree::open(path).and_then(|tree| tree.set_mode(0o777)).map_err(failed)?;
    Ok(true)
}

/// The directory (or host path) that a volume is.
pub(crate) fn path(input: &PlanInput<'_>, volume: &Volume) -> Result<PathBuf, VolumeError> {
    if let Some(source) = &volume.host_path {
        return Ok(PathBuf::from(&source.path));
    }
    if let Some(name) = claim_name(input, volume) {
        let namespace = &input.pod.namespace;
        return match input.objects.find::<PersistentVolumeClaim>(namespace, &name) {
            Ok(Some(_)) => Ok(input.objects.claim_directory(namespace, &name)),
            Ok(None) => {
                let message = format!("persistentvolumeclaim \"{name}\" not found");
                Err(VolumeError::source_of(volume, message))
            }
            Err(source) => Err(VolumeError::Object { volume: volume.name.clone(), source }),
        };
    }
    Ok(if is_in_memory(volume) {
        input.dir.memory_volume(&volume.name)
    } else {
        input.data.volume(&volume.name)
    })
}

/// A file that a container wrote into the volume, when it is not larger than that.
pub(crate) fn read_file(
    input: &PlanInput<'_>,
    volume: &Volume,
    file: &str,
    most: u64,
) -> io::Result<Vec<u8>> {
    let directory = path(input, volume).map_err(io::Error::other)?;
    Tree::open(&directory)?.read_at_most(file, most)
}

/// Whether containers can only read the volume, whatever their mount says.
pub(crate) fn is_read_only(volume: &Volume) -> bool {
    let claim = volume.persistent_volume_claim.as_ref();
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
        || volume.image.is_some()
        || claim.is_some_and(|claim| claim.read_only == Some(true))
}

/// Whether the volume is made for the pod and goes with it, so that mount points of its containers
/// may be made in it. (Image volumes cannot be written at all.)
pub(crate) fn is_made_for_pod(volume: &Volume) -> bool {
    volume.empty_dir.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
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

/// Unmounts everything that the pod keeps in memory, so that its directories can be removed.
pub(crate) fn take_down(input: &PlanInput<'_>) {
    take_down_shared(input);
    memory::unmount_at(&input.dir.network_files());
    for volume in of_pod(input).filter(|volume| is_in_memory(volume)) {
        memory::unmount_at(&input.dir.memory_volume(&volume.name));
    }
}

fn security<'a>(input: &PlanInput<'a>) -> Option<&'a PodSecurityContext> {
    input.pod.object.spec.as_ref().and_then(|spec: &PodSpec| spec.security_context.as_ref())
}

/// What `fsGroup` gives: the volume's files belong to the group, which may read them, and write
/// them where the volume can be written.
fn group_access(input: &PlanInput<'_>, volume: &Volume) -> Option<GroupAccess> {
    let group = u32::try_from(security(input)?.fs_group?).ok()?;
    Some(if is_read_only(volume) {
        GroupAccess { group, file_bits: 0o440, directory_bits: 0o2550 }
    } else {
        GroupAccess { group, file_bits: 0o660, directory_bits: 0o2770 }
    })
}

/// `fsGroupChangePolicy` counts for claims only: everything else is new with the pod.
fn give_to_group(input: &PlanInput<'_>, volume: &Volume, tree: &Tree) -> io::Result<()> {
    let Some(access) = group_access(input, volume) else {
        return Ok(());
    };
    let policy = security(input).and_then(|context| context.fs_group_change_policy.as_deref());
    let may_skip = is_claim(volume) && policy == Some("OnRootMismatch");
    if may_skip && tree.is_given(access)? { Ok(()) } else { tree.give(access) }
}

/// An image that a volume shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeImage {
    /// The volume's name.
    pub(crate) volume: String,
    pub(crate) image: String,
    pub(crate) policy: PullPolicy,
}

/// The image volumes of the container whose images are not known yet.
pub(crate) fn wanted_images<'a>(
    input: &'a PlanInput<'_>,
    container: &'a Container,
) -> impl Iterator<Item = VolumeImage> + 'a {
    let is_mounted = move |volume: &&Volume| {
        container.volume_mounts.iter().flatten().any(|mount| mount.name == volume.name)
    };
    let is_unknown = move |volume: &&Volume| !input.volume_images.contains_key(&volume.name);
    let wanted = of_pod(input).filter(is_mounted).filter(is_unknown);
    let wanted = wanted.filter_map(|volume| Some((volume, volume.image.as_ref()?)));
    wanted.map(|(volume, source)| VolumeImage {
        volume: volume.name.clone(),
        image: source.reference.clone().unwrap_or_default(),
        policy: match source.pull_policy.as_deref() {
            Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            _ => PullPolicy::IfNotPresent,
        },
    })
}
