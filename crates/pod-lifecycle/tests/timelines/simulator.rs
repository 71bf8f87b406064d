//! Scripted containers in virtual time: a pod's whole life in microseconds.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use pod_lifecycle::{
    Action, Fact, Hook, ImageFailure, Instance, PodMachine, ProbeKind, ProbeOutcome, StartStage,
    Timing,
};
use pod_model::{ContainerState, ContainerStatus, EventKind, PodStatus, Uptime};

/// What each start of a container does; the last entry is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Run {
    /// Ends by itself after so many seconds with that code.
    Exits { after: u64, code: i32 },
    /// Runs until it is asked to stop, then ends at once with 0.
    UntilAsked,
    /// Runs until it is asked to stop, then takes so many seconds and ends with that code.
    Stops { takes: u64, code: i32 },
    /// Runs until it is killed.
    UntilKilled,
    /// Ends after so many seconds with that code, because its memory was used up.
    OutOfMemory { after: u64, code: i32 },
    /// Cannot be started.
    Fails(StartStage),
}

/// What a timeline tells beside actions and phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Events.
    Events,
    /// Which of them tell of something that trying again does not mend.
    Changes,
    /// What each container's state becomes.
    States,
}

/// A pod with scripts for its containers.
pub(crate) struct Simulator {
    machine: PodMachine,
    scripts: BTreeMap<String, Vec<Run>>,
    images: BTreeMap<String, Vec<Option<ImageFailure>>>,
    probes: HashMap<(String, Option<ProbeKind>), Vec<ProbeOutcome>>,
    hooks: BTreeMap<String, (u64, bool)>,
    requests: Vec<(u64, Fact)>,
    agenda: Vec<(Uptime, u64, Fact)>,
    running: BTreeMap<String, (Instance, Run)>,
    number: u64,
    tells: Vec<Tell>,
    lines: Vec<String>,
    status: String,
    states: BTreeMap<String, String>,
}

pub(crate) fn seconds(number: u64) -> Uptime {
    Uptime::after(Duration::from_secs(number))
}

/// The machine alone, for a pod of that restart policy and specification.
pub(crate) fn machine_of(policy: &str, rest: &str) -> PodMachine {
    crate::pod(policy, rest).machine
}

fn outcome(is_well: bool) -> ProbeOutcome {
    if is_well { ProbeOutcome::Success } else { ProbeOutcome::Failure("not well".into()) }
}

impl Simulator {
    pub(crate) fn new(manifest: &str) -> Self {
        let source = pod_model::Source { name: "pod.yaml", text: manifest };
        let parsed = pod_model::parse(&source, &pod_model::ParseOptions::default());
        let mut parsed = match parsed {
            Ok(parsed) => parsed,
            Err(problems) => panic!("{}", problems.render(&source)),
        };
        let pod_model::Object::Pod(pod) = parsed.objects.remove(0) else { panic!("no pod") };
        Self {
            machine: PodMachine::new(*pod, Timing::default(), Uptime::START),
            scripts: BTreeMap::new(),
            images: BTreeMap::new(),
            probes: HashMap::new(),
            hooks: BTreeMap::new(),
            requests: Vec::new(),
            agenda: Vec::new(),
            running: BTreeMap::new(),
            number: 0,
            tells: Vec::new(),
            lines: Vec::new(),
            status: String::new(),
            states: BTreeMap::new(),
        }
    }

    /// What the starts of a container do, in order.
    pub(crate) fn script(mut self, container: &str, runs: &[Run]) -> Self {
        self.scripts.insert(container.to_owned(), runs.to_vec());
        self
    }

    /// How looking for a container's image ends, in order; the last one is repeated.
    pub(crate) fn image(mut self, container: &str, answers: &[Option<ImageFailure>]) -> Self {
        self.images.insert(container.to_owned(), answers.to_vec());
        self
    }

    /// How all probes of a container end, in order; the last one is repeated.
    pub(crate) fn probes(mut self, container: &str, outcomes: &[bool]) -> Self {
        let outcomes = outcomes.iter().map(|is_well| outcome(*is_well)).collect();
        self.probes.insert((container.to_owned(), None), outcomes);
        self
    }

    /// How one probe of a container ends, in order; the last one is repeated.
    pub(crate) fn probe(
        mut self,
        container: &str,
        kind: ProbeKind,
        outcomes: &[ProbeOutcome],
    ) -> Self {
        self.probes.insert((container.to_owned(), Some(kind)), outcomes.to_vec());
        self
    }

    /// How long the hooks of a container take.
    pub(crate) fn hook(mut self, container: &str, takes: u64) -> Self {
        self.hooks.insert(container.to_owned(), (takes, true));
        self
    }

    /// How long the hooks of a container take until they fail.
    pub(crate) fn failing_hook(mut self, container: &str, takes: u64) -> Self {
        self.hooks.insert(container.to_owned(), (takes, false));
        self
    }

    /// Somebody asks for something at that second.
    pub(crate) fn at(mut self, second: u64, fact: Fact) -> Self {
        self.requests.push((second, fact));
        self
    }

    /// Adds something to the timeline.
    pub(crate) fn tell(mut self, what: Tell) -> Self {
        self.tells.push(what);
        self
    }

    /// Lets the pod live until that second, or to its end, and tells what happened.
    pub(crate) fn run_until(self, end: u64) -> String {
        self.live_until(end).0
    }

    /// Lets the pod live until that second and returns its status.
    pub(crate) fn status_at(self, end: u64) -> PodStatus {
        self.live_until(end).1
    }

    /// Lets the pod live until that second: what happened, and how it is then.
    pub(crate) fn live_until(mut self, end: u64) -> (String, PodStatus) {
        for (second, fact) in std::mem::take(&mut self.requests) {
            self.plan(seconds(second), fact);
        }
        let mut now = Uptime::START;
        loop {
            for action in self.machine.advance(now) {
                self.carry_out(action, now);
            }
            assert!(self.machine.advance(now).is_empty(), "asking again returns nothing");
            self.note_events(now);
            self.note_status(now);
            if self.machine.is_finished() {
                self.note(now, "finished");
                break;
            }
            let Some((at, fact)) = self.next(seconds(end)) else { break };
            now = now.max(at);
            if let Fact::Exited { instance, .. } = &fact {
                self.running.remove(instance.name.as_str());
            }
            self.machine.observe(fact, now);
        }
        (self.lines.join("\n"), self.machine.status())
    }

    /// What happens next, if it happens before the end.
    fn next(&mut self, end: Uptime) -> Option<(Uptime, Fact)> {
        self.agenda.sort_by_key(|(at, number, _)| (*at, *number));
        let deadline = self.machine.next_deadline();
        let next = self.agenda.first().map(|(at, ..)| *at);
        let at = [deadline, next].into_iter().flatten().min().filter(|at| *at <= end)?;
        let fact = match next.filter(|next| *next <= at) {
            Some(_) => self.agenda.remove(0).2,
            None => Fact::TimePassed,
        };
        Some((at, fact))
    }

    fn plan(&mut self, at: Uptime, fact: Fact) {
        self.number += 1;
        self.agenda.push((at, self.number, fact));
    }

    fn note(&mut self, now: Uptime, what: &str) {
        self.lines.push(format!("{:>3}s {what}", now.elapsed().as_secs()));
    }

    fn note_events(&mut self, now: Uptime) {
        let events = self.machine.take_events();
        if self.tells.contains(&Tell::Events) {
            for event in events {
                let mark = if event.kind == EventKind::Warning { "!" } else { "" };
                self.note(now, &format!("  {mark}{}: {}", event.reason, event.message));
                if event.awaits_change && self.tells.contains(&Tell::Changes) {
                    self.note(now, "    and awaits a change");
                }
            }
        }
    }

    fn note_status(&mut self, now: Uptime) {
        let status = self.machine.status();
        if self.tells.contains(&Tell::States) {
            for one in status.init_containers.iter().chain(&status.containers) {
                let text = state_text(one);
                let known = self.states.insert(one.name.to_string(), text.clone());
                if known.as_ref() != Some(&text) {
                    self.note(now, &format!("  {} {text}", one.name));
                }
            }
        }
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
                let answer = next_of(self.images.get_mut(name.as_str())).flatten();
                let image_id = "image".into();
                let fact = match answer {
                    None => Fact::ImageReady { name, image_id, pulled: None },
                    Some(failure) => Fact::ImageFailed { name, failure, message: "no".into() },
                };
                self.plan(now, fact);
            }
            Action::Start { instance } => self.start(instance, now),
            Action::RunHook { instance, hook, .. } => self.run_hook(instance, hook, now),
            Action::Probe { instance, probe } => {
                let name = instance.name.to_string();
                let own = (name.clone(), Some(probe));
                let key = if self.probes.contains_key(&own) { own } else { (name, None) };
                let outcome = next_of(self.probes.get_mut(&key)).unwrap_or(ProbeOutcome::Success);
                self.plan(now, Fact::ProbeFinished { instance, probe, outcome });
            }
            Action::Terminate { instance } => {
                self.note(now, &format!("terminate {}", instance.name));
                match self.running.get(instance.name.as_str()) {
                    Some((_, Run::UntilAsked)) => self.exit(instance, 0, now),
                    Some((_, Run::Stops { takes, code })) => {
                        let (code, at) = (*code, now + Duration::from_secs(*takes));
                        self.exit(instance, code, at);
                    }
                    _ => {}
                }
            }
            Action::Kill { instance } => {
                self.note(now, &format!("kill {}", instance.name));
                self.exit(instance, 137, now);
            }
            Action::RemoveContainer { instance } => {
                self.note(now, &format!("remove {}#{}", instance.name, instance.attempt.0));
            }
            Action::RemoveSandbox => self.plan(now, Fact::SandboxGone),
        }
    }

    fn run_hook(&mut self, instance: Instance, hook: Hook, now: Uptime) {
        self.note(now, &format!("{hook:?} {}", instance.name));
        let (takes, is_well) = self.hooks.get(instance.name.as_str()).copied().unwrap_or((0, true));
        let done = now + Duration::from_secs(takes);
        let outcome = if is_well { Ok(()) } else { Err("the hook failed".to_owned()) };
        self.plan(done, Fact::HookFinished { instance, hook, outcome });
    }

    fn start(&mut self, instance: Instance, now: Uptime) {
        let (name, attempt) = (instance.name.to_string(), instance.attempt.0);
        self.note(now, &format!("start {name}#{attempt}"));
        let script = self.scripts.get(&name).cloned().unwrap_or_default();
        let run = script.get(attempt as usize).or(script.last()).copied();
        let run = run.unwrap_or(Run::UntilAsked);
        if let Run::Fails(stage) = run {
            let message = "cannot start".into();
            return self.plan(now, Fact::StartFailed { instance, stage, message });
        }
        self.running.insert(name, (instance.clone(), run));
        let container_id = format!("id{attempt}");
        self.plan(now, Fact::Started { instance: instance.clone(), container_id });
        match run {
            Run::Exits { after, code } => {
                self.exit(instance, code, now + Duration::from_secs(after));
            }
            Run::OutOfMemory { after, code } => {
                let (signal, out_of_memory, message) = (None, true, None);
                let fact = Fact::Exited { instance, code, signal, out_of_memory, message };
                self.plan(now + Duration::from_secs(after), fact);
            }
            _ => {}
        }
    }

    fn exit(&mut self, instance: Instance, code: i32, at: Uptime) {
        let signal = (code > 128).then_some(code - 128);
        let (out_of_memory, message) = (false, None);
        self.plan(at, Fact::Exited { instance, code, signal, out_of_memory, message });
    }
}

/// The next entry of a script; the last one is repeated.
fn next_of<T: Clone>(script: Option<&mut Vec<T>>) -> Option<T> {
    let script = script?;
    if script.len() > 1 { Some(script.remove(0)) } else { script.first().cloned() }
}

fn state_text(status: &ContainerStatus) -> String {
    match &status.state {
        ContainerState::Waiting { reason, .. } => reason.clone(),
        ContainerState::Running { .. } => format!("running #{}", status.restart_count),
        ContainerState::Terminated(end) => format!("{} {}", end.reason, end.exit_code),
    }
}
