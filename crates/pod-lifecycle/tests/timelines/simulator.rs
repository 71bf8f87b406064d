//! Scripted containers in virtual time: a pod's whole life in microseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use pod_lifecycle::{Action, Fact, Instance, PodMachine, ProbeOutcome, Timing};
use pod_model::{Pod, Uptime};

/// What each start of a container does; the last entry is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Run {
    /// Ends by itself after so many seconds with that code.
    Exits { after: u64, code: i32 },
    /// Runs until it is asked to stop, then ends at once with 0.
    UntilAsked,
    /// Runs until it is killed.
    UntilKilled,
}

/// A pod with scripts for its containers.
pub(crate) struct Simulator {
    machine: PodMachine,
    scripts: BTreeMap<String, Vec<Run>>,
    probes: BTreeMap<String, Vec<bool>>,
    hooks: BTreeMap<String, u64>,
    requests: Vec<(u64, Fact)>,
    agenda: Vec<(Uptime, u64, Fact)>,
    running: BTreeMap<String, (Instance, Run)>,
    number: u64,
    lines: Vec<String>,
    status: String,
}

pub(crate) fn seconds(number: u64) -> Uptime {
    Uptime::after(Duration::from_secs(number))
}

impl Simulator {
    pub(crate) fn new(manifest: &str) -> Self {
        let source = pod_model::Source { name: "pod.yaml", text: manifest };
        let mut parsed = pod_model::parse(&source, &pod_model::ParseOptions::default())
            .expect("the manifest is valid");
        let pod_model::Object::Pod(pod) = parsed.objects.remove(0) else { panic!("no pod") };
        let pod: Pod = *pod;
        Self {
            machine: PodMachine::new(pod, Timing::default(), Uptime::START),
            scripts: BTreeMap::new(),
            probes: BTreeMap::new(),
            hooks: BTreeMap::new(),
            requests: Vec::new(),
            agenda: Vec::new(),
            running: BTreeMap::new(),
            number: 0,
            lines: Vec::new(),
            status: String::new(),
        }
    }

    /// What the starts of a container do, in order.
    pub(crate) fn script(mut self, container: &str, runs: &[Run]) -> Self {
        self.scripts.insert(container.to_owned(), runs.to_vec());
        self
    }

    /// How the probes of a container end, in order; the last one is repeated.
    pub(crate) fn probes(mut self, container: &str, outcomes: &[bool]) -> Self {
        self.probes.insert(container.to_owned(), outcomes.to_vec());
        self
    }

    /// How long the hooks of a container take.
    pub(crate) fn hook(mut self, container: &str, takes: u64) -> Self {
        self.hooks.insert(container.to_owned(), takes);
        self
    }

    /// Somebody asks for something at that second.
    pub(crate) fn at(mut self, second: u64, fact: Fact) -> Self {
        self.requests.push((second, fact));
        self
    }

    /// Lets the pod live until that second, or to its end, and tells what happened.
    pub(crate) fn run_until(mut self, end: u64) -> String {
        for (second, fact) in std::mem::take(&mut self.requests) {
            self.plan(seconds(second), fact);
        }
        let mut now = Uptime::START;
        loop {
            for action in self.machine.advance(now) {
                self.carry_out(action, now);
            }
            assert!(self.machine.advance(now).is_empty(), "asking again returns nothing");
            self.note_status(now);
            if self.machine.is_finished() {
                self.note(now, "finished");
                break;
            }
            self.agenda.sort_by_key(|(at, number, _)| (*at, *number));
            let deadline = self.machine.next_deadline();
            let next = self.agenda.first().map(|(at, ..)| *at);
            let Some(at) = [deadline, next].into_iter().flatten().min() else { break };
            if at > seconds(end) {
                break;
            }
            now = now.max(at);
            let fact = match next.filter(|next| *next <= now) {
                Some(_) => self.agenda.remove(0).2,
                None => Fact::TimePassed,
            };
            if let Fact::Exited { instance, .. } = &fact {
                self.running.remove(instance.name.as_str());
            }
            self.machine.observe(fact, now);
        }
        self.lines.join("\n")
    }

    fn plan(&mut self, at: Uptime, fact: Fact) {
        self.number += 1;
        self.agenda.push((at, self.number, fact));
    }

    fn note(&mut self, now: Uptime, what: &str) {
        self.lines.push(format!("{:>3}s {what}", now.elapsed().as_secs()));
    }

    fn note_status(&mut self, now: Uptime) {
        let status = self.machine.status();
        let ready = status.containers.iter().filter(|one| one.ready).count();
        let text = format!("{:?} {ready} ready", status.phase);
        if text != self.status {
            self.note(now, &format!("    {text}"));
            self.status = text;
        }
    }

    fn carry_out(&mut self, action: Action, now: Uptime) {
        match action {
            Action::CreateSandbox => self.plan(now, Fact::SandboxReady { ips: Vec::new() }),
            Action::EnsureImage { name } => {
                let image_id = "image".into();
                self.plan(now, Fact::ImageReady { name, image_id, pulled: None });
            }
            Action::Start { instance } => self.start(instance, now),
            Action::RunHook { instance, hook, .. } => {
                self.note(now, &format!("{hook:?} {}", instance.name));
                let takes = self.hooks.get(instance.name.as_str()).copied().unwrap_or(0);
                let done = now + Duration::from_secs(takes);
                self.plan(done, Fact::HookFinished { instance, hook, outcome: Ok(()) });
            }
            Action::Probe { instance, probe } => {
                let outcomes = self.probes.entry(instance.name.to_string()).or_default();
                let is_well = match outcomes.len() {
                    0 => true,
                    1 => outcomes[0],
                    _ => outcomes.remove(0),
                };
                let outcome = if is_well {
                    ProbeOutcome::Success
                } else {
                    ProbeOutcome::Failure("not well".into())
                };
                self.plan(now, Fact::ProbeFinished { instance, probe, outcome });
            }
            Action::Terminate { instance } => {
                self.note(now, &format!("terminate {}", instance.name));
                if let Some((_, Run::UntilAsked)) = self.running.get(instance.name.as_str()) {
                    self.exit(instance, 0, now);
                }
            }
            Action::Kill { instance } => {
                self.note(now, &format!("kill {}", instance.name));
                self.exit(instance, 137, now);
            }
            Action::RemoveContainer { .. } => {}
            Action::RemoveSandbox => self.plan(now, Fact::SandboxGone),
        }
    }

    fn start(&mut self, instance: Instance, now: Uptime) {
        let (name, attempt) = (instance.name.to_string(), instance.attempt.0);
        self.note(now, &format!("start {name}#{attempt}"));
        let script = self.scripts.get(&name).cloned().unwrap_or_default();
        let run = script.get(attempt as usize).or(script.last()).copied();
        let run = run.unwrap_or(Run::UntilAsked);
        self.running.insert(name, (instance.clone(), run));
        let container_id = "id".into();
        self.plan(now, Fact::Started { instance: instance.clone(), container_id });
        if let Run::Exits { after, code } = run {
            self.exit(instance, code, now + Duration::from_secs(after));
        }
    }

    fn exit(&mut self, instance: Instance, code: i32, at: Uptime) {
        let signal = (code > 128).then_some(code - 128);
        let (out_of_memory, message) = (false, None);
        self.plan(at, Fact::Exited { instance, code, signal, out_of_memory, message });
    }
}
