//! How a container is confined: capabilities, seccomp, masked paths.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use k8s_openapi::api::core::v1::{AppArmorProfile, Capabilities, Container, SeccompProfile};
use pod_model::Pod;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat};
use sandbox::app_armor::{DEFAULT_PROFILE, Support};
use sandbox::capabilities;
use sandbox::seccomp::{self, Program};
use sandbox::{CapabilitySets, SeccompPlan, paths};

use super::PlanError;
use super::pod::spec;
use pod_api::text::chain;

/// A container's security context with the pod's filled in.
#[derive(Clone, Debug)]
pub(super) struct Security {
    pub(super) privileged: bool,
    pub(super) no_new_privileges: bool,
    pub(super) read_only_root_filesystem: bool,
    unmasked: bool,
    capabilities: Capabilities,
    seccomp: Option<SeccompProfile>,
    app_armor: Option<AppArmorProfile>,
}

pub(super) fn of_container(pod: &Pod, container: &Container) -> Security {
    let own = container.security_context.clone().unwrap_or_default();
    let of_pod = spec(pod).security_context.clone().unwrap_or_default();
    Security {
        privileged: own.privileged == Some(true),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        read_only_root_filesystem: own.read_only_root_filesystem == Some(true),
        unmasked: own.proc_mount.as_deref() == Some("Unmasked"),
        capabilities: own.capabilities.unwrap_or_default(),
        seccomp: own.seccomp_profile.or(of_pod.seccomp_profile),
        app_armor: own.app_armor_profile.or(of_pod.app_armor_profile),
    }
}

impl Security {
    /// Paths that show nothing in the container.
    pub(super) fn masked_paths(&self) -> Vec<String> {
        if self.privileged || self.unmasked { Vec::new() } else { paths::masked() }
    }

    /// Paths that cannot be written in the container.
    pub(super) fn readonly_paths(&self) -> Vec<String> {
        if self.privileged || self.unmasked { Vec::new() } else { paths::readonly() }
    }

    /// The five sets that the container's first process starts with.
    pub(super) fn capabilities(&self, uid: u32) -> Result<CapabilitySets, PlanError> {
        let add = self.capabilities.add.clone().unwrap_or_default();
        let drop = self.capabilities.drop.clone().unwrap_or_default();
        let bounding = if self.privileged {
            capabilities::of_this_host()
        } else {
            capabilities::bounding(&add, &drop)
                .map_err(|error| PlanError::Security(error.to_string()))?
        };
        Ok(capabilities::sets(bounding, uid))
    }

    /// The system call filter. Without a word in the manifest it is the runtime's default, which
    /// is stricter than a kubelet's.
    pub(super) fn seccomp(&self, profiles: &Path, bounding: u64) -> Result<SeccompPlan, PlanError> {
        match self.seccomp.as_ref().map(|profile| (profile.type_.as_str(), profile)) {
            None if self.privileged => Ok(SeccompPlan::Unconfined),
            Some(("Unconfined", _)) => Ok(SeccompPlan::Unconfined),
            Some(("Localhost", profile)) => {
                let name = profile.localhost_profile.as_deref().unwrap_or_default();
                let loaded = load_profile(profiles, name, bounding).map(SeccompPlan::Filter);
                loaded.map_err(|why| PlanError::SeccompProfile { path: profiles.join(name), why })
            }
            _ => Ok(SeccompPlan::RuntimeDefault),
        }
    }
}

impl Security {
    /// The AppArmor profile. If the manifest does not ask for one, a container gets the default where the kernel has
    /// it, as with a kubelet and containerd; what the manifest asks for is enforced or refused.
    pub(super) fn app_armor(&self, support: Support) -> Result<Option<String>, PlanError> {
        let wanted = self.app_armor.as_ref().map(|profile| (profile.type_.as_str(), profile));
        let refuse =
            |why: &str| Err(PlanError::Security(format!("cannot enforce AppArmor: {why}")));
        match (wanted, support) {
            (Some(("Unconfined", _)), _) => Ok(None),
            (None, Support::WithDefault) if !self.privileged => {
                Ok(Some(DEFAULT_PROFILE.to_owned()))
            }
            (None, _) => Ok(None),
            (Some(_), Support::Off) => refuse("AppArmor is not enabled on the host"), // a kubelet's words
            (Some(("Localhost", profile)), _) => {
                Ok(Some(profile.localhost_profile.clone().unwrap_or_default()))
            }
            (Some(_), Support::WithDefault) => Ok(Some(DEFAULT_PROFILE.to_owned())),
            (Some(_), Support::WithoutDefault) => refuse(
                "the profile minipod-default is not loaded; it is loaded when a pod is created and \
                 apparmor_parser is installed (Debian's package apparmor)",
            ),
        }
    }
}

/// A profile is no longer than this.
const LONGEST_PROFILE: u64 = 1 << 20;

/// Reads a profile below the directory for them, and nowhere else.
fn load_profile(profiles: &Path, name: &str, bounding: u64) -> Result<Program, String> {
    if name.is_empty() {
        return Err("it has no name".into());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = openat(CWD, profiles, flags | OFlags::DIRECTORY, Mode::empty())
        .and_then(|directory| confined::open(&directory, name, flags, confined));
    let file = opened.map(File::from).map_err(|error| error.to_string())?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut text = Vec::new();
    let length = file.take(LONGEST_PROFILE + 1).read_to_end(&mut text);
    match length {
        Ok(length) if is_file && length as u64 <= LONGEST_PROFILE => {
            seccomp::parse_profile(&text, bounding).map_err(|error| chain(&error))
        }
        Ok(_) if is_file => Err(format!("it is longer than {LONGEST_PROFILE} bytes")),
        Ok(_) => Err("it is not a file".into()),
        Err(error) => Err(error.to_string()),
    }
}
