//! Why a pod did not make it: which container, which exit code, its last words.

use std::collections::VecDeque;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use pod_api::Places;
use pod_api::log_reader::LogReader;

use pod_api::log_line::{self, Format};

/// So many of a container's last lines are shown.
const LAST_LINES: usize = 5;

/// What went wrong with the pod's containers, as lines of text; empty when nothing did.
pub(super) fn of(places: &Places, pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let inits = status.init_container_statuses.into_iter().flatten();
    let mains = status.container_statuses.into_iter().flatten();
    inits
        .map(|one| ("init container", one))
        .chain(mains.map(|one| ("container", one)))
        .filter_map(|(kind, one)| trouble(places, pod, kind, &one))
        .collect()
}

fn trouble(places: &Places, pod: &Pod, kind: &str, status: &ContainerStatus) -> Option<String> {
    let name = &status.name;
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().unwrap_or_default().terminated;
    let attempt = u32::try_from(status.restart_count).unwrap_or(0);
    if let Some(end) = state.terminated.filter(|end| end.exit_code != 0) {
        let said = last_lines(places, pod, name, attempt);
        return Some(format!("{kind} {name} {}\n{said}", ending(&end)));
    }
    let waiting = state.waiting?;
    let reason = waiting.reason.filter(|reason| {
        !matches!(reason.as_str(), "" | "ContainerCreating" | "PodInitializing")
    })?;
    let message = waiting.message.map(|message| format!(": {message}")).unwrap_or_default();
    let ended = last.map(|end| format!("; before, it {}", ending(&end))).unwrap_or_default();
    let said = last_lines(places, pod, name, attempt);
    Some(format!("{kind} {name} waits: {reason}{message}{ended}\n{said}"))
}

/// `exited with code 3 (Error): its message`
fn ending(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = end.message.as_deref().unwrap_or_default().trim();
    let message = message.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    format!("exited with code {}{reason}{message}", end.exit_code)
}

fn last_lines(places: &Places, pod: &Pod, container: &str, attempt: u32) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    let logs =
        places.pod_logs(&text(&metadata.namespace), &text(&metadata.name), &text(&metadata.uid));
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut reader = LogReader::new(logs.file(container, attempt));
    // A log that cannot be read has nothing to say.
    let _ = reader.read(|line| {
        if let Some(line) = log_line::parse(line) {
            if lines.len() == LAST_LINES {
                lines.pop_front();
            }
            let shown = log_line::show(line, &Format::default(), true);
            lines.push_back(String::from_utf8_lossy(&shown).trim_end().to_owned());
        }
    });
    lines.iter().flat_map(|line| ["  | ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use pod_api::logs::{ContainerLog, Stream};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_container_is_told_with_its_code_and_its_last_lines() {
        let directory = std::env::temp_dir().join(format!("post-mortem-{}", std::process::id()));
        let places = Places { logs: directory.clone(), ..Places::default() };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "status": {
                "initContainerStatuses": [{"name": "i", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                    "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
                "containerStatuses": [
                    {"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                        "state": {"waiting": {"reason": "PodInitializing"}}},
                    {"name": "b", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
                ]
            }
        }))
        .unwrap();
        let path = places.pod_logs("n", "p", "u").file("i", 1);
        let mut log = ContainerLog::create(&path).unwrap();
        let output = b"1\n2\n3\n4\n5\n\x1b[31mlast";
        log.write(Stream::Stderr, output, jiff::Timestamp::UNIX_EPOCH).unwrap();
        log.finish(jiff::Timestamp::UNIX_EPOCH).unwrap();
        let told = of(&places, &pod);
        std::fs::remove_dir_all(directory).unwrap();
        insta::assert_snapshot!(crate::printable::escaped(&told), @r"
        init container i exited with code 3 (Error)
          | 2
          | 3
          | 4
          | 5
          | ^[[31mlast
        container b waits: ErrImagePull: no such image
        ");
    }
}
