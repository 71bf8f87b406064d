//! Containers as processes: start, output, exit.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use pod_lifecycle::{Fact, Instance, StartStage};
use pod_model::ContainerName;
use sandbox::cgroup::{ContainerCgroup, PodCgroup};
use sandbox::{Child, ContainerPlan, Exit, Placement, Signal, StageError, StartOutcome, Stdio};

use super::LinuxHost;
use super::attached::Attached;
use super::inbox::Token;
use super::output::{self, Drained};
use super::process::Process;
use super::sandbox::RunningSandbox;
use super::tasks::Purpose;
use crate::plan::{self, PlanError};
use crate::skeleton;
use crate::termination_message;
use pod_api::cleanup;
use pod_api::logs::{ContainerLog, Stream};
use pod_api::random;
use pod_api::text::chain;

/// One start of a container, from its clone to its end.
#[derive(Debug)]
pub(super) struct RunningContainer {
    number: u64,
    pub(super) instance: Instance,
    pub(super) id: String,
    pub(super) plan: ContainerPlan,
    process: Process,
    outputs: Vec<(Stream, OwnedFd)>,
    log: ContainerLog,
    pub(super) attached: Attached,
    cgroup: Option<ContainerCgroup>,
    is_killed: bool,
    stop_signal: Signal,
}

impl RunningContainer {
    /// The descriptors to wait for.
    pub(super) fn watched(&self) -> Vec<(Token, BorrowedFd<'_>)> {
        let (report, exit) =
            (Token::ContainerReport(self.number), Token::ContainerExit(self.number));
        let mut watched: Vec<_> = self.process.watched(report, exit).collect();
        watched.extend(
            self.outputs
                .iter()
                .map(|(stream, file)| (Token::ContainerOutput(self.number, *stream), file.as_fd())),
        );
        watched
    }

    /// The container's first process, once its program runs.
    pub(super) fn running(&self) -> Option<&Child> {
        match &self.process {
            Process::Running(child) => Some(child),
            Process::Starting(_) => None,
        }
    }

    /// The near end of its terminal.
    pub(super) fn terminal(&self) -> Option<&OwnedFd> {
        self.plan.process.terminal?;
        self.outputs.first().map(|(_, terminal)| terminal)
    }

    /// Kills everything in it.
    fn kill(&mut self) {
        self.is_killed = true;
        let _ = self.process.child().kill(); // it may just have ended
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
    }

    /// Its cgroup.
    pub(super) fn cgroup(&self) -> Option<&ContainerCgroup> {
        self.cgroup.as_ref()
    }
}

/// A failed start: how far it came, and why.
struct StartFailure {
    stage: StartStage,
    message: String,
}

impl StartFailure {
    fn create(error: &dyn std::error::Error) -> Self {
        Self { stage: StartStage::Create, message: chain(error) }
    }
}

impl From<PlanError> for StartFailure {
    fn from(error: PlanError) -> Self {
        let stage = if error.is_configuration() { StartStage::Config } else { StartStage::Create };
        Self { stage, message: chain(&error) }
    }
}

impl LinuxHost {
    pub(super) fn start(&mut self, instance: Instance) {
        match self.try_start(&instance) {
            Ok(container) => {
                self.containers.push(container);
                // What the one before the last wrote goes.
                if let Some(former) = instance.attempt.0.checked_sub(1) {
                    let name = instance.name.as_str();
                    self.remove_aside(self.context.data.container(name, former));
                }
            }
            Err(StartFailure { stage, message }) => {
                self.facts.push_back(Fact::StartFailed { instance, stage, message });
            }
        }
    }

    fn try_start(&mut self, instance: &Instance) -> Result<RunningContainer, StartFailure> {
        let name = instance.name.as_str();
        let image = self.images.get(&instance.name).ok_or_else(|| StartFailure {
            stage: StartStage::Create,
            message: format!("the image of container {name:?} is not there"),
        })?;
        let sandbox = self.sandbox.as_ref().ok_or_else(|| StartFailure {
            stage: StartStage::Create,
            message: "the pod's sandbox is not there".into(),
        })?;
        let context = &self.context;
        let writable = context.data.container(name, instance.attempt.0);
        prepare_directory(context, instance, &writable)?;
        let mut plan = plan::container(&context.input(&sandbox.addresses), image, instance)?;
        let limits = plan::limits(&context.pod, &instance.name);
        let cgroup = sandbox
            .container_cgroup(name, &limits)
            .map_err(|error| StartFailure::create(&error))?;
        let unfiltered = keep_from_devices(&limits, cgroup.as_ref(), &mut plan)?;
        complete(context, sandbox, cgroup.as_ref(), &mut plan)?;
        let log = ContainerLog::create(&context.logs.file(name, instance.attempt.0))
            .map_err(|error| StartFailure::create(&error))?;
        let has_terminal = plan.process.terminal.is_some();
        let (outputs, mut stdio) =
            streams(has_terminal).map_err(|error| StartFailure::create(&error))?;
        let (attached, stdin) =
            Attached::new(plan::stdin(&context.pod, &instance.name), has_terminal)
                .map_err(|error| StartFailure::create(&error))?;
        stdio.stdin = stdin;
        let placement = Placement { cgroup: cgroup.as_ref(), gate: None };
        let starting = sandbox
            .start_container(&plan, stdio, placement)
            .map_err(|error| StartFailure::create(&error))?;
        self.facts.extend(cgroup.as_ref().and_then(|cgroup| not_limited(name, cgroup)));
        let stop_signal = plan::stop_signal(&context.pod, &instance.name, image);
        self.facts.extend(stop_signal.unknown.map(|unknown| no_signal(name, &unknown)));
        self.facts.extend(unfiltered);
        self.last_number += 1;
        Ok(RunningContainer {
            number: self.last_number,
            instance: instance.clone(),
            id: random::container_id(),
            stop_signal: stop_signal.signal,
            plan,
            process: Process::Starting(starting),
            outputs,
            log,
            attached,
            cgroup,
            is_killed: false,
        })
    }

    /// A starting container reports: its program runs, or what went wrong.
    pub(super) fn container_reports(&mut self, number: u64) {
        let Some(at) = self.containers.iter().position(|one| one.number == number) else {
            return;
        };
        let Process::Starting(starting) = &mut self.containers[at].process else {
            return;
        };
        match starting.outcome() {
            None => {}
            Some(StartOutcome::Executed { terminal }) => {
                let mut container = self.containers.swap_remove(at);
                if let Process::Starting(starting) = container.process {
                    container.process = Process::Running(starting.into_child());
                }
                if let Some(terminal) = terminal {
                    let _ = output::set_nonblocking(&terminal); // then reads wait, nothing worse
                    container.outputs.push((Stream::Stdout, terminal));
                }
                let instance = container.instance.clone();
                let container_id = format!("minipod://{}", container.id);
                self.containers.push(container);
                self.facts.push_back(Fact::Started { instance, container_id });
            }
            Some(StartOutcome::Failed(error)) => {
                let container = self.containers.swap_remove(at);
                self.limit_again(&container);
                self.facts.push_back(start_failed(container.instance.clone(), &error));
            }
        }
    }

    /// A container wrote something.
    pub(super) fn container_writes(&mut self, number: u64, stream: Stream) {
        let date = self.clock.date(self.clock.now());
        if let Some(container) = self.containers.iter_mut().find(|one| one.number == number) {
            container.read_output(stream, date);
        }
    }

    /// A container's first process ended; with it, its whole process namespace.
    pub(super) fn container_exits(&mut self, number: u64) {
        let Some(at) = self.containers.iter().position(|one| one.number == number) else {
            return;
        };
        let Process::Running(child) = &mut self.containers[at].process else {
            return;
        };
        let Some(exit) = child.try_wait() else {
            return;
        };
        let mut container = self.containers.swap_remove(at);
        let date = self.clock.date(self.clock.now());
        for stream in [Stream::Stdout, Stream::Stderr] {
            container.read_output(stream, date); // what is left in the pipes belongs to the log
        }
        let _ = container.log.finish(date); // a full disk must not hide that the container ended
        self.limit_again(&container);
        let fact = self.exited(&container, exit);
        self.facts.push_back(fact);
        self.dismiss(&mut container.attached);
    }

    /// The pod has its limits again when none of its containers is on the end that it was killed for.
    fn limit_again(&self, ended: &RunningContainer) {
        let cgroup = self.sandbox.as_ref().and_then(|sandbox| sandbox.cgroup.as_ref());
        if ended.is_killed && !self.containers.iter().any(|one| one.is_killed) {
            cgroup.into_iter().for_each(PodCgroup::limit_again);
        }
    }

    fn exited(&self, container: &RunningContainer, exit: Exit) -> Fact {
        let instance = container.instance.clone();
        let oom_kills = container.cgroup.as_ref().map_or(0, ContainerCgroup::oom_kills);
        let message = termination_message::read(&self.context, &instance, exit.code);
        Fact::Exited {
            instance,
            code: exit.code,
            signal: exit.signal,
            out_of_memory: oom_kills > 0,
            message,
        }
    }

    /// What the kernel tells anew of children may be the end of one that its tracer held.
    pub(super) fn look_at_held(&mut self) {
        for id in self.tasks.held() {
            self.task_exits(id);
        }
        let held = self.containers.iter().filter(|one| one.process.is_held());
        for number in held.map(|one| one.number).collect::<Vec<_>>() {
            self.container_exits(number);
        }
    }

    /// Takes every container away and returns the processes, which are still to be ended.
    pub(super) fn give_up_containers(&mut self) -> Vec<Child> {
        let mut children = Vec::new();
        for mut container in std::mem::take(&mut self.containers) {
            self.dismiss(&mut container.attached);
            container.kill();
            children.push(container.process.into_child());
        }
        children
    }

    pub(super) fn terminate(&mut self, instance: &Instance) {
        if let Some(container) = self.find(instance) {
            let _ = container.process.child().signal(container.stop_signal); // it may just have ended
        }
    }

    pub(super) fn kill(&mut self, instance: &Instance) {
        let mut containers = self.containers.iter_mut();
        if let Some(container) = containers.find(|one| one.instance == *instance) {
            container.kill();
        }
    }

    pub(super) fn remove_container(&mut self, instance: &Instance) {
        let Instance { name, attempt } = instance;
        let directory = self.context.data.container(name.as_str(), attempt.0);
        self.remove_aside(directory);
    }

    /// Removes a directory in a child: a container may have put a million files there.
    fn remove_aside(&mut self, directory: std::path::PathBuf) {
        if !directory.exists() {
            return;
        }
        let remove = || {
            cleanup::remove_directory(&directory);
            0
        };
        if let Ok(child) = sandbox::spawn_aside("minipod:rm", remove) {
            self.tasks.add(Purpose::Remove, child, None);
        } // else it goes with the pod
    }

    /// The live start of a container.
    pub(super) fn find(&self, instance: &Instance) -> Option<&RunningContainer> {
        self.containers.iter().find(|one| one.instance == *instance)
    }

    /// Those who are attached learn that the container has ended.
    pub(super) fn dismiss(&mut self, attached: &mut Attached) {
        for (connection, reply) in attached.dismiss() {
            self.requests.close(connection, &reply);
        }
    }

    /// The container of that name, if its program runs.
    pub(super) fn find_running_mut(&mut self, name: &str) -> Option<&mut RunningContainer> {
        let mut containers = self.containers.iter_mut();
        containers.find(|one| one.instance.name.as_str() == name && one.running().is_some())
    }

    /// The live start of the container of that name.
    pub(super) fn find_by_name(&self, name: &ContainerName) -> Option<&RunningContainer> {
        self.containers.iter().find(|one| one.instance.name == *name)
    }
}

impl RunningContainer {
    fn read_output(&mut self, stream: Stream, date: jiff::Timestamp) {
        let Some(at) = self.outputs.iter().position(|(one, _)| *one == stream) else {
            return;
        };
        let (log, attached) = (&mut self.log, &mut self.attached);
        let drained = output::drain(&self.outputs[at].1, |bytes| {
            let _ = log.write(stream, bytes, date); // a full disk must not stop the container
            attached.show(stream, bytes);
        });
        if drained == Drained::Ended {
            self.outputs.swap_remove(at);
        }
    }
}

/// Adds to a plan what is known only when the container is about to start.
fn complete(
    context: &super::Context,
    sandbox: &RunningSandbox,
    cgroup: Option<&ContainerCgroup>,
    plan: &mut ContainerPlan,
) -> Result<(), StartFailure> {
    plan.cgroup_mounts = plan::cgroup_mounts(cgroup, plan.privileged_mounts);
    if !sandbox.has_own_users() {
        let layer = skeleton::layer(&context.settings.places.data)
            .map_err(|error| StartFailure::create(&error))?;
        plan.root.layers.insert(0, layer);
    }
    Ok(())
}

/// Where the machine's cgroups cannot filter devices, there are none for the container; a warning
/// of that.
fn keep_from_devices(
    limits: &plan::Limits,
    cgroup: Option<&ContainerCgroup>,
    plan: &mut ContainerPlan,
) -> Result<Option<Fact>, StartFailure> {
    if limits.all_devices || cgroup.is_some_and(ContainerCgroup::confines_devices) {
        return Ok(None);
    }
    plan::without_device_filter(plan)?;
    let message = format!(
        "container {} has no capability MKNOD and cannot open devices on its mounts: this \
         machine's cgroups cannot filter them",
        plan.name
    );
    Ok(Some(Fact::Warned { reason: "CgroupUnavailable", message }))
}

/// A warning, where the machine cannot limit the container as it asks.
fn not_limited(name: &str, cgroup: &ContainerCgroup) -> Option<Fact> {
    let warnings = cgroup.warnings().join("; ");
    let message = format!("container {name} is not limited as it asks: {warnings}");
    (!warnings.is_empty()).then_some(Fact::Warned { reason: "CgroupUnavailable", message })
}

/// A warning, where the image asks to be stopped by what is no signal.
fn no_signal(name: &str, unknown: &str) -> Fact {
    let message = format!(
        "the image of container {name} asks to be stopped with {unknown:?}, which is no signal; it \
         gets SIGTERM (lifecycle.stopSignal sets another one)"
    );
    Fact::Warned { reason: "InvalidStopSignal", message }
}

/// Makes the directory for what this start writes. What a failed creation left goes: overlayfs takes
/// a volatile layer only once.
fn prepare_directory(
    context: &super::Context,
    instance: &Instance,
    writable: &std::path::Path,
) -> Result<(), StartFailure> {
    cleanup::remove_directory(writable);
    fs::create_dir_all(writable).map_err(|error| StartFailure::create(&error))?;
    termination_message::create(context, instance).map_err(|error| StartFailure::create(&error))
}

type Streams = (Vec<(Stream, OwnedFd)>, Stdio);

/// The pipes of a container without a terminal.
fn streams(terminal: bool) -> std::io::Result<Streams> {
    if terminal {
        return Ok((Vec::new(), Stdio::default()));
    }
    let (stdout, stdout_writer) = output::pipe()?;
    let (stderr, stderr_writer) = output::pipe()?;
    let stdio = Stdio { stdin: None, stdout: Some(stdout_writer), stderr: Some(stderr_writer) };
    Ok((vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)], stdio))
}

fn start_failed(instance: Instance, error: &StageError) -> Fact {
    let stage = match (error.is_exec(), error.is_configuration()) {
        (true, _) => StartStage::Run,
        (_, true) => StartStage::Config,
        _ => StartStage::Create,
    };
    Fact::StartFailed { instance, stage, message: error.to_string() }
}
