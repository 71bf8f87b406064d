//! What becomes of a container when its image is there, or is not.

use pod_model::Uptime;

use crate::fact::PullReport;
use crate::narrate::pulled;
use crate::rules::backoff::Backoff;
use crate::state::{Container, Failure, Phase};
use crate::{ImageFailure, PodMachine};

use super::CONFIG_RETRY;

/// Whom the events about an image are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageOwner {
    /// The container that runs it.
    Container,
    /// The pod, a volume of which shows it.
    Pod,
}

impl PodMachine {
    pub(super) fn image_ready(
        &mut self,
        at: usize,
        image_id: String,
        report: Option<&PullReport>,
        now: Uptime,
    ) {
        let container = &mut self.state.containers[at];
        if container.phase != Phase::Image || looks_again(container, now) {
            return;
        }
        container.image_id = image_id;
        container.image_backoff = Backoff::default();
        let message = pulled(&container.spec.image, report);
        self.narration.container(now, &container.spec, "Pulled", message);
        container.phase = Phase::Starting;
        container.next_attempt += 1;
        // Marked as under way by `decide`, which also hands the action out.
        self.to_start.push(at);
    }

    pub(super) fn image_failed(
        &mut self,
        at: usize,
        (image, owner): (String, ImageOwner),
        (failure, message): (ImageFailure, String),
        now: Uptime,
    ) {
        let timing = self.timing;
        let container = &mut self.state.containers[at];
        if container.phase != Phase::Image || looks_again(container, now) {
            return;
        }
        let spec = container.spec.clone();
        let (event, text, reason) = match failure {
            ImageFailure::Pull | ImageFailure::Refused => {
                ("Failed", format!("Failed to pull image \"{image}\": {message}"), "ErrImagePull")
            }
            ImageFailure::Registry | ImageFailure::NoRegistry => (
                "Failed",
                format!("Failed to pull image \"{image}\": {message}"),
                "RegistryUnavailable",
            ),
            ImageFailure::NeverPull => ("ErrImageNeverPull", message.clone(), "ErrImageNeverPull"),
            ImageFailure::InvalidName => ("InspectFailed", message.clone(), "InvalidImageName"),
            ImageFailure::Inspect => ("InspectFailed", message.clone(), "ImageInspectError"),
        };
        let awaits_change = failure.awaits_change();
        for (event, text, is_lasting) in
            [(event, text, awaits_change), ("Failed", format!("Error: {reason}"), false)]
        {
            match owner {
                ImageOwner::Container => {
                    self.narration.container_warning(now, &spec, event, text);
                }
                ImageOwner::Pod => self.narration.pod_warning(now, event, text),
            }
            if is_lasting {
                self.narration.last_awaits_change();
            }
        }
        container.missing_image = image;
        container.failure = Some(Failure { reason, message });
        container.phase = match failure {
            ImageFailure::NeverPull | ImageFailure::InvalidName | ImageFailure::Inspect => {
                Phase::Idle { not_before: now + timing.scaled(CONFIG_RETRY) }
            }
            _ => {
                container.image_backoff.lengthen(now, now);
                let not_before = container.image_backoff.not_before(now, timing);
                Phase::ImageFailed { decide_at: now + timing.settle, not_before }
            }
        };
    }
}

/// Whether the answer is about an image that the container had before; then the new one is looked
/// for.
fn looks_again(container: &mut Container, now: Uptime) -> bool {
    let is_stale = std::mem::take(&mut container.is_image_stale);
    if is_stale {
        container.phase = Phase::Idle { not_before: now };
    }
    is_stale
}
