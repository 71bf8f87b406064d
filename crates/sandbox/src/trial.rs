//! Tries what containers need of the kernel, each in a process that ends at once and leaves nothing.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::CWD;
use thiserror::Error;

use crate::child::Child;
use crate::overlay::{self, Overlay};
use crate::plan::Sysctl;
use crate::sys::clone::New;
use crate::sys::seccomp as filter;
use crate::user_namespace::{IdMap, IdRange};
use crate::{mount_sources, mounts, root, seccomp, sysctls};

/// How long a process that has said all may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What failed, as a sentence.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Failed(String);

impl Failed {
    fn to(what: &str, error: &dyn Display) -> Self {
        Self(format!("cannot {what}: {error}"))
    }
}

/// Mounts an overlay whose writable layer is in a new directory below `place`, and writes to it.
///
/// # Errors
///
/// What failed, with the reason where the file system is known not to be fit for it.
pub fn overlay(place: &Path) -> Result<(), Failed> {
    let mount = |error: &dyn Display| Failed::to("mount an overlay", error);
    let scratch = Scratch::below(place).map_err(|error| mount(&error))?;
    let path = |name: &str| scratch.0.join(name);
    for name in ["lower", "upper", "work", "root"] {
        fs::create_dir(path(name)).map_err(|error| mount(&error))?;
    }
    let outcome = attempt(New { mount: true, ..New::default() }, || {
        root::separate_mounts().map_err(|error| mount(&error))?;
        let (upper, work, root) = (path("upper"), path("work"), path("root"));
        let opened = Overlay::open(&[path("lower")], Some((&upper, &work)), None);
        opened
            .and_then(|overlay| overlay.mount(&root))
            .and_then(|mounted| mounts::attach(mounted.as_fd(), CWD, &root))
            .map_err(|error| mount(&error))?;
        fs::write(root.join("file"), "x")
            .map_err(|error| Failed::to("write through an overlay", &error))
    });
    outcome.map_err(|error| match overlay::unfit_for_writing(place) {
        Some(why) => Failed(format!("{error} ({why})")),
        None => error,
    })
}

/// Makes another directory the root of a process, as every container does.
///
/// # Errors
///
/// What failed.
pub fn enter_root() -> Result<(), Failed> {
    attempt(New { mount: true, ..New::default() }, || {
        root::enter_empty().map_err(|error| Failed(error.to_string()))
    })
}

/// Installs the filter that `RuntimeDefault` means.
///
/// # Errors
///
/// What failed.
pub fn seccomp_filter() -> Result<(), Failed> {
    attempt(New::default(), || {
        let failed = |error: &dyn Display| Failed::to("install a seccomp filter", error);
        nix::sys::prctl::set_no_new_privs().map_err(|error| failed(&error))?;
        filter::install(&seccomp::default_profile(0)).map_err(|error| failed(&error))
    })
}

/// Sets the kernel parameters in a network namespace of its own.
///
/// # Errors
///
/// The first that was refused.
pub fn sysctls(wanted: &[Sysctl]) -> Result<(), Failed> {
    attempt(New { network: true, ..New::default() }, || {
        wanted.iter().try_for_each(|sysctl| {
            let failed =
                |error: io::Error| Failed::to(&format!("set sysctl {}", sysctl.name), &error);
            sysctls::set(sysctl).map_err(failed)
        })
    })
}

/// Makes all the namespaces that a pod and its containers have.
///
/// # Errors
///
/// What failed.
pub fn namespaces() -> Result<(), Failed> {
    let new = New { mount: true, pid: true, network: true, ipc: true, uts: true, ..New::default() };
    attempt(new, || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
            .map_err(|error| Failed::to("make a cgroup namespace", &error))
    })
}

/// Makes a user namespace, and mounts `place` with its ids, as `hostUsers: false` needs it.
///
/// # Errors
///
/// What failed.
pub fn user_namespace(place: &Path, ids: IdRange) -> Result<(), Failed> {
    let make = |error: &dyn Display| Failed::to("make a user namespace", error);
    let (mut gate, go) = io::pipe().map_err(|error| make(&error))?;
    let go = OwnedFd::from(go);
    let member = Child::spawn(New { user: true, ..New::default() }, || {
        // It has a copy of the writing end, too, and so waits until it is killed.
        gate.read(&mut [0]).map_or(1, |_| 0)
    })
    .map_err(|error| make(&error))?;
    ids.write_maps(member.pid()).map_err(|error| Failed::to("map user ids", &error))?;
    let namespace =
        File::open(format!("/proc/{}/ns/user", member.pid())).map_err(|error| make(&error))?;
    let mapped = attempt(New { mount: true, ..New::default() }, || {
        let failed = |error: &dyn Display| {
            Failed::to(&format!("map the user ids of {}", place.display()), error)
        };
        let copy = mount_sources::clone_tree(place, false).map_err(|error| failed(&error))?;
        let ids = IdMap { namespace: namespace.as_fd(), range: ids };
        ids.apply_to(copy.mount.as_fd()).map_err(|error| failed(&error))
    });
    drop((member, go));
    mapped
}

/// Does the job in a child and waits for it.
fn attempt(new: New<'_>, job: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let start = |error: &dyn Display| Failed::to("start a process in new namespaces", error);
    let (mut reader, mut writer) = io::pipe().map_err(|error| start(&error))?;
    let mut child = Child::spawn(new, || match job() {
        Ok(()) => 0,
        Err(Failed(text)) => {
            let _ = writer.write_all(text.as_bytes()); // the exit code tells as well
            1
        }
    })
    .map_err(|error| start(&error))?;
    drop(writer);
    let mut text = String::new();
    let read = reader.read_to_string(&mut text);
    let exit = child.wait_until(Instant::now() + PATIENCE);
    let exit = exit.ok_or_else(|| Failed::to("end a process", &"it goes on"))?;
    match (read, exit.code, text.is_empty()) {
        (Ok(_), 0, true) => Ok(()),
        (Ok(_), _, false) => Err(Failed(text)),
        (_, code, _) => Err(Failed(format!("a process ended with {code}"))),
    }
}

/// A directory that is removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn below(place: &Path) -> io::Result<Self> {
        let path = place.join(format!(".minipod-doctor-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // it was ours alone
    }
}
