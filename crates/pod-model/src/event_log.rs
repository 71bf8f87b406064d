//! Events as v1 objects, with equal ones counted instead of repeated.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::{EventKind, EventSubject, Pod, PodEvent};

/// The tenth different message of one reason is told together with the following ones
/// (Kubernetes: the event aggregator).
const MOST_SIMILAR: usize = 10;
/// As long as no more than this time lies between two of them.
const SIMILAR_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// So many events of one type are told in one go (Kubernetes: the event spam filter) …
const BURST: f64 = 25.0;
/// … and from then on one in this many seconds.
const SECONDS_PER_EVENT: f64 = 300.0;

/// `action` of an event of [`PodEvent::awaits_change`]. A kubelet's events have no action.
pub const AWAITS_CHANGE: &str = "AwaitChange";

/// The events of a pod so far.
#[derive(Clone, Debug)]
pub struct EventLog {
    known: Vec<Known>,
    groups: Vec<Group>,
    purses: [Purse; 2],
    seconds_per_event: f64,
    last_number: i128,
}

/// One event with everything that was counted, and what was told of it.
#[derive(Clone, Debug)]
struct Known {
    event: v1::Event,
    is_combined: bool,
    told: Option<v1::Event>,
}

/// The different messages of one source, type and reason.
#[derive(Clone, Debug)]
struct Group {
    key: (Option<String>, Option<String>, Option<String>),
    messages: Vec<String>,
    last: Timestamp,
}

/// What is left of the right to tell events of one type.
#[derive(Clone, Copy, Debug)]
struct Purse {
    tokens: f64,
    filled: Option<Timestamp>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl EventLog {
    /// An empty log; where back-off passes faster, the limit on events is lifted faster, too.
    pub fn new(backoff_scale: f64) -> Self {
        Self {
            known: Vec::new(),
            groups: Vec::new(),
            purses: [Purse { tokens: BURST, filled: None }; 2],
            seconds_per_event: SECONDS_PER_EVENT * backoff_scale,
            last_number: 0,
        }
    }

    /// Adds an event and returns the v1 event that is to be told: a new one, or a known one with a
    /// higher count. Nothing when too many have been told of late; then it is only counted.
    pub fn add(
        &mut self,
        event: &PodEvent,
        pod: &Pod,
        node: &str,
        date: Timestamp,
    ) -> Option<v1::Event> {
        let mut new = self.new_event(event, pod, node, date);
        let is_combined = self.is_one_of_many(&new, date);
        if is_combined {
            let text = new.message.take().unwrap_or_default();
            new.message = Some(format!("(combined from similar events): {text}"));
        }
        let at = self.count(new, is_combined, date);
        let purse = usize::from(event.kind == EventKind::Warning);
        if !self.purses[purse].spend(date, self.seconds_per_event) {
            return None;
        }
        let known = &mut self.known[at];
        known.told = Some(known.event.clone());
        known.told.clone()
    }

    /// All events that were told, in the order of their first occurrence.
    pub fn all(&self) -> Vec<v1::Event> {
        self.known.iter().filter_map(|known| known.told.clone()).collect()
    }

    /// Whether so many different messages of that reason have come that it joins them.
    fn is_one_of_many(&mut self, new: &v1::Event, date: Timestamp) -> bool {
        let key = (new.reporting_component.clone(), new.type_.clone(), new.reason.clone());
        let known = self.groups.iter().position(|group| group.key == key);
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group { key, messages: Vec::new(), last: date });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        if date.duration_since(group.last) > SIMILAR_WITHIN {
            group.messages.clear();
        }
        group.last = date;
        let message = new.message.clone().unwrap_or_default();
        if group.messages.contains(&message) {
            return false;
        }
        let is_full = group.messages.len() + 1 >= MOST_SIMILAR;
        if !is_full {
            group.messages.push(message);
        }
        is_full
    }

    /// Counts an event that is known, or remembers it; its place.
    fn count(&mut self, new: v1::Event, is_combined: bool, date: Timestamp) -> usize {
        let is_same = |known: &Known| {
            let event = &known.event;
            let same_message = event.message == new.message
                && event.involved_object.field_path == new.involved_object.field_path;
            event.action == new.action
                && event.reporting_component == new.reporting_component
                && event.type_ == new.type_
                && event.reason == new.reason
                && known.is_combined == is_combined
                && (is_combined || same_message)
        };
        if let Some(at) = self.known.iter().position(is_same) {
            let event = &mut self.known[at].event;
            event.count = Some(event.count.unwrap_or(1) + 1);
            event.last_timestamp = Some(time(date));
            event.message = new.message;
            return at;
        }
        self.known.push(Known { event: new, is_combined, told: None });
        self.known.len() - 1
    }

    fn new_event(&mut self, event: &PodEvent, pod: &Pod, node: &str, date: Timestamp) -> v1::Event {
        let field_path = match &event.subject {
            EventSubject::Pod => None,
            EventSubject::InitContainer(name) => Some(format!("spec.initContainers{{{name}}}")),
            EventSubject::Container(name) => Some(format!("spec.containers{{{name}}}")),
        };
        // Two events may happen in the same nanosecond; a name is used once.
        self.last_number = date.as_nanosecond().max(self.last_number + 1);
        let number = self.last_number;
        let is_scheduled = event.reason == "Scheduled";
        let component = if is_scheduled { "default-scheduler" } else { "kubelet" };
        let host = (!is_scheduled).then(|| node.to_owned());
        v1::Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{number:x}", pod.name)),
                namespace: Some(pod.namespace.clone()),
                creation_timestamp: Some(time(date)),
                ..ObjectMeta::default()
            },
            involved_object: v1::ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(pod.name.to_string()),
                namespace: Some(pod.namespace.clone()),
                uid: Some(pod.uid.to_string()),
                field_path,
                ..v1::ObjectReference::default()
            },
            type_: Some(match event.kind {
                EventKind::Normal => "Normal".into(),
                EventKind::Warning => "Warning".into(),
            }),
            reason: Some(event.reason.into()),
            message: Some(event.message.clone()),
            action: event.awaits_change.then(|| AWAITS_CHANGE.to_owned()),
            source: Some(v1::EventSource { component: Some(component.into()), host: host.clone() }),
            reporting_component: Some(component.into()),
            reporting_instance: host,
            first_timestamp: Some(time(date)),
            last_timestamp: Some(time(date)),
            count: Some(1),
            ..v1::Event::default()
        }
    }
}

fn time(date: Timestamp) -> Time {
    Time(Timestamp::from_second(date.as_second()).unwrap_or(date))
}

impl Purse {
    /// Takes one token, if there is one; they come back with time.
    fn spend(&mut self, now: Timestamp, seconds_per_event: f64) -> bool {
        let passed = self.filled.map_or(0.0, |last| now.duration_since(last).as_secs_f64());
        let earned = if seconds_per_event > 0.0 { passed / seconds_per_event } else { BURST };
        self.tokens = (self.tokens + earned).min(BURST);
        self.filled = Some(now);
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests;
