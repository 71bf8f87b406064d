//! Runs one Kubernetes pod on one Linux machine.

mod cli;
mod commands;
mod failure;
mod hidden;
mod manifest;
mod screen;
mod selection;
mod views;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = hidden::run() {
        return code;
    }
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                screen::narrate(&failure.to_string());
            }
            failure.exit_code()
        }
    }
}
