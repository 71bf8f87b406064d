//! A machine on which anything may happen, and the promises that hold all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use pod_lifecycle::{
    Action, Attempt, Fact, ImageFailure, Instance, PodMachine, ProbeOutcome, StartStage, Timing,
    Update,
};
use pod_model::{
    ContainerName, ContainerState, ContainerStatus, Pod, PodPhase, PodStatus, RestartPolicy, Role,
    Uptime,
};
use proptest::prelude::*;

use crate::pods::Shape;

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// One of the answers that are awaited comes: which, and how it went.
    Answer { which: usize, how: u8 },
    /// A container's program ends by itself.
    Exit { which: usize, code: i32 },
    /// Time passes until something is due.
    UntilDue,
    /// So many seconds pass.
    Pass { seconds: u64 },
    /// Somebody asks for the deletion.
    Delete { grace: Option<u64> },
    /// Somebody kills the holder of the sandbox.
    LoseSandbox,
    /// Somebody changes an image.
    NewImage { which: usize, tag: u8 },
}

/// What happens more and less often.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let codes = prop_oneof![Just(0), Just(1), Just(42), Just(137)];
    prop_oneof![
        40 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Answer { which, how }),
        12 => (any::<usize>(), codes).prop_map(|(which, code)| Step::Exit { which, code }),
        15 => Just(Step::UntilDue),
        8 => (0_u64..700).prop_map(|seconds| Step::Pass { seconds }),
        1 => prop::option::of(0_u64..40).prop_map(|grace| Step::Delete { grace }),
        1 => Just(Step::LoseSandbox),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(which, tag)| Step::NewImage { which, tag }),
    ]
}

/// A pod, what runs of it, and what is awaited.
pub(crate) struct World {
    pod: Pod,
    machine: PodMachine,
    now: Uptime,
    awaited: Vec<Action>,
    live: Vec<Instance>,
    starts: BTreeMap<ContainerName, u32>,
    initialized: Vec<ContainerName>,
    former: Option<PodStatus>,
    /// What has happened so far, for whoever reads a counterexample.
    story: Vec<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let story = format!("the history:\n{}\n", self.story.join("\n"));
            let _ = std::io::Write::write_all(&mut std::io::stderr(), story.as_bytes());
        }
    }
}

impl World {
    pub(crate) fn new(policy: RestartPolicy, shape: &Shape) -> Self {
        let manifest = shape.manifest(policy);
        let source = pod_model::Source { name: "pod.yaml", text: &manifest };
        let mut parsed = match pod_model::parse(&source, &pod_model::ParseOptions::default()) {
            Ok(parsed) => parsed,
            Err(problems) => panic!("{manifest}\n{}", problems.render(&source)),
        };
        let pod_model::Object::Pod(pod) = parsed.objects.remove(0) else { panic!("no pod") };
        let mut world = Self {
            machine: PodMachine::new((*pod).clone(), Timing::default(), Uptime::START),
            pod: *pod,
            now: Uptime::START,
            awaited: Vec::new(),
            live: Vec::new(),
            starts: BTreeMap::new(),
            initialized: Vec::new(),
            former: None,
            story: Vec::new(),
        };
        world.advance();
        world
    }

    /// Lets something happen, where it can, and checks every promise afterwards.
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Answer { which, how } => {
                if !self.awaited.is_empty() {
                    let action = self.awaited.remove(which % self.awaited.len());
                    self.answer(action, how);
                }
            }
            Step::Exit { which, code } => {
                if !self.live.is_empty() {
                    let instance = self.live[which % self.live.len()].clone();
                    self.exit(instance, code);
                }
            }
            Step::UntilDue => {
                if let Some(due) = self.machine.next_deadline() {
                    assert!(due >= self.now || self.is_instant(due), "{due:?} is past");
                    self.now = self.now.max(due);
                    self.observe(Fact::TimePassed);
                }
            }
            Step::Pass { seconds } => {
                self.now = self.now + Duration::from_secs(seconds);
                self.observe(Fact::TimePassed);
            }
            Step::Delete { grace } => {
                self.observe(Fact::DeleteRequested { grace: grace.map(Duration::from_secs) });
            }
            Step::LoseSandbox => self.lose_sandbox(),
            Step::NewImage { which, tag } => {
                let name = self.pod.containers[which % self.pod.containers.len()].name.clone();
                let images = vec![(name, format!("i:{tag}"))];
                self.observe(Fact::Updated(Update { images, ..Update::default() }));
            }
        }
        self.advance();
    }

    /// Answers everything and lets everything that is asked to end, until nothing is left.
    pub(crate) fn live_to_the_end(&mut self) {
        for _ in 0..500 {
            if self.machine.is_finished() {
                assert!(self.live.is_empty(), "finished while {:?} runs", self.live);
                let phase = self.machine.status().phase;
                assert!(matches!(phase, PodPhase::Succeeded | PodPhase::Failed), "{phase:?}");
                return;
            }
            let step = if self.awaited.is_empty() {
                Step::UntilDue
            } else {
                Step::Answer { which: 0, how: 0 }
            };
            self.take(step);
        }
        panic!("it does not end: {:#?}", self.machine);
    }

    /// A pod whose containers all end well has run them all once.
    pub(crate) fn live_to_the_end_of_a_plain_pod(&mut self) {
        for _ in 0..100 {
            if self.machine.is_finished() {
                break;
            }
            while !self.awaited.is_empty() {
                self.take(Step::Answer { which: 0, how: 0 });
            }
            let ends = self.live.iter().position(|one| self.role(&one.name) != Role::Sidecar);
            if let Some(which) = ends {
                self.take(Step::Exit { which, code: 0 });
            }
        }
        assert_eq!(self.machine.status().phase, PodPhase::Succeeded);
        assert_eq!(self.starts.values().copied().collect::<Vec<_>>(), [1; 5]);
    }

    /// Facts about starts that are over are without effect.
    pub(crate) fn stale_facts_change_nothing(&mut self) {
        let before = format!("{:?}", self.machine);
        for (name, starts) in self.starts.clone() {
            for attempt in 0..starts.saturating_sub(1) {
                let instance = Instance { name: name.clone(), attempt: Attempt(attempt) };
                for fact in stale_facts(&instance) {
                    self.machine.observe(fact, self.now);
                }
            }
        }
        assert_eq!(format!("{:?}", self.machine), before);
    }

    fn observe(&mut self, fact: Fact) {
        self.story.push(format!("{:>5}s {fact:?}", self.now.elapsed().as_secs()));
        self.machine.observe(fact, self.now);
    }

    /// A container whose image has just been found may start in the same moment.
    fn is_instant(&self, due: Uptime) -> bool {
        due == self.now
    }

    fn advance(&mut self) {
        self.note_initialized();
        for action in self.machine.advance(self.now) {
            self.begin(action);
        }
        assert!(self.machine.advance(self.now).is_empty(), "asking again returns something");
        if let Some(due) = self.machine.next_deadline() {
            assert!(due > self.now, "due at {due:?}, and it is {:?}", self.now);
        }
        self.check();
    }

    fn begin(&mut self, action: Action) {
        self.story.push(format!("       {action:?}"));
        match &action {
            Action::Start { instance } => self.check_start(instance),
            Action::RemoveSandbox => {
                assert!(self.live.is_empty(), "the sandbox goes under {:?}", self.live);
            }
            Action::RemoveContainer { instance } => {
                assert!(!self.live.contains(instance), "{instance:?} is removed alive");
                self.initialized.clear();
                return;
            }
            Action::RunHook { instance, .. }
            | Action::Probe { instance, .. }
            | Action::Terminate { instance }
            | Action::Kill { instance } => {
                assert!(self.live.contains(instance), "{action:?} of something that is gone");
            }
            Action::CreateSandbox | Action::EnsureImage { .. } => {}
        }
        self.awaited.push(action);
    }

    fn check_start(&mut self, instance: &Instance) {
        let alive = self.live.iter().any(|one| one.name == instance.name);
        assert!(!alive, "{instance:?} starts beside a live one");
        let containers = self.pod.containers.iter();
        for before in containers.take_while(|one| one.name != instance.name) {
            let is_open = before.role == Role::Main || self.initialized.contains(&before.name);
            assert!(is_open, "{} starts before {} is done", instance.name, before.name);
        }
        assert!(self.machine.status().deletion.is_none(), "{instance:?} starts after the deletion");
        *self.starts.entry(instance.name.clone()).or_default() = instance.attempt.0 + 1;
        self.live.push(instance.clone());
    }

    fn answer(&mut self, action: Action, how: u8) {
        let fact = match action {
            Action::CreateSandbox if how < 200 => Fact::SandboxReady { ips: Vec::new() },
            Action::CreateSandbox => Fact::SandboxFailed { message: "no".into() },
            Action::EnsureImage { name } if how < 200 => {
                Fact::ImageReady { name, image_id: "id".into(), pulled: None }
            }
            Action::EnsureImage { name } => {
                let (failure, message) = (ImageFailure::Pull, "no".into());
                Fact::ImageFailed { name, failure, message }
            }
            Action::Start { instance } => return self.answer_start(instance, how),
            Action::RunHook { instance, hook, .. } => {
                let outcome = if how < 200 { Ok(()) } else { Err("no".to_owned()) };
                Fact::HookFinished { instance, hook, outcome }
            }
            Action::Probe { instance, probe } => {
                let outcome = match how {
                    0..150 => ProbeOutcome::Success,
                    150..220 => ProbeOutcome::Failure("no".into()),
                    _ => ProbeOutcome::Unknown("no".into()),
                };
                Fact::ProbeFinished { instance, probe, outcome }
            }
            Action::Terminate { instance } | Action::Kill { instance } => {
                return self.exit(instance, if how < 128 { 0 } else { 137 });
            }
            Action::RemoveContainer { .. } => return,
            Action::RemoveSandbox => Fact::SandboxGone,
        };
        self.observe(fact);
    }

    fn answer_start(&mut self, instance: Instance, how: u8) {
        if !self.live.contains(&instance) {
            return;
        }
        if how < 220 {
            return self.observe(Fact::Started { instance, container_id: "id".into() });
        }
        let stages = [StartStage::Config, StartStage::Create, StartStage::Run];
        let (stage, message) = (stages[usize::from(how) % 3], "no".into());
        self.live.retain(|one| *one != instance);
        self.observe(Fact::StartFailed { instance, stage, message });
    }

    fn exit(&mut self, instance: Instance, code: i32) {
        if !self.live.contains(&instance) {
            return;
        }
        self.live.retain(|one| *one != instance);
        let (signal, out_of_memory, message) = (None, false, None);
        self.observe(Fact::Exited { instance, code, signal, out_of_memory, message });
    }

    /// Nothing runs without its sandbox, and nobody answers any more.
    fn lose_sandbox(&mut self) {
        if self.awaited.contains(&Action::CreateSandbox) || self.machine.is_finished() {
            return;
        }
        self.live.clear();
        self.awaited.retain(|action| matches!(action, Action::EnsureImage { .. }));
        self.initialized.clear();
        self.observe(Fact::SandboxGone);
    }

    fn role(&self, name: &ContainerName) -> Role {
        self.pod.container(name).map_or(Role::Main, |spec| spec.role)
    }

    /// The gates that are open: they stay so, until everything begins again.
    fn note_initialized(&mut self) {
        for one in self.machine.status().init_containers {
            let is_done = match self.role(&one.name) {
                Role::Sidecar => one.started,
                _ => one.ready,
            };
            if is_done && !self.initialized.contains(&one.name) {
                self.initialized.push(one.name);
            }
        }
    }

    /// What holds at every moment.
    fn check(&mut self) {
        let status = self.machine.status();
        for one in status.init_containers.iter().chain(&status.containers) {
            self.check_container(one);
        }
        if let Some(former) = &self.former {
            let is_over = matches!(former.phase, PodPhase::Succeeded | PodPhase::Failed);
            assert!(!is_over || status.phase == former.phase, "{:?} was left", former.phase);
        }
        let is_over = matches!(status.phase, PodPhase::Succeeded | PodPhase::Failed);
        assert!(!is_over || self.live.is_empty(), "{:?} while something runs", status.phase);
        let is_true =
            |kind: &str| status.conditions.iter().any(|one| one.kind == kind && one.is_true);
        assert!(!is_true("Ready") || is_true("ContainersReady"), "ready before its containers");
        self.former = Some(status);
    }

    fn check_container(&self, one: &ContainerStatus) {
        let runs = matches!(one.state, ContainerState::Running { .. });
        let role = self.role(&one.name);
        assert!(!one.ready || runs || role == Role::Init, "{} is ready and does not run", one.name);
        assert!(!runs || self.live.iter().any(|live| live.name == one.name), "{} runs", one.name);
        let Some(former) = &self.former else { return };
        let known = former.init_containers.iter().chain(&former.containers);
        let known = known.filter(|known| known.name == one.name);
        for known in known {
            assert!(one.restart_count >= known.restart_count, "{} forgets a restart", one.name);
        }
    }
}

fn stale_facts(instance: &Instance) -> Vec<Fact> {
    use pod_lifecycle::{Hook, ProbeKind};
    let (signal, out_of_memory, message) = (None, false, None);
    let instance = || instance.clone();
    vec![
        Fact::Started { instance: instance(), container_id: "stale".into() },
        Fact::StartFailed { instance: instance(), stage: StartStage::Run, message: "no".into() },
        Fact::Exited { instance: instance(), code: 1, signal, out_of_memory, message },
        Fact::HookFinished { instance: instance(), hook: Hook::PreStop, outcome: Ok(()) },
        Fact::ProbeFinished {
            instance: instance(),
            probe: ProbeKind::Liveness,
            outcome: ProbeOutcome::Failure("stale".into()),
        },
    ]
}
