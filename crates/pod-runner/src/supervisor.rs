//! The supervisor of one pod: one process, one thread, one loop.
//!
//! Who am I: `minipod:sup`, started afresh by whoever creates the pod. What do I hold: the pod's
//! lock (my standard input), the pod's holder process and every container as children, a mount
//! namespace of my own for what the pod keeps in memory. How do I end: when the pod has ended or
//! is deleted. If I am killed, the kernel kills the holder and the containers with me.

use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pod_lifecycle::{PodMachine, Timing};
use rustix::mount::{MountPropagationFlags, mount_change};
use sandbox::{Jobs, Spawner};
use thiserror::Error;

use crate::clock::Clock;
use crate::host::PodHost;
use crate::inherited;
use crate::linux_host::LinuxHost;
use crate::prober;
use pod_api::copy;
use pod_api::places::PodDir;
use pod_api::record::{PodRecord, RecordError};
use pod_api::settings::Settings;

/// Why a supervisor cannot go on. What goes wrong with the pod is a fact, not one of these.
#[derive(Debug, Error)]
pub enum SupervisorError {
    /// The record of the pod.
    #[error("cannot keep the pod's record")]
    Record(#[from] RecordError),
    /// The stored pod does not pass the checks it passed when it was created.
    #[error("the recorded pod is not valid: {0}")]
    Pod(String),
    /// Preparing the process itself.
    #[error("cannot {verb}")]
    Prepare {
        /// What was being done.
        verb: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The process that makes the others.
    #[error("cannot prepare for starting processes")]
    Spawner(#[from] sandbox::SandboxError),
    /// The image store.
    #[error("cannot open the image store")]
    Store(#[from] image_puller::StoreError),
}

/// Supervises the pod in that directory until it has ended. This is the whole life of the hidden
/// subcommand [`crate::machine::SUPERVISE`].
pub fn run(dir: PodDir) -> Result<(), SupervisorError> {
    let clock = Clock::start();
    let (signals, spawner) = become_supervisor()?;
    let settings = Settings::load(&dir)?;
    let record = PodRecord::open(&settings.places, dir.clone())?;
    let pod = pod_model::from_object(record.pod().clone())
        .map_err(|problems| SupervisorError::Pod(problems.to_string()))?;
    let timing = Timing { backoff_scale: settings.backoff_scale, ..Timing::default() };
    let machine = PodMachine::new(pod.clone(), timing, clock.now());
    let mut host = LinuxHost::new(clock, pod, settings, record, (signals, spawner))?;
    supervise(machine, &mut host)?;
    host.finish();
    Ok(())
}

/// The loop: decide, record, wait, learn.
pub fn supervise(mut machine: PodMachine, host: &mut impl PodHost) -> Result<(), SupervisorError> {
    loop {
        for action in machine.advance(host.now()) {
            host.begin(action);
        }
        let is_recorded = host.record(&mut machine);
        let is_wanted = machine.status().deletion.is_none();
        if machine.is_finished() && (is_recorded || !is_wanted) {
            if !is_wanted || !host.is_removed_at_its_end() {
                return Ok(());
            }
            host.expect_deletion();
        }
        let fact = host.next_fact(machine.next_deadline())?;
        machine.observe(fact, host.now());
    }
}

/// What asks a supervisor to stop its pod.
const STOPPING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Leaves the session of whoever started us and takes on the duties of a supervisor.
/// What enters containers is a copy of what this process is here: nothing of the pod has been read
/// yet, which may have Secrets in it.
fn become_supervisor() -> Result<(SignalFd, Spawner), SupervisorError> {
    let failed = |verb| move |source: io::Error| SupervisorError::Prepare { verb, source };
    sandbox::hide_from_others().map_err(failed("hide from other processes"))?;
    inherited::define_limits();
    rustix::process::setsid().map_err(io::Error::from).map_err(failed("leave the session"))?;
    let _ = nix::sys::prctl::set_name(c"minipod:sup"); // only what ps shows
    nix::sys::prctl::set_child_subreaper(true)
        .map_err(io::Error::from)
        .map_err(failed("adopt orphans"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    sandbox::remember_host_mounts().map_err(failed("remember the host's mounts"))?;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(io::Error::from)
        .map_err(failed("make a mount namespace"))?;
    // What the host mounts later still appears here; what is mounted here never appears there.
    let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", down)
        .map_err(io::Error::from)
        .map_err(failed("separate the mount namespace"))?;
    // A service manager sends SIGTERM to every process of a unit (systemd.kill(5)): what is meant for
    // this process is nothing to its helpers, which have this from here.
    STOPPING
        .into_iter()
        .collect::<SigSet>()
        .thread_block()
        .map_err(io::Error::from)
        .map_err(failed("block signals"))?;
    let spawner = Spawner::start(JOBS)?;
    // That a child has ended is told by its pidfd; the signal tells of those that containers leave.
    let heard: SigSet = STOPPING.into_iter().chain([Signal::SIGCHLD]).collect();
    let mut blocked = heard;
    blocked.extend([Signal::SIGHUP, Signal::SIGPIPE]);
    let signals = blocked
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK))
        .map_err(io::Error::from)
        .map_err(failed("listen for signals"))?;
    Ok((signals, spawner))
}

/// What the spawner's copies do for this crate.
const JOBS: Jobs = Jobs { files: copy::serve, look_up: prober::look_up, ask: prober::run };
