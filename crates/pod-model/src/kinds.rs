//! Kinds of objects: those that minipod reads, and what to do about the others.

use crate::problem::near;

/// The kinds that minipod reads; each can be in a list of its kind (`PodList`), or in a `List`.
pub(crate) const KINDS: [&str; 4] = ["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim"];

/// What a document may be a list of: `Some("")` is a list of anything.
pub(crate) fn list_of(kind: &str) -> Option<&str> {
    let item = kind.strip_suffix("List")?;
    (item.is_empty() || KINDS.contains(&item)).then_some(item)
}

/// What to do about a kind that minipod does not read.
pub(crate) fn advice(kind: &str) -> String {
    match kind {
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController"
        | "PodTemplate" => {
            let place = if kind == "PodTemplate" { "template" } else { "spec.template" };
            format!(
                "run its pod: metadata and spec below {place}, with apiVersion: v1 and kind: Pod"
            )
        }
        "CronJob" => "run its pod: metadata and spec below spec.jobTemplate.spec.template, with \
                      apiVersion: v1 and kind: Pod"
            .to_owned(),
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
            "there is no API server whose use could be allowed; leave it out".to_owned()
        }
        "Node" => "there is one node: this machine".to_owned(),
        _ => match near(kind, KINDS.iter().copied().chain(["List", "PodList"])) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                "leave it out; a cluster on this machine (kind, minikube) has every kind".to_owned()
            }
        },
    }
}
