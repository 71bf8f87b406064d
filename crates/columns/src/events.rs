//! Events as tables and as narration.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use pod_api::object::last_seen;

use super::age;

/// The names of the columns of `get events` and `events`.
pub fn header(is_wide: bool) -> Vec<&'static str> {
    if is_wide {
        return vec![
            "LAST SEEN",
            "TYPE",
            "REASON",
            "OBJECT",
            "SUBOBJECT",
            "SOURCE",
            "MESSAGE",
            "FIRST SEEN",
            "COUNT",
            "NAME",
        ];
    }
    vec!["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
}

/// The cells of one event in `get events`.
pub fn row(event: &Event, is_wide: bool, now: Timestamp) -> Vec<String> {
    let object = &event.involved_object;
    let kind = text(object.kind.as_ref()).to_lowercase();
    let kind = if kind.is_empty() { "pod".to_owned() } else { kind };
    let object_cell = format!("{kind}/{}", text(object.name.as_ref()));
    let mut cells = vec![
        age::age(last_seen(event), now),
        text(event.type_.as_ref()),
        text(event.reason.as_ref()),
        object_cell,
    ];
    let message = text(event.message.as_ref()).trim().to_owned();
    if is_wide {
        cells.extend([
            text(object.field_path.as_ref()),
            source(event),
            message,
            age::age(event.first_timestamp.as_ref(), now),
            event.count.unwrap_or(1).to_string(),
            text(event.metadata.name.as_ref()),
        ]);
    } else {
        cells.push(message);
    }
    cells
}

/// The cells of one event in `events`, which has kubectl's newer form.
pub fn interval_row(event: &Event, now: Timestamp) -> Vec<String> {
    let object = &event.involved_object;
    vec![
        interval(event, now),
        text(event.type_.as_ref()),
        text(event.reason.as_ref()),
        format!("{}/{}", text(object.kind.as_ref()), text(object.name.as_ref())),
        text(event.message.as_ref()).trim().to_owned(),
    ]
}

fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

/// `kubelet, node1`
fn source(event: &Event) -> String {
    let source = event.source.clone().unwrap_or_default();
    match source.host.filter(|host| !host.is_empty()) {
        Some(host) => format!("{}, {host}", source.component.unwrap_or_default()),
        None => source.component.unwrap_or_default(),
    }
}

/// One event as `run` tells it: whose it is, where there are several pods; type, reason, message. Further lines of a message are indented, so
/// that none of them passes for an event.
pub fn narration(event: &Event, whose: Option<&str>) -> String {
    let message = text(event.message.as_ref());
    let whose = whose.map(|pod| format!("[{pod}] ")).unwrap_or_default();
    let message = message.trim().replace('\n', &format!("\n{:21}", ""));
    let (kind, reason) = (text(event.type_.as_ref()), text(event.reason.as_ref()));
    format!("{whose}{kind:<8} {reason:<11} {message}\n")
}

/// When an event was last seen, in `describe`: `3s (x4 over 40s)`.
pub fn interval(event: &Event, now: Timestamp) -> String {
    let last = age::age(last_seen(event), now);
    match event.count {
        Some(count @ 2..) => {
            let first = age::age(event.first_timestamp.as_ref(), now);
            format!("{last} (x{count} over {first})")
        }
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<Event> {
        let event = |component: &str, path: Option<&str>, count: i32, last: &str| {
            serde_json::from_value(json!({
                "metadata": {"name": "web.17"},
                "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": path},
                "type": "Normal", "reason": "Started", "message": "Started container a\n",
                "source": {"component": component, "host": path.map(|_| "node1")},
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": last, "count": count
            }))
            .unwrap()
        };
        vec![
            event("default-scheduler", None, 1, "2026-01-01T00:00:00Z"),
            event("kubelet", Some("spec.containers{a}"), 4, "2026-01-01T00:00:37Z"),
        ]
    }

    #[test]
    fn events_are_tables_in_three_forms() {
        let now = "2026-01-01T00:00:40Z".parse().unwrap();
        let rows =
            |row: &dyn Fn(&Event) -> Vec<String>| events().iter().map(row).collect::<Vec<_>>();
        let lines = |rows: Vec<Vec<String>>| {
            rows.iter().map(|row| row.join(" | ") + "\n").collect::<String>()
        };
        let wide = lines(rows(&|event| row(event, true, now)));
        let plain = lines(rows(&|event| row(event, false, now)));
        let newer = lines(rows(&|event| interval_row(event, now)));
        insta::assert_snapshot!(format!("{plain}\n{wide}\n{newer}"), @r"
        40s | Normal | Started | pod/web | Started container a
        3s | Normal | Started | pod/web | Started container a

        40s | Normal | Started | pod/web |  | default-scheduler | Started container a | 40s | 1 | web.17
        3s | Normal | Started | pod/web | spec.containers{a} | kubelet, node1 | Started container a | 40s | 4 | web.17

        40s | Normal | Started | Pod/web | Started container a
        3s (x4 over 40s) | Normal | Started | Pod/web | Started container a
        ");
    }
}
