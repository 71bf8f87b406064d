//! Events as tables and as narration.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use super::age;

/// The names of the columns of `get events`.
pub(crate) const HEADER: [&str; 5] = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];

/// The cells of one event in `get events`.
pub(crate) fn row(event: &Event, now: Timestamp) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        age::age(event.last_timestamp.as_ref(), now),
        text(&event.type_),
        text(&event.reason),
        format!("pod/{}", text(&event.involved_object.name)),
        text(&event.message).trim().to_owned(),
    ]
}

/// One event as `run` tells it: type, reason, message.
pub(crate) fn narration(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let message = text(&event.message);
    format!("{:<8} {:<11} {}\n", text(&event.type_), text(&event.reason), message.trim())
}

/// When an event was last seen, in `describe`: `3s (x4 over 40s)`.
pub(crate) fn interval(event: &Event, now: Timestamp) -> String {
    let last = age::age(event.last_timestamp.as_ref(), now);
    match event.count {
        Some(count @ 2..) => {
            let first = age::age(event.first_timestamp.as_ref(), now);
            format!("{last} (x{count} over {first})")
        }
        _ => last,
    }
}

/// Whether the event is about that pod.
pub(crate) fn is_about(event: &Event, pod: &str) -> bool {
    event.involved_object.name.as_deref() == Some(pod)
}
