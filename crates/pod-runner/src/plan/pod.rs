//! What the containers of a pod share: namespaces, host name, sysctls, published ports.

use image_puller::Image;
use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec};
use pod_model::{ContainerName, Pod};
use sandbox::network::{HostPort, Protocol};
use sandbox::{PidSharing, PodSandboxPlan, Sharing, Signal, Sysctl};

use super::{PlanInput, container_object};
use crate::ids;

/// The size of a pod's `/dev/shm` in bytes.
const SHARED_MEMORY: u64 = 64 << 20;

/// The longest host name (`__NEW_UTS_LEN`).
const LONGEST_HOSTNAME: usize = 64;

/// The plan of a pod's sandbox.
pub fn pod(input: &PlanInput<'_>) -> PodSandboxPlan {
    let spec = spec(input.pod);
    let own_unless = |host: Option<bool>| {
        if host == Some(true) { Sharing::Host } else { Sharing::Pod }
    };
    let network = own_unless(spec.host_network);
    let ipc = own_unless(spec.host_ipc);
    let shm_dir = match ipc {
        Sharing::Pod => input.dir.shared_memory(),
        Sharing::Host => "/dev/shm".into(),
    };
    PodSandboxPlan {
        hostname: hostname(input),
        domainname: None,
        network,
        ipc,
        uts: network,
        pid: match (spec.host_pid, spec.share_process_namespace) {
            (Some(true), _) => PidSharing::Host,
            (_, Some(true)) => PidSharing::Pod,
            _ => PidSharing::Container,
        },
        may_trace: may_trace(spec),
        user_ids: (spec.host_users == Some(false)).then(ids::first_range),
        sysctls: sysctls(spec, network),
        shm_dir,
        shm_size: SHARED_MEMORY,
        proc_dir: input.dir.processes(),
    }
}

/// Whether a container of the pod has `SYS_PTRACE`.
fn may_trace(spec: &PodSpec) -> bool {
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    all.filter_map(|container| container.security_context.as_ref()).any(|context| {
        let added = context.capabilities.iter().flat_map(|some| some.add.iter().flatten());
        context.privileged == Some(true)
            || added.map(|name| name.to_uppercase()).any(|name| {
                matches!(name.strip_prefix("CAP_").unwrap_or(&name), "SYS_PTRACE" | "ALL")
            })
    })
}

/// The pod's host name: `hostname`, else the pod's name, cut to what the kernel takes.
pub(super) fn hostname(input: &PlanInput<'_>) -> String {
    let spec = spec(input.pod);
    if spec.host_network == Some(true) {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    if let Some(hostname) = &spec.hostname_override {
        return hostname.clone();
    }
    let name = short_name(input.pod);
    match (spec.set_hostname_as_fqdn, domain(input.pod)) {
        (Some(true), Some(domain)) => format!("{name}.{domain}"),
        _ => name,
    }
}

/// Why the host name cannot be one, in a kubelet's words (the kernel takes 64 characters).
pub(crate) fn hostname_problem(hostname: &str) -> Option<String> {
    let length = hostname.chars().count();
    (length > LONGEST_HOSTNAME).then(|| {
        format!(
            "Failed to construct FQDN from Pod hostname and cluster domain, FQDN {hostname} is too \
             long ({LONGEST_HOSTNAME} characters is the max, {length} characters requested)"
        )
    })
}

/// The first label of the pod's name in the network.
pub(crate) fn short_name(pod: &Pod) -> String {
    let name = spec(pod).hostname.clone().unwrap_or_else(|| pod.name.to_string());
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// The pod's domain, which it has only with a `subdomain` and without a `hostnameOverride`.
pub(crate) fn domain(pod: &Pod) -> Option<String> {
    if spec(pod).hostname_override.is_some() {
        return None;
    }
    let subdomain = spec(pod).subdomain.as_ref()?;
    Some(format!("{subdomain}.{}.svc.cluster.local", pod.namespace))
}

/// The manifest's sysctls, after those that a container runtime sets for every pod with its own
/// network so that non-root users can ping and serve low ports.
fn sysctls(spec: &PodSpec, network: Sharing) -> Vec<Sysctl> {
    let stated: Vec<Sysctl> = spec
        .security_context
        .as_ref()
        .and_then(|PodSecurityContext { sysctls, .. }| sysctls.clone())
        .unwrap_or_default()
        .into_iter()
        .map(|one| Sysctl {
            name: one.name.replace('/', "."),
            value: one.value,
            is_convenience: false,
        })
        .collect();
    let mut sysctls = Vec::new();
    // A user namespace takes only groups that it has.
    let all_groups = if spec.host_users == Some(false) { "0 65535" } else { EVERY_GROUP };
    if network == Sharing::Pod {
        let unstated = |one: &Sysctl| !stated.iter().any(|sysctl| sysctl.name == one.name);
        sysctls.extend(conveniences(all_groups).into_iter().filter(unstated));
    }
    sysctls.extend(stated);
    sysctls
}

/// The groups whose processes may ping: all (a group id of `ping_group_range` ends at 2³¹ - 1).
pub const EVERY_GROUP: &str = "0 2147483647";

/// The kernel parameters of every pod with its own network: without capabilities, processes ping and
/// serve low ports.
pub fn conveniences(ping_groups: &str) -> [Sysctl; 2] {
    let set = |name: &str, value: &str| Sysctl {
        name: name.into(),
        value: value.into(),
        is_convenience: true,
    };
    [set("net.ipv4.ip_unprivileged_port_start", "0"), set("net.ipv4.ping_group_range", ping_groups)]
}

/// The ports that the main containers and sidecars publish on the host.
pub fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let spec = spec(pod);
    if spec.host_network == Some(true) {
        return Vec::new();
    }
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.is_some());
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    let published = ports.flatten().filter_map(|port| {
        let host_port = u16::try_from(port.host_port?).ok().filter(|port| *port != 0)?;
        Some(HostPort {
            host_ip: port.host_ip.as_ref().and_then(|ip| ip.parse().ok()),
            host_port,
            container_port: u16::try_from(port.container_port).ok()?,
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
        })
    });
    published.collect()
}

/// The signal that asks a container to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSignal {
    /// Which one.
    pub signal: Signal,
    /// What the image asks for instead, where that is no signal (untrusted text).
    pub unknown: Option<String>,
}

/// The signal that asks a container to stop: `lifecycle.stopSignal`, else the image's
/// STOPSIGNAL, else SIGTERM.
pub fn stop_signal(pod: &Pod, name: &ContainerName, image: &Image) -> StopSignal {
    let container = container_object(pod, name);
    let stated = container.lifecycle.as_ref().and_then(|hooks| hooks.stop_signal.as_deref());
    let name = stated.or(image.config.stop_signal.as_deref());
    match name.map(|name| name.parse().map_err(|_| name.to_owned())) {
        None => StopSignal { signal: Signal::TERM, unknown: None },
        Some(Ok(signal)) => StopSignal { signal, unknown: None },
        Some(Err(name)) => StopSignal { signal: Signal::TERM, unknown: Some(name) },
    }
}

pub(super) fn spec(pod: &Pod) -> &PodSpec {
    pod.object.spec.as_ref().expect("a valid pod has a spec")
}
