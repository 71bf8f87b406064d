//! The pod's holder.
//!
//! Who am I: `minipod:pod`, the process that holds what the containers of a pod share. Who
//! started me: the pod's supervisor, into new network, ipc and uts namespaces (and a pid namespace
//! where the pod shares one, in which I am process 1 and reap). A container that shares a pid
//! namespace with me sees me, so I have an empty root, a user of my own and no capability. What do
//! I hold: those namespaces, nothing else. How do I end: killed by the supervisor, or by the kernel
//! when it dies.
//!
//! See for yourself: `lsns -p $(pgrep minipod:pod)`.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::become_process::Gate;
use super::harmless::{become_nobody, die_with_supervisor, keep_only, stay_hidden};
use super::report::{ReportWriter, StageError};
use crate::plan::{PodSandboxPlan, Sharing, Sysctl};
use crate::sys::{loopback, signals};
use crate::{root, standard_mounts, sysctls};

/// Sets up the shared namespaces, closes the report as a sign that they are ready, and waits to
/// be killed. What the pod does without is reported, too.
///
/// The gate opens when the ids of the pod's user namespace are mapped.
pub(crate) fn run(plan: &PodSandboxPlan, gate: Option<OwnedFd>, report: ReportWriter) -> i32 {
    match hold(plan, Gate(gate), &report) {
        Ok(spared) => {
            if let Some(spared) = spared {
                report.fail(&spared);
            }
            report.close();
            match pause() {
                Err(_) => 1,
            }
        }
        Err(error) => {
            report.fail(&error);
            1
        }
    }
}

fn hold(
    plan: &PodSandboxPlan,
    gate: Gate,
    report: &ReportWriter,
) -> Result<Option<StageError>, StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:pod"); // only what ps shows
    die_with_supervisor(|| report.require_starter())?;
    gate.pass();
    if plan.user_ids.is_some() {
        become_root_of_pod()?;
        stay_hidden(|| report.require_starter())?;
    }
    keep_only(&[report.as_fd()])?;
    if plan.network == Sharing::Pod {
        loopback::bring_up()
            .map_err(|error| StageError::prepare("cannot bring up the loopback", error))?;
    }
    if plan.uts == Sharing::Pod {
        nix::unistd::sethostname(&plan.hostname)
            .map_err(|error| StageError::prepare("cannot set the host name", error))?;
        if let Some(domain) = &plan.domainname {
            rustix::system::setdomainname(domain.as_bytes())
                .map_err(|error| StageError::prepare("cannot set the domain name", error))?;
        }
    }
    let spared = set_sysctls(&plan.sysctls)?;
    root::enter_empty()?;
    become_nobody(plan.user_ids.is_some(), || report.require_starter())?;
    Ok(spared)
}

/// Mounts the `/proc` of this process's pid namespace in the supervisor's mount namespace: for
/// containers that are set up outside of the pid namespace, where nobody in there sees it. No
/// container runs yet.
pub(crate) fn mount_processes(path: &Path, report: &ReportWriter) -> i32 {
    let mounted = die_with_supervisor(|| report.require_starter()).and_then(|()| {
        standard_mounts::mount_processes(path)
            .map_err(|error| StageError::prepare("cannot mount the pod's /proc", error))
    });
    match mounted {
        Ok(()) => 0,
        Err(error) => report.fail_with(&error),
    }
}

/// What this process sets up belongs to the pod's root.
pub(super) fn become_root_of_pod() -> Result<(), StageError> {
    let failed = |error: Errno| StageError::prepare("cannot become the pod's root", error);
    setgroups(&[]).map_err(failed)?;
    let (gid, uid) = (Gid::from_raw(0), Uid::from_raw(0));
    setresgid(gid, gid, gid).map_err(failed)?;
    setresuid(uid, uid, uid).map_err(failed)
}

/// Sets the pod's kernel parameters. Of those that it does without (in a user namespace that lacks
/// groups, or on a `/proc/sys` that is read-only) it tells which were refused.
fn set_sysctls(wanted: &[Sysctl]) -> Result<Option<StageError>, StageError> {
    let mut refused = Vec::new();
    let mut why = None;
    for sysctl in wanted {
        match sysctls::set(sysctl) {
            Ok(()) => {}
            Err(error) if sysctl.is_convenience => {
                refused.push(sysctl.name.as_str());
                why = Some(error);
            }
            Err(error) => {
                let doing = format!("cannot set sysctl {}", sysctl.name);
                return Err(StageError::prepare(doing, error));
            }
        }
    }
    let doing = format!("cannot set sysctl {}", refused.join(" and "));
    Ok(why.map(|error| StageError::spared(doing, error)))
}

/// Waits for ever; as process 1 of a shared pid namespace it reaps what nobody else does. Nothing
/// but SIGKILL ends it: a service manager sends SIGTERM to every process of a unit
/// (systemd.kill(5)), and the pod's containers are to live until the supervisor has stopped them in
/// order.
fn pause() -> Result<Infallible, io::Error> {
    signals::reset()?;
    SigSet::all().thread_block()?;
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGCHLD);
    loop {
        awaited.wait()?;
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == nix::sys::wait::WaitStatus::StillAlive {
                break;
            }
        }
    }
}
