//! What has happened. Past tense; a failed action is a fact too.

use std::net::IpAddr;
use std::time::Duration;

use pod_model::ContainerName;

/// Which start of a container: 0 for the first, `restartCount` in Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

/// A container's identity here: its name and which start of it. Process ids do not appear.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// The container's name.
    pub name: ContainerName,
    /// Which start of it.
    pub attempt: Attempt,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The pod's namespaces, network and volumes exist.
    SandboxReady {
        /// The pod's addresses, the first one is `podIP`.
        ips: Vec<IpAddr>,
    },
    /// The sandbox could not be made; it is tried again.
    SandboxFailed {
        /// The error's text.
        message: String,
    },
    /// Volumes could not be set up; it is tried again.
    VolumesFailed {
        /// Each volume's name, and the error's text.
        failures: Vec<(String, String)>,
    },
    /// The sandbox is gone: removed as asked, or its holder died.
    SandboxGone,
    /// A pull from a registry has begun.
    ImagePulling {
        /// For which container.
        name: ContainerName,
    },
    /// The image is in the store: it was there, or a pull has ended.
    ImageReady {
        /// For which container.
        name: ContainerName,
        /// `imageID`.
        image_id: String,
        /// How the image came, when it was not there already.
        pulled: Option<PullReport>,
    },
    /// There is no image to start from.
    ImageFailed {
        /// For which container.
        name: ContainerName,
        /// What kind of failure; decides the waiting reason.
        failure: ImageFailure,
        /// The error's text.
        message: String,
    },
    /// A pull of an image that a volume shows has begun.
    VolumeImagePulling {
        /// The image's name.
        image: String,
    },
    /// An image that a volume shows is in the store; the container that waits for it goes on.
    VolumeImageReady {
        /// The image's name.
        image: String,
        /// How it came, when it was not there already.
        pulled: Option<PullReport>,
    },
    /// An image that a volume shows is not there; the container that mounts it waits.
    VolumeImageFailed {
        /// The container.
        name: ContainerName,
        /// The image's name.
        image: String,
        /// What kind of failure; decides the waiting reason.
        failure: ImageFailure,
        /// The error's text.
        message: String,
    },
    /// The container's program runs.
    Started {
        /// Which start.
        instance: Instance,
        /// `containerID`, for example `minipod://<64 hex digits>`.
        container_id: String,
    },
    /// The container could not be started.
    StartFailed {
        /// Which start.
        instance: Instance,
        /// How far it came.
        stage: StartStage,
        /// The error's text.
        message: String,
    },
    /// The container's first process ended.
    Exited {
        /// Which start.
        instance: Instance,
        /// Exit code; 128 + signal number after a signal.
        code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Whether the kernel killed it for its memory limit.
        out_of_memory: bool,
        /// The termination message, where there is one.
        message: Option<String>,
    },
    /// A hook ended.
    HookFinished {
        /// Whose.
        instance: Instance,
        /// Which.
        hook: Hook,
        /// The error's text in Kubernetes' words, or nothing.
        outcome: Result<(), String>,
    },
    /// A probe ended.
    ProbeFinished {
        /// Whose.
        instance: Instance,
        /// Which.
        probe: ProbeKind,
        /// What it found.
        outcome: ProbeOutcome,
    },
    /// Somebody asked for the pod's deletion. Later requests can only shorten the grace.
    DeleteRequested {
        /// Seconds given; `None` means the pod's own.
        grace: Option<Duration>,
    },
    /// The pod was changed.
    Updated(crate::Update),
    /// A custom condition (readiness gate) was set from outside.
    ConditionSet {
        /// Its type.
        kind: String,
        /// Its status.
        is_true: bool,
    },
    /// Storage limits were exceeded; the pod is evicted.
    Evicted {
        /// Kubernetes' message.
        message: String,
    },
    /// Something that changes no decision but belongs into the events as a warning.
    Warned {
        /// The event's reason.
        reason: &'static str,
        /// The event's message.
        message: String,
    },
    /// Nothing but time passed.
    TimePassed,
}

/// How a pull went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullReport {
    /// Time of the pull itself.
    pub took: Duration,
    /// Time including waiting for other pulls.
    pub took_with_waiting: Duration,
    /// Size of the image in bytes.
    pub bytes: u64,
}

/// What kept an image away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFailure {
    /// The pull failed: `ErrImagePull`, then `ImagePullBackOff`.
    Pull,
    /// Not in the store and `imagePullPolicy: Never`: `ErrImageNeverPull`.
    NeverPull,
    /// The name does not parse: `InvalidImageName`.
    InvalidName,
    /// The store cannot be read: `ImageInspectError`.
    Inspect,
    /// The registry does not answer: `RegistryUnavailable`.
    Registry,
    /// As [`Self::Pull`], and pulling again cannot help until somebody changes something: there is
    /// no such image, or the registry does not let us in.
    Refused,
    /// As [`Self::Registry`], and there is no host of that name.
    NoRegistry,
}

impl ImageFailure {
    /// Whether looking again cannot help until somebody changes something.
    pub fn awaits_change(self) -> bool {
        match self {
            Self::NeverPull | Self::InvalidName | Self::Refused | Self::NoRegistry => true,
            Self::Pull | Self::Inspect | Self::Registry => false,
        }
    }
}

/// How far a start came before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStage {
    /// Building the configuration: `CreateContainerConfigError`.
    Config,
    /// Making the container: `CreateContainerError`.
    Create,
    /// Running its program: `RunContainerError`, `StartError` 128.
    Run,
}

/// A container's hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `lifecycle.postStart`.
    PostStart,
    /// `lifecycle.preStop`.
    PreStop,
}

/// A container's probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// `startupProbe`.
    Startup,
    /// `livenessProbe`.
    Liveness,
    /// `readinessProbe`.
    Readiness,
}

/// What one run of a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It succeeded.
    Success,
    /// It succeeded with something to tell (`ProbeWarning`).
    Warning(String),
    /// It failed, with its output.
    Failure(String),
    /// It could not be carried out.
    Unknown(String),
}
