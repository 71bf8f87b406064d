//! What a container finds in minipod's own processes.

use std::fs;

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_container_that_sees_the_machines_processes_cannot_look_into_ours",
        a_container_that_sees_the_machines_processes_cannot_look_into_ours,
    ),
    (
        "helper_processes_have_nothing_even_for_a_debugger_of_the_machine",
        helper_processes_have_nothing_even_for_a_debugger_of_the_machine,
    ),
    (
        "a_debugger_finds_nothing_of_the_machine_in_a_neighbor_that_starts",
        a_debugger_finds_nothing_of_the_machine_in_a_neighbor_that_starts,
    ),
    (
        "memory_of_a_command_has_no_secret_of_a_neighbor",
        memory_of_a_command_has_no_secret_of_a_neighbor,
    ),
    ("a_probe_finds_the_host_that_it_names", a_probe_finds_the_host_that_it_names),
];

/// What is searched in memory; a container's command has it in two parts.
const SECRET: &str = "hush-canary";

fn secret(name: &str, kind: &str, key: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: {kind}\n\
         stringData: {{{key}: '{value}'}}\n---\n"
    )
}

/// A pod whose supervisor has a Secret and most kinds of helpers.
fn victim(name: &str) -> String {
    format!(
        "{}apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 5\n  containers:\n  - name: main\n    \
         image: minipod/probe:1.0\n    command: [sleep, '1000']\n    \
         env: [{{name: HUSH, valueFrom: {{secretKeyRef: {{name: {name}, key: word}}}}}}]\n    \
         lifecycle: {{postStart: {{sleep: {{seconds: 3}}}}}}\n    \
         livenessProbe: {{tcpSocket: {{host: 203.0.113.77, port: 9}}, failureThreshold: 1000, \
         periodSeconds: 1}}\n    \
         readinessProbe: {{exec: {{command: ['true']}}, periodSeconds: 1}}\n",
        secret(name, "Opaque", "word", SECRET)
    )
}

/// What a container with `hostPID` finds in the processes of another pod's supervisor.
fn found_in_ours(name: &str, security: &str) -> Vec<String> {
    let node = Node::new(name, &["probe"]).with("CANARY", "of the host");
    let canary = node.directory("canary").join("file");
    fs::write(&canary, "").expect("a file of the test");
    let spy = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: spy}}\nspec:\n  hostPID: true\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    \
         image: minipod/probe:1.0\n    \
         command: [/verdicts, own, {}, hush-, canary, {}/pods/default_victim]\n{security}",
        canary.display(),
        node.directories()[0].display()
    );
    // Its pause process has given everything up by then.
    let _ = node.apply(&victim("victim")).succeeds();
    node.wait_for_status("victim", &["Running"]);
    let _ = node.apply(&spy).succeeds();
    node.wait_for_status("spy", &["Running"]);
    let file = node.file("copied", "x").display().to_string();
    for _ in 0..10 {
        let _ = node.run(&["exec", "victim", "--", "true"]).succeeds();
        let _ = node.run(&["cp", &file, "victim:/tmp/copied"]).succeeds();
    }
    let seen = || node.run(&["logs", "spy"]).succeeds().stdout;
    let names = ["sup", "spawn", "pod", "probe"].map(|name| format!("saw minipod:{name}\n"));
    node.wait_until("spy", |_| names.iter().all(|line| seen().contains(line)));
    let log = seen();
    let _ = node.run(&["delete", "pod", "victim", "--now"]).succeeds();
    node.delete_leaves_nothing("spy", &["--now"]);
    log.lines().map(str::to_owned).collect()
}

fn a_container_that_sees_the_machines_processes_cannot_look_into_ours() {
    let found = found_in_ours("sees", "");
    // Everybody reads who a process is and what it may do. A command has its name until it runs its
    // program, which another container with the same user and capabilities may trace.
    let is_open = |line: &&String| {
        !["saw ", "user ", "capability "].iter().any(|word| line.starts_with(word))
            && !line.ends_with(" minipod:exec")
    };
    assert_eq!(found.iter().filter(is_open).collect::<Vec<_>>(), Vec::<&String>::new());
    for word in ["user", "capability"] {
        for name in ["pod", "probe"] {
            assert!(!found.contains(&format!("{word} minipod:{name}")), "{found:#?}");
        }
    }
}

fn helper_processes_have_nothing_even_for_a_debugger_of_the_machine() {
    let may_trace = "    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n";
    let found = found_in_ours("debugs", may_trace);
    // It is root on the machine by then; this shows that it would find something.
    for line in ["traced minipod:probe", "traced minipod:pod", "memory minipod:sup"] {
        assert!(found.iter().any(|one| one == line), "{line}: {found:#?}");
    }
    for name in ["minipod:pod", "minipod:probe"] {
        for word in ["path", "root", "variable", "capability", "user", "memory"] {
            assert!(!found.contains(&format!("{word} {name}")), "{found:#?}");
        }
        let files: Vec<&String> =
            found.iter().filter(|line| line.starts_with(&format!("file {name}"))).collect();
        // Where the answer goes, and the connection.
        let own = ["file minipod:probe pipe:", "file minipod:probe socket:"];
        assert!(files.iter().all(|line| own.contains(&line.as_str())), "{files:?}");
    }
}

/// A pod whose first container looks into what it sees.
fn looking(name: &str, (canary, shared): (&str, bool), others: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         shareProcessNamespace: {shared}\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - name: main\n    image: minipod/probe:1.0\n    \
         command: [/verdicts, look, {canary}, hush-, canary]\n    \
         securityContext: {{capabilities: {{add: [SYS_PTRACE]}}}}\n{others}"
    )
}

fn a_debugger_finds_nothing_of_the_machine_in_a_neighbor_that_starts() {
    let node = Node::new("neighbor", &["probe"])
        .with("CANARY", "of the host")
        .with("MINIPOD_BACKOFF_SCALE", "0.0001");
    let canary = node.directory("canary").join("file");
    fs::write(&canary, "").expect("a file of the test");
    let side = "  - {name: side, image: 'minipod/probe:1.0', command: ['true']}\n  \
        - {name: terminal, image: 'minipod/probe:1.0', command: ['true'], tty: true}\n";
    let path = canary.display().to_string();
    let _ = node.apply(&looking("neighbor", (&path, true), side)).succeeds();
    node.wait_until("neighbor", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let often = |name: &str| {
            let mut of = statuses.iter().filter(|one| one["name"] == name);
            of.any(|one| one["restartCount"].as_i64() >= Some(25))
        };
        often("side") && often("terminal")
    });
    for _ in 0..10 {
        let _ = node.run(&["exec", "neighbor", "-c", "main", "--", "true"]).succeeds();
    }
    let found = node.run(&["logs", "neighbor", "-c", "main"]).succeeds().stdout;
    assert!(found.contains("traced one\n"), "it looks, and stops what it can: {found}");
    assert!(found.contains("saw minipod:pod\n"), "{found}");
    let of_machine = |line: &&str| {
        let words = ["path", "variable", "capability", "file", "memory"];
        // Its report is a pipe.
        words.iter().any(|word| line.starts_with(word)) && !line.starts_with("file pipe:")
    };
    let told: Vec<&str> = found.lines().filter(of_machine).collect();
    assert!(told.is_empty(), "{told:#?}");
    node.delete_leaves_nothing("neighbor", &["--now"]);
}

fn memory_of_a_command_has_no_secret_of_a_neighbor() {
    let node = Node::new("memory", &["probe"]);
    let config = format!(
        "{{\"auths\": {{\"127.0.0.1:9\": {{\"username\": \"u\", \"password\": \"{SECRET}\"}}}}}}"
    );
    let secrets = secret("word", "Opaque", "word", SECRET)
        + &secret("pull", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", &config);
    // The last one has the supervisor read the registry's password.
    let others = "  - name: side\n    image: minipod/probe:1.0\n    command: [sleep, '1000']\n    \
        env: [{name: HUSH, valueFrom: {secretKeyRef: {name: word, key: word}}}]\n  \
        - {name: pulled, image: '127.0.0.1:9/none:1', command: ['true']}\n  \
        imagePullSecrets: [{name: pull}]\n";
    let _ = node.apply(&(secrets + &looking("memory", ("/none", false), others))).succeeds();
    node.wait_until("memory", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| statuses.iter().find(|one| one["name"] == name).cloned();
        let runs = |name| of(name).is_some_and(|one| one["state"]["running"].is_object());
        let failed = of("pulled").is_some_and(|one| {
            one["state"]["waiting"]["reason"].as_str().is_some_and(|why| why.contains("Pull"))
        });
        runs("main") && runs("side") && failed
    });
    let hidden =
        node.run(&["exec", "memory", "-c", "side", "--", "sh", "-c", "echo $HUSH"]).succeeds();
    assert_eq!(hidden.stdout.trim_end(), SECRET);
    for _ in 0..60 {
        let _ = node.run(&["exec", "memory", "-c", "main", "--", "true"]).succeeds();
    }
    let found = node.run(&["logs", "memory", "-c", "main"]).succeeds().stdout;
    assert!(found.contains("traced one\n") && found.contains("read memory\n"), "{found}");
    assert!(!found.contains("memory of one"), "{found}");
    node.delete_leaves_nothing("memory", &["--now"]);
}

/// The name is looked up with the machine's files, which the probe has not when it asks.
fn a_probe_finds_the_host_that_it_names() {
    let node = Node::new("names", &["probe"]);
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: names}\nspec:\n  \
        hostNetwork: true\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    \
        image: minipod/probe:1.0\n    command: [busybox, httpd, -f, -p, '8080', -h, /bin]\n    \
        startupProbe: {tcpSocket: {host: localhost, port: 8080}, periodSeconds: 1}\n    \
        readinessProbe: {httpGet: {host: localhost, port: 8080, path: /sh}, periodSeconds: 1}\n";
    let _ = node.apply(manifest).succeeds();
    node.wait_until("names", |pod| pod["status"]["containerStatuses"][0]["ready"] == true);
    node.delete_leaves_nothing("names", &["--now"]);
}
