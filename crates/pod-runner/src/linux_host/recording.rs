//! What happens to the pod is written down; what cannot be written now is written later.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pod_lifecycle::{Fact, PodMachine};
use pod_model::{EventLog, PodPhase, PodStatus, Uptime};

use super::LinuxHost;
use pod_api::record::RecordError;
use pod_api::text::chain;

/// When a disk is full, or gone, it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(2);

/// What has been recorded.
#[derive(Debug)]
pub(super) struct Recording {
    events: EventLog,
    status: Option<PodStatus>,
    /// Some event is not in the journal, or only a part of it.
    has_lost_events: bool,
    /// When something that could not be written is written again.
    again: Option<Uptime>,
    /// The pod's directory is gone while the pod is there.
    is_orphaned: bool,
}

impl Recording {
    pub(super) fn new(backoff_scale: f64) -> Self {
        Self {
            events: EventLog::new(backoff_scale),
            status: None,
            has_lost_events: false,
            again: None,
            is_orphaned: false,
        }
    }

    /// When something that could not be written is written again.
    pub(super) fn again(&self) -> Option<Uptime> {
        self.again
    }

    /// Whether the pod's phase is Running.
    pub(super) fn runs(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.phase == PodPhase::Running)
    }

    /// Whether somebody deletes the pod.
    pub(super) fn is_deleted(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.deletion.is_some())
    }
}

impl LinuxHost {
    /// Writes down what the machine has to tell; whether all of it could be written.
    pub(super) fn write_down(&mut self, machine: &mut PodMachine) -> bool {
        let events = self.write_events(machine);
        let written = events.and(self.write_status(machine.status()));
        match written {
            Ok(()) => {
                self.recording.again = None;
                true
            }
            Err(error) => {
                self.write_later(&error);
                false
            }
        }
    }

    fn write_events(&mut self, machine: &mut PodMachine) -> Result<(), RecordError> {
        let mut told = Vec::new();
        for event in machine.take_events() {
            let date = self.clock.date(event.at);
            let node = &self.context.settings.node_name;
            told.extend(self.recording.events.add(&event, &self.context.pod, node, date));
        }
        // A line of which only a part was written is mended by writing the journal anew.
        if self.recording.has_lost_events || self.record.has_long_events() {
            self.record.replace_events(self.recording.events.all())?;
            self.recording.has_lost_events = false;
            return Ok(());
        }
        for event in told {
            self.record.add_event(event).inspect_err(|_| self.recording.has_lost_events = true)?;
        }
        Ok(())
    }

    fn write_status(&mut self, status: PodStatus) -> Result<(), RecordError> {
        if self.recording.status.as_ref() == Some(&status) && !self.record.is_stale() {
            return Ok(());
        }
        let (clock, context) = (self.clock, &self.context);
        let date = |at: Uptime| clock.date(at);
        let v1 = pod_model::to_v1(&status, &context.pod, Some(&context.host_ip), &date);
        let deletion = status.deletion;
        self.recording.status = Some(status);
        self.record.update(|pod| {
            pod.status = Some(v1);
            if let Some(deletion) = deletion {
                let grace = deletion.grace;
                let gone = clock.date(deletion.requested + grace);
                let gone = Timestamp::from_second(gone.as_second()).unwrap_or(gone);
                pod.metadata.deletion_timestamp = Some(Time(gone));
                pod.metadata.deletion_grace_period_seconds = i64::try_from(grace.as_secs()).ok();
            }
        })
    }

    /// The pod lives on while it cannot be written about. One whose directory somebody has removed
    /// cannot be reached any more; it is stopped in order and leaves nothing.
    pub(super) fn write_later(&mut self, error: &RecordError) {
        let is_new = self.recording.again.is_none();
        self.recording.again = Some(self.clock.now() + AGAIN);
        if is_new {
            let text = format!("{}; it is tried again\n", chain(error));
            let _ = std::io::stderr().write_all(text.as_bytes()); // the disk may be full
        }
        if !self.recording.is_orphaned && !self.context.dir.path().exists() {
            self.recording.is_orphaned = true;
            self.facts.push_back(Fact::DeleteRequested { grace: None });
        }
    }
}
