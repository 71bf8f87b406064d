use jiff::ToSpan;

use super::*;
use crate::{ContainerName, Uptime};

fn pod() -> Pod {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n\
        spec: {containers: [{name: c, image: 'i:1'}]}\n";
    let source = crate::Source { name: "pod.yaml", text };
    let mut parsed = crate::parse(&source, &crate::ParseOptions::default()).unwrap();
    let crate::Object::Pod(pod) = parsed.objects.remove(0) else { panic!("no pod") };
    *pod
}

fn event(kind: EventKind, reason: &'static str, message: &str) -> PodEvent {
    let subject = EventSubject::Container(ContainerName::parse("c").unwrap());
    PodEvent {
        at: Uptime::START,
        kind,
        reason,
        subject,
        message: message.to_owned(),
        awaits_change: false,
    }
}

fn date(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + seconds.seconds()
}

#[test]
fn an_event_is_a_v1_object_about_the_pod_and_its_container() {
    let mut log = EventLog::default();
    let told = log
        .add(&event(EventKind::Normal, "Started", "Started container c"), &pod(), "node", date(7))
        .unwrap();
    let object = &told.involved_object;
    assert_eq!(object.field_path.as_deref(), Some("spec.containers{c}"));
    assert_eq!((object.kind.as_deref(), object.name.as_deref()), (Some("Pod"), Some("web")));
    let source = told.source.as_ref().unwrap();
    assert_eq!(source.component.as_deref(), Some("kubelet"));
    assert_eq!(source.host.as_deref(), Some("node"));
    assert_eq!((told.count, told.type_.as_deref()), (Some(1), Some("Normal")));
    assert_eq!(told.metadata.name.as_deref(), Some("web.1a13b8600"));
    assert_eq!(told.first_timestamp, told.last_timestamp);
}

#[test]
fn the_scheduler_tells_of_the_assignment_and_names_no_host() {
    let scheduled = PodEvent {
        subject: EventSubject::Pod,
        ..event(EventKind::Normal, "Scheduled", "Successfully assigned default/web to node")
    };
    let told = EventLog::default().add(&scheduled, &pod(), "node", date(0)).unwrap();
    let source = told.source.unwrap();
    assert_eq!((source.component.as_deref(), source.host), (Some("default-scheduler"), None));
    assert_eq!(told.involved_object.field_path, None);
}

#[test]
fn equal_events_are_counted_and_keep_their_first_time() {
    let mut log = EventLog::default();
    let unhealthy = event(EventKind::Warning, "Unhealthy", "Liveness probe failed: ");
    let first = log.add(&unhealthy, &pod(), "node", date(0)).unwrap();
    let second = log.add(&unhealthy, &pod(), "node", date(10)).unwrap();
    assert_eq!(first.metadata.name, second.metadata.name);
    assert_eq!(second.count, Some(2));
    assert_eq!(second.first_timestamp, first.first_timestamp);
    assert_eq!(second.last_timestamp.unwrap().0, date(10));
    let other = PodEvent {
        subject: EventSubject::InitContainer(ContainerName::parse("c").unwrap()),
        ..unhealthy
    };
    assert_eq!(log.add(&other, &pod(), "node", date(10)).unwrap().count, Some(1));
}

#[test]
fn the_tenth_different_message_joins_those_that_follow() {
    let mut log = EventLog::default();
    let mut add = |number: i64| {
        let failed = event(EventKind::Warning, "Unhealthy", &format!("failed {number}"));
        let told = log.add(&failed, &pod(), "node", date(number)).unwrap();
        (told.message.unwrap(), told.count.unwrap())
    };
    for number in 1..10 {
        assert_eq!(add(number), (format!("failed {number}"), 1));
    }
    let combined = |number: i64| format!("(combined from similar events): failed {number}");
    assert_eq!(add(10), (combined(10), 1));
    assert_eq!(add(11), (combined(11), 2));
    assert_eq!(add(3), ("failed 3".to_owned(), 2), "a known one is told as before");
    // Ten minutes without one of them, and they are told one by one again.
    assert_eq!(add(700), ("failed 700".to_owned(), 1));
}

#[test]
fn after_twenty_five_events_of_a_type_one_in_five_minutes_is_told() {
    let mut log = EventLog::default();
    let mut told = |kind, at: i64| {
        log.add(&event(kind, "BackOff", "again"), &pod(), "node", date(at)).map(|one| one.count)
    };
    for at in 0..25 {
        assert_eq!(told(EventKind::Warning, at), Some(Some(i32::try_from(at).unwrap() + 1)));
    }
    assert_eq!(told(EventKind::Warning, 25), None);
    assert_eq!(told(EventKind::Normal, 26), Some(Some(1)), "the other type has its own limit");
    assert_eq!(told(EventKind::Warning, 290), None);
    assert_eq!(told(EventKind::Warning, 330), Some(Some(28)), "what was not told is counted");
    assert_eq!(told(EventKind::Warning, 331), None);
}

#[test]
fn a_faster_back_off_lifts_the_limit_faster() {
    let mut log = EventLog::new(0.01);
    let again = event(EventKind::Warning, "BackOff", "again");
    let told: Vec<bool> =
        (0..60).map(|at| log.add(&again, &pod(), "node", date(at)).is_some()).collect();
    assert_eq!(told.iter().filter(|told| **told).count(), 44);
    assert_eq!(log.all().len(), 1);
}
