//! The names that `capabilities.add` and `capabilities.drop` take (capabilities(7)).

/// Every capability without its `CAP_`, in the order of their numbers.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Stands for all of them.
const ALL: &str = "ALL";

/// Whether a name means something: one capability, with or without `CAP_` and in any case, or all
/// of them.
pub(crate) fn is_known(name: &str) -> bool {
    let name = name.to_uppercase();
    name == ALL || CAPABILITIES.contains(&without_prefix(&name))
}

/// The known name that is most like a wrong one.
pub(crate) fn near(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.to_uppercase();
    crate::problem::near(without_prefix(&wrong), CAPABILITIES.into_iter().chain([ALL]))
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}
