//! Resources: what a container may use, by Kubernetes' formulas.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
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
    let cpu_limit = milli(resources.limits.as_ref(), "cpu");
    let cpu_request = milli(resources.requests.as_ref(), "cpu").or(cpu_limit);
    Limits {
        cpu_request_milli: cpu_request,
        cpu_limit_milli: cpu_limit,
        memory_max: bytes(resources.limits.as_ref(), "memory"),
        pids_max: Some(MOST_PROCESSES),
        all_devices: privileged,
    }
}

/// The limits of the pod as a whole: the containers' own limits do the work.
pub fn pod_limits(_pod: &Pod) -> Limits {
    Limits { all_devices: true, ..Limits::default() }
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
            let requests = container.resources.as_ref().and_then(|one| one.requests.as_ref());
            let request = bytes(requests, "memory").unwrap_or(0);
            let share = u128::from(request) * 1000 / u128::from(node_memory().max(1));
            let score = 1000 - i32::try_from(share).unwrap_or(1000);
            score.clamp(3, 999)
        }
    }
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

fn milli(list: Option<&BTreeMap<String, Text>>, resource: &str) -> Option<u64> {
    let quantity = Quantity::parse(&list?.get(resource)?.0).ok()?;
    u64::try_from(quantity.milli()).ok()
}

fn bytes(list: Option<&BTreeMap<String, Text>>, resource: &str) -> Option<u64> {
    let quantity = Quantity::parse(&list?.get(resource)?.0).ok()?;
    u64::try_from(quantity.value()).ok()
}
