//! One pod of a `run`: how far it is, and whether it can still get further.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Event, Pod};
use pod_runner::launch::Launched;
use pod_runner::{Places, lock};

use super::super::run_output::LogPrinter;
use super::super::wait;

/// How long a container without a readiness probe must have lived when nothing else is said: most
/// programs that cannot start end sooner.
const A_MOMENT: Duration = Duration::from_secs(1);

/// So many failures of a kind that does not mend itself are enough.
const ENOUGH: i32 = 2;

/// One pod that is watched.
pub(super) struct Watched {
    pub(super) launched: Launched,
    pub(super) latest: Pod,
    pub(super) logs: LogPrinter,
    pub(super) is_gone: bool,
    /// Whether its supervisor waits at its end until it is asked to remove the pod.
    is_removed: bool,
    ready_since: Option<Instant>,
    /// How often each event of a failure has happened, by the event's name.
    failures: BTreeMap<String, i32>,
}

impl Watched {
    pub(super) fn new(
        places: &Places,
        launched: Launched,
        (is_alone, is_removed): (bool, bool),
    ) -> Self {
        Self {
            latest: launched.pod.clone(),
            logs: LogPrinter::new(places, &launched.pod, is_alone),
            launched,
            is_gone: false,
            is_removed,
            ready_since: None,
            failures: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.latest.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn phase(&self) -> &str {
        self.latest.status.as_ref().and_then(|one| one.phase.as_deref()).unwrap_or_default()
    }

    /// Whether it is Ready, or has done what it was there for.
    pub(super) fn is_ready(&self) -> bool {
        if self.phase() == "Succeeded" {
            return true;
        }
        let status = self.latest.status.as_ref();
        let conditions = status.into_iter().flat_map(|one| one.conditions.iter().flatten());
        conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    }

    /// Notes whether the pod is Ready now. Returns what there is to say of one that was and no
    /// longer is.
    pub(super) fn look(&mut self, now: Instant) -> Option<String> {
        if self.is_ready() {
            self.ready_since.get_or_insert(now);
            return None;
        }
        let since = self.ready_since.take()?;
        let lived = now.duration_since(since).as_millis();
        Some(format!(
            "pod \"{}\" was ready for {lived} ms and is not ready any more\n",
            self.name()
        ))
    }

    /// When it has been Ready for long enough, as it looks now.
    pub(super) fn ready_at(&self, wanted: Option<Duration>) -> Option<Instant> {
        let needed = if self.phase() == "Succeeded" { Duration::ZERO } else { self.needed(wanted) };
        self.ready_since.map(|since| since + needed)
    }

    /// A readiness probe has seen the program at work; without one, all there is to go by is that
    /// it goes on.
    fn needed(&self, wanted: Option<Duration>) -> Duration {
        let spec = self.latest.spec.as_ref();
        let mut containers = spec.into_iter().flat_map(|spec| &spec.containers);
        let is_probed = |one: &Container| one.readiness_probe.is_some();
        let usual = if containers.all(is_probed) { Duration::ZERO } else { A_MOMENT };
        wanted.unwrap_or(usual)
    }

    /// Why it cannot become Ready any more, if it still goes on.
    pub(super) fn never_ready(&self) -> Option<String> {
        wait::never_ready(&self.latest).filter(|_| !self.is_ready() && !self.is_over())
    }

    /// Counts what fails before a container runs.
    pub(super) fn note(&mut self, event: &Event) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (reason, message) = (text(&event.reason), text(&event.message));
        let is_own = ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"]
            .iter()
            .all(|summary| message != format!("Error: {summary}"));
        if matches!(reason.as_str(), "Failed" | "InspectFailed" | "ErrImageNeverPull") && is_own {
            self.failures.insert(text(&event.metadata.name), event.count.unwrap_or(1));
        }
    }

    /// Why a container will never start, once that has been tried more than once.
    pub(super) fn never_starts(&self) -> Option<String> {
        if self.failures.values().sum::<i32>() < ENOUGH {
            return None;
        }
        let status = self.latest.status.as_ref()?;
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten()).find_map(lasting)
    }

    /// Whether its supervisor has nothing more to say. The lock is free before the supervisor's
    /// process is gone for good, and after its last word.
    pub(super) fn is_over(&self) -> bool {
        let has_ended = matches!(self.phase(), "Succeeded" | "Failed");
        self.is_gone || self.is_removed && has_ended || !lock::is_held(&self.launched.dir)
    }
}

/// Why a container waits, if trying again is of no use. A registry that cannot be reached or asks
/// for patience may be there again; one that says no will say so again.
fn lasting(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.as_deref().unwrap_or_default();
    let is_lasting = match reason {
        "InvalidImageName"
        | "ErrImageNeverPull"
        | "CreateContainerError"
        | "CreateContainerConfigError" => true,
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => is_refusal(message),
        _ => false,
    };
    is_lasting.then(|| format!("container {}: {reason}: {message}", status.name))
}

/// Whether the message of a failed pull tells of an answer that stays the same: 401, 403, 404, or
/// that nobody has the registry's name.
fn is_refusal(message: &str) -> bool {
    ["(401)", "(403)", "(404)", "failed to lookup address", "invalid reference"]
        .iter()
        .any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_registry_that_says_no_is_told_from_one_that_may_answer_later() {
        let waits = |reason: &str, message: &str| {
            let status = json!({"name": "a", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}});
            lasting(&serde_json::from_value(status).unwrap())
        };
        for (reason, message) in [
            ("ErrImagePull", "cannot pull a: r denies access to a (401)"),
            ("ImagePullBackOff", "Back-off pulling image \"a\": ErrImagePull: r has no a (404)"),
            ("RegistryUnavailable", "cannot reach r: failed to lookup address information"),
            ("CreateContainerError", "cannot mount"),
            ("CreateContainerConfigError", "configmap \"a\" not found"),
        ] {
            assert!(waits(reason, message).is_some(), "{reason}: {message}");
        }
        for (reason, message) in [
            ("RegistryUnavailable", "cannot reach r: connection refused"),
            ("ErrImagePull", "r answered 503 to the request for a"),
            ("ContainerCreating", ""),
            ("CrashLoopBackOff", "(404)"),
        ] {
            assert_eq!(waits(reason, message), None, "{reason}: {message}");
        }
    }
}
