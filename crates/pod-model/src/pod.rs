//! A pod that has been checked and completed with Kubernetes' defaults.
//!
//! [`Pod`] carries the Kubernetes object itself, for the records and for everything that a plan
//! needs, and beside it what the lifecycle decides upon, parsed once into types.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1;

use crate::{ContainerName, PodName};

/// A pod's identity over its whole life: a UUID, given when the pod is created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodUid(pub String);

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A valid pod, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// The object as a Kubernetes API server would return it after admission.
    pub object: v1::Pod,
    /// `metadata.name`.
    pub name: PodName,
    /// `metadata.namespace`, `default` when not given.
    pub namespace: String,
    /// `metadata.uid`; empty until the pod is created.
    pub uid: PodUid,
    /// Init containers in order (sidecars among them), then main containers in order.
    pub containers: Vec<ContainerSpec>,
    /// `spec.restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// `spec.terminationGracePeriodSeconds`.
    pub termination_grace: Duration,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// The condition types of `spec.readinessGates`.
    pub readiness_gates: Vec<String>,
    /// Whether `schedulingGates` keep it from being started.
    pub is_gated: bool,
    /// `spec.nodeName`, or empty.
    pub node: String,
}

impl Pod {
    /// How Kubernetes names a pod in messages: `name_namespace(uid)`.
    pub fn format(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    /// The container of that name.
    pub fn container(&self, name: &ContainerName) -> Option<&ContainerSpec> {
        self.containers.iter().find(|container| container.name == *name)
    }

    /// Init containers and sidecars, in order.
    pub fn init_containers(&self) -> impl Iterator<Item = &ContainerSpec> {
        self.containers.iter().filter(|container| container.role != Role::Main)
    }

    /// Main containers, in order.
    pub fn main_containers(&self) -> impl Iterator<Item = &ContainerSpec> {
        self.containers.iter().filter(|container| container.role == Role::Main)
    }
}

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to success before anything after it starts.
    Init,
    /// An init container with `restartPolicy: Always`: keeps running beside the main containers.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// `spec.restartPolicy` of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Restart whatever the exit code.
    Always,
    /// Restart after an exit code other than 0.
    OnFailure,
    /// Never restart.
    Never,
}

/// `imagePullPolicy` of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask the registry at each start of the container.
    Always,
    /// Pull when the image is not in the store.
    IfNotPresent,
    /// Use what is in the store or fail.
    Never,
}

/// One container, as far as the lifecycle needs it. The rest is in [`Pod::object`].
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    /// `name`.
    pub name: ContainerName,
    /// What the container is to its pod.
    pub role: Role,
    /// `image`, as written in the manifest.
    pub image: String,
    /// `imagePullPolicy`, default filled in.
    pub pull_policy: PullPolicy,
    /// The container's own `restartPolicy` with its rules; `None` leaves it to the pod's.
    pub restart: Option<ContainerRestartPolicy>,
    /// `startupProbe`.
    pub startup_probe: Option<ProbeSpec>,
    /// `livenessProbe`.
    pub liveness_probe: Option<ProbeSpec>,
    /// `readinessProbe`.
    pub readiness_probe: Option<ProbeSpec>,
    /// `lifecycle.postStart`.
    pub post_start: Option<Handler>,
    /// `lifecycle.preStop`.
    pub pre_stop: Option<Handler>,
}

/// A container's own restart policy and the rules that come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRestartPolicy {
    /// `restartPolicy` of the container.
    pub policy: RestartPolicy,
    /// `restartPolicyRules`, first match wins.
    pub rules: Vec<RestartRule>,
}

/// One entry of `restartPolicyRules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartRule {
    /// What to do when the rule matches.
    pub action: RestartRuleAction,
    /// `exitCodes.operator: In` (true) or `NotIn` (false).
    pub matches_listed: bool,
    /// `exitCodes.values`.
    pub codes: Vec<i32>,
}

/// `action` of a restart rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartRuleAction {
    /// Restart this container.
    Restart,
    /// Restart every container of the pod in place.
    RestartAllContainers,
}

/// A probe with its defaults filled in (period 10 s, time-out 1 s, thresholds 1 and 3).
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSpec {
    /// What to try.
    pub handler: Handler,
    /// `initialDelaySeconds`.
    pub initial_delay: Duration,
    /// `timeoutSeconds`.
    pub timeout: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `successThreshold`.
    pub success_threshold: u32,
    /// `failureThreshold`.
    pub failure_threshold: u32,
    /// `terminationGracePeriodSeconds` of the probe.
    pub termination_grace: Option<Duration>,
}

/// What a probe or a hook does. Named ports are already numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Runs a command in the container, without a shell.
    Exec {
        /// `command`.
        command: Vec<String>,
    },
    /// Asks an HTTP server.
    HttpGet {
        /// `scheme`.
        scheme: HttpScheme,
        /// `host`; the pod's address when absent.
        host: Option<String>,
        /// `port`.
        port: u16,
        /// `path`, with a leading slash.
        path: String,
        /// `httpHeaders`.
        headers: Vec<(String, String)>,
    },
    /// Opens a TCP connection.
    TcpSocket {
        /// `host`; the pod's address when absent.
        host: Option<String>,
        /// `port`.
        port: u16,
    },
    /// Asks the gRPC health service (probes only).
    Grpc {
        /// `port`.
        port: u16,
        /// `service`, empty when absent.
        service: String,
    },
    /// Waits (hooks only).
    Sleep {
        /// `seconds`.
        duration: Duration,
    },
}

/// `scheme` of an `httpGet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpScheme {
    /// Plain HTTP.
    Http,
    /// TLS without verification, as a kubelet does it.
    Https,
}
