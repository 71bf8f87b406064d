//! `exec`: a command in a container's namespaces.

use std::process::ExitCode;

use k8s_openapi::api::core::v1;
use pod_api::Pods;
use pod_api::client::ClientError;
use pod_api::control::{ExecRequest, Refusal, TerminalSize};
use pod_api::session::{self, Broken, End, Session};

use super::{places, require_root, terminal};
use crate::cli::{ExecArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};

/// Exit codes for what is not the command's own failure, as docker and podman use them.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const COMMAND_NOT_FOUND: u8 = 127;

pub(crate) fn run(args: &PlaceArgs, exec: &ExecArgs) -> Result<ExitCode, Failure> {
    check_command(exec)?;
    require_root()?;
    let found = selection::pod(&Pods::new(&places(args)), &args.namespace, &exec.pod)?;
    let (container, note) = selection::container(&found.pod, exec.container.as_deref())?;
    require_unfinished(&found.pod, "exec into")?;
    if let Some(note) = note.filter(|_| !exec.quiet) {
        screen::narrate(&note);
    }
    let size = terminal_size(exec);
    let request = ExecRequest {
        container,
        command: exec.command.clone(),
        terminal: size,
        term: std::env::var("TERM").ok(),
    };
    let pod = found.name().to_owned();
    let session = session::exec(&found.dir, &request, exec.stdin)
        .map_err(|error| failure(error, Some(&pod)))?;
    let code = converse(session)?;
    if code != 0 && !exec.quiet {
        screen::narrate(&format!("command terminated with exit code {code}\n"));
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn check_command(exec: &ExecArgs) -> Result<(), Failure> {
    let wrong = if !exec.without_dashes.is_empty() {
        "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"
    } else if exec.command.is_empty() {
        "you must specify at least one command for the container"
    } else {
        return Ok(());
    };
    let words = [exec.without_dashes.as_slice(), &exec.command].concat().join(" ");
    let words = if words.is_empty() { "sh" } else { &words };
    Err(Failure::new(Kind::Usage, wrong).hint(format!("minipod exec {} -- {words}", exec.pod)))
}

/// That nothing can be entered in a pod that has ended.
pub(super) fn require_unfinished(pod: &v1::Pod, verb: &str) -> Result<(), Failure> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match phase {
        Some(phase @ ("Succeeded" | "Failed")) => Err(Failure::new(
            Kind::Failed,
            format!("cannot {verb} a container in a completed pod; current phase is {phase}"),
        )),
        _ => Ok(()),
    }
}

/// The size of the terminal that the command gets. It gets one only when somebody types on one.
fn terminal_size(exec: &ExecArgs) -> Option<TerminalSize> {
    if !exec.tty || !exec.stdin {
        return None;
    }
    if !terminal::is_there() {
        screen::narrate(terminal::NONE_THERE);
        return None;
    }
    Some(terminal::size().unwrap_or(TerminalSize { rows: 24, columns: 80 }))
}

/// Passes everything on until the command ends.
fn converse(mut session: Session) -> Result<i32, Failure> {
    let raw = match session.take_terminal() {
        Some(near) => {
            terminal::follow_size(near)?;
            terminal::RawMode::enter()?
        }
        None => None,
    };
    if let Some(input) = session.take_input() {
        terminal::pass_input(input, None);
    }
    let end = terminal::show(session);
    drop(raw); // before anything is said
    match end {
        Ok(End::Exited(code)) => Ok(code),
        Ok(End::Detached { .. }) => Ok(0),
        Err(error) => Err(terminal::broken(error, |error| match error {
            Broken::Client(error) => failure(error, None),
            Broken::Output(error) => Failure::of(Kind::Code(OWN_FAILURE), &error),
        })),
    }
}

fn failure(error: ClientError, pod: Option<&String>) -> Failure {
    let ClientError::Refused { kind, message } = error else {
        let hint = pod.map(|name| format!("minipod describe pod {name}"));
        return Failure::of(Kind::Code(OWN_FAILURE), &error).maybe_hint(hint);
    };
    let kind = match kind {
        Refusal::CommandNotFound => Kind::Code(COMMAND_NOT_FOUND),
        Refusal::CommandNotExecutable => Kind::Code(NOT_EXECUTABLE),
        Refusal::NotFound | Refusal::Failed => Kind::Code(OWN_FAILURE),
    };
    Failure::new(kind, message)
}
