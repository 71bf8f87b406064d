//! What a container tries against its own supervisor: forged reports, processes that nobody can
//! reap, trees without a bottom, log files that are something else.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_forged_report_ends_no_process_of_the_machine",
        a_forged_report_ends_no_process_of_the_machine,
    ),
    (
        "a_tracer_that_holds_a_command_holds_up_neither_probes_nor_logs_nor_deletion",
        a_tracer_that_holds_a_command_holds_up_nobody,
    ),
    (
        "a_tree_without_a_bottom_is_given_to_a_group_and_removed",
        a_tree_without_a_bottom_is_given_to_a_group_and_removed,
    ),
    (
        "what_a_collector_of_logs_puts_in_their_place_is_not_followed",
        what_a_collector_of_logs_puts_in_their_place_is_not_followed,
    ),
];

/// A pod of one probe container.
fn pod(name: &str, command: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    \
         image: minipod/probe:1.0\n    command: {command}\n{more}"
    )
}

/// The processor time that the pod's supervisor has used (`proc_pid_stat(5)`), in clock ticks of a
/// hundredth of a second. Its children are copies with its name until they have taken their own.
fn ticks_of_supervisor(node: &Node) -> u64 {
    let [state, ..] = node.directories();
    let supervisors = e2e_tests::leaks::processes_for(&state);
    let named = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let is_ours = command.contains(&state.display().to_string());
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
        let name = stat.contains("(minipod:sup)");
        let spent = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let pid = entry.file_name().into_string().ok()?;
        let parent = fields.get(1)?.to_string();
        (is_ours && name).then_some((pid, parent, spent))
    });
    let named: Vec<(String, String, u64)> = named.collect();
    let is_first = |parent: &String| !named.iter().any(|(pid, ..)| pid == parent);
    let first = named.iter().filter(|(_, parent, _)| is_first(parent));
    let ticks: Vec<u64> = first.map(|(.., spent)| *spent).collect();
    assert_eq!(ticks.len(), 1, "{supervisors:?}");
    ticks[0]
}

/// That the supervisor waits instead of looking again and again.
fn supervisor_rests(node: &Node) {
    let before = ticks_of_supervisor(node);
    let begin = Instant::now();
    // The time passes with something to wait for.
    let words = ["wait", "pod", "--all", "--for=delete", "--timeout=3s"];
    let _ = node.run(&words);
    let (spent, passed) = (ticks_of_supervisor(node) - before, begin.elapsed());
    assert!(passed >= Duration::from_secs(2), "nothing was waited for");
    assert!(spent < 100, "{spent} ticks in {passed:?}");
}

fn a_forged_report_ends_no_process_of_the_machine() {
    let node = Node::new("forge", &["probe"]);
    let mut victim = {
        use std::os::unix::process::CommandExt;
        Command::new("sleep").arg("1000").process_group(0).spawn().expect("sleep")
    };
    let may_trace = "    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n";
    for kind in ["process", "bytes", "many", "files", "nothing"] {
        let command = format!("[/hostile, forge, {kind}, '{}']", victim.id());
        let _ = node.apply(&pod(kind, &command, may_trace)).succeeds();
        node.wait_for_status(kind, &["Running"]);
        node.wait_for_log(kind, "main", "ready");
        // Some commands are caught on their way, and some are not.
        let deadline = Instant::now() + PATIENCE;
        let mut caught = false;
        while !caught {
            assert!(Instant::now() < deadline, "{kind}: it catches none");
            let mut exec = Watch::start(node.command(&["exec", kind, "--", "true"]));
            let _ = exec.line(Instant::now() + Duration::from_secs(2)); // there is none
            let _ = exec.child().kill();
            let _ = exec.child().wait();
            caught = node.run(&["logs", kind]).stdout.contains("got one");
        }
        supervisor_rests(&node);
        assert!(
            victim.try_wait().expect("it is a child").is_none(),
            "{kind}: the victim was killed"
        );
        node.delete_leaves_nothing(kind, &[]);
        assert!(
            victim.try_wait().expect("it is a child").is_none(),
            "{kind}: the victim was killed"
        );
    }
    victim.kill().expect("it runs");
    victim.wait().expect("it ends");
}

fn a_tracer_that_holds_a_command_holds_up_nobody() {
    let node = Node::new("hold", &["probe"]);
    let probes = "    livenessProbe: {exec: {command: [sleep, '77777']}, timeoutSeconds: 1, \
                  periodSeconds: 1, failureThreshold: 1000}\n";
    let _ = node.apply(&pod("hold", "[/hostile, hold, '77777']", probes)).succeeds();
    node.wait_for_status("hold", &["Running"]);
    node.wait_for_log("hold", "main", "got one");
    node.wait_for_event("Unhealthy", "timed out");
    supervisor_rests(&node);
    let said = node.run(&["exec", "hold", "--", "echo", "still here"]).succeeds().stdout;
    assert_eq!(said, "still here\n");
    // One that ends while it is held, and one whose client goes.
    let mut held = Watch::start(node.command(&["exec", "hold", "--", "sleep", "77777"]));
    node.wait_until("hold", |_| node.run(&["logs", "hold"]).stdout.matches("got one").count() > 3);
    let _ = held.child().kill();
    let _ = held.child().wait();
    supervisor_rests(&node);
    assert!(node.run(&["logs", "hold"]).succeeds().stdout.contains("got one"));
    let begin = Instant::now();
    node.delete_leaves_nothing("hold", &[]);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

fn a_tree_without_a_bottom_is_given_to_a_group_and_removed() {
    let node = Node::new("deep", &["probe"]);
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: claim}\nspec: \
                 {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    let _ = node.apply(claim).succeeds();
    let volumes = "    volumeMounts: [{name: e, mountPath: /e}, {name: c, mountPath: /c}]\n  \
                   securityContext: {fsGroup: 2000}\n  volumes: [{name: e, emptyDir: {}}, \
                   {name: c, persistentVolumeClaim: {claimName: claim}}]\n";
    let make = "[sh, -c, 'mkdir /layer; for d in /e /c /layer; do /hostile deep $d 20000 || echo no; \
                done; echo made; exec sleep 1000']";
    let _ = node.apply(&pod("deep", make, volumes)).succeeds();
    node.wait_for_status("deep", &["Running"]);
    node.wait_for_log("deep", "main", "made");
    assert!(!node.run(&["logs", "deep"]).stdout.contains("no\n"));
    node.delete_leaves_nothing("deep", &[]);
    // The next pod gets the claim, with everything in it the group's.
    let flat = pod("flat", "[/hostile, flat, /c]", volumes)
        .replace("spec:\n", "spec:\n  restartPolicy: Never\n");
    let _ = node.apply(&flat).succeeds();
    let ended = node.wait_for_end("flat");
    assert_eq!(ended["status"]["phase"], "Succeeded", "{ended}");
    node.delete_leaves_nothing("flat", &[]);
}

fn what_a_collector_of_logs_puts_in_their_place_is_not_followed() {
    let node = Node::new("collector", &["probe"]);
    let [_, _, logs] = node.directories();
    let elsewhere = node.directory("elsewhere");
    let volume = format!(
        "    volumeMounts: [{{name: l, mountPath: /l}}]\n  volumes: [{{name: l, hostPath: {{path: {}}}}}]\n",
        logs.display()
    );
    let _ = node.apply(&pod("collector", "[sleep, '1000']", &volume)).succeeds();
    node.wait_for_status("collector", &["Running"]);
    for name in ["linked", "piped"] {
        let command = "[sh, -c, 'echo mine; while [ ! -e /over ]; do sleep 0.1; done']";
        let _ = node.apply(&pod(name, command, "")).succeeds();
        node.wait_for_status(name, &["Running"]);
        node.wait_for_log(name, "main", "mine");
    }
    let run = |script: &str| node.run(&["exec", "collector", "--", "sh", "-c", script]).succeeds();
    let _ = run(&format!(
        "cd /l/default_linked_*/ && mv main aside && ln -s {} main",
        elsewhere.display()
    ));
    let _ = run("cd /l/default_piped_*/main && rm 0.log && mkfifo 0.log");
    for name in ["linked", "piped"] {
        let begin = Instant::now();
        let told = node.run(&["logs", name]);
        assert!(told.code != 0 && told.stderr.contains("put in a log's place"), "{}", told.stderr);
        assert!(begin.elapsed() < PATIENCE, "it does not wait");
    }
    // The next start would make its log there.
    let _ = node.run(&["exec", "linked", "--", "touch", "/over"]).succeeds();
    node.wait_for_event("Failed", "put in a log's place");
    assert_eq!(fs::read_dir(&elsewhere).expect("a directory").count(), 0);
    let uids =
        ["linked", "piped", "collector"].map(|name| node.pod(name)["metadata"]["uid"].clone());
    let _ = node.run(&["delete", "pods", "--all"]).succeeds();
    uids.iter().for_each(|uid| node.nothing_is_left(uid.as_str().unwrap_or_default()));
    assert_eq!(fs::read_dir(&elsewhere).expect("a directory").count(), 0);
}
