//! Probes and hooks: a command in the container, or a question asked from the pod's network.

use std::os::fd::OwnedFd;
use std::time::Duration;

use pod_lifecycle::{Fact, Hook, Instance, ProbeKind, ProbeOutcome};
use pod_model::{Handler, Uptime};
use sandbox::{Placement, SandboxError, Stdio};

use super::LinuxHost;
use super::output;
use super::tasks::{Ending, Finished, Purpose};
use crate::plan;
use crate::prober::{self, Asker, Question, Target, Verdict};
use crate::text::{chain, go_duration};

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
            question => self.run_in_network(question, timeout, deadline, purpose),
        }
    }

    fn run_in_container(
        &mut self,
        instance: &Instance,
        command: &[String],
        deadline: Option<Uptime>,
        purpose: Purpose,
    ) -> Result<(), SandboxError> {
        let (reader, stdio) = combined_output()?;
        let (Some(sandbox), Some(container)) = (&self.sandbox, self.find(instance)) else {
            return Ok(()); // its exit is a fact of its own
        };
        let Some(child) = container.running() else {
            return Ok(());
        };
        let process = plan::visitor(&container.plan.process, command);
        let placement = Placement { cgroup: container.cgroup(), gate: None };
        let starting = sandbox.start_visitor(child, &process, stdio, placement)?;
        self.tasks.add_starting(purpose, starting, Some(reader), deadline);
        Ok(())
    }

    fn run_in_network(
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
        let question = Question { target, timeout, asker };
        let ask = || prober::become_prober(&question, writer);
        let child = sandbox.visit_network("minipod:probe", ask)?;
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
            _ => match prober::verdict(&done.output) {
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
                http_error(done).map(|error| ("HTTP", path.clone(), error))
            }
            _ => http_error(done).map(|error| ("TCP", String::new(), error)),
        };
        let outcome = outcome.map_or(Ok(()), |(kind, what, error)| {
            let (name, pod) = (&instance.name, self.context.pod.format());
            let head = format!("{kind} lifecycle hook ({what}) for Container \"{name}\" in Pod");
            Err(format!("{head} \"{pod}\" failed - error: {error}"))
        });
        self.facts.push_back(Fact::HookFinished { instance, hook, outcome });
    }
}

/// One pipe for both outputs, in the order in which they were written.
fn combined_output() -> std::io::Result<(OwnedFd, Stdio)> {
    let (reader, writer) = output::pipe()?;
    let stderr = Some(writer.try_clone()?);
    Ok((reader, Stdio { stdin: None, stdout: Some(writer), stderr }))
}

fn exec_outcome(command: &[String], timeout: Duration, done: &Finished) -> ProbeOutcome {
    let output = String::from_utf8_lossy(&done.output).into_owned();
    match &done.ending {
        Ending::Exited(exit) if exit.code == 0 => ProbeOutcome::Success,
        Ending::Exited(_) => ProbeOutcome::Failure(output),
        Ending::NotStarted(error) if error.is_exec() => ProbeOutcome::Failure(error.to_string()),
        Ending::NotStarted(error) => ProbeOutcome::Unknown(error.to_string()),
        Ending::TimedOut => {
            let (command, timeout) = (command.join(" "), go_duration(timeout));
            let text = format!("command timed out: \"{command}\" timed out after {timeout}");
            ProbeOutcome::Failure(text)
        }
    }
}

fn exec_error(command: &[String], done: &Finished) -> Option<String> {
    let output = String::from_utf8_lossy(&done.output);
    let command = command.join(" ");
    match &done.ending {
        Ending::Exited(exit) if exit.code == 0 => None,
        Ending::Exited(exit) => Some(format!(
            "command '{command}' exited with {}: {output}, message: {output:?}",
            exit.code
        )),
        Ending::NotStarted(error) => Some(error.to_string()),
        Ending::TimedOut => Some(format!("command '{command}' ran longer than the grace period")),
    }
}

/// A hook over HTTP succeeds with any answer.
fn http_error(done: &Finished) -> Option<String> {
    match prober::verdict(&done.output) {
        Verdict::Success | Verdict::Warning(_) => None,
        Verdict::Failure(text) | Verdict::Unknown(text) => Some(text),
    }
}
