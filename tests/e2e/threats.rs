//! What a container tries against whoever enters it, and against those who started it.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};
use serde_json::{Value, json};

use crate::Test;
use crate::entering::on_a_terminal;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_debugger_finds_nothing_of_the_machine_in_a_command",
        a_debugger_finds_nothing_of_the_machine_in_a_command,
    ),
    ("nobody_types_on_a_terminal_of_the_machine", nobody_types_on_a_terminal_of_the_machine),
    ("open_files_of_a_caller_reach_no_container", open_files_of_a_caller_reach_no_container),
    (
        "a_command_in_a_container_that_ends_runs_nowhere_else",
        a_command_in_a_container_that_ends_runs_nowhere_else,
    ),
    (
        "a_container_full_of_processes_can_be_looked_at_and_deleted",
        a_container_full_of_processes_can_be_looked_at_and_deleted,
    ),
];

/// Those that begin with a program in Python.
pub(crate) const PYTHON: &[Test] =
    &[("keys_of_the_machine_are_not_a_containers", keys_of_the_machine_are_not_a_containers)];

/// A pod of one probe container that runs a command.
fn pod(name: &str, command: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    \
         image: minipod/probe:1.0\n    command: {command}\n{more}"
    )
}

fn a_debugger_finds_nothing_of_the_machine_in_a_command() {
    let node = Node::new("look", &["probe"]).with("CANARY", "of the host");
    let canary = node.directory("canary").join("file");
    fs::write(&canary, "").expect("a file of the test");
    let command = format!("[/verdicts, look, {}, hush-, canary]", canary.display());
    let may_trace = "    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n";
    let _ = node.apply(&pod("look", &command, may_trace)).succeeds();
    node.wait_for_status("look", &["Running"]);
    for _ in 0..60 {
        let _ = node.run(&["exec", "look", "--", "true"]).succeeds();
    }
    let found = node.run(&["logs", "look"]).succeeds().stdout;
    assert!(found.contains("traced one\n"), "it looks, and stops what it can: {found}");
    let of_machine = |line: &&str| {
        let words = ["path", "variable", "capability", "file"];
        // Its report is a pipe.
        words.iter().any(|word| line.starts_with(word)) && !line.starts_with("file pipe:")
    };
    let told: Vec<&str> = found.lines().filter(of_machine).collect();
    assert!(told.is_empty(), "{told:#?}");
    node.delete_leaves_nothing("look", &["--now"]);
}

fn nobody_types_on_a_terminal_of_the_machine() {
    let node = Node::new("types", &["probe"]);
    let _ = node.apply(&pod("types", "[sleep, '1000']", "")).succeeds();
    node.wait_for_status("types", &["Running"]);
    let plain = node.run(&["exec", "types", "--", "/verdicts", "type", "x"]).succeeds();
    let verdicts: Value = serde_json::from_str(&plain.stdout).expect("JSON");
    // ENOTTY for each stream, ENXIO for a terminal that there is none of.
    assert_eq!(verdicts, json!({"0": 25, "1": 25, "2": 25, "terminal": 6}));
    // On a terminal of its own it may type; whoever ran it finds nothing typed on theirs.
    for flags in ["-it", "-i"] {
        let words = format!(
            "exec {flags} types -- /verdicts type typed; \
             stty -icanon min 0 time 0; printf '<'; cat; printf '>'"
        );
        let seen = on_a_terminal(&node, &words).output().expect("script can be started");
        let text = String::from_utf8_lossy(&seen.stdout).into_owned();
        let waiting = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let (waiting, _) = waiting.unwrap_or_else(|| panic!("{text}"));
        assert!(!waiting.contains("typed"), "{flags}: {text}");
        let could = flags == "-it";
        assert_eq!(text.contains("\"terminal\":0"), could, "{flags}: {text}");
    }
    node.delete_leaves_nothing("types", &["--now"]);
}

/// Joins a new session keyring, puts a key into it, and becomes the program of its arguments.
const WITH_KEY: &str = "import ctypes, os, sys
call = ctypes.CDLL(None).syscall
if call(250, 1, None) < 0 or call(248, b'user', b'minipod-canary', b'x', 1, -3) < 0: sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])";

fn keys_of_the_machine_are_not_a_containers() {
    let node = Node::new("keys", &["probe"]);
    let loose = "    securityContext: {seccompProfile: {type: Unconfined}}\n  \
        initContainers:\n  - {name: init, image: 'minipod/probe:1.0', command: [/verdicts], \
        securityContext: {seccompProfile: {type: Unconfined}}}\n";
    let path = node.file("keys.yaml", &pod("keys", "[sleep, '1000']", loose));
    let (program, path) =
        (e2e_tests::fixtures::program().display().to_string(), path.display().to_string());
    let words = ["-c", WITH_KEY, &program, "apply", "-f", &path];
    let applied = node.with_places(Path::new("python3"), &words).output().expect("python3");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    node.wait_for_status("keys", &["Running"]);
    let mut rings = Vec::new();
    for words in [&["logs", "keys", "-c", "init"][..], &["exec", "keys", "--", "/verdicts"]] {
        let printed = node.run(words).succeeds().stdout;
        let verdicts: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(verdicts["keyctl"], 0, "there is a keyring: {verdicts}");
        assert_eq!(verdicts["search_key"], 126, "ENOKEY: {verdicts}");
        rings.push(verdicts["keyring"].clone());
    }
    assert_ne!(rings[0], rings[1], "nor are a container's keys another one's");
    node.delete_leaves_nothing("keys", &["--now"]);
}

fn open_files_of_a_caller_reach_no_container() {
    let node = Node::new("files", &["probe"]);
    let open: Vec<File> = (0..200).map(|_| File::open("/etc").expect("a directory")).collect();
    for file in &open {
        // Children inherit it.
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).expect("its flags can be set");
    }
    let init = "  initContainers:\n  - {name: init, image: 'minipod/probe:1.0'}\n";
    let _ = node.apply(&pod("files", "[sh, -c, '/probe; exec sleep 1000']", init)).succeeds();
    node.wait_for_status("files", &["Running"]);
    node.wait_until("files", |_| !node.run(&["logs", "files"]).stdout.is_empty());
    for words in [
        &["logs", "files", "-c", "init"][..],
        &["logs", "files"],
        &["exec", "files", "--", "/probe"],
    ] {
        let printed = node.run(words).succeeds().stdout;
        let seen: Value = serde_json::from_str(&printed).expect("JSON");
        let open: Vec<&String> =
            seen["descriptors"].as_object().expect("descriptors").keys().collect();
        assert_eq!(open, ["0", "1", "2", "3"], "{words:?}: the last is the directory it reads");
    }
    node.delete_leaves_nothing("files", &["--now"]);
    // Neither as a working directory, of an init container and with a terminal.
    for number in [3, 4, 7, 10, 30, 203] {
        let name = format!("cwd{number}");
        let cwd = format!("/proc/self/fd/{number}");
        let init = format!(
            "    tty: true\n    workingDir: {cwd}\n  initContainers:\n  - {{name: init, image: \
             'minipod/probe:1.0', command: [pwd, -P], workingDir: {cwd}/..}}\n"
        );
        let _ = node.apply(&pod(&name, "[pwd, -P]", &init)).succeeds();
        // Where the process has no file of that number, `..` of it is the directory of its own files.
        node.wait_for_status(&name, &["Init:CreateContainerError", "CreateContainerError"]);
        let seen = node.run(&["logs", &name, "-c", "init"]).stdout;
        assert!(["", "/proc/1/fd\n"].contains(&seen.as_str()), "{number}: {seen}");
        node.delete_leaves_nothing(&name, &["--now"]);
    }
    drop(open);
}

/// The processes of the machine that are called with exactly these words.
fn processes(words: &str) -> Vec<String> {
    let called = format!("{}\0", words.replace(' ', "\0"));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line == called))
        .map(|path| fs::read_to_string(path.join("cgroup")).unwrap_or_default())
        .collect()
}

fn a_command_in_a_container_that_ends_runs_nowhere_else() {
    let node = Node::new("ends", &["probe"]).with("MINIPOD_BACKOFF_SCALE", "0.001");
    let main = "[sh, -c, 'trap \"exit 0\" TERM; while true; do sleep 0.1; done']";
    let _ = node.apply(&pod("ends", main, "")).succeeds();
    node.wait_for_status("ends", &["Running"]);
    for round in 0..15 {
        let mut command = Watch::start(node.command(&["exec", "ends", "--", "sleep", "98765"]));
        let _ = node.run(&["exec", "ends", "--", "kill", "1"]); // it may be between two lives
        for groups in processes("sleep 98765") {
            assert!(groups.is_empty() || groups.contains("minipod/"), "{round}: {groups}");
        }
        let deadline = Instant::now() + PATIENCE;
        assert_eq!(command.line(deadline), None, "the command ends with its container");
        let _ = command.child().wait();
        assert!(Instant::now() < deadline, "in time");
        node.wait_until("ends", |pod| {
            let status = &pod["status"]["containerStatuses"][0];
            status["state"]["running"].is_object() && status["restartCount"].as_i64() > Some(0)
        });
    }
    assert!(processes("sleep 98765").is_empty(), "nothing is left anywhere");
    node.delete_leaves_nothing("ends", &["--now"]);
}

fn a_container_full_of_processes_can_be_looked_at_and_deleted() {
    let node = Node::new("full", &["probe"]);
    // The shell that cannot fork ends, and leaves what it has started.
    let bomb =
        "[sh, -c, '(while true; do sleep 1000 & done) 2>/dev/null; echo full; exec sleep 1000']";
    let _ = node.apply(&pod("full", bomb, "")).succeeds();
    node.wait_for_log("full", "main", "full");
    let refused = node.run(&["exec", "full", "--", "true"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("cannot start a "), "{}", refused.stderr);
    let _ = node.apply(&pod("beside", "[sleep, '1000']", "")).succeeds();
    node.wait_for_status("beside", &["Running"]);
    let _ = node.run(&["delete", "pod", "beside", "--now"]).succeeds();
    node.delete_leaves_nothing("full", &["--now"]);
}
