//! What pods need of the machine, apart from files.

use std::error::Error;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::process::Child;

use crate::places::PodDir;
use crate::settings::Settings;

/// Whoever knows processes, cgroups and networks does these for this crate, which does not.
pub trait Machine: Debug + Send + Sync {
    /// Checks that a supervisor can run here, before anything is created for its pod.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Starts the supervisor of the pod in `dir`. Its standard input is `lock`, the pod's locked
    /// lock file; its standard error is `log`.
    ///
    /// # Errors
    ///
    /// Those of the program's start.
    fn start_supervisor(&self, dir: &PodDir, lock: File, log: File) -> io::Result<Child>;

    /// Ends everything that a pod without a supervisor still has besides its files: processes,
    /// cgroups, addresses and id ranges. What cannot be removed does not keep the rest.
    ///
    /// # Errors
    ///
    /// The first failure.
    fn release(&self, settings: &Settings, uid: &str) -> Result<(), Box<dyn Error + Send + Sync>>;
}
