//! What one may ask a pod's supervisor, and what it answers.
//!
//! A connection carries one request. Open files travel beside the messages: the streams of a
//! command to the supervisor, the terminal or a connected socket back from it.

use std::collections::BTreeMap;

use pod_model::PodUpdate;
use serde::{Deserialize, Serialize};

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A request to a supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Delete the pod. Answered with [`Reply::Accepted`]; the connection closes when it is gone.
    Delete {
        /// Seconds; `None` means the pod's own.
        grace: Option<u64>,
    },
    /// Change what may be changed of a pod that exists.
    Update(Box<PodUpdate>),
    /// Run a command in a container. Without a terminal, its stdin, stdout and stderr come along.
    Exec(ExecRequest),
    /// Follow what a container writes, and perhaps write to it. The far ends of pipes for its
    /// standard output and standard error come along; its terminal or standard input comes back.
    Attach(AttachRequest),
    /// Whoever is attached has nothing more to write.
    InputEnded,
    /// Whoever is attached has seen enough. Answered with [`Reply::Detached`].
    Detach,
    /// Copy files out of a container or into it. A stream of tar entries goes through the first
    /// file that comes along; the second takes complaints.
    Copy(CopyRequest),
    /// The pod's network namespace, which comes back; the connection closes when it is gone.
    Network,
    /// Set a condition that a readiness gate waits for.
    SetCondition {
        /// The condition's type.
        kind: String,
        /// Its status.
        is_true: bool,
    },
    /// What each container uses now.
    Usage,
    /// Which processes hold the pod's namespaces.
    Processes,
}

/// A command to run in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The container's name.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether the command gets a terminal of its own.
    pub terminal: Option<TerminalSize>,
    /// `TERM` of the user's terminal.
    pub term: Option<String>,
}

/// A wish to see what a container writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// The container's name.
    pub container: String,
    /// Whether the user writes, too.
    pub with_stdin: bool,
}

/// Files to copy out of a container or into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// The container's name.
    pub container: String,
    /// A path in the container; a relative one begins at its working directory.
    pub path: String,
    /// Which way.
    pub direction: Direction,
}

/// Which way files are copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Out of the container.
    FromContainer,
    /// Into the container.
    ToContainer {
        /// Whether owners and modes are those of the originals.
        preserve: bool,
        /// The name that it gets in a directory that exists.
        name: String,
    },
}

/// A supervisor's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or begun; a file may come along.
    Accepted,
    /// A command or container ended.
    Ended {
        /// Its exit code.
        code: i32,
    },
    /// Somebody who was attached is no longer.
    Detached {
        /// How many bytes of output the reader was too slow for.
        skipped: u64,
    },
    /// The supervisor will not or cannot do it.
    Refused {
        /// What kind of refusal.
        kind: Refusal,
        /// Why, as a sentence.
        message: String,
    },
    /// What each container uses.
    Usage(BTreeMap<String, ContainerUsage>),
    /// The pod's processes, as this machine numbers them.
    Processes {
        /// The pod's holder, when the sandbox exists.
        holder: Option<i32>,
        /// The first process of each running container.
        containers: BTreeMap<String, i32>,
    },
}

/// Why a request is refused; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such container, or it does not run.
    NotFound,
    /// The command does not exist in the container.
    CommandNotFound,
    /// The command cannot be executed.
    CommandNotExecutable,
    /// Anything else.
    Failed,
}

/// What one container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// Processor time used so far, in nanoseconds.
    pub cpu_nanoseconds: u64,
    /// Memory in use (working set), in bytes.
    pub memory_bytes: u64,
}
