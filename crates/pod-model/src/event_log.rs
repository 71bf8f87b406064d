//! Events as v1 objects, with equal ones counted instead of repeated.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::{EventKind, EventSubject, Pod, PodEvent};

/// From this many different messages on, events of one reason are told as one
/// (Kubernetes: the event aggregator).
const MOST_SIMILAR: usize = 10;
/// Within this many seconds.
const SIMILAR_WITHIN: i64 = 600;

/// The events of a pod so far.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    events: Vec<v1::Event>,
}

impl EventLog {
    /// Adds an event and returns the v1 event that changed: a new one, or a known one with a
    /// higher count.
    pub fn add(&mut self, event: &PodEvent, pod: &Pod, node: &str, date: Timestamp) -> v1::Event {
        let mut new = self.new_event(event, pod, node, date);
        if self.similar(&new, date) >= MOST_SIMILAR {
            let text = new.message.take().unwrap_or_default();
            new.message = Some(format!("(combined from similar events): {text}"));
            if let Some(shared) = self.events.iter_mut().find(|known| is_combined(known, &new)) {
                shared.message = new.message;
                return count(shared, date);
            }
        }
        if let Some(known) = self.events.iter_mut().find(|known| is_same(known, &new)) {
            return count(known, date);
        }
        self.events.push(new.clone());
        new
    }

    /// All events, in the order of their first occurrence.
    pub fn all(&self) -> &[v1::Event] {
        &self.events
    }

    fn similar(&self, new: &v1::Event, date: Timestamp) -> usize {
        let is_recent = |known: &&v1::Event| {
            known
                .last_timestamp
                .as_ref()
                .is_some_and(|last| date.as_second() - last.0.as_second() < SIMILAR_WITHIN)
        };
        let alike = self.events.iter().filter(|known| is_alike(known, new));
        alike.filter(|known| known.message != new.message).filter(is_recent).count()
    }

    fn new_event(&self, event: &PodEvent, pod: &Pod, node: &str, date: Timestamp) -> v1::Event {
        let field_path = match &event.subject {
            EventSubject::Pod => None,
            EventSubject::InitContainer(name) => Some(format!("spec.initContainers{{{name}}}")),
            EventSubject::Container(name) => Some(format!("spec.containers{{{name}}}")),
        };
        // Two events may happen in the same nanosecond; a name is used once.
        let number = date.as_nanosecond() + i128::try_from(self.events.len()).unwrap_or(0);
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

fn count(event: &mut v1::Event, date: Timestamp) -> v1::Event {
    event.count = Some(event.count.unwrap_or(1) + 1);
    event.last_timestamp = Some(time(date));
    event.clone()
}

fn is_alike(known: &v1::Event, new: &v1::Event) -> bool {
    known.involved_object == new.involved_object
        && known.type_ == new.type_
        && known.reason == new.reason
}

fn is_same(known: &v1::Event, new: &v1::Event) -> bool {
    is_alike(known, new) && known.message == new.message
}

fn is_combined(known: &v1::Event, new: &v1::Event) -> bool {
    let is_marked = |event: &v1::Event| {
        let message = event.message.as_deref().unwrap_or_default();
        message.starts_with("(combined from similar events): ")
    };
    is_alike(known, new) && is_marked(known)
}
