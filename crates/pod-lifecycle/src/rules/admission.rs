//! Which containers may start now.

use pod_model::Role;

use crate::state::{Container, Phase};

/// How many containers, from the first on, are past the gates before them: an init container
/// waits for the ones before it to end well, sidecars to have started; main containers wait for
/// all of them.
pub(crate) fn admitted(containers: &[Container]) -> usize {
    let closed = containers
        .iter()
        .position(|container| container.spec.role != Role::Main && !container.is_initialized);
    match closed {
        Some(at) => at + 1,
        None => containers.len(),
    }
}

/// Whether a main container is being made ready: main containers start one after another, so
/// that a postStart hook holds up the ones behind it.
pub(crate) fn is_being_started(container: &Container) -> bool {
    matches!(container.phase, Phase::Image | Phase::Starting | Phase::PostStart)
}

/// Whether a sidecar counts as started: it runs, its hook has ended, its startup probe succeeded.
pub(crate) fn has_started(container: &Container) -> bool {
    matches!(container.phase, Phase::Running)
        && (container.spec.startup_probe.is_none() || container.startup.has_succeeded())
}
