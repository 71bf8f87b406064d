//! What a supervisor needs of the machine it runs on.

use pod_lifecycle::{Action, Fact, PodMachine};
use pod_model::Uptime;

use crate::supervisor::SupervisorError;

/// The machine as the loop sees it: something that carries out actions and reports facts.
pub trait PodHost {
    /// The time since the supervisor started.
    fn now(&self) -> Uptime;

    /// Begins an action and returns at once; the outcome comes back as a fact.
    fn begin(&mut self, action: Action);

    /// Records what the machine has to tell: new events and, where it changed, the status. Returns
    /// whether all of it is recorded; what is not is recorded later.
    fn record(&mut self, machine: &mut PodMachine) -> bool;

    /// Whether a pod that has ended is to go, and not to stay until somebody deletes it.
    fn is_removed_at_its_end(&self) -> bool {
        false
    }

    /// Such a pod has ended: its deletion comes as a fact.
    fn expect_deletion(&mut self) {}

    /// Waits for the next fact, at the latest until the deadline.
    fn next_fact(&mut self, deadline: Option<Uptime>) -> Result<Fact, SupervisorError>;
}
