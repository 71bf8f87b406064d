//! What [`pod_api`] needs of the machine, done by Linux.

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pod_api::{Machine, PodDir, Settings};
use sandbox::app_armor;
use sandbox::cgroup::{CgroupError, PodCgroup};
use sandbox::network::{self, NetworkError};
use thiserror::Error;

use crate::own_program::OwnProgram;
use crate::{ids, inherited, pod_network};

/// The hidden subcommand that starts a supervisor; its argument is the pod's directory.
pub const SUPERVISE: &str = "supervise";

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxMachine;

/// This process's children may have too few files open at once.
#[derive(Debug, Error)]
#[error(
    "a pod needs {} open files, and the limit is {limit} (ulimit -Hn)",
    inherited::FEWEST_FILES
)]
pub struct FewFiles {
    /// The hard limit.
    limit: u64,
}

/// Why something of a pod is left.
#[derive(Debug, Error)]
enum ReleaseError {
    #[error("cannot end the processes of the pod")]
    Cgroup(#[from] CgroupError),
    #[error("cannot take down the pod's network")]
    Network(#[from] NetworkError),
    #[error("cannot release the pod's user ids in {}", path.display())]
    Ids { path: PathBuf, source: io::Error },
}

impl Machine for LinuxMachine {
    fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        inherited::too_few_files().map_or(Ok(()), |limit| Err(FewFiles { limit }.into()))
    }

    fn start_supervisor(&self, dir: &PodDir, lock: File, log: File) -> io::Result<Child> {
        let _ = app_armor::load_default(); // plans find out whether it is loaded; doctor says why not
        let program = OwnProgram::open()?;
        sandbox::close_on_exec_from(3)?; // what our caller has left open
        Command::new(program.path())
            .arg0("minipod")
            .env_clear()
            .envs(inherited::environment())
            .arg(SUPERVISE)
            .arg(dir.path())
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .current_dir("/")
            .spawn()
    }

    fn release(&self, settings: &Settings, uid: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let steps = [end_processes(uid), leave_network(settings, uid), release_ids(settings, uid)];
        Ok(steps.into_iter().fold(Ok(()), Result::and)?)
    }
}

fn end_processes(uid: &str) -> Result<(), ReleaseError> {
    if let Some(cgroup) = PodCgroup::open(uid)? {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    Ok(())
}

fn leave_network(settings: &Settings, uid: &str) -> Result<(), ReleaseError> {
    Ok(network::detach(&pod_network::to_leave(settings), uid)?)
}

fn release_ids(settings: &Settings, uid: &str) -> Result<(), ReleaseError> {
    let leases = settings.places.id_ranges();
    ids::release(&leases, uid).map_err(|source| ReleaseError::Ids { path: leases, source })
}
