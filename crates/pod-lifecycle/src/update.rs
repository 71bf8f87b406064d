//! What may be changed of a pod that exists.

use std::time::Duration;

use pod_model::{ContainerName, Role, Uptime};

use crate::PodMachine;
use crate::rules::backoff::Backoff;
use crate::state::{After, Phase, Stop, StopStep};

/// A change of a pod; everything else about it is for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The new images of containers.
    pub images: Vec<(ContainerName, String)>,
    /// The new `activeDeadlineSeconds`; `None` leaves it as it is.
    pub active_deadline: Option<Duration>,
    /// Whether scheduling gates still keep the pod from being started.
    pub is_gated: bool,
}

impl PodMachine {
    pub(crate) fn update(&mut self, update: Update, now: Uptime) {
        if self.state.is_gated && !update.is_gated {
            self.state.is_gated = false;
            self.begin(now);
        }
        if let Some(limit) = update.active_deadline {
            self.pod.active_deadline = Some(limit);
        }
        for (name, image) in update.images {
            if let Some(at) = self.position(&name) {
                self.change_image(at, image, now);
            }
        }
    }

    /// Only that container is killed and started from its new image, whatever the restart policy
    /// says. An init container that has run is not run again.
    fn change_image(&mut self, at: usize, image: String, now: Uptime) {
        let container = &mut self.state.containers[at];
        let is_used = container.spec.role == Role::Init && container.newest.is_some();
        if container.spec.image == image || is_used {
            return;
        }
        container.spec.image = image;
        container.crash_backoff = Backoff::default();
        container.image_backoff = Backoff::default();
        let name = &container.spec.name;
        let text = match container.spec.role {
            Role::Main => format!("Container {name} definition changed, will be restarted"),
            Role::Sidecar => format!("Init container {name} definition changed"),
            Role::Init => String::new(), // one that runs is left alone
        };
        match container.phase {
            Phase::Running | Phase::PostStart | Phase::Starting => {
                self.narration.container(now, &container.spec, "Killing", text);
                let (step, deadline) = (StopStep::Begin, now + self.pod.termination_grace);
                let after = After::Restarts;
                container.phase = Phase::Stopping(Stop { step, deadline, after });
            }
            Phase::ImageFailed { .. } | Phase::Idle { .. } => {
                container.phase = Phase::Idle { not_before: now };
            }
            Phase::Image => container.is_image_stale = true,
            Phase::Stopping(_) | Phase::Exited { .. } | Phase::Done => {}
        }
    }
}
