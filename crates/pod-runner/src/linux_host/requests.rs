//! Requests from outside: delete, exec, dial and the like, one connection each.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use pod_lifecycle::Fact;
use pod_model::ContainerName;
use sandbox::{Placement, ProcessPlan, StageError, Stdio};

use super::LinuxHost;
use super::inbox::Token;
use super::sandbox::RunningSandbox;
use super::tasks::{Ending, Finished, Purpose, Report};
use crate::plan;
use pod_api::control::{ContainerUsage, CopyRequest, ExecRequest, Refusal, Reply, Request};
use pod_api::packet::{Incoming, PacketListener, PacketSocket};
use pod_api::text::chain;

/// How many connections are taken before it is the turn of others.
const MOST_AT_ONCE: usize = 64;

/// The control socket and its connections.
#[derive(Debug)]
pub(super) struct Requests {
    listener: PacketListener,
    last_id: u64,
    connections: BTreeMap<u64, PacketSocket>,
    network_users: Vec<u64>,
}

impl Requests {
    /// Listens at that path.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        let listener = PacketListener::bind(path)?;
        Ok(Self { listener, last_id: 0, connections: BTreeMap::new(), network_users: Vec::new() })
    }

    /// The descriptors to wait for.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>)> {
        let connections = self.connections.iter();
        std::iter::once((Token::Listener, self.listener.as_fd()))
            .chain(connections.map(|(id, socket)| (Token::Connection(*id), socket.as_fd())))
    }

    /// Takes those who wait, and not so many that others have no turn.
    pub(super) fn accept(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let Ok(Some(socket)) = self.listener.accept() else {
                return;
            };
            self.last_id += 1;
            self.connections.insert(self.last_id, socket);
        }
    }

    /// Answers, and keeps the connection.
    pub(super) fn answer(&self, id: u64, reply: &Reply, files: &[BorrowedFd<'_>]) {
        if let Some(socket) = self.connections.get(&id) {
            let _ = socket.send(reply, files); // who asked may be gone
        }
    }

    /// Those who have the pod's network learn that it is gone.
    pub(super) fn network_gone(&mut self) {
        for user in std::mem::take(&mut self.network_users) {
            self.connections.remove(&user);
        }
    }

    /// Answers, and closes the connection.
    pub(super) fn close(&mut self, id: u64, reply: &Reply) {
        self.answer(id, reply, &[]);
        self.connections.remove(&id);
    }

    pub(super) fn refuse(&mut self, id: u64, kind: Refusal, message: String) {
        self.close(id, &Reply::Refused { kind, message });
    }
}

impl LinuxHost {
    /// A connection has something to say, or is closed; then what it asked for ends too.
    pub(super) fn take_request(&mut self, id: u64) {
        let Some(socket) = self.requests.connections.get(&id) else {
            return;
        };
        match socket.receive::<Request>() {
            Ok(Incoming::Message(request, files)) => self.serve(id, request, files),
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Closed) => {
                self.requests.connections.remove(&id);
                self.requests.network_users.retain(|user| *user != id);
                self.tasks.cancel(|purpose| *purpose == Purpose::Exec(id));
                self.detach(id);
            }
            Err(error) => {
                let message = format!("the request cannot be understood: {error}");
                self.requests.refuse(id, Refusal::Failed, message);
            }
        }
    }

    fn serve(&mut self, id: u64, request: Request, files: Vec<OwnedFd>) {
        match request {
            Request::Delete { grace } => {
                self.requests.answer(id, &Reply::Accepted, &[]);
                let grace = grace.map(Duration::from_secs);
                self.facts.push_back(Fact::DeleteRequested { grace });
            }
            Request::Update(update) => match self.update(&update) {
                Ok(()) => self.requests.close(id, &Reply::Accepted),
                Err(message) => self.requests.refuse(id, Refusal::Failed, message),
            },
            Request::Exec(request) => self.exec(id, &request, files),
            Request::Attach(request) => self.attach(id, &request, files),
            Request::InputEnded => self.input_ends(id),
            Request::Detach => self.detach(id),
            Request::Copy(request) => self.copy(id, &request, files),
            Request::Network => self.hand_out_network(id),
            Request::SetCondition { kind, is_true } => {
                self.facts.push_back(Fact::ConditionSet { kind, is_true });
                self.requests.close(id, &Reply::Accepted);
            }
            Request::Usage => {
                let usage = self.usage();
                self.requests.close(id, &Reply::Usage(usage));
            }
            Request::Processes => {
                let processes = self.processes();
                self.requests.close(id, &processes);
            }
        }
    }

    fn processes(&self) -> Reply {
        let running = self.containers.iter().filter_map(|container| {
            Some((container.instance.name.to_string(), container.running()?.pid()))
        });
        let holder = self.sandbox.as_ref().map(RunningSandbox::holder_process);
        Reply::Processes { holder, containers: running.collect() }
    }

    fn usage(&self) -> BTreeMap<String, ContainerUsage> {
        let used = self.containers.iter().filter_map(|container| {
            let usage = container.cgroup()?.usage();
            let usage = ContainerUsage {
                cpu_nanoseconds: usage.cpu_nanoseconds,
                memory_bytes: usage.memory_bytes,
            };
            Some((container.instance.name.to_string(), usage))
        });
        used.collect()
    }

    fn exec(&mut self, id: u64, request: &ExecRequest, files: Vec<OwnedFd>) {
        if let Err((kind, message)) = self.try_exec(id, request, files) {
            self.requests.refuse(id, kind, message);
        }
    }

    fn try_exec(
        &mut self,
        id: u64,
        request: &ExecRequest,
        files: Vec<OwnedFd>,
    ) -> Result<(), (Refusal, String)> {
        let wanted = &request.container;
        let not_found = || not_running(wanted);
        let name = ContainerName::parse(wanted).map_err(|_| not_found())?;
        let container = self.find_by_name(&name).ok_or_else(not_found)?;
        let child = container.running().ok_or_else(not_found)?;
        let sandbox = self.sandbox.as_ref().ok_or_else(not_found)?;
        let process = plan::exec(&container.plan.process, request);
        let stdio = if request.terminal.is_some() { Stdio::default() } else { streams(files) };
        let placement = Placement { cgroup: container.cgroup(), gate: None };
        let starting = sandbox
            .start_visitor(child, &process, stdio, placement)
            .map_err(|error| (Refusal::Failed, chain(&error)))?;
        self.tasks.add_starting(Purpose::Exec(id), starting, Vec::new(), None);
        Ok(())
    }

    fn copy(&mut self, id: u64, request: &CopyRequest, files: Vec<OwnedFd>) {
        if let Err((kind, message)) = self.try_copy(id, request, files) {
            self.requests.refuse(id, kind, message);
        }
    }

    fn try_copy(
        &mut self,
        id: u64,
        request: &CopyRequest,
        files: Vec<OwnedFd>,
    ) -> Result<(), (Refusal, String)> {
        let not_found = || not_running(&request.container);
        let sandbox = self.sandbox.as_ref().ok_or_else(not_found)?;
        let mut containers = self.containers.iter();
        let container = containers
            .find(|one| one.instance.name.as_str() == request.container)
            .ok_or_else(not_found)?;
        let child = container.running().ok_or_else(not_found)?;
        let placement = Placement { cgroup: container.cgroup(), gate: None };
        // Outside of the container's process namespace it has no entry in the container's /proc.
        let process = plan::visitor(&container.plan.process, &[]);
        let process = ProcessPlan { oom_score_adj: None, ..process };
        let job =
            serde_json::to_string(request).map_err(|error| (Refusal::Failed, error.to_string()))?;
        let starting = sandbox
            .visit_files(child, &process, (streams(files), placement), &job)
            .map_err(|error| (Refusal::Failed, chain(&error)))?;
        self.tasks.add_starting(Purpose::Exec(id), starting, Vec::new(), None);
        Ok(())
    }

    /// Whoever forwards ports connects for itself, in the pod's network.
    fn hand_out_network(&mut self, id: u64) {
        let Some(sandbox) = &self.sandbox else {
            let message = "the pod has no network".to_owned();
            return self.requests.refuse(id, Refusal::NotFound, message);
        };
        let files: Vec<BorrowedFd<'_>> = sandbox.network_namespace().into_iter().collect();
        self.requests.answer(id, &Reply::Accepted, &files);
        self.requests.network_users.push(id);
    }

    /// A starting task reports.
    pub(super) fn task_reports(&mut self, id: u64) {
        match self.tasks.report(id) {
            Some(Report::Executed(Purpose::Exec(id), terminal)) => {
                let files: Vec<BorrowedFd<'_>> = terminal.iter().map(AsFd::as_fd).collect();
                self.requests.answer(id, &Reply::Accepted, &files);
            }
            Some(Report::Executed(..)) | None => {}
            Some(Report::Finished(finished)) => self.task_finished(finished),
        }
    }

    /// A task's process ended.
    pub(super) fn task_exits(&mut self, id: u64) {
        if let Some(finished) = self.tasks.exited(id) {
            self.task_finished(finished);
        }
    }

    /// Ends the tasks whose deadline has come.
    pub(super) fn expire_tasks(&mut self) {
        for finished in self.tasks.expire(self.clock.now()) {
            self.task_finished(finished);
        }
    }

    fn task_finished(&mut self, finished: Finished) {
        match finished.purpose.clone() {
            Purpose::Pull(name, volume) => self.pull_finished(name, volume, &finished),
            Purpose::Prefetch(name) => self.prefetch_finished(&name, &finished),
            Purpose::Hook(instance, hook) => self.hook_finished(instance, hook, &finished),
            Purpose::Probe(instance, probe) => self.probe_finished(instance, probe, finished),
            Purpose::Exec(id) => self.exec_finished(id, finished.ending),
            Purpose::Measure => self.measured(&finished),
            Purpose::Remove => {}
        }
    }

    fn exec_finished(&mut self, id: u64, ending: Ending) {
        match ending {
            Ending::Exited(exit) => self.requests.close(id, &Reply::Ended { code: exit.code }),
            Ending::NotStarted(error) => {
                self.requests.refuse(id, refusal(&error), error.to_string());
            }
            Ending::TimedOut => {}
        }
    }
}

/// That a container cannot be entered, as a kubelet puts it.
pub(super) fn not_running(name: &str) -> (Refusal, String) {
    let message = format!("unable to upgrade connection: container not found ({name:?})");
    (Refusal::NotFound, message)
}

fn refusal(error: &StageError) -> Refusal {
    if error.is_not_found() {
        Refusal::CommandNotFound
    } else if error.is_not_executable() {
        Refusal::CommandNotExecutable
    } else {
        Refusal::Failed
    }
}

/// The streams of a command, in the order in which the client sends them.
fn streams(files: Vec<OwnedFd>) -> Stdio {
    let mut files = files.into_iter();
    Stdio { stdin: files.next(), stdout: files.next(), stderr: files.next() }
}
