//! One pod of a `run`: how far it is, and whether it can still get further.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Event, Pod};
use pod_api::launch::Launched;
use pod_api::{Places, lock};
use pod_model::AWAITS_CHANGE;

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
    failures: Failures,
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
            failures: Failures::default(),
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

    /// Takes in one event.
    pub(super) fn note(&mut self, event: &Event) {
        self.failures.note(event);
    }

    /// Why a container will never start, once that has been tried more than once.
    pub(super) fn never_starts(&self) -> Option<String> {
        self.failures.never_starts(&self.latest)
    }

    /// Whether its supervisor has nothing more to say. The lock is free before the supervisor's
    /// process is gone for good, and after its last word.
    pub(super) fn is_over(&self) -> bool {
        let has_ended = matches!(self.phase(), "Succeeded" | "Failed");
        self.is_gone || self.is_removed && has_ended || !lock::is_held(&self.launched.dir)
    }
}

/// How often each event of a failure that does not mend itself has happened, by the event's name,
/// with the field of the pod that it is about.
#[derive(Default)]
struct Failures(BTreeMap<String, (Option<String>, i32)>);

impl Failures {
    /// Counts what fails before a container runs and does not mend itself.
    fn note(&mut self, event: &Event) {
        if event.action.as_deref() == Some(AWAITS_CHANGE) {
            let name = event.metadata.name.clone().unwrap_or_default();
            let field = event.involved_object.field_path.clone();
            self.0.insert(name, (field, event.count.unwrap_or(1)));
        }
    }

    /// Why a container will never start, once that has been tried more than once.
    fn never_starts(&self, pod: &Pod) -> Option<String> {
        let status = pod.status.as_ref()?;
        let inits = status.init_container_statuses.iter().flatten();
        let mains = status.container_statuses.iter().flatten();
        let all = inits.map(|one| ("initContainers", one));
        let mut all = all.chain(mains.map(|one| ("containers", one)));
        all.find_map(|(list, one)| {
            let field = format!("spec.{list}{{{}}}", one.name);
            if self.of(&field) < ENOUGH { None } else { waits_in_vain(one) }
        })
    }

    /// How often this container could not be started, or the pod could not for an image of its
    /// volumes.
    fn of(&self, container: &str) -> i32 {
        let failures = self.0.values();
        let is_its = |field: &Option<String>| field.as_deref().is_none_or(|one| one == container);
        failures.filter(|(field, _)| is_its(field)).map(|(_, count)| count).sum()
    }
}

/// Why a container waits, if that is because it could not be started.
fn waits_in_vain(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let is_failure = matches!(
        reason,
        "InvalidImageName"
            | "ErrImageNeverPull"
            | "ErrImagePull"
            | "ImagePullBackOff"
            | "RegistryUnavailable"
            | "CreateContainerError"
            | "CreateContainerConfigError"
    );
    let message = waiting.message.as_deref().unwrap_or_default();
    is_failure.then(|| format!("container {}: {reason}: {message}", status.name))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodStatus;
    use serde_json::{Value, json};

    use super::*;

    /// What is said of a pod with two containers, of which both wait for this reason.
    fn told(reason: &str, events: &[Value]) -> Option<String> {
        let waits = |name: &str| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "(404)"}}})
        };
        let status = json!({"containerStatuses": [waits("a"), waits("b")]});
        let status: PodStatus = serde_json::from_value(status).unwrap();
        let pod = Pod { status: Some(status), ..Pod::default() };
        let mut failures = Failures::default();
        for event in events {
            failures.note(&serde_json::from_value(event.clone()).unwrap());
        }
        failures.never_starts(&pod)
    }

    fn event(name: &str, field: Option<&str>, action: Option<&str>, count: i32) -> Value {
        json!({"metadata": {"name": name}, "action": action, "count": count, "reason": "Failed",
            "message": "no (404)", "involvedObject": {"fieldPath": field}})
    }

    #[test]
    fn a_container_never_starts_after_two_failures_of_its_own_that_await_a_change() {
        let b = Some("spec.containers{b}");
        let lasting = Some(AWAITS_CHANGE);
        let twice = [event("x", b, lasting, 1), event("x", b, lasting, 2)];
        let expected = "container b: ErrImagePull: (404)";
        assert_eq!(told("ErrImagePull", &twice).as_deref(), Some(expected));
        let different = [event("x", b, lasting, 1), event("y", b, lasting, 1)];
        assert_eq!(told("ErrImagePull", &different).as_deref(), Some(expected));
        let of_volume = [event("x", None, lasting, 2)];
        assert!(told("ImagePullBackOff", &of_volume).is_some());
        assert_eq!(told("CrashLoopBackOff", &twice), None, "it has started since");
        let a = Some("spec.containers{a}");
        for events in [
            vec![event("x", b, None, 9)],
            vec![event("x", b, lasting, 1), event("y", b, None, 1)],
            vec![event("x", a, lasting, 1), event("y", b, lasting, 1)],
            vec![event("x", Some("spec.initContainers{b}"), lasting, 2)],
        ] {
            assert_eq!(told("ErrImagePull", &events), None, "{events:#?}");
        }
    }
}
