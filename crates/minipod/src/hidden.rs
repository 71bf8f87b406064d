//! The subcommands that minipod starts itself with. They come before the command line is parsed,
//! because every microsecond of theirs is part of a pod's start.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;

use pod_api::PodDir;
use pod_runner::machine::SUPERVISE;
use pod_runner::pull_worker::{self, PULL_WORKER};
use pod_runner::supervisor;

use crate::failure::Failure;
use crate::screen;

/// Runs a hidden subcommand, if this process was started for one.
pub(crate) fn run() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next()?;
    let second = arguments.next();
    let outcome = match first.to_str()? {
        SUPERVISE => supervise(second.as_deref()?),
        PULL_WORKER => pull(),
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::narrate(&failure.to_string());
            failure.exit_code()
        }
    })
}

fn supervise(dir: &OsStr) -> Result<(), Failure> {
    Ok(supervisor::run(PodDir::at(dir.into()))?)
}

fn pull() -> Result<(), Failure> {
    let order = serde_json::from_reader(io::stdin().lock())?;
    let result = pull_worker::run(&order);
    Ok(serde_json::to_writer(io::stdout().lock(), &result)?)
}
