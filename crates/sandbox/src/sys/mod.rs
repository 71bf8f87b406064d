//! The unsafe island: system calls that no crate wraps safely.
//!
//! Each function here is safe to call, checks what it needs, and says in its SAFETY comment why
//! the call is sound. Nothing outside this module may use `unsafe`.
#![expect(unsafe_code, reason = "this is the one place for it")]

pub(crate) mod cgroup_devices;
pub(crate) mod clone;
pub(crate) mod descriptors;
pub(crate) mod environment;
pub(crate) mod keyring;
pub(crate) mod loopback;
pub(crate) mod mount_attributes;
pub(crate) mod netlink_options;
pub(crate) mod own_pages;
pub(crate) mod seccomp;
pub(crate) mod signals;
