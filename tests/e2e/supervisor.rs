//! The supervisor's own life: killed, stopped, without a disk, or one of many. Whatever happens,
//! the records are true, `delete` works, and nothing is left.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e_tests::node::PATIENCE;
use e2e_tests::{Node, SmallDisk};
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_pod_whose_supervisor_was_killed_at_any_stage_says_so_and_can_be_deleted",
        a_pod_whose_supervisor_was_killed_at_any_stage_says_so_and_can_be_deleted,
    ),
    (
        "of_many_who_create_or_delete_the_same_pod_at_once_one_wins",
        of_many_who_create_or_delete_the_same_pod_at_once_one_wins,
    ),
    ("twenty_pods_at_once_all_run_and_all_go", twenty_pods_at_once_all_run_and_all_go),
    (
        "a_damaged_record_and_a_stopped_supervisor_keep_nobody_from_deleting_the_pod",
        a_damaged_record_and_a_stopped_supervisor_keep_nobody_from_deleting_the_pod,
    ),
    (
        "a_pod_whose_supervisor_cannot_begin_says_why_and_can_be_deleted",
        a_pod_whose_supervisor_cannot_begin_says_why_and_can_be_deleted,
    ),
    ("a_pod_that_lacks_open_files_leaves_nothing", a_pod_that_lacks_open_files_leaves_nothing),
    (
        "a_pod_outlives_a_full_disk_and_its_record_becomes_true_again",
        a_pod_outlives_a_full_disk_and_its_record_becomes_true_again,
    ),
    (
        "a_pod_whose_namespaces_are_lost_begins_again_in_new_ones",
        a_pod_whose_namespaces_are_lost_begins_again_in_new_ones,
    ),
    (
        "a_pod_whose_state_was_wiped_away_ends_and_leaves_nothing",
        a_pod_whose_state_was_wiped_away_ends_and_leaves_nothing,
    ),
];

/// A pod with an init container that ends when the file `/s/go` appears, and a main container that
/// does not end when it is asked to.
const STAGES: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 30
  volumes: [{name: s, emptyDir: {}}]
  initContainers:
  - {name: init, image: 'busybox:1.36', command: [sh, -c, 'until test -e /s/go; do sleep 0.1; done'], volumeMounts: [{name: s, mountPath: /s}]}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'trap \"\" TERM; while true; do sleep 0.1; done'], volumeMounts: [{name: s, mountPath: /s}]}
";

fn simple(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 1\n  containers:\n  \
         - {{name: main, image: 'busybox:1.36', command: [sleep, '1000']}}\n"
    )
}

pub(crate) fn uid(node: &Node, name: &str) -> String {
    node.pod(name)["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// The process that supervises the pod: the one whose command line names its directory and that
/// holds its lock, unlike one that still ends after a pod of the same name; and not a child of it
/// that has not become its program yet. One that has only just been started has no command line
/// yet.
pub(crate) fn supervisor(node: &Node, name: &str) -> u32 {
    let [state, ..] = node.directories();
    let place = state.join("pods").join(format!("default_{name}"));
    let (dir, lock) = (place.display().to_string(), place.join("supervisor.lock"));
    let number = |path: &Path| fs::metadata(path).ok().map(|data| data.ino());
    let supervises = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split('\0').skip_while(|word| *word != "supervise");
        let is_named = words.nth(1) == Some(dir.as_str());
        is_named && number(Path::new(&format!("/proc/{pid}/fd/0"))) == number(&lock)
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        let found: Vec<u32> = pids.filter(supervises).collect();
        let is_child = |pid: u32| parent(pid).is_none_or(|parent| found.contains(&parent));
        if let Some(pid) = found.iter().find(|pid| !is_child(**pid)) {
            return *pid;
        }
        assert!(Instant::now() < deadline, "{name} has no supervisor");
        std::thread::yield_now();
    }
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Waits until views know that the pod's supervisor is gone. A child that was about to become a
/// container dies a moment after it, and so long something of the supervisor is left.
pub(crate) fn wait_until_lost(node: &Node, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let row = node.run(&["get", "pod", name, "--no-headers"]).succeeds().stdout;
        if row.split_whitespace().nth(2) == Some("Unknown") {
            return;
        }
        assert!(Instant::now() < deadline, "nobody has noticed: {row}");
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {signal} {pid}");
}

/// Kills a process and waits until it is gone.
pub(crate) fn kill(pid: u32) {
    signal(pid, "-KILL");
    let deadline = Instant::now() + PATIENCE;
    let is_there = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while is_there() {
        assert!(Instant::now() < deadline, "{pid} does not end");
        std::thread::yield_now();
    }
}

fn wait_until_init_runs(node: &Node, name: &str) {
    node.wait_until(name, |pod| {
        !pod["status"]["initContainerStatuses"][0]["state"]["running"].is_null()
    });
}

fn a_pod_whose_supervisor_was_killed_at_any_stage_says_so_and_can_be_deleted() {
    let node = Node::new("killed", &["busybox"]);
    let other = node.apply(&simple("other")).succeeds();
    assert_eq!(other.stdout, "pod/other created\n");
    let stages: [(&str, bool, &[&str]); 4] = [
        ("creating", true, &[]),
        ("initializing", true, &[]),
        ("running", false, &["--now"]),
        ("terminating", false, &["--force"]),
    ];
    for (name, is_early, flags) in stages {
        let _ = node.apply(&STAGES.replace("NAME", name)).succeeds();
        if !is_early {
            wait_until_init_runs(&node, name);
            let _ = node.run(&["exec", name, "-c", "init", "--", "touch", "/s/go"]).succeeds();
            node.wait_for_status(name, &["Running"]);
        }
        if name == "initializing" {
            wait_until_init_runs(&node, name);
        }
        if name == "terminating" {
            let _ = node.run(&["delete", "pod", name, "--wait=false"]).succeeds();
            node.wait_for_status(name, &["Terminating"]);
        }
        kill(supervisor(&node, name));
        wait_until_lost(&node, name);
        let pod = node.pod(name);
        assert_eq!(pod["status"]["phase"], "Failed", "nothing runs any more");
        if name == "running" {
            let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            assert_eq!(end["reason"], "ContainerStatusUnknown");
        }
        let again = node.apply(&STAGES.replace("NAME", name)).ends_with(1);
        let text = format!("the supervisor of pod \"{name}\" has died");
        assert!(again.stderr.contains(&text), "{}", again.stderr);
        let uid = uid(&node, name);
        let mut words = vec!["delete", "pod", name];
        words.extend_from_slice(flags);
        let _ = node.run(&words).succeeds();
        let [state, data, logs] = node.directories();
        let left = e2e_tests::leaks::left(&uid, &[&state, &data, &logs]);
        assert!(left.is_empty(), "{name} leaves {left:#?}");
    }
    node.wait_for_status("other", &["Running"]);
    node.delete_leaves_nothing("other", &["--now"]);
}

fn of_many_who_create_or_delete_the_same_pod_at_once_one_wins() {
    let node = Node::new("races", &["busybox"]);
    let path = node.file("web.yaml", &simple("web"));
    let path = path.display().to_string();
    let at_once = |commands: &[&[&str]]| -> Vec<e2e_tests::Outcome> {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                commands.iter().map(|command| scope.spawn(|| node.run(command))).collect();
            running.into_iter().map(|one| one.join().expect("it ends")).collect()
        })
    };
    let mut uids = Vec::new();
    for round in 0..4 {
        let apply: &[&str] = &["apply", "-f", &path];
        let outcomes = at_once(&[apply; 6]);
        let created = outcomes.iter().filter(|one| one.stdout == "pod/web created\n").count();
        assert_eq!(created, 1, "{outcomes:#?}");
        for one in outcomes.iter().filter(|one| one.code != 0) {
            assert!(one.stderr.contains("already exists"), "{one:#?}");
        }
        uids.push(uid(&node, "web"));
        let delete: &[&str] =
            &["delete", "pod", "web", if round % 2 == 0 { "--now" } else { "--force" }];
        let outcomes = at_once(&[delete, delete, delete]);
        assert!(outcomes.iter().all(|one| one.code == 0 || one.code == 5), "{outcomes:#?}");
        let _ = node.run(&["get", "pod", "web"]).ends_with(5);
        let outcomes = at_once(&[apply, delete, apply, delete]);
        assert!(outcomes.iter().all(|one| one.code != 70 && one.code != 101), "{outcomes:#?}");
        if node.run(&["get", "pod", "web"]).code == 0 {
            uids.push(uid(&node, "web"));
            let _ = node.run(&["delete", "pod", "web", "--force"]);
        }
    }
    for uid in uids {
        node.nothing_is_left(&uid);
    }
    let [state, ..] = node.directories();
    let left: Vec<_> = fs::read_dir(state.join("pods")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn twenty_pods_at_once_all_run_and_all_go() {
    let node = Node::new("twenty", &["busybox"]);
    let names: Vec<String> = (0..20).map(|number| format!("pod-{number}")).collect();
    let manifests: Vec<String> = names.iter().map(|name| simple(name)).collect();
    let manifest = manifests.join("---\n");
    let outcome = node.apply(&manifest).succeeds();
    assert_eq!(outcome.stdout.lines().count(), 20);
    for name in &names {
        node.wait_for_status(name, &["Running"]);
    }
    let list: Value =
        serde_json::from_str(&node.run(&["get", "pods", "-o", "json"]).succeeds().stdout)
            .expect("the list is JSON");
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let mut ips: Vec<String> = pods.iter().map(|pod| pod["status"]["podIP"].to_string()).collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 20, "each has an address of its own");
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
    for pod in &pods {
        node.nothing_is_left(pod["metadata"]["uid"].as_str().unwrap_or_default());
    }
}

fn a_damaged_record_and_a_stopped_supervisor_keep_nobody_from_deleting_the_pod() {
    let node = Node::new("damaged", &["busybox"]);
    let [state, ..] = node.directories();
    for (name, damage) in
        [("empty", ""), ("garbage", "{\"apiVersion\": \"v1\", \"kin"), ("gone", "-")]
    {
        let _ = node.apply(&simple(name)).succeeds();
        node.wait_for_status(name, &["Running"]);
        let uid = uid(&node, name);
        kill(supervisor(&node, name));
        let record = state.join("pods").join(format!("default_{name}")).join("pod.json");
        if damage == "-" {
            fs::remove_file(&record).expect("the record is there");
            fs::remove_file(record.with_file_name("settings.json"))
                .expect("the settings are there");
        } else {
            fs::write(&record, damage).expect("the record can be damaged");
        }
        let _ = node.apply(&simple("other")).succeeds();
        node.wait_for_status("other", &["Running"]);
        let table = node.run(&["get", "pods"]).succeeds().stdout;
        assert!(table.contains(name) && table.contains("other"), "{table}");
        let _ = node.run(&["delete", "pod", name, "--force"]).succeeds();
        let _ = node.run(&["delete", "pod", "other", "--now"]).succeeds();
        node.nothing_is_left(&uid);
    }
    let _ = node.apply(&simple("stopped")).succeeds();
    node.wait_for_status("stopped", &["Running"]);
    let uid = uid(&node, "stopped");
    let _ = node.apply(&simple("zealous")).succeeds();
    node.wait_for_status("zealous", &["Running"]);
    signal(supervisor(&node, "stopped"), "-STOP");
    // The others go all the same.
    let refused = node.run(&["delete", "pods", "--all", "--now"]).ends_with(1);
    assert_eq!(refused.stdout, "pod \"zealous\" deleted from default namespace\n");
    assert!(refused.stderr.contains("supervisor does not answer"), "{}", refused.stderr);
    let _ = node.run(&["get", "pod", "zealous"]).ends_with(5);
    let _ = node.run(&["delete", "pod", "stopped", "--force"]).succeeds();
    node.nothing_is_left(&uid);
}

fn a_pod_whose_supervisor_cannot_begin_says_why_and_can_be_deleted() {
    let node = Node::new("begin", &[]);
    let path = node.file("simple.yaml", &simple("simple")).display().to_string();
    let data = node.directory("no-store");
    fs::write(data.join("images"), "a file").expect("a file where the image store belongs");
    let data = data.display().to_string();
    let outcome = node.run(&["run", "--data-dir", &data, &path]).ends_with(1);
    for words in
        ["the pod's supervisor: ", "no-store/images", "Not a directory", "supervisor of pod"]
    {
        assert!(outcome.stderr.contains(words), "{words}\nnot in\n{}", outcome.stderr);
    }
    let status = node.pod("simple")["status"].clone();
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("Not a directory"), "{message}");
    node.delete_leaves_nothing("simple", &[]);
    // Places may be relative: they mean the same for the supervisor, which is elsewhere.
    let [state, data, _] = node.directories();
    let above = state.parent().expect("a directory of the test");
    fs::create_dir_all(&data).expect("a place for data");
    let mut command =
        node.command(&["run", "-d", "--state-dir", "state", "--data-dir", "data", &path]);
    let output = command.current_dir(above).output().expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    node.wait_for_status("simple", &["ErrImageNeverPull", "ImagePullBackOff", "ErrImagePull"]);
    node.delete_leaves_nothing("simple", &["--now"]);
}

fn a_pod_that_lacks_open_files_leaves_nothing() {
    let node = Node::new("files", &["busybox"]);
    let path = node.file("simple.yaml", &simple("simple")).display().to_string();
    // With fewer it is refused at once.
    for limit in (64..96).step_by(3) {
        let words = [&format!("--nofile={limit}"), "--"];
        let mut command = node.with_places(Path::new("prlimit"), &words);
        command.arg(e2e_tests::fixtures::program()).args(["run", "-d", &path]);
        let output = command.output().expect("it can be started");
        if !output.status.success() {
            let _ = node.run(&["get", "pod", "simple"]).ends_with(5);
            continue;
        }
        let uid = uid(&node, "simple");
        // With so few files it may come so far, or no further.
        let far = "--for=condition=PodReadyToStartContainers";
        let _ = node.run(&["wait", far, "--timeout=1s", "pod/simple"]);
        let _ = node.run(&["delete", "pod", "simple", "--now"]).succeeds();
        node.nothing_is_left(&uid);
    }
}

fn a_pod_outlives_a_full_disk_and_its_record_becomes_true_again() {
    let node = Node::new("full", &["busybox"]);
    let [state, ..] = node.directories();
    let _disk = SmallDisk::mount(&state, "2m");
    let manifest = simple("web")
        .replace("spec:\n", "spec:\n  restartPolicy: Never\n")
        .replace("[sleep, '1000']", "[sh, -c, 'until test -e /go; do sleep 0.1; done; exit 3']");
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("web", &["Running"]);
    let uid = uid(&node, "web");
    let filler = state.join("filler");
    let _ = fs::write(&filler, vec![0; 4 << 20]); // as much as there is room for
    let refused = node.apply(&simple("more")).ends_with(1);
    assert!(refused.stderr.contains("No space left on device"), "{}", refused.stderr);
    let _ = node.run(&["exec", "web", "--", "touch", "/go"]).succeeds();
    // It has ended, and nobody could write that down.
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline && node.pod("web")["status"]["phase"] == "Running" {
        std::thread::yield_now();
    }
    fs::remove_file(&filler).expect("the filler is there");
    node.wait_for_status("web", &["Error"]);
    let pod = node.pod("web");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert!(node.events().iter().any(|(reason, _)| reason == "Started"), "no event is lost");
    let _ = node.run(&["delete", "pod", "web"]).succeeds();
    node.nothing_is_left(&uid);
}

fn a_pod_whose_state_was_wiped_away_ends_and_leaves_nothing() {
    let node = Node::new("wiped", &["busybox"]);
    let [state, ..] = node.directories();
    let _ = node.apply(&simple("web")).succeeds();
    node.wait_for_status("web", &["Running"]);
    let (uid, pid) = (uid(&node, "web"), supervisor(&node, "web"));
    fs::remove_dir_all(&state).expect("the state can be removed");
    // It notices when it has something to write.
    kill_containers(&uid);
    let deadline = Instant::now() + PATIENCE;
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(Instant::now() < deadline, "the supervisor does not end");
        std::thread::yield_now();
    }
    let [state, data, logs] = node.directories();
    let left = e2e_tests::leaks::left(&uid, &[&state, &data, &logs]);
    assert!(left.is_empty(), "left behind: {left:#?}");
    // With the leases the knowledge is gone who else uses the bridge: the next last pod removes it.
    let _ = node.apply(&simple("web")).succeeds();
    node.wait_for_status("web", &["Running"]);
    node.delete_leaves_nothing("web", &["--now"]);
}

/// Kills the pod's containers from outside.
fn kill_containers(uid: &str) {
    let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
    for entry in processes {
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if mounts.contains(uid) && line.starts_with("sleep\0") {
            signal(entry.file_name().to_string_lossy().parse().unwrap_or_default(), "-KILL");
        }
    }
}

/// The holder of the pod's namespaces: the supervisor's child of that title.
fn holder(supervisor: u32) -> u32 {
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    let children = fs::read_to_string(children).expect("the supervisor is there");
    let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let found = pids.find(|pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "minipod:pod"
    });
    found.expect("the pod has a holder")
}

fn a_pod_whose_namespaces_are_lost_begins_again_in_new_ones() {
    let node = Node::new("holder", &["busybox"]);
    let _ = node.apply(&simple("web")).succeeds();
    let is_ready = |restarts: u64| {
        move |pod: &Value| {
            let main = &pod["status"]["containerStatuses"][0];
            main["ready"] == true && main["restartCount"] == restarts
        }
    };
    node.wait_until("web", is_ready(0));
    kill(holder(supervisor(&node, "web")));
    let pod = node.wait_until("web", is_ready(1));
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    assert!(node.events().iter().any(|(reason, _)| reason == "SandboxChanged"));
    let program = node.run(&["exec", "web", "--", "cat", "/proc/1/comm"]).succeeds();
    assert_eq!(program.stdout.trim(), "sleep");
    node.delete_leaves_nothing("web", &["--now"]);
}
