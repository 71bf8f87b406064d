//! Restart policies and rules of single containers.

use insta::assert_snapshot;

use crate::simulator::{Run, Tell};
use crate::{main_with, pod, sidecars};

/// Kubernetes' conformance case 106.
#[test]
fn a_rule_restarts_a_container_that_no_policy_would() {
    let rules = "restartPolicy: Never, restartPolicyRules: \
        [{action: Restart, exitCodes: {operator: In, values: [42]}}]";
    let timeline = pod("Never", &main_with(rules))
        .script("web", &[Run::Exits { after: 1, code: 42 }, Run::Exits { after: 1, code: 1 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    1s     Running 0 ready
    1s start web#1
    1s     Running 1 ready
    2s     Running 0 ready
    2s     Failed 0 ready
    2s finished
    ");
}

/// Kubernetes' conformance case 108.
#[test]
fn a_containers_own_policy_comes_before_the_pods() {
    let timeline = pod("Always", &main_with("restartPolicy: Never"))
        .script("web", &[Run::Exits { after: 1, code: 1 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    1s     Running 0 ready
    1s     Failed 0 ready
    1s finished
    ");
    let timeline = pod("Never", &main_with("restartPolicy: Always"))
        .script("web", &[Run::Exits { after: 1, code: 0 }, Run::UntilAsked])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    1s     Running 0 ready
    1s start web#1
    1s     Running 1 ready
    ");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = "restartPolicy: Never, restartPolicyRules: \
        [{action: Restart, exitCodes: {operator: NotIn, values: [0, 7]}}]";
    let timeline = pod("Never", &main_with(rules))
        .script("web", &[Run::Exits { after: 1, code: 1 }, Run::Exits { after: 1, code: 7 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    1s     Running 0 ready
    1s start web#1
    1s     Running 1 ready
    2s     Running 0 ready
    2s     Failed 0 ready
    2s finished
    ");
}

#[test]
fn an_init_containers_own_policy_decides_whether_its_failure_fails_the_pod() {
    let inits = "  initContainers: [{name: a, image: 'i:1', restartPolicy: Never}]\n";
    let timeline = pod("Always", &format!("{inits}{}", crate::MAIN))
        .script("a", &[Run::Exits { after: 1, code: 1 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    1s     Failed 0 ready
    1s finished
    ");
}

#[test]
fn a_container_killed_by_its_probe_asks_no_rule() {
    let fields = "restartPolicy: Never, livenessProbe: {exec: {command: [x]}, failureThreshold: 1}, \
        restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [0, 137]}}]";
    let timeline = pod("Never", &main_with(fields)).probes("web", &[false]).run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
    10s terminate web
    10s     Running 0 ready
    10s     Succeeded 0 ready
    10s finished
    ");
}

#[test]
fn restart_of_all_kills_and_removes_every_container_and_begins_with_the_first_init_container() {
    let inits = "  initContainers:\n  - {name: a, image: 'i:1'}\n  \
        - {name: p, image: 'i:1', restartPolicy: Always}\n";
    let mains = "  containers:\n  - {name: web, image: 'i:1', restartPolicy: Never, restartPolicyRules: \
        [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]}\n";
    let (timeline, status) = pod("Never", &format!("{inits}{mains}"))
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script("web", &[Run::Exits { after: 5, code: 42 }, Run::UntilAsked])
        .tell(Tell::States)
        .live_until(30);
    assert_snapshot!(timeline, @r"
    0s   a PodInitializing
    0s   p PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start a#0
    0s   a running #0
    1s   a Completed 0
    1s start p#0
    1s   p running #0
    1s start web#0
    1s   web running #0
    1s     Running 1 ready
    6s kill p
    6s   web Error 42
    6s     Running 0 ready
    6s remove a#0
    6s remove p#0
    6s remove web#0
    6s   a RestartingAllContainers
    6s   p RestartingAllContainers
    6s   web RestartingAllContainers
    6s     Pending 0 ready
    6s start a#1
    6s   a running #1
    7s   a Completed 0
    7s     Running 0 ready
    7s start p#1
    7s   p running #1
    7s start web#1
    7s   web running #1
    7s     Running 1 ready
    ");
    let counts = status.init_containers.iter().chain(&status.containers);
    assert_eq!(counts.map(|one| one.restart_count).collect::<Vec<_>>(), [1, 1, 1]);
    let condition = status.conditions.iter().find(|one| one.kind == "AllContainersRestarting");
    assert!(!condition.unwrap().is_true, "it is over, and the pod has a rule that uses it");
}

#[test]
fn a_sidecar_can_begin_the_restart_of_all() {
    let inits = "  initContainers:\n  - {name: p, image: 'i:1', restartPolicy: Always, \
        restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [7]}}]}\n";
    let timeline = pod("Always", &format!("{inits}{}", crate::MAIN))
        .script("p", &[Run::Exits { after: 5, code: 7 }, Run::UntilAsked])
        .run_until(30);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start web#0
    0s     Running 1 ready
    5s kill web
    5s remove web#0
    5s remove p#0
    5s     Running 0 ready
    5s start p#1
    5s start web#1
    5s     Running 1 ready
    ");
}

#[test]
fn nothing_but_the_rule_restarts_all() {
    let timeline = pod("Always", &format!("{}{}", sidecars(&["p"]), crate::MAIN))
        .script("p", &[Run::Exits { after: 5, code: 7 }, Run::UntilAsked])
        .run_until(30);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start web#0
    0s     Running 1 ready
    5s start p#1
    ");
}
