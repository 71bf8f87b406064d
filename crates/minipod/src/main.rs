//! Runs one Kubernetes pod on one Linux machine.

mod cli;
mod commands;
mod completion;
mod detach_keys;
mod failure;
mod hidden;
mod manifest;
mod mistakes;
mod other_words;
mod printable;
#[cfg(test)]
mod reference;
mod resource;
mod screen;
mod selection;
mod service_manager;
mod views;

use std::env;
use std::panic::{UnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

fn main() -> ExitCode {
    or_bug(program)
}

fn program() -> ExitCode {
    if let Some(code) = hidden::run() {
        return code;
    }
    // A shell that completes asks by a variable; then the answer is all there is to do.
    CompleteEnv::with_factory(cli::Cli::command).complete();
    let cli = cli::Cli::try_parse_from(mistakes::plain(env::args_os()));
    match cli.map_err(mistakes::explained).and_then(commands::run) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                screen::narrate(&failure.to_string());
            }
            failure.exit_code()
        }
    }
}

/// A panic is a bug of ours and has an exit code of its own (`EX_SOFTWARE` in sysexits.h(3head)).
fn or_bug(program: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    const SOFTWARE: u8 = 70;
    catch_unwind(program).unwrap_or_else(|_| {
        screen::narrate(
            "error: this is a bug in minipod\n  try: report it with the lines above and the \
             manifest; `minipod delete pod NAME --force` cleans up\n",
        );
        ExitCode::from(SOFTWARE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_the_exit_code_of_a_bug() {
        let code = or_bug(|| panic!("on purpose"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(70)));
    }
}
