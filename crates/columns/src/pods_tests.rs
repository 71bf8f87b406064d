use serde_json::{Value, json};

use super::*;

/// 60 s after the pod of the table was created.
const NOW: &str = "2026-01-01T00:01:00Z";

fn running(name: &str, ready: bool) -> Value {
    json!({"name": name, "ready": ready, "started": true, "restartCount": 0, "image": "", "imageID": "",
        "state": {"running": {"startedAt": "2026-01-01T00:00:10Z"}}})
}

fn waiting(name: &str, reason: &str) -> Value {
    json!({"name": name, "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": reason}}})
}

fn ended(name: &str, code: i32, reason: &str) -> Value {
    json!({"name": name, "ready": code == 0, "restartCount": 0, "image": "", "imageID": "",
        "state": {"terminated": {"exitCode": code, "reason": reason}}})
}

fn restarted(mut status: Value, count: i32, finished: &str) -> Value {
    status["restartCount"] = count.into();
    status["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": finished}});
    status
}

/// A pod with two init containers `i1` and `i2` (a name in `sidecars` is one), mains `a` and `b`.
struct Case {
    phase: &'static str,
    inits: Vec<Value>,
    mains: Vec<Value>,
    sidecars: &'static [&'static str],
    more: Value,
}

impl Case {
    fn new(phase: &'static str, inits: &[Value], mains: &[Value]) -> Self {
        Self {
            phase,
            inits: inits.to_vec(),
            mains: mains.to_vec(),
            sidecars: &[],
            more: Value::Null,
        }
    }

    fn sidecars(self, sidecars: &'static [&'static str]) -> Self {
        Self { sidecars, ..self }
    }

    fn with(self, more: Value) -> Self {
        Self { more, ..self }
    }

    fn row(&self) -> String {
        let spec = |status: &Value| {
            let name = status["name"].as_str().unwrap();
            if self.sidecars.contains(&name) {
                return json!({"name": name, "restartPolicy": "Always"});
            }
            json!({"name": name})
        };
        let specs = |list: &[Value]| list.iter().map(spec).collect::<Vec<_>>();
        let mut pod = json!({
            "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": specs(&self.mains), "initContainers": specs(&self.inits)},
            "status": {"phase": self.phase, "initContainerStatuses": self.inits,
                "containerStatuses": self.mains}
        });
        merge(&mut pod, &self.more);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        row(&pod, false, NOW.parse().unwrap())[1..4].join(" | ")
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
    }
}

fn condition(kind: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": "True"}]}})
}

fn check(cases: &[(Case, &str)]) {
    for (number, (case, row)) in cases.iter().enumerate() {
        assert_eq!(case.row(), *row, "case {number}");
    }
}

#[test]
fn a_pod_with_init_containers_passes_these_rows() {
    let later = waiting("a", "PodInitializing");
    let initializing = waiting("i2", "PodInitializing");
    let done = [ended("i1", 0, "Completed"), ended("i2", 0, "Completed")];
    check(&[
        (Case::new("Pending", &[], &[]), "0/0 | Pending | 0"),
        (
            Case::new(
                "Pending",
                &[running("i1", false), initializing.clone()],
                std::slice::from_ref(&later),
            ),
            "0/1 | Init:0/2 | 0",
        ),
        (
            Case::new(
                "Pending",
                &[ended("i1", 0, "Completed"), initializing.clone()],
                std::slice::from_ref(&later),
            ),
            "0/1 | Init:1/2 | 0",
        ),
        (Case::new("Pending", &done, std::slice::from_ref(&later)), "0/1 | PodInitializing | 0"),
        (
            Case::new("Running", &done, &[running("a", true), running("b", true)]),
            "2/2 | Running | 0",
        ),
    ]);
}

#[test]
fn a_pod_whose_init_container_fails_shows_these_rows() {
    let later = waiting("a", "PodInitializing");
    check(&[
        (
            Case::new("Pending", &[ended("i1", 1, "Error")], std::slice::from_ref(&later)),
            "0/1 | Init:Error | 0",
        ),
        (
            Case::new("Pending", &[ended("i1", 137, "OOMKilled")], std::slice::from_ref(&later)),
            "0/1 | Init:OOMKilled | 0",
        ),
        (
            Case::new("Pending", &[ended("i1", 3, "")], std::slice::from_ref(&later)),
            "0/1 | Init:ExitCode:3 | 0",
        ),
        (
            Case::new(
                "Pending",
                &[restarted(waiting("i1", "CrashLoopBackOff"), 2, "2026-01-01T00:00:50Z")],
                std::slice::from_ref(&later),
            ),
            "0/1 | Init:CrashLoopBackOff | 2 (10s ago)",
        ),
        (
            Case::new("Pending", &[waiting("i1", "ImagePullBackOff")], &[later]),
            "0/1 | Init:ImagePullBackOff | 0",
        ),
    ]);
}

#[test]
fn restarts_of_ordinary_init_containers_count_until_the_mains_have_the_word() {
    let init = restarted(ended("i1", 0, "Completed"), 2, "2026-01-01T00:00:20Z");
    check(&[
        (
            Case::new("Running", std::slice::from_ref(&init), &[running("a", true)]),
            "1/1 | Running | 0",
        ),
        (
            Case::new(
                "Running",
                &[init, restarted(running("i2", true), 3, "2026-01-01T00:00:30Z")],
                &[restarted(running("a", true), 1, "2026-01-01T00:00:40Z")],
            )
            .sidecars(&["i2"]),
            "2/2 | Running | 4 (20s ago)",
        ),
    ]);
}

#[test]
fn sidecars_count_in_ready_and_in_the_number_of_init_containers() {
    let sidecar = running("i1", true);
    let mut starting = running("i1", false);
    starting["started"] = false.into();
    let later = waiting("a", "PodInitializing");
    check(&[
        (
            Case::new(
                "Pending",
                &[starting, waiting("i2", "PodInitializing")],
                std::slice::from_ref(&later),
            )
            .sidecars(&["i1"]),
            "0/2 | Init:0/2 | 0",
        ),
        (
            Case::new("Pending", &[sidecar.clone(), running("i2", false)], &[later])
                .sidecars(&["i1"]),
            "1/2 | Init:1/2 | 0",
        ),
        (
            Case::new("Running", std::slice::from_ref(&sidecar), &[running("a", true)])
                .sidecars(&["i1"]),
            "2/2 | Running | 0",
        ),
        // The loop ends at the first that is not done: later sidecars do not count as ready.
        (
            Case::new(
                "Running",
                &[waiting("i1", "CrashLoopBackOff"), running("i2", true)],
                &[running("a", true)],
            )
            .sidecars(&["i1", "i2"])
            .with(condition("Initialized")),
            "1/3 | Init:CrashLoopBackOff | 0",
        ),
    ]);
}

#[test]
fn the_first_container_that_does_not_run_has_the_word() {
    let (up, done) = (running("b", true), ended("a", 0, "Completed"));
    check(&[
        (
            Case::new("Pending", &[], &[waiting("a", "ContainerCreating")]),
            "0/1 | ContainerCreating | 0",
        ),
        (Case::new("Succeeded", &[], std::slice::from_ref(&done)), "0/1 | Completed | 0"),
        (Case::new("Failed", &[], &[ended("a", 1, "Error")]), "0/1 | Error | 0"),
        (Case::new("Failed", &[], &[ended("a", 7, "")]), "0/1 | ExitCode:7 | 0"),
        (
            Case::new("Running", &[], &[ended("a", 1, "Error"), waiting("b", "CrashLoopBackOff")]),
            "0/2 | Error | 0",
        ),
        // One has completed, the other runs.
        (Case::new("Running", &[], &[done.clone(), up.clone()]), "1/2 | NotReady | 0"),
        (
            Case::new("Running", &[], &[done.clone(), up]).with(condition("Ready")),
            "1/2 | Running | 0",
        ),
        // An error behind a completed container is not hidden.
        (Case::new("Failed", &[], &[done, ended("b", 2, "Error")]), "0/2 | Error | 0"),
        // A running container that is not ready leaves the phase.
        (Case::new("Running", &[], &[running("a", false)]), "0/1 | Running | 0"),
    ]);
}

#[test]
fn signals_reasons_and_deletion_are_told() {
    let mut killed = ended("a", 0, "");
    killed["state"]["terminated"]["signal"] = 9.into();
    let deleted = json!({"metadata": {"deletionTimestamp": NOW}});
    let lost = json!({"metadata": {"deletionTimestamp": NOW}, "status": {"reason": "NodeLost"}});
    let up = [running("a", true)];
    check(&[
        (Case::new("Failed", &[], &[killed]), "0/1 | Signal:9 | 0"),
        (Case::new("Running", &[], &up).with(deleted.clone()), "1/1 | Terminating | 0"),
        (
            Case::new("Succeeded", &[], &[ended("a", 0, "Completed")]).with(deleted),
            "0/1 | Completed | 0",
        ),
        (Case::new("Running", &[], &up).with(lost), "1/1 | Unknown | 0"),
        (
            Case::new("Failed", &[], &[]).with(json!({"status": {"reason": "SysctlForbidden"}})),
            "0/0 | SysctlForbidden | 0",
        ),
        (
            Case::new("Pending", &[], &[]).with(json!({"status": {"conditions":
                [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}})),
            "0/0 | SchedulingGated | 0",
        ),
        // The container's reason overwrites the pod's.
        (
            Case::new("Failed", &[], &[ended("a", 137, "Error")])
                .with(json!({"status": {"reason": "DeadlineExceeded"}})),
            "0/1 | Error | 0",
        ),
        (
            Case::new("Running", &[], &up)
                .with(json!({"metadata": {"annotations": {"minipod.dev/supervisor": "dead"}}})),
            "1/1 | Unknown | 0",
        ),
    ]);
}

#[test]
fn the_wide_row_says_none_for_what_is_not_there() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"containers": [], "nodeName": "node1", "readinessGates": [{"conditionType": "x"}]},
        "status": {"phase": "Pending"}
    }))
    .unwrap();
    let cells = row(&pod, true, NOW.parse().unwrap());
    assert_eq!(
        cells,
        ["web", "0/0", "Pending", "0", "<unknown>", "<none>", "node1", "<none>", "0/1"]
    );
    assert_eq!(header(true).len(), cells.len());
}

#[test]
fn the_reason_of_a_pod_shows_unless_a_container_has_one() {
    let evicted = || json!({"status": {"reason": "Evicted"}});
    let killed = [ended("a", 137, "Error"), ended("b", 0, "Completed")];
    check(&[
        (Case::new("Failed", &[], &[]).with(evicted()), "0/0 | Evicted | 0"),
        (Case::new("Failed", &[], &killed).with(evicted()), "0/2 | Error | 0"),
    ]);
}
