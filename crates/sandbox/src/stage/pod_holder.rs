//! The pod's holder.
//!
//! Who am I: `minipod:pod`, the process that holds what the containers of a pod share. Who
//! started me: the pod's supervisor, into new network, ipc and uts namespaces (and a pid namespace
//! where the pod shares one, in which I am process 1 and reap; the containers see me then, so I have
//! an empty root, no capability and nothing of the host in my memory that a variable told). What do
//! I hold: those namespaces, nothing else. How do I end: killed by the supervisor, or by the kernel when it dies.
//!
//! See for yourself: `lsns -p $(pgrep minipod:pod)`.

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::report::{ReportWriter, StageError};
use crate::plan::{CapabilitySets, PidSharing, PodSandboxPlan, Sharing, Sysctl};
use crate::sys::{descriptors, environment, loopback, signals};
use crate::{capabilities, root};

/// Sets up the shared namespaces, closes the report as a sign that they are ready, and waits to
/// be killed.
pub(crate) fn run(
    plan: &PodSandboxPlan,
    (gate, go): (&OwnedFd, &OwnedFd),
    report: ReportWriter,
) -> i32 {
    match hold(plan, (gate, go), &report) {
        Ok(()) => {
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
    (gate, go): (&OwnedFd, &OwnedFd),
    report: &ReportWriter,
) -> Result<(), StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:pod"); // only what ps shows
    die_with_supervisor()?;
    if plan.user_ids.is_some() {
        wait_for_maps(gate, go)?;
        become_root_of_pod()?;
        die_with_supervisor()?; // a change of user clears it
    }
    let_go_of_files(report.as_fd())
        .map_err(|error| StageError::prepare("cannot let go of files", error))?;
    report.require_starter()?;
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
    plan.sysctls.iter().try_for_each(write_sysctl)?;
    if plan.pid == PidSharing::Pod { shut_in() } else { Ok(()) }
}

/// A container that may trace its neighbors may look into this process, too: it has to find nothing
/// here, no power and no way out.
fn shut_in() -> Result<(), StageError> {
    hide_from_others()?;
    forget_environment()?;
    root::enter_empty()?;
    capabilities::limit_bounding_set(0)
        .and_then(|()| capabilities::apply(&CapabilitySets::default()))
        .map_err(|error| StageError::prepare("cannot let go of capabilities", error))
}

/// Waits until the supervisor has mapped the ids of the new user namespace. The writing end is
/// closed here first, or the pipe would have no end.
fn wait_for_maps(gate: &OwnedFd, go: &OwnedFd) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot wait for the user ids", error);
    let null = fs::File::open("/dev/null").map_err(failed)?;
    descriptors::replace(go.as_fd(), null.as_fd()).map_err(failed)?;
    rustix::io::read(gate, &mut [0_u8; 1]).map_err(|error| failed(error.into())).map(drop)
}

/// What this process sets up belongs to the pod's root.
pub(super) fn become_root_of_pod() -> Result<(), StageError> {
    let failed = |error: Errno| StageError::prepare("cannot become the pod's root", error);
    setgroups(&[]).map_err(failed)?;
    let (gid, uid) = (Gid::from_raw(0), Uid::from_raw(0));
    setresgid(gid, gid, gid).map_err(failed)?;
    setresuid(uid, uid, uid).map_err(failed)
}

/// The kernel kills this process when its parent dies. That it has died already is seen by
/// [`ReportWriter::require_starter`].
pub(crate) fn die_with_supervisor() -> Result<(), StageError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| StageError::prepare("cannot ask to die with the supervisor", error))
}

/// As long as this process has something of the host's, no other process may look into it
/// (`PR_SET_DUMPABLE`, prctl(2)); execve(2) ends that.
pub(crate) fn hide_from_others() -> Result<(), StageError> {
    nix::sys::prctl::set_dumpable(false)
        .map_err(|error| StageError::prepare("cannot hide from other processes", error))
}

/// Variables of the host are nobody's business who may look into this process.
pub(super) fn forget_environment() -> Result<(), StageError> {
    environment::erase().map_err(|error| StageError::prepare("cannot erase the environment", error))
}

/// A child that is not started afresh keeps one file of the supervisor's open and no other, least
/// of all its standard streams.
pub(crate) fn let_go_of_files(kept: BorrowedFd<'_>) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null); // before it is closed below, or it would be closed twice
    rustix::process::chdir("/")?;
    descriptors::close_all_but(&[kept])
}

fn write_sysctl(sysctl: &Sysctl) -> Result<(), StageError> {
    let path = format!("/proc/sys/{}", sysctl.name.replace('.', "/"));
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(sysctl.value.as_bytes()))
        .map_err(|error| StageError::prepare(format!("cannot set sysctl {}", sysctl.name), error))
}

/// Waits for ever; as process 1 of a shared pid namespace it reaps what nobody else does.
fn pause() -> Result<Infallible, io::Error> {
    signals::reset()?;
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGCHLD);
    awaited.thread_block()?;
    loop {
        awaited.wait()?;
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == nix::sys::wait::WaitStatus::StillAlive {
                break;
            }
        }
    }
}
