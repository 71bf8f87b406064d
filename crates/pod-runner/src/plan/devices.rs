//! A container that no device filter confines.
//!
//! The cgroup keeps a container from opening devices, whoever made their files. Where the machine
//! offers no such filter, it can neither make any nor open one that lies on a mount: it gets no
//! capability MKNOD, and every mount but its own `/dev` is `nodev`. What could undo that is
//! refused.

use sandbox::{CapabilitySets, ContainerPlan, Propagation};

use super::PlanError;

/// capability.h
const SYS_ADMIN: u64 = 1 << 21;
const MKNOD: u64 = 1 << 27;

/// Changes the plan so that no device can be opened but those of the container's `/dev`.
pub(crate) fn without_filter(plan: &mut ContainerPlan) -> Result<(), PlanError> {
    let refused = |what: &str| {
        let text = format!(
            "{what} needs a device filter, and this machine's cgroups offer none (see `minipod \
             doctor`): leave it out, or make the container privileged"
        );
        Err(PlanError::Devices(text))
    };
    if plan.process.capabilities.bounding & SYS_ADMIN != 0 {
        return refused("the capability SYS_ADMIN"); // it could mount a devtmpfs
    }
    let spreads = |spread: Propagation| spread != Propagation::Private;
    if plan.mounts.iter().any(|mount| spreads(mount.options.propagation)) {
        return refused("mountPropagation"); // what the host mounts later has the host's options
    }
    for mount in &mut plan.mounts {
        mount.options.nodev = true;
    }
    plan.root.nodev = true;
    let CapabilitySets { bounding, permitted, effective, inheritable, ambient } =
        &mut plan.process.capabilities;
    for set in [bounding, permitted, effective, inheritable, ambient] {
        *set &= !MKNOD;
    }
    Ok(())
}
