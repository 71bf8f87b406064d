//! The end of a sandbox, step by step: its processes, its cgroup, its network.
//!
//! Nothing of it is waited for elsewhere than in the supervisor's one place: a process may be
//! stuck in the kernel, or held by a tracer, for as long as it likes.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use pod_lifecycle::Fact;
use pod_model::Uptime;
use sandbox::cgroup::PodCgroup;
use sandbox::{Child, network};

use super::sandbox::RunningSandbox;
use super::tasks::Purpose;
use super::{Context, LinuxHost};
use crate::pod_network;
use crate::volumes;

/// How long processes that were killed may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this time it is tried again to remove a cgroup that the kernel is not done with.
const PAUSE: Duration = Duration::from_millis(1);

/// What is left of a sandbox that is on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    /// They have been killed.
    children: Vec<Child>,
    cgroup: Option<PodCgroup>,
    again: Uptime,
    until: Uptime,
    /// What is told in the end.
    then: Fact,
}

impl Leaving {
    /// When there is something to do, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Uptime {
        self.again
    }

    /// The processes to wait for. Of one that is held by its tracer nothing more comes.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.children.iter().filter(|child| !child.is_held()).map(Child::pidfd)
    }

    /// Whether all is done that can be done, as far as that is possible now.
    fn go_on(&mut self, now: Uptime) -> bool {
        self.children.retain_mut(|child| child.try_wait().is_none());
        if now >= self.until {
            return true;
        }
        if self.watched().next().is_some() {
            return false;
        }
        if self.cgroup.as_ref().is_some_and(|cgroup| cgroup.try_remove().is_err()) {
            self.again = (now + PAUSE).min(self.until);
            return false;
        }
        self.cgroup = None;
        true
    }
}

impl LinuxHost {
    /// Ends the holder and everything that still runs, then takes the network down.
    pub(super) fn remove_sandbox(&mut self) {
        self.tasks.cancel(|_| true);
        let children = self.give_up_containers();
        self.take_down(children, Fact::SandboxGone);
    }

    /// The holder ended without being asked to: somebody killed it. What runs in its namespaces
    /// ends with them.
    pub(super) fn holder_exits(&mut self) {
        self.tasks.cancel(|purpose| matches!(purpose, Purpose::Hook(..) | Purpose::Probe(..)));
        let children = self.give_up_containers();
        self.take_down(children, Fact::SandboxGone);
    }

    /// Takes down the sandbox, if there is one, with these processes in it; then tells that fact.
    pub(super) fn take_down(&mut self, mut children: Vec<Child>, then: Fact) {
        self.wants_sandbox = false;
        let Some(RunningSandbox { sandbox, cgroup, .. }) = self.sandbox.take() else {
            match &mut self.leaving {
                Some(leaving) => leaving.then = then, // it is on its way already
                None => self.facts.push_back(then),
            }
            return;
        };
        self.requests.network_gone();
        self.begin_to_leave_network();
        children.push(sandbox.into_holder());
        for child in &children {
            let _ = child.kill(); // it may have ended by itself
        }
        volumes::take_down_shared(&self.context.input(&[]));
        let until = self.clock.now() + PATIENCE;
        self.leaving = Some(Leaving { children, cgroup, again: until, until, then });
        self.go_on_leaving();
    }

    /// Takes the next step, if it can be taken.
    pub(super) fn go_on_leaving(&mut self) {
        let now = self.clock.now();
        if let Some(leaving) = self.leaving.take_if(|leaving| leaving.go_on(now)) {
            // What cannot be removed now is tried again when the pod is deleted.
            self.left_cgroup = leaving.cgroup;
            self.facts.push_back(leaving.then);
        }
    }

    /// Takes the pod off the network in a child. The kernel needs tens of milliseconds to remove a
    /// link, and there is more to clean up. The child also keeps the pod's namespace until the link
    /// is gone, or the kernel would remove both at once and each would wait for the other.
    fn begin_to_leave_network(&mut self) {
        let context = &self.context;
        match sandbox::spawn_aside("minipod:net", || i32::from(!leave_network(context))) {
            Ok(child) => self.leaving_network = Some(child),
            Err(_) => self.is_on_network = !leave_network(context),
        }
    }

    /// The pod is off the network, or cannot get off.
    pub(super) fn left_network(&mut self) {
        let Some(exit) = self.leaving_network.as_mut().and_then(Child::try_wait) else {
            return;
        };
        self.leaving_network = None;
        self.is_on_network = exit.code != 0;
        if std::mem::take(&mut self.wants_sandbox) {
            self.create_sandbox();
        }
    }

    /// Waits, at the very end, until the pod is off the network or cannot get off.
    pub(super) fn finish_leaving_network(&mut self) {
        if let Some(mut child) = self.leaving_network.take() {
            let exit = child.wait_until(Instant::now() + PATIENCE);
            self.is_on_network = exit.is_none_or(|exit| exit.code != 0);
        }
    }
}

/// Whether it is off the network now. If not, deleting the pod tries again, and tells why not.
fn leave_network(context: &Context) -> bool {
    network::detach(&pod_network::to_leave(&context.settings), &context.pod.uid.0).is_ok()
}
