//! Resources: what a container may use, by Kubernetes' formulas.

use k8s_openapi::api::core::v1::Container;
use pod_model::pod_resources::{self, Amounts};
use pod_model::{ContainerName, Pod, QosClass, Quantity, qos_class};
use sandbox::Rlimit;
use sandbox::cgroup::Limits;

use super::container_object;
use super::pod::spec;

/// The processes a container may have; Kubernetes sets no limit, which lets one container stop
/// the whole machine.
const MOST_PROCESSES: u64 = 4096;

/// The limits of one container.
pub fn limits(pod: &Pod, name: &ContainerName) -> Limits {
    let container = container_object(pod, name);
    let resources = container.resources.clone().unwrap_or_default();
    let privileged =
        container.security_context.as_ref().is_some_and(|own| own.privileged == Some(true));
    // No container may use more than its pod, and one without limits sees those of the pod.
    let of_pod = pod_resources::own(spec(pod)).and_then(|own| own.limits.as_ref());
    let least = |own: Option<u64>, of_pod: Option<u64>| own.into_iter().chain(of_pod).min();
    let cpu_limit = least(milli(resources.limits.as_ref(), "cpu"), milli(of_pod, "cpu"));
    let cpu_request = milli(resources.requests.as_ref(), "cpu").or(cpu_limit);
    Limits {
        cpu_request_milli: cpu_request,
        cpu_limit_milli: cpu_limit,
        memory_max: least(bytes(resources.limits.as_ref(), "memory"), bytes(of_pod, "memory")),
        killed_together: true,
        pids_max: Some(MOST_PROCESSES),
        all_devices: privileged,
    }
}

/// The limits of the pod as a whole: its own, else those of its containers together. What it asks
/// for decides about its share beside other pods.
pub fn pod_limits(pod: &Pod) -> Limits {
    let (requests, limits) =
        (pod_resources::effective_requests(spec(pod)), pod_resources::effective_limits(spec(pod)));
    let cpu_limit = milli(Some(&limits), "cpu");
    Limits {
        cpu_request_milli: milli(Some(&requests), "cpu").or(cpu_limit),
        cpu_limit_milli: cpu_limit,
        memory_max: bytes(Some(&limits), "memory"),
        killed_together: false,
        pids_max: None,
        all_devices: true,
    }
}

/// How likely the kernel is to kill the container when memory runs out.
pub(super) fn oom_score_adj(pod: &Pod, container: &Container) -> i32 {
    let own = own_oom_score_adj(pod, container);
    let is_sidecar = container.restart_policy.as_deref() == Some("Always")
        && spec(pod).init_containers.iter().flatten().any(|one| one.name == container.name);
    if !is_sidecar {
        return own;
    }
    // A sidecar is not to be killed before the main containers it serves.
    let mains = spec(pod).containers.iter().map(|main| own_oom_score_adj(pod, main));
    mains.min().map_or(own, |least| own.min(least))
}

fn own_oom_score_adj(pod: &Pod, container: &Container) -> i32 {
    match qos_class(&pod.object) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request = memory_request(container) + memory_request_of_pod(pod);
            let share = u128::from(request) * 1000 / u128::from(node_memory().max(1));
            let score = 1000 - i32::try_from(share).unwrap_or(1000);
            score.clamp(3, 999)
        }
    }
}

fn memory_request(container: &Container) -> u64 {
    let requests = container.resources.as_ref().and_then(|one| one.requests.as_ref());
    bytes(requests, "memory").unwrap_or(0)
}

/// Each main container's part of what the pod asks for beyond its containers.
fn memory_request_of_pod(pod: &Pod) -> u64 {
    let spec = spec(pod);
    let own = pod_resources::own(spec).and_then(|own| bytes(own.requests.as_ref(), "memory"));
    let asked = bytes(Some(&pod_resources::requests_of_containers(spec)), "memory").unwrap_or(0);
    own.unwrap_or(0).saturating_sub(asked) / spec.containers.len().max(1) as u64
}

/// The resource limits of setrlimit(2) that a container starts with.
pub(super) fn rlimits() -> Vec<Rlimit> {
    vec![Rlimit::open_files(1024, 524_288), Rlimit::core_size(0)]
}

/// The machine's memory in bytes.
pub(super) fn node_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

fn milli(list: Option<&Amounts>, resource: &str) -> Option<u64> {
    let quantity = Quantity::parse(&list?.get(resource)?.0).ok()?;
    u64::try_from(quantity.milli()).ok()
}

fn bytes(list: Option<&Amounts>, resource: &str) -> Option<u64> {
    let quantity = Quantity::parse(&list?.get(resource)?.0).ok()?;
    u64::try_from(quantity.value()).ok()
}
