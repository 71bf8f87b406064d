//! What a process in a container gets.

use serde::{Deserialize, Serialize};

use crate::seccomp::Program;

/// A process: the first of a container, or one that joins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// Program and arguments; the program is looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// `NAME=value` strings.
    pub env: Vec<String>,
    /// Working directory; created if missing.
    pub cwd: String,
    /// Who it is.
    pub user: UserPlan,
    /// umask(2).
    pub umask: u32,
    /// capabilities(7).
    pub capabilities: CapabilitySets,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// seccomp(2).
    pub seccomp: SeccompPlan,
    /// The AppArmor profile of the program, if it gets one.
    pub app_armor: Option<String>,
    /// setrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// The size of the terminal of its own that it gets, if it gets one.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// User and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// The five capability sets as bit masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitySets {
    /// What can ever be had.
    pub bounding: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What counts.
    pub effective: u64,
    /// What survives execve(2) of a file that asks for it.
    pub inheritable: u64,
    /// What survives execve(2).
    pub ambient: u64,
}

/// Which system calls a process may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompPlan {
    /// The default profile for the process's capabilities.
    RuntimeDefault,
    /// All.
    Unconfined,
    /// Those that a filter allows.
    Filter(Program),
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which.
    pub resource: LimitedResource,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit; `None` leaves the one that is inherited. It never exceeds that one.
    pub hard: Option<u64>,
}

/// The resources that minipod limits (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitedResource {
    /// `RLIMIT_NOFILE`.
    OpenFiles,
    /// `RLIMIT_CORE`.
    CoreSize,
}

impl Rlimit {
    /// How many files may be open.
    pub fn open_files(soft: u64, hard: u64) -> Self {
        Self { resource: LimitedResource::OpenFiles, soft, hard: Some(hard) }
    }

    /// How large a core dump may be, in bytes.
    pub fn core_size(soft: u64) -> Self {
        Self { resource: LimitedResource::CoreSize, soft, hard: None }
    }
}
