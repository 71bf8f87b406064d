//! A pod and its images become plans: everything is decided here, before any process exists.
//!
//! The functions are pure but for reading stored ConfigMaps and Secrets and the image's own
//! `/etc/passwd`. `minipod plan` prints what they return, the sandbox carries it out.

mod devices;
mod downward;
mod env_file;
mod environment;
mod identity;
mod limits;
mod mounts;
mod pod;
mod security;
mod storage;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use image_puller::Image;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Secret};
use pod_lifecycle::Instance;
use pod_model::{ContainerName, Pod, Role};
use sandbox::app_armor;
use sandbox::{ContainerPlan, DevicesPlan, ProcessPlan, RootPlan, TerminalSize};
use thiserror::Error;

use pod_api::control::ExecRequest;
use pod_api::object_store::{ObjectError, Objects};
use pod_api::places::{PodData, PodDir};

pub(crate) use devices::without_filter as without_device_filter;
pub(crate) use downward::{field, resource};
pub use limits::{limits, pod_limits};
pub(crate) use mounts::cgroup_mounts;
pub use pod::{EVERY_GROUP, StopSignal, conveniences, host_ports, pod, stop_signal};
pub(crate) use pod::{domain, hostname_problem, short_name};
pub use sandbox::cgroup::Limits;
pub(crate) use storage::{StorageLimits, StorageUse, disk_volumes, storage_limits};

/// Why there is no plan for a container.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A stored object.
    #[error("cannot read a stored object")]
    Object(#[from] ObjectError),
    /// A ConfigMap or Secret that does not exist.
    #[error("{kind} {name:?} not found")]
    MissingObject {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A key that a ConfigMap or Secret does not have.
    #[error("couldn't find key {key} in {kind} {object}")]
    MissingKey {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// `namespace/name`.
        object: String,
    },
    /// A file with variables that is not there, or is no such file.
    #[error("couldn't parse env file")]
    EnvFile {
        /// Why not.
        source: std::io::Error,
    },
    /// A variable that such a file does not set.
    #[error("environment variable key {key:?} not found in file {file:?}")]
    MissingFileKey {
        /// The variable.
        key: String,
        /// The file, in its volume.
        file: String,
    },
    /// A container that a `resourceFieldRef` names and the pod does not have.
    #[error("container {name} not found")]
    NoContainer {
        /// Its name.
        name: String,
    },
    /// Neither the manifest nor the image names a command.
    #[error("no command specified")]
    NoCommand,
    /// A rule about users.
    #[error("{0}")]
    User(String),
    /// A device that nothing would keep the container from.
    #[error("{0}")]
    Devices(String),
    /// A rule about capabilities, seccomp and the like.
    #[error("{0}")]
    Security(String),
    /// A seccomp profile of the node's, which a container runtime reads when it creates the container.
    #[error("cannot load seccomp profile \"{}\": {why}", path.display())]
    SeccompProfile {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A volume mount that cannot be made.
    #[error("{0}")]
    Mount(String),
    /// The image's user or group files.
    #[error("cannot read {path} of the image")]
    ImageFile {
        /// Which.
        path: &'static str,
        /// Why not.
        source: image_puller::ReadFileError,
    },
}

impl PlanError {
    /// Whether Kubernetes calls it a configuration error (`CreateContainerConfigError`).
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::NoCommand | Self::Devices(_) | Self::SeccompProfile { .. })
    }
}

/// What a plan is made from, beside the image.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its state directory.
    pub dir: &'a PodDir,
    /// Its volumes and writable layers.
    pub data: &'a PodData,
    /// Its addresses, as far as known.
    pub pod_ips: &'a [IpAddr],
    /// The host's address.
    pub host_ip: &'a str,
    /// The node's name.
    pub node_name: &'a str,
    /// The stored objects.
    pub objects: &'a Objects,
    /// Where seccomp profiles of type `Localhost` are.
    pub seccomp_profiles: &'a Path,
    /// What the kernel can enforce of AppArmor.
    pub app_armor: app_armor::Support,
    /// The layers of image volumes by the volume's name, as far as they are in the store.
    pub volume_images: &'a VolumeImages,
}

/// Layers, the lowest first, by the name of the volume that shows them.
pub type VolumeImages = BTreeMap<String, Vec<PathBuf>>;

impl PlanInput<'_> {
    /// The ConfigMap of that name in the pod's namespace; `None` only when it is optional.
    pub(crate) fn config_map(
        &self,
        name: &str,
        optional: bool,
    ) -> Result<Option<ConfigMap>, PlanError> {
        match self.objects.find::<ConfigMap>(&self.pod.namespace, name)? {
            None if !optional => {
                Err(PlanError::MissingObject { kind: "configmap", name: name.to_owned() })
            }
            found => Ok(found),
        }
    }

    /// The Secret of that name in the pod's namespace; `None` only when it is optional.
    pub(crate) fn secret(&self, name: &str, optional: bool) -> Result<Option<Secret>, PlanError> {
        match self.objects.find::<Secret>(&self.pod.namespace, name)? {
            None if !optional => {
                Err(PlanError::MissingObject { kind: "secret", name: name.to_owned() })
            }
            found => Ok(found),
        }
    }

    /// The node's capacity of a resource in thousandths, which stands in for a limit not set.
    pub(crate) fn node_capacity(&self, resource: &str) -> i128 {
        match resource {
            "cpu" => {
                let cpus = std::thread::available_parallelism().map_or(1, usize::from);
                i128::try_from(cpus).unwrap_or(1) * 1000
            }
            "memory" => i128::from(limits::node_memory()) * 1000,
            "ephemeral-storage" => i128::from(downward::file_system_size(self.data.path())) * 1000,
            _ => 0,
        }
    }
}

/// The first start of a container.
pub fn first_start(name: &ContainerName) -> Instance {
    Instance { name: name.clone(), attempt: pod_lifecycle::Attempt(0) }
}

/// The plan for one start of a container.
pub fn container(
    input: &PlanInput<'_>,
    image: &Image,
    instance: &Instance,
) -> Result<ContainerPlan, PlanError> {
    let name = &instance.name;
    let spec = container_object(input.pod, name);
    let manifest = environment::of_manifest(input, spec)?;
    let process = process(input, image, spec, &manifest)?;
    let security = security::of_container(input.pod, spec);
    let writable = input.data.container(name.as_str(), instance.attempt.0);
    Ok(ContainerPlan {
        name: name.to_string(),
        root: RootPlan {
            nodev: false,
            layers: image.layers.clone(),
            writable,
            readonly: security.read_only_root_filesystem,
            volumes: image.config.volumes.iter().filter(|path| !path.is_empty()).cloned().collect(),
        },
        mounts: mounts::of_container(input, spec, instance, &manifest)?,
        cgroup_mounts: Vec::new(),
        masked_paths: security.masked_paths(),
        readonly_paths: security.readonly_paths(),
        devices: if security.privileged { DevicesPlan::Host } else { DevicesPlan::Default },
        privileged_mounts: security.privileged,
        process,
    })
}

fn process(
    input: &PlanInput<'_>,
    image: &Image,
    spec: &Container,
    manifest: &environment::Environment,
) -> Result<ProcessPlan, PlanError> {
    let config = &image.config;
    let argv = command(spec, &config.entrypoint, &config.cmd, manifest)?;
    let security = security::of_container(input.pod, spec);
    let identity = identity::of_container(input.pod, spec, image)?;
    let hostname = pod::hostname(input);
    let mut environment = environment::complete(&hostname, &config.env, manifest);
    let size = TerminalSize { rows: 24, columns: 80 };
    let terminal = (spec.tty == Some(true)).then_some(size);
    if terminal.is_some() && environment.get("TERM").is_none() {
        environment.set("TERM", "xterm".into());
    }
    if environment.get("HOME").is_none() {
        environment.set("HOME", identity.home.clone());
    }
    let capabilities = security.capabilities(identity.user.uid)?;
    let cwd = spec.working_dir.clone().filter(|dir| !dir.is_empty());
    Ok(ProcessPlan {
        argv,
        env: environment.strings(),
        cwd: cwd.or_else(|| config.working_dir.clone()).unwrap_or_else(|| "/".into()),
        umask: 0o022,
        seccomp: security.seccomp(input.seccomp_profiles, capabilities.bounding)?,
        app_armor: security.app_armor(input.app_armor)?,
        capabilities,
        no_new_privileges: security.no_new_privileges,
        rlimits: limits::rlimits(),
        oom_score_adj: Some(limits::oom_score_adj(input.pod, spec)),
        user: identity.user,
        terminal,
    })
}

/// The command line: the manifest's `command` replaces the image's ENTRYPOINT and CMD, `args`
/// only the CMD.
fn command(
    spec: &Container,
    entrypoint: &[String],
    cmd: &[String],
    environment: &environment::Environment,
) -> Result<Vec<String>, PlanError> {
    let expand = |texts: &Vec<String>| -> Vec<String> {
        texts.iter().map(|text| environment.expand(text)).collect()
    };
    let command = spec.command.as_ref().filter(|command| !command.is_empty()).map(expand);
    let args = spec.args.as_ref().filter(|args| !args.is_empty()).map(expand);
    let argv = match (command, args) {
        (Some(command), args) => [command, args.unwrap_or_default()].concat(),
        (None, Some(args)) => [entrypoint.to_vec(), args].concat(),
        (None, None) => [entrypoint, cmd].concat(),
    };
    if argv.is_empty() { Err(PlanError::NoCommand) } else { Ok(argv) }
}

/// What a container reads as its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Closed,
    /// What those write who are attached.
    Open,
    /// What the first of them writes.
    Once,
}

/// Whether a container has a standard input (`stdin`, `stdinOnce`).
pub(crate) fn stdin(pod: &Pod, name: &ContainerName) -> Stdin {
    let spec = container_object(pod, name);
    match (spec.stdin, spec.stdin_once) {
        (Some(true), Some(true)) => Stdin::Once,
        (Some(true), _) => Stdin::Open,
        _ => Stdin::Closed,
    }
}

/// The plan of a command that joins a container: the container's own, with another command.
pub(crate) fn visitor(container: &ProcessPlan, command: &[String]) -> ProcessPlan {
    ProcessPlan { argv: command.to_vec(), terminal: None, ..container.clone() }
}

/// The plan of a command that `exec` runs.
pub(crate) fn exec(container: &ProcessPlan, request: &ExecRequest) -> ProcessPlan {
    let mut plan = visitor(container, &request.command);
    let terminal = request.terminal;
    plan.terminal = terminal.map(|size| TerminalSize { rows: size.rows, columns: size.columns });
    if let (Some(_), Some(term)) = (plan.terminal, &request.term) {
        plan.env.retain(|variable| !variable.starts_with("TERM="));
        plan.env.push(format!("TERM={term}"));
    }
    plan
}

/// Whether the log stands in for a termination message that was not written.
pub(crate) fn falls_back_to_logs(pod: &Pod, name: &str) -> bool {
    let Ok(name) = ContainerName::parse(name) else {
        return false;
    };
    let policy = container_object(pod, &name).termination_message_policy.as_deref();
    policy == Some("FallbackToLogsOnError")
}

/// The container's object in the manifest.
pub(crate) fn container_object<'a>(pod: &'a Pod, name: &ContainerName) -> &'a Container {
    let spec = pod.object.spec.as_ref().expect("a valid pod has a spec");
    let role = pod.container(name).map(|container| container.role);
    let containers = match role {
        Some(Role::Init | Role::Sidecar) => spec.init_containers.as_deref().unwrap_or_default(),
        _ => spec.containers.as_slice(),
    };
    let found = containers.iter().find(|container| container.name == name.as_str());
    found.expect("a pod's containers are those of its object")
}

/// The object of the container of that name, if there is one.
pub(crate) fn container_named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let name = ContainerName::parse(name).ok()?;
    pod.container(&name).map(|found| container_object(pod, &found.name))
}

#[cfg(test)]
mod tests;
