//! The last steps of every process in a container: streams, limits, identity, confinement, exec.
//!
//! The order matters: what needs privilege comes before it is given up, and the system call
//! filter comes last that may.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{FileType, OFlags, fchown, fstat};
use rustix::process::{Resource, fchdir, getrlimit, setrlimit, umask};

use super::harmless::{die_with_supervisor, keep_only, stay_hidden};
use super::pod_holder::become_root_of_pod;
use super::report::{ReportWriter, StageError};
use super::unrunnable;
use crate::container::Stdio;
use crate::plan::{LimitedResource, ProcessPlan, Rlimit, SeccompPlan, UserPlan};
use crate::sys::{clone, descriptors, seccomp as filter, signals};
use crate::user_namespace::IdMap;
use crate::{capabilities, mounts, seccomp, terminal};

/// Something to wait for before the program runs: one byte, or the end of the pipe.
#[derive(Debug, Default)]
pub(crate) struct Gate(pub(crate) Option<OwnedFd>);

impl Gate {
    /// Waits until the gate opens.
    pub(crate) fn pass(self) {
        if let Some(file) = self.0 {
            let _ = fs::File::from(file).read(&mut [0]); // its end opens the gate as well
        }
    }
}

/// The pod's user namespace, which a process joins once nothing is left to do with the host's
/// privileges.
#[derive(Debug)]
pub(crate) struct Users<'a> {
    pub(crate) ids: IdMap<'a>,
    pub(crate) mounts: OwnMounts,
}

/// Whose the mount namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnMounts {
    /// It was made with the host's privileges: a copy of it becomes the pod's.
    New,
    /// It is the pod's already.
    Joined,
}

/// Becomes the planned process.
pub(crate) fn become_process(
    plan: &ProcessPlan,
    stdio: Stdio,
    users: Option<Users<'_>>,
    report: &ReportWriter,
) -> Result<Infallible, StageError> {
    confine(plan, stdio, users, report)?;
    exec(plan)
}

/// Lets another process become the planned one, born where this process's children are: among
/// processes that may look into it. It has nothing that they could take, because this process, which
/// they do not see, has given everything up before.
pub(crate) fn become_another_process(
    plan: &ProcessPlan,
    stdio: Stdio,
    users: Option<Users<'_>>,
    (report, may_be_traced): (&ReportWriter, bool),
) -> Result<i32, StageError> {
    prepare(plan, stdio, users)?;
    // A profile of somebody's own may forbid to make processes, so it is for the other one to
    // install.
    let last = match &plan.seccomp {
        SeccompPlan::Filter(program) if plan.no_new_privileges || may_be_traced => {
            give_up_under(plan, report, &Filtering::Later)?;
            Last::Install(program)
        }
        SeccompPlan::Filter(_) => Last::GiveUp,
        _ => {
            give_up(plan, report)?;
            Last::Nothing
        }
    };
    keep_only(&report.kept())?;
    let go_on = || -> Result<Infallible, StageError> {
        report.wait_until_known()?;
        rustix::process::setsid()
            .map_err(|error| StageError::prepare("cannot start a session", error))?;
        if plan.terminal.is_some() {
            terminal::make_controlling(rustix::stdio::stdin())
                .map_err(|error| StageError::prepare("cannot take the terminal", error))?;
        }
        match last {
            Last::Nothing => {}
            Last::Install(program) => install(program)?,
            Last::GiveUp => give_up(plan, report)?,
        }
        die_with_supervisor(|| report.require_starter())?;
        exec(plan)
    };
    let made = clone::clone_sibling(|| match go_on() {
        Ok(never) => match never {},
        Err(error) => report.fail_with(&error),
    });
    made.map_err(|error| StageError::prepare("cannot start a process", error))?;
    Ok(0)
}

/// What the other process is left to do.
#[derive(Clone, Copy, Debug)]
enum Last<'a> {
    /// Nothing: it has been born with nothing.
    Nothing,
    /// It comes under a filter, which needs no privilege with `no_new_privs`. Where a container may
    /// look into it, it has no choice.
    Install(&'a seccomp::Program),
    /// It gives everything up. Only where nobody may look into it: to install a filter without
    /// `no_new_privs` needs `CAP_SYS_ADMIN`.
    GiveUp,
}

/// When a process comes under its filter.
#[derive(Debug, PartialEq, Eq)]
enum Filtering {
    /// With everything else that it gives up.
    Now,
    /// Somebody else does it; this one cannot gain privileges any more.
    Later,
}

/// Becomes what the planned process is in everything but its program.
pub(crate) fn confine(
    plan: &ProcessPlan,
    stdio: Stdio,
    users: Option<Users<'_>>,
    report: &ReportWriter,
) -> Result<(), StageError> {
    prepare(plan, stdio, users)?;
    give_up(plan, report)
}

/// What is done with the privileges that there are.
fn prepare(plan: &ProcessPlan, stdio: Stdio, users: Option<Users<'_>>) -> Result<(), StageError> {
    let owner = users.as_ref().map_or(plan.user.uid, |one| one.ids.range.outside(plan.user.uid));
    set_streams(stdio, (owner, plan.terminal.is_some()))
        .map_err(|error| StageError::prepare("cannot set the streams", error))?;
    descriptors::close_on_exec_from(3)
        .map_err(|error| StageError::prepare("cannot close what is open", error))?;
    signals::reset().map_err(|error| StageError::prepare("cannot reset the signals", error))?;
    umask(rustix::fs::Mode::from_raw_mode(plan.umask));
    plan.rlimits.iter().try_for_each(set_limit)?;
    users.map_or(Ok(()), join_users)?;
    enter_directory(&plan.cwd)
}

/// Gives up what the plan does not give, under its filter.
fn give_up(plan: &ProcessPlan, report: &ReportWriter) -> Result<(), StageError> {
    give_up_under(plan, report, &Filtering::Now)
}

fn give_up_under(
    plan: &ProcessPlan,
    report: &ReportWriter,
    filtering: &Filtering,
) -> Result<(), StageError> {
    let program = if *filtering == Filtering::Now { seccomp_program(plan) } else { None };
    let no_new_privileges = plan.no_new_privileges || *filtering == Filtering::Later;
    // With no_new_privs the filter may come last; without, it needs CAP_SYS_ADMIN, so it comes
    // before the capabilities go, and what follows must be on its list.
    if let (Some(program), false) = (&program, no_new_privileges) {
        install(program)?;
    }
    become_user(plan)?;
    stay_hidden(|| report.require_starter())?;
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| StageError::prepare("cannot set no_new_privs", error))?;
        program.iter().try_for_each(install)?;
    }
    Ok(())
}

/// Joins the pod's user namespace. In it root has every capability, over what is the pod's.
fn join_users(users: Users<'_>) -> Result<(), StageError> {
    let failed = |error: Errno| StageError::prepare("cannot join the pod's user namespace", error);
    setns(users.ids.namespace, CloneFlags::CLONE_NEWUSER).map_err(failed)?;
    become_root_of_pod()?;
    if users.mounts == OwnMounts::New {
        // What is mounted cannot be taken off in the copy, so what is masked stays masked.
        unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    }
    Ok(())
}

/// The streams become descriptors 0, 1 and 2; what is missing is the container's `/dev/null`.
/// Pipes, and a terminal of the container's own, belong to the user, who could not open
/// `/dev/stdout` otherwise; any other device is the caller's.
fn set_streams(stdio: Stdio, (owner, own_terminal): (u32, bool)) -> io::Result<()> {
    let null = || -> io::Result<OwnedFd> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open("/dev/null")?;
        Ok(file.into())
    };
    let given = |file: OwnedFd| {
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        if kind == FileType::Fifo || kind == FileType::CharacterDevice && own_terminal {
            fchown(&file, Some(rustix::fs::Uid::from_raw(owner)), None)?;
        }
        Ok(file)
    };
    let or_null = |file: Option<OwnedFd>| file.map_or_else(null, given);
    rustix::stdio::dup2_stdin(or_null(stdio.stdin)?)?;
    rustix::stdio::dup2_stdout(or_null(stdio.stdout)?)?;
    rustix::stdio::dup2_stderr(or_null(stdio.stderr)?)?;
    Ok(())
}

/// Sets a resource limit, never above the hard limit that was inherited: raising it may not be
/// allowed to us.
fn set_limit(limit: &Rlimit) -> Result<(), StageError> {
    let resource = match limit.resource {
        LimitedResource::OpenFiles => Resource::Nofile,
        LimitedResource::CoreSize => Resource::Core,
    };
    let inherited = getrlimit(resource).maximum;
    let hard = match (limit.hard, inherited) {
        (Some(wanted), Some(inherited)) => Some(wanted.min(inherited)),
        (Some(wanted), None) => Some(wanted),
        (None, inherited) => inherited,
    };
    let soft = hard.map_or(limit.soft, |hard| limit.soft.min(hard));
    let new = rustix::process::Rlimit { current: Some(soft), maximum: hard };
    setrlimit(resource, new).map_err(|error| {
        StageError::prepare(format!("cannot set the limit {:?}", limit.resource), error)
    })
}

/// Makes the process more or less likely to be killed for memory, as long as it sees itself in the
/// host's `/proc`. Less than what is inherited needs `CAP_SYS_RESOURCE`; without it the process keeps
/// what it has.
pub(super) fn set_oom_score(score: Option<i32>) -> Result<(), StageError> {
    let Some(score) = score else {
        return Ok(());
    };
    match fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(StageError::prepare("cannot set oom_score_adj", error))
        }
        _ => Ok(()),
    }
}

/// Enters the working directory, which is created if missing. Links of `/proc` that lead to open
/// files are not followed: this process still has files of the host open. What is reached must be
/// below the root.
fn enter_directory(path: &str) -> Result<(), StageError> {
    let failed = |error: io::Error| {
        StageError::prepare(format!("cannot enter the working directory {path}"), error)
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, rustix::fs::Mode::empty())
        .map_err(|error| failed(error.into()))?;
    let directory = mounts::directory(&root, path).map_err(failed)?;
    fchdir(&directory).map_err(|error| failed(error.into()))?;
    let reached = std::env::current_dir().map_err(failed)?;
    if reached.is_absolute() {
        return Ok(());
    }
    Err(failed(io::Error::from_raw_os_error(libc::ENOENT)))
}

fn seccomp_program(plan: &ProcessPlan) -> Option<seccomp::Program> {
    match &plan.seccomp {
        SeccompPlan::Unconfined => None,
        SeccompPlan::RuntimeDefault => Some(seccomp::default_profile(plan.capabilities.bounding)),
        SeccompPlan::Filter(program) => Some(program.clone()),
    }
}

fn install(program: &seccomp::Program) -> Result<(), StageError> {
    filter::install(program)
        .map_err(|error| StageError::prepare("cannot install the seccomp filter", error))
}

/// Gives up what the plan does not give: bounding set first, then the user, then the other sets.
fn become_user(plan: &ProcessPlan) -> Result<(), StageError> {
    let UserPlan { uid, gid, groups } = &plan.user;
    let failed = |doing: &'static str| move |error: io::Error| StageError::prepare(doing, error);
    capabilities::limit_bounding_set(plan.capabilities.bounding)
        .map_err(failed("cannot limit the capabilities"))?;
    rustix::thread::set_keep_capabilities(true)
        .map_err(io::Error::from)
        .map_err(failed("cannot keep capabilities"))?;
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(io::Error::from).map_err(failed("cannot set the groups"))?;
    let (gid, uid) = (Gid::from_raw(*gid), Uid::from_raw(*uid));
    setresgid(gid, gid, gid).map_err(io::Error::from).map_err(failed("cannot set the group"))?;
    setresuid(uid, uid, uid).map_err(io::Error::from).map_err(failed("cannot set the user"))?;
    capabilities::apply(&plan.capabilities).map_err(failed("cannot set the capabilities"))?;
    rustix::thread::set_keep_capabilities(false)
        .map_err(io::Error::from)
        .map_err(failed("cannot let go of capabilities"))
}

/// Looks the program up in the container's `PATH` and becomes it. The search goes on where there is
/// nothing of that name, or nothing that may be run, and stops at a file that cannot be run, as
/// execvp(3) does.
fn exec(plan: &ProcessPlan) -> Result<Infallible, StageError> {
    let name = plan.argv.first().map(String::as_str).unwrap_or_default();
    let failed = |errno: Errno| StageError::exec(format!("exec: \"{name}\""), errno);
    let argv = c_strings(&plan.argv)?;
    let env = c_strings(&plan.env)?;
    let try_one = |path: &str| {
        let program = CString::new(path).unwrap_or_default();
        let errno = match nix::unistd::execve(&program, &argv, &env) {
            Ok(never) => match never {},
            Err(errno) => errno,
        };
        match unrunnable::reason(path, errno) {
            Some(reason) => (errno, Some(StageError::unrunnable(name, &reason, errno))),
            None => (errno, None),
        }
    };
    if name.contains('/') {
        let (errno, unrunnable) = try_one(name);
        return Err(unrunnable.unwrap_or_else(|| failed(errno)));
    }
    let path = plan.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    let mut worst = Errno::ENOENT;
    for directory in path.unwrap_or_default().split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match try_one(&format!("{directory}/{name}")) {
            (_, Some(unrunnable)) => return Err(unrunnable),
            (Errno::ENOENT | Errno::ENOTDIR, None) => {}
            (Errno::EACCES, None) => worst = Errno::EACCES,
            (errno, None) => return Err(failed(errno)),
        }
    }
    Err(failed(worst))
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, StageError> {
    let strings = texts.iter().map(|text| CString::new(text.as_str()));
    strings.collect::<Result<_, _>>().map_err(|_| {
        let error = io::Error::from_raw_os_error(libc::EINVAL);
        StageError::exec("a command or variable with a zero byte in it", error)
    })
}
