//! `attach`: what a running container writes, and what it reads.

use k8s_openapi::api::core::v1;
use pod_api::Pods;
use pod_api::client::ClientError;
use pod_api::control::{AttachRequest, Refusal};
use pod_api::pods::FoundPod;
use pod_api::session::{self, Broken, End, Session};

use super::exec::require_unfinished;
use super::{places, require_root, terminal};
use crate::cli::{AttachArgs, PlaceArgs};
use crate::detach_keys::Lookout;
use crate::failure::{Failure, Kind};
use crate::{screen, selection};

pub(crate) fn run(args: &PlaceArgs, attach: &AttachArgs) -> Result<(), Failure> {
    require_root()?;
    let found = selection::pod(&Pods::new(&places(args)), &args.namespace, &attach.pod)?;
    require_unfinished(&found.pod, "attach")?;
    let (container, note) = selection::container(&found.pod, attach.container.as_deref())?;
    let spec = spec(&found.pod, &container).cloned().unwrap_or_default();
    let has_terminal = spec.tty == Some(true);
    let is_interactive = attach.stdin && has_terminal && terminal::is_there();
    if !attach.quiet {
        note.iter().for_each(|note| screen::narrate(note));
        warn(attach, &spec);
    }
    let request = AttachRequest { container, with_stdin: attach.stdin };
    let session = session::attach(&found.dir, &request, has_terminal)
        .map_err(|error| failure(error, &found, &request.container))?;
    let skipped = converse(session, attach, is_interactive).map_err(|error| {
        terminal::broken(error, |error| match error {
            Broken::Client(error) => failure(error, &found, &request.container),
            Broken::Output(error) => Failure::of(Kind::Failed, &error),
        })
    })?;
    let (pod, namespace, container) = (found.name(), found.namespace(), &request.container);
    if skipped > 0 {
        screen::narrate(&format!(
            "{skipped} bytes of output were not shown, because they were read too slowly; \
             minipod logs {pod} -c {container} -n {namespace} has them\n"
        ));
    }
    if is_interactive && !attach.quiet {
        screen::answer(&format!(
            "Session ended, resume using 'minipod attach {pod} -c {container} -n {namespace} -i -t' command\n"
        ))?;
    }
    Ok(())
}

/// What the user should know before typing.
fn warn(attach: &AttachArgs, spec: &v1::Container) {
    let name = &spec.name;
    if attach.tty && spec.tty != Some(true) {
        screen::narrate(&format!(
            "error: Unable to use a TTY - container {name} did not allocate one\n"
        ));
    }
    if attach.stdin && spec.tty == Some(true) && !terminal::is_there() {
        screen::narrate(terminal::NONE_THERE);
    }
    if attach.stdin && spec.stdin != Some(true) {
        screen::narrate(&format!(
            "container {name} reads no standard input (stdin: true would let it)\n"
        ));
    }
    screen::narrate(
        "All commands and output from this session will be recorded in container logs, including \
         credentials and sensitive information passed through the command prompt.\n",
    );
    screen::narrate("If you don't see a command prompt, try pressing enter.\n");
}

/// Passes everything on until the container ends or the user leaves; returns how many bytes of
/// output the user missed.
fn converse(
    mut session: Session,
    attach: &AttachArgs,
    is_interactive: bool,
) -> Result<u64, Broken> {
    let near = session.take_terminal();
    let raw = if is_interactive { terminal::RawMode::enter()? } else { None };
    if let Some(near) = near.filter(|_| terminal::is_there()) {
        terminal::follow_size(near)?;
    }
    if let Some(input) = session.take_input() {
        let lookout = raw.is_some().then(|| Lookout::new(attach.detach_keys.clone()));
        terminal::pass_input(input, lookout);
    }
    let end = terminal::show(session);
    drop(raw); // before anything is said
    Ok(match end? {
        End::Detached { skipped } => skipped,
        End::Exited(_) => 0,
    })
}

fn spec<'a>(pod: &'a v1::Pod, name: &str) -> Option<&'a v1::Container> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    all.find(|container| container.name == name)
}

fn failure(error: ClientError, found: &FoundPod, container: &str) -> Failure {
    let (pod, namespace) = (found.name(), found.namespace());
    match error {
        ClientError::Refused { kind: Refusal::NotFound, .. } => Failure::new(
            Kind::Failed,
            format!("container {container} not found in pod {pod}_{namespace}"),
        )
        .hint(format!("it does not run: minipod describe pod {pod}")),
        other => Failure::of(Kind::Failed, &other).hint(format!("minipod describe pod {pod}")),
    }
}
