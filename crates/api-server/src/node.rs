//! This machine as a node, and the kinds that follow from it.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The node: what a kubelet tells of a machine.
pub(crate) fn node(name: &str, address: &str, version: &str) -> Value {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let memory = format!("{}Ki", memory_kibibytes());
    let resources = json!({"cpu": cores, "memory": memory, "pods": "110"});
    let since = boot_time();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let architecture = match uname.machine().to_bytes() {
        b"x86_64" => "amd64",
        b"aarch64" => "arm64",
        _ => "unknown",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": first_line("/etc/machine-id").as_deref().map(as_uuid),
            "creationTimestamp": since,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
            },
        },
        "spec": {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": conditions(&since),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "machineID": first_line("/etc/machine-id"),
                "systemUUID": "",
                "bootID": first_line("/proc/sys/kernel/random/boot_id"),
                "kernelVersion": text(uname.release()),
                "osImage": os_name(),
                "operatingSystem": "linux",
                "architecture": architecture,
                "containerRuntimeVersion": format!("minipod://{version}"),
                "kubeletVersion": format!("v{version}-minipod"),
                "kubeProxyVersion": "",
            },
        },
    })
}

fn conditions(since: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now(), "lastTransitionTime": since})
    };
    json!([
        condition(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available"
        ),
        condition(
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure"
        ),
        condition(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available"
        ),
        condition("Ready", "True", "KubeletReady", "minipod runs pods on this machine"),
    ])
}

/// A namespace in which there are objects, or `default`.
pub(crate) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uid_of("namespace", name),
            "creationTimestamp": boot_time(),
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

/// The one service account of a namespace.
pub(crate) fn service_account(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "default",
            "namespace": namespace,
            "uid": uid_of("serviceaccount", namespace),
            "creationTimestamp": boot_time(),
        },
    })
}

/// The same for the same name as long as the machine runs.
fn uid_of(kind: &str, name: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let boot = first_line("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &boot, kind, name).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    as_uuid(&(half(0) + &half(1)))
}

fn as_uuid(text: &str) -> String {
    let part = |from, to| text.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-9{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

fn first_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(str::to_owned)
}

fn memory_kibibytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// When the machine started: since then it is a node.
fn boot_time() -> String {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = line.and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
