//! What is mounted into a container beside the standard file systems.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};
use pod_lifecycle::Instance;
use sandbox::cgroup::ContainerCgroup;
use sandbox::{MountOptions, MountPlan, MountSource, PathKind, Propagation, SubPath};

use super::environment::Environment;
use super::pod::spec;
use super::{PlanError, PlanInput};
use crate::volumes;
use pod_api::text::chain;

/// The mounts of a container in the order in which they are made: the pod's network files, the
/// termination message, then the volumes, parents before what lies below them.
pub(super) fn of_container(
    input: &PlanInput<'_>,
    container: &Container,
    instance: &Instance,
    environment: &Environment,
) -> Result<Vec<MountPlan>, PlanError> {
    let stated: Vec<&VolumeMount> = container.volume_mounts.iter().flatten().collect();
    let is_taken = |path: &str| stated.iter().any(|mount| mount.mount_path == path);
    // A kubelet's own file stays writable; those of a runtime are part of the root.
    let own = container.security_context.as_ref();
    let read_only = own.is_some_and(|context| context.read_only_root_filesystem == Some(true));
    let mut mounts: Vec<MountPlan> = ["hosts", "resolv.conf", "hostname"]
        .into_iter()
        .map(|name| (name, format!("/etc/{name}")))
        .filter(|(_, target)| !is_taken(target))
        .map(|(name, target)| {
            let readonly = read_only && name != "hosts";
            let options = MountOptions { readonly, ..MountOptions::default() };
            MountPlan { options, ..bind(input.dir.network_file(name), target) }
        })
        .collect();
    if let Some(target) = &container.termination_message_path {
        let name = instance.name.as_str();
        mounts.push(bind(input.data.termination_message(name, instance.attempt.0), target.clone()));
    }
    let mut volumes = stated
        .into_iter()
        .map(|mount| volume_mount(input, container, mount, environment))
        .collect::<Result<Vec<_>, _>>()?;
    volumes.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    mounts.extend(volumes);
    Ok(mounts)
}

/// The container's own cgroups, where it looks for them.
pub(crate) fn cgroup_mounts(cgroup: Option<&ContainerCgroup>, writable: bool) -> Vec<MountPlan> {
    let views = cgroup.map(ContainerCgroup::views).unwrap_or_default();
    let mount = |(path, name): (PathBuf, String)| MountPlan {
        options: MountOptions {
            readonly: !writable,
            nosuid: true,
            nodev: true,
            noexec: true,
            ..MountOptions::default()
        },
        ..bind(path, format!("/sys/fs/cgroup/{name}"))
    };
    views.into_iter().map(mount).collect()
}

fn bind(path: PathBuf, target: String) -> MountPlan {
    let source = MountSource::Bind { path, kind: PathKind::Any, sub_path: None };
    MountPlan { source, target, options: MountOptions::default() }
}

fn volume_mount(
    input: &PlanInput<'_>,
    container: &Container,
    mount: &VolumeMount,
    environment: &Environment,
) -> Result<MountPlan, PlanError> {
    let volume = spec(input.pod).volumes.iter().flatten().find(|volume| volume.name == mount.name);
    let volume = volume.ok_or_else(|| {
        PlanError::Mount(format!(
            "cannot find volume \"{}\" to mount into container \"{}\"",
            mount.name, container.name
        ))
    })?;
    let read_only = mount.read_only == Some(true) || volumes::is_read_only(volume);
    let target = match mount.mount_path.strip_prefix('/') {
        Some(_) => mount.mount_path.clone(),
        None => format!("/{}", mount.mount_path),
    };
    let sub_path = sub_path(mount, environment)?.map(|path| SubPath {
        path,
        owner: format!("volumeMount \"{}\" of container \"{}\"", mount.name, container.name),
    });
    let is_image = volume.image.is_some();
    Ok(MountPlan {
        source: source(input, volume, sub_path)?,
        target,
        options: MountOptions {
            readonly: read_only,
            recursive_readonly: is_recursive(mount),
            noexec: is_image,
            nosuid: is_image,
            nodev: is_image,
            mount_points: volumes::is_made_for_pod(volume),
            propagation: match mount.mount_propagation.as_deref() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::Private,
            },
        },
    })
}

/// What a volume shows; of an image the layers as far as they are known.
fn source(
    input: &PlanInput<'_>,
    volume: &Volume,
    sub_path: Option<SubPath>,
) -> Result<MountSource, PlanError> {
    if volume.image.is_some() {
        let layers = input.volume_images.get(&volume.name).cloned().unwrap_or_default();
        let scratch = input.data.volume(&volume.name);
        return Ok(MountSource::Image { layers, scratch, sub_path });
    }
    let path = volumes::path(input, volume).map_err(|error| PlanError::Mount(chain(&error)))?;
    let kind = volume.host_path.as_ref().map_or(PathKind::Any, volumes::host_path_kind);
    Ok(MountSource::Bind { path, kind, sub_path })
}

fn is_recursive(mount: &VolumeMount) -> bool {
    matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible"))
}

/// `subPath`, or `subPathExpr` with its variables filled in.
fn sub_path(mount: &VolumeMount, environment: &Environment) -> Result<Option<PathBuf>, PlanError> {
    let text = match (&mount.sub_path, &mount.sub_path_expr) {
        (Some(path), _) if !path.is_empty() => path.clone(),
        (_, Some(expression)) if !expression.is_empty() => {
            if let Some(name) = missing_variable(expression, environment) {
                return Err(PlanError::Mount(format!("missing value for {name}")));
            }
            environment.expand(expression)
        }
        _ => return Ok(None),
    };
    if text.starts_with('/') {
        let message = format!("error SubPath `{text}` must not be an absolute path");
        return Err(PlanError::Mount(message));
    }
    if text.split('/').any(|part| part == "..") {
        let message = format!("unable to provision SubPath `{text}`: must not contain '..'");
        return Err(PlanError::Mount(message));
    }
    Ok(Some(text.into()))
}

/// The first variable of the expression that is unset or empty.
fn missing_variable<'a>(expression: &'a str, environment: &Environment) -> Option<&'a str> {
    let mut rest = expression;
    while let Some((_, after)) = rest.split_once("$(") {
        let (name, after) = after.split_once(')')?;
        if environment.get(name).is_none_or(str::is_empty) {
            return Some(name);
        }
        rest = after;
    }
    None
}
