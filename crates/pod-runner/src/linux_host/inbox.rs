//! The one place where the supervisor waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::Signal::SIGCHLD;
use pod_lifecycle::Fact;
use pod_model::Uptime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::LinuxHost;
use super::leaving::Leaving;
use crate::supervisor::SupervisorError;
use crate::volumes::ObjectWatch;
use pod_api::logs::Stream;

/// What a descriptor that has become ready belongs to. Containers, tasks and connections are
/// named by numbers that are never used twice, because handling one may remove another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A signal to the supervisor.
    Signal,
    /// Somebody connects.
    Listener,
    /// A connection has something to say or is closed.
    Connection(u64),
    /// A starting container reports.
    ContainerReport(u64),
    /// A container's first process ended.
    ContainerExit(u64),
    /// A container wrote something.
    ContainerOutput(u64, Stream),
    /// A starting task reports.
    TaskReport(u64),
    /// A task's process ended.
    TaskExit(u64),
    /// A task wrote something.
    TaskOutput(u64),
    /// The pod's holder ended.
    Holder,
    /// A process of a sandbox that is on its way out ended.
    Leaving,
    /// The child that takes the pod off the network ended.
    LeavingNetwork,
    /// The `run` that has started the pod is gone.
    Client,
    /// A stored object that volumes may be made of changed.
    Objects,
}

impl LinuxHost {
    /// Waits until something happened or the deadline has come, and handles what happened.
    pub(super) fn wait(&mut self, deadline: Option<Uptime>) -> Result<(), SupervisorError> {
        let own = [
            self.tasks.next_deadline(),
            self.storage.next_deadline(),
            self.leaving.as_ref().map(Leaving::next_deadline),
            self.object_watch.as_ref().and_then(ObjectWatch::next_deadline),
            self.for_run.deadline(),
        ];
        let deadline = own.into_iter().chain([deadline]).flatten().min();
        for token in self.ready(deadline)? {
            self.handle(token);
        }
        self.expire_tasks();
        self.go_on_leaving();
        self.look_at_storage();
        self.look_at_objects();
        Ok(())
    }

    /// The descriptors that became ready before the deadline.
    fn ready(&self, deadline: Option<Uptime>) -> Result<Vec<Token>, SupervisorError> {
        let watched = self.watched();
        let mut polled: Vec<PollFd<'_>> = watched
            .iter()
            .map(|(_, descriptor)| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
            .collect();
        let timeout = deadline.map(|deadline| {
            let wait = deadline.since(self.clock.now());
            Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let source = io::Error::from(error);
                return Err(SupervisorError::Prepare { verb: "wait for the pod", source });
            }
        }
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let ready = watched.iter().zip(&polled).filter(|(_, polled)| is_ready(polled));
        Ok(ready.map(|((token, _), _)| *token).collect())
    }

    fn watched(&self) -> Vec<(Token, BorrowedFd<'_>)> {
        let mut watched = vec![(Token::Signal, self.signals.as_fd())];
        watched.extend(self.requests.watched());
        watched.extend(self.tasks.watched());
        for container in &self.containers {
            watched.extend(container.watched());
        }
        watched.extend(self.sandbox.iter().map(|sandbox| (Token::Holder, sandbox.holder())));
        let leaving = self.leaving.iter().flat_map(Leaving::watched);
        watched.extend(leaving.map(|process| (Token::Leaving, process)));
        let network = self.leaving_network.iter().filter(|child| !child.is_held());
        watched.extend(network.map(|child| (Token::LeavingNetwork, child.pidfd())));
        let objects = self.object_watch.as_ref().and_then(ObjectWatch::descriptor);
        watched.extend(objects.map(|watch| (Token::Objects, watch)));
        watched.extend(self.for_run.watched().map(|client| (Token::Client, client)));
        watched
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Signal => self.take_signal(),
            Token::Listener => self.requests.accept(),
            Token::Connection(id) => self.take_request(id),
            Token::ContainerReport(id) => self.container_reports(id),
            Token::ContainerExit(id) => self.container_exits(id),
            Token::ContainerOutput(id, stream) => self.container_writes(id, stream),
            Token::TaskReport(id) => self.task_reports(id),
            Token::TaskExit(id) => self.task_exits(id),
            Token::TaskOutput(id) => self.tasks.read_output(id),
            Token::Holder => self.holder_exits(),
            Token::Leaving => {} // it is looked at after everything else
            Token::LeavingNetwork => self.left_network(),
            Token::Client => self.for_run.client_ends(),
            Token::Objects => self.objects_change(),
        }
    }

    /// A signal to the supervisor means what it means to a kubelet whose node shuts down: stop
    /// the pod in order; but for the one that says that a child has ended.
    fn take_signal(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == SIGCHLD as u32 {
                ::sandbox::reap_orphans();
                self.look_at_held();
            } else {
                self.facts.push_back(Fact::DeleteRequested { grace: None });
            }
        }
    }
}
