//! `exec`: a command in a container's namespaces.

use std::io;
use std::process::ExitCode;

use pod_runner::Pods;
use pod_runner::client::{self, ClientError, Session, Streams};
use pod_runner::control::{ExecRequest, Refusal, TerminalSize};

use super::{places, require_root, terminal};
use crate::cli::{ExecArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};

/// Exit codes for what is not the command's own failure, as docker and podman use them.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const COMMAND_NOT_FOUND: u8 = 127;

pub(crate) fn run(args: &PlaceArgs, exec: &ExecArgs) -> Result<ExitCode, Failure> {
    require_root()?;
    let found = selection::pod(&Pods::new(&places(args)), &args.namespace, &exec.pod)?;
    let (container, note) = selection::container(&found.pod, exec.container.as_deref())?;
    if let Some(note) = note {
        screen::narrate(&note);
    }
    let fallback = TerminalSize { rows: 24, columns: 80 };
    let size = exec.tty.then(|| terminal::size().unwrap_or(fallback));
    let request = ExecRequest {
        container,
        command: exec.command.clone(),
        terminal: size,
        term: std::env::var("TERM").ok(),
    };
    let (session, streams) = client::exec(&found.dir, &request, exec.stdin)
        .map_err(|error| failure(error, found.pod.metadata.name.as_ref()))?;
    let code = if size.is_some() {
        with_terminal(&session, streams, exec.stdin)?
    } else {
        with_pipes(&session, streams)?
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn with_terminal(session: &Session, streams: Streams, stdin: bool) -> Result<i32, Failure> {
    let Some(near) = streams.terminal else {
        return Err(Failure::new(Kind::Code(OWN_FAILURE), "the command got no terminal"));
    };
    let raw = if stdin { terminal::RawMode::enter() } else { None };
    terminal::follow_size(&near)?;
    if stdin {
        terminal::pump(io::stdin(), near.try_clone()?);
    }
    let output = terminal::pump(near, io::stdout());
    let code = session.wait();
    let _ = output.join(); // it ends with the terminal's other end
    drop(raw);
    code.map_err(|error| failure(error, None))
}

fn with_pipes(session: &Session, streams: Streams) -> Result<i32, Failure> {
    if let Some(stdin) = streams.stdin {
        terminal::pump(io::stdin(), stdin);
    }
    let stdout = streams.stdout.map(|stdout| terminal::pump(stdout, io::stdout()));
    let stderr = streams.stderr.map(|stderr| terminal::pump(stderr, io::stderr()));
    let code = session.wait();
    for output in [stdout, stderr].into_iter().flatten() {
        let _ = output.join(); // it ends when the last writer has
    }
    code.map_err(|error| failure(error, None))
}

fn failure(error: ClientError, pod: Option<&String>) -> Failure {
    let ClientError::Refused { kind, message } = error else {
        let hint = pod.as_ref().map(|name| format!("minipod describe pod {name}"));
        return Failure::of(Kind::Code(OWN_FAILURE), &error).maybe_hint(hint);
    };
    let kind = match kind {
        Refusal::CommandNotFound => Kind::Code(COMMAND_NOT_FOUND),
        Refusal::CommandNotExecutable => Kind::Code(NOT_EXECUTABLE),
        Refusal::NotFound | Refusal::Failed => Kind::Code(OWN_FAILURE),
    };
    Failure::new(kind, message)
}
