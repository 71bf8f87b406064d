//! How a container is confined: capabilities, seccomp, masked paths.

use k8s_openapi::api::core::v1::{Capabilities, Container, SeccompProfile};
use pod_model::Pod;
use sandbox::capabilities;
use sandbox::{CapabilitySets, SeccompPlan, paths};

use super::PlanError;
use super::pod::spec;

/// A container's security context with the pod's filled in.
#[derive(Clone, Debug)]
pub(super) struct Security {
    pub(super) privileged: bool,
    pub(super) no_new_privileges: bool,
    pub(super) read_only_root_filesystem: bool,
    unmasked: bool,
    capabilities: Capabilities,
    seccomp: Option<SeccompProfile>,
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
    pub(super) fn seccomp(&self) -> Result<SeccompPlan, PlanError> {
        match self.seccomp.as_ref().map(|profile| (profile.type_.as_str(), profile)) {
            None if self.privileged => Ok(SeccompPlan::Unconfined),
            Some(("Unconfined", _)) => Ok(SeccompPlan::Unconfined),
            Some(("Localhost", profile)) => {
                let name = profile.localhost_profile.as_deref().unwrap_or_default();
                let text =
                    format!("cannot load seccomp profile {name:?}: minipod reads no profiles");
                Err(PlanError::Security(text))
            }
            _ => Ok(SeccompPlan::RuntimeDefault),
        }
    }
}
