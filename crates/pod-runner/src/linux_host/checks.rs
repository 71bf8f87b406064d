//! Probes and hooks: a command in the container, or a question asked from the node.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use pod_lifecycle::{Fact, Hook, Instance, ProbeKind, ProbeOutcome};
use pod_model::{Handler, Uptime};
use sandbox::{Placement, SandboxError, StageError, Stdio};

use super::LinuxHost;
use super::output;
use super::tasks::{Ending, Finished, Purpose};
use crate::plan;
use crate::prober::{self, Asker, Question, Target, Verdict};
use pod_api::text::{chain, go_duration};

impl LinuxHost {
    pub(super) fn probe(&mut self, instance: Instance, probe: ProbeKind) {
        let spec = self.context.pod.container(&instance.name).and_then(|container| match probe {
            ProbeKind::Startup => container.startup_probe.clone(),
            ProbeKind::Liveness => container.liveness_probe.clone(),
            ProbeKind::Readiness => container.readiness_probe.clone(),
        });
        let Some(spec) = spec else {
            return;
        };
        let purpose = Purpose::Probe(instance.clone(), probe);
        if let Err(error) = self.ask(&instance, &spec.handler, Some(spec.timeout), purpose) {
            let outcome = ProbeOutcome::Unknown(chain(&error));
            self.facts.push_back(Fact::ProbeFinished { instance, probe, outcome });
        }
    }

    pub(super) fn run_hook(&mut self, instance: Instance, hook: Hook, timeout: Option<Duration>) {
        let handler = self.hook_handler(&instance, hook);
        let Some(handler) = handler else {
            return;
        };
        let purpose = Purpose::Hook(instance.clone(), hook);
        if let Err(error) = self.ask(&instance, &handler, timeout, purpose) {
            let outcome = Err(chain(&error));
            self.facts.push_back(Fact::HookFinished { instance, hook, outcome });
        }
    }

    fn hook_handler(&self, instance: &Instance, hook: Hook) -> Option<Handler> {
        let container = self.context.pod.container(&instance.name)?;
        match hook {
            Hook::PostStart => container.post_start.clone(),
            Hook::PreStop => container.pre_stop.clone(),
        }
    }

    /// Begins a probe or hook as a task.
    fn ask(
        &mut self,
        instance: &Instance,
        handler: &Handler,
        timeout: Option<Duration>,
        purpose: Purpose,
    ) -> Result<(), SandboxError> {
        let deadline = timeout.map(|timeout| self.clock.now() + timeout);
        match handler {
            Handler::Exec { command } => {
                self.run_in_container(instance, command, deadline, purpose)
            }
            question => self.ask_from_node(question, timeout, deadline, purpose),
        }
    }

    fn run_in_container(
        &mut self,
        instance: &Instance,
        command: &[String],
        deadline: Option<Uptime>,
        purpose: Purpose,
    ) -> Result<(), SandboxError> {
        let (readers, stdio) = outputs()?;
        let (Some(sandbox), Some(container)) = (&self.sandbox, self.find(instance)) else {
            return Ok(()); // its exit is a fact of its own
        };
        let Some(child) = container.running() else {
            return Ok(());
        };
        let process = plan::visitor(&container.plan.process, command);
        let placement = Placement { cgroup: container.cgroup(), gate: None };
        let starting = sandbox.start_visitor(child, &process, stdio, placement)?;
        self.tasks.add_starting(purpose, starting, readers, deadline);
        Ok(())
    }

    /// Asks as a kubelet does, from the node: `host` is found as the node finds it, and the server sees
    /// the node's address.
    fn ask_from_node(
        &mut self,
        handler: &Handler,
        timeout: Option<Duration>,
        deadline: Option<Uptime>,
        purpose: Purpose,
    ) -> Result<(), SandboxError> {
        let Some(sandbox) = &self.sandbox else {
            return Ok(());
        };
        let (reader, writer) = output::pipe()?;
        let Some(target) = Target::of(handler, sandbox.ip()) else {
            return Ok(());
        };
        let is_probe = matches!(purpose, Purpose::Probe(..));
        let asker = if is_probe { Asker::Probe } else { Asker::Hook };
        let question = Question { target, timeout, asker, addresses: Vec::new() };
        let job = serde_json::to_string(&question).map_err(io::Error::other)?;
        let job = (job.as_str(), question.name().is_some());
        let child = sandbox.ask("minipod:probe", writer.as_fd(), job)?;
        // The prober keeps the time itself, so as to say what it was waiting for; this is for one
        // that cannot.
        let deadline = deadline.map(|deadline| deadline + Duration::from_secs(1));
        self.tasks.add_until(purpose, child, Some(reader), deadline);
        Ok(())
    }

    pub(super) fn probe_finished(&mut self, instance: Instance, probe: ProbeKind, done: Finished) {
        let handler = self.context.pod.container(&instance.name).and_then(|container| {
            let spec = match probe {
                ProbeKind::Startup => &container.startup_probe,
                ProbeKind::Liveness => &container.liveness_probe,
                ProbeKind::Readiness => &container.readiness_probe,
            };
            spec.as_ref().map(|spec| (spec.handler.clone(), spec.timeout))
        });
        let outcome = match handler {
            Some((Handler::Exec { command }, timeout)) => exec_outcome(&command, timeout, &done),
            _ => match verdict(&done) {
                Verdict::Success => ProbeOutcome::Success,
                Verdict::Warning(text) => ProbeOutcome::Warning(text),
                Verdict::Failure(text) => ProbeOutcome::Failure(text),
                Verdict::Unknown(text) => ProbeOutcome::Unknown(text),
            },
        };
        self.facts.push_back(Fact::ProbeFinished { instance, probe, outcome });
    }

    pub(super) fn hook_finished(&mut self, instance: Instance, hook: Hook, done: &Finished) {
        let Some(handler) = self.hook_handler(&instance, hook) else {
            return;
        };
        let outcome = match &handler {
            Handler::Exec { command } => exec_error(command, done).map(|error| {
                ("Exec", format!("{command:?}").replace("\", \"", " ").replace('"', ""), error)
            }),
            Handler::HttpGet { path, .. } => {
                self.network_error(done).map(|error| ("HTTP", path.clone(), error))
            }
            Handler::Sleep { duration } => self
                .network_error(done)
                .map(|error| ("Sleep", duration.as_secs().to_string(), error)),
            _ => self.network_error(done).map(|error| ("", String::new(), error)),
        };
        let outcome = outcome.map_or(Ok(()), |(kind, what, error)| {
            if kind.is_empty() {
                return Err(error);
            }
            let (name, pod) = (&instance.name, self.context.pod.format());
            let head = format!("{kind} lifecycle hook ({what}) for Container \"{name}\" in Pod");
            Err(format!("{head} \"{pod}\" failed - error: {error}"))
        });
        self.facts.push_back(Fact::HookFinished { instance, hook, outcome });
    }

    /// Why a hook that asks a port failed; what it has to tell beside becomes an event.
    fn network_error(&mut self, done: &Finished) -> Option<String> {
        match verdict(done) {
            Verdict::Success => None,
            Verdict::Warning(message) => {
                self.facts.push_back(Fact::Warned { reason: "LifecycleHTTPFallback", message });
                None
            }
            Verdict::Failure(text) | Verdict::Unknown(text) => Some(text),
        }
    }
}

/// A pipe for each output: the near ends, and what the command gets.
fn outputs() -> io::Result<(Vec<OwnedFd>, Stdio)> {
    let (stdout, far_stdout) = output::pipe()?;
    let (stderr, far_stderr) = output::pipe()?;
    let stdio = Stdio { stdin: None, stdout: Some(far_stdout), stderr: Some(far_stderr) };
    Ok((vec![stdout, stderr], stdio))
}

/// More of a command's output is not told, as a kubelet limits it.
const MOST_TOLD: usize = 10 * 1024;

/// What a command wrote: standard output, then standard error.
fn told(done: &Finished) -> String {
    let mut bytes = [done.output.as_slice(), &done.errors].concat();
    bytes.truncate(MOST_TOLD);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn exec_outcome(command: &[String], timeout: Duration, done: &Finished) -> ProbeOutcome {
    match &done.ending {
        Ending::Exited(exit) if exit.code == 0 => ProbeOutcome::Success,
        Ending::Exited(_) => ProbeOutcome::Failure(told(done)),
        Ending::NotStarted(error) => ProbeOutcome::Unknown(not_started(error)),
        Ending::TimedOut => {
            let (command, timeout) = (command.join(" "), go_duration(timeout));
            let text = format!("command timed out: \"{command}\" timed out after {timeout}");
            ProbeOutcome::Failure(text)
        }
    }
}

fn exec_error(command: &[String], done: &Finished) -> Option<String> {
    let command = command.join(" ");
    match &done.ending {
        Ending::Exited(exit) if exit.code == 0 => None,
        Ending::Exited(exit) => {
            let errors = String::from_utf8_lossy(&done.errors);
            let (code, told) = (exit.code, told(done));
            Some(format!("command '{command}' exited with {code}: {errors}, message: {told:?}"))
        }
        Ending::NotStarted(error) => Some(format!("{}, message: \"\"", not_started(error))),
        Ending::TimedOut => Some(format!("command '{command}' ran longer than the grace period")),
    }
}

/// That a command could not be run at all, as a container runtime puts it.
fn not_started(error: &StageError) -> String {
    format!("failed to exec in container: unable to start container process: {error}")
}

/// What the prober found. One that had to be ended was waiting for something that never came.
fn verdict(done: &Finished) -> Verdict {
    let said = prober::verdict(&done.output);
    said.unwrap_or_else(|| match done.ending {
        Ending::TimedOut => Verdict::Failure("context deadline exceeded".into()),
        _ => Verdict::Unknown("the prober ended without a verdict".into()),
    })
}
