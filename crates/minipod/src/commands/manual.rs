//! What is made from the description of the command line: completions and manual pages.

use std::fs;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::cli::{Cli, ManArgs};
use crate::failure::{Failure, Kind};
use crate::screen;

/// Prints the script that has a shell ask minipod what fits.
pub(crate) fn completion(shell: Shell) -> Result<(), Failure> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let known = shells
        .completer(&name)
        .ok_or_else(|| Failure::new(Kind::Usage, format!("minipod cannot complete in {name}")))?;
    let mut script = Vec::new();
    known.write_registration("COMPLETE", "minipod", "minipod", "minipod", &mut script)?;
    screen::answer_bytes(&script)
}

/// Writes a manual page for minipod and for each command.
pub(crate) fn pages(args: &ManArgs) -> Result<(), Failure> {
    let dir = args.dir.display();
    let cannot = |error: std::io::Error| {
        Failure::new(Kind::Failed, format!("cannot write manual pages into {dir}: {error}"))
    };
    fs::create_dir_all(&args.dir).map_err(cannot)?;
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.dir).map_err(cannot)?;
    screen::answer(&format!("manual pages are in {dir}\n"))
}
