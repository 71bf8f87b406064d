//! Kinds of objects: those that minipod reads, and what to do about the others.

use crate::problem::{Problem, Severity, near};
use crate::yaml::Place;

/// The kinds that minipod reads; each can be in a list of its kind (`PodList`), or in a `List`.
pub(crate) const KINDS: [&str; 4] = ["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim"];

/// What a document may be a list of: `Some("")` is a list of anything.
pub(crate) fn list_of(kind: &str) -> Option<&str> {
    let item = kind.strip_suffix("List")?;
    (item.is_empty() || KINDS.contains(&item)).then_some(item)
}

/// The kinds from which a cluster makes pods.
const WORKLOADS: [&str; 8] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
    "PodTemplate",
];

/// The other kinds of Kubernetes that are in version `v1`.
const CORE: [&str; 9] = [
    "Namespace",
    "Service",
    "ServiceAccount",
    "Endpoints",
    "Node",
    "PersistentVolume",
    "LimitRange",
    "ResourceQuota",
    "Event",
];

/// Whether a cluster makes pods of objects of that kind.
pub(crate) fn is_workload(kind: &str) -> bool {
    WORKLOADS.contains(&kind)
}

/// Whether a cluster may know that kind: one of Kubernetes' own, or of any group of kinds.
pub(crate) fn is_of_a_cluster(version: &str, kind: &str) -> bool {
    let is_ours = KINDS.contains(&kind) || list_of(kind).is_some();
    let is_core = version == "v1" && (CORE.contains(&kind) || is_workload(kind));
    !is_ours && (is_core || version.contains('/'))
}

/// What to do about a kind that minipod does not read.
pub(crate) fn advice(kind: &str) -> String {
    match kind {
        "CronJob" => "run its pod: metadata and spec below spec.jobTemplate.spec.template, with \
                      apiVersion: v1 and kind: Pod"
            .to_owned(),
        workload if is_workload(workload) => {
            let place = if kind == "PodTemplate" { "template" } else { "spec.template" };
            format!(
                "run its pod: metadata and spec below {place}, with apiVersion: v1 and kind: Pod"
            )
        }
        "Service" | "Endpoints" | "EndpointSlice" | "Ingress" | "Gateway" | "HTTPRoute" => {
            "containers of a pod reach each other at localhost; `hostPort` publishes a port on \
             this machine"
                .to_owned()
        }
        "Namespace" => "a namespace need not be created: -n NAME, or metadata.namespace".to_owned(),
        "PersistentVolume" | "StorageClass" => {
            "a PersistentVolumeClaim is enough: it becomes a directory on this machine".to_owned()
        }
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            "there is no API server whose use could be allowed".to_owned()
        }
        "Node" => "there is one node: this machine".to_owned(),
        _ => match near(kind, KINDS.iter().copied().chain(["List", "PodList"])) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "a cluster on this machine (kind, minikube) has every kind".to_owned(),
        },
    }
}

/// An object of a kind that a cluster may know and minipod does not. Beside a pod it is no reason
/// not to run the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    place: Place,
    kind: String,
    name: String,
}

const WHAT_RUNS: &str = "minipod runs Pods, with ConfigMaps, Secrets and PersistentVolumeClaims";

impl LeftOut {
    pub(crate) fn new(place: Place, kind: &str, name: &str) -> Self {
        Self { place, kind: kind.to_owned(), name: name.to_owned() }
    }

    /// Whether a cluster would make pods of it.
    pub fn is_workload(&self) -> bool {
        is_workload(&self.kind)
    }

    /// That the rest is used without it.
    pub fn warning(&self) -> Problem {
        let what = if self.name.is_empty() {
            self.kind.clone()
        } else {
            format!("{} {:?}", self.kind, self.name)
        };
        self.problem(Severity::Warning, format!("{what} is left out: {WHAT_RUNS}"))
    }

    /// That there is nothing without it.
    pub fn error(&self) -> Problem {
        let message = format!("kind {} is not supported: {WHAT_RUNS}", self.kind);
        self.problem(Severity::Error, message)
    }

    fn problem(&self, severity: Severity, message: String) -> Problem {
        let hint = Some(advice(&self.kind));
        Problem { severity, place: self.place, object: None, message, hint }
    }
}
