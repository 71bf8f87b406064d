//! Pods on machines whose network is odd, wrong or broken, and what is told about it.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e_tests::Node;

use crate::Test;
use crate::supervisor::supervisor as supervisor_of;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_wrong_range_of_pod_addresses_is_a_usage_error_and_an_empty_one_is_none",
        a_wrong_range_of_pod_addresses_is_a_usage_error_and_an_empty_one_is_none,
    ),
    (
        "pods_get_another_range_where_the_machine_uses_the_first",
        pods_get_another_range_where_the_machine_uses_the_first,
    ),
    (
        "a_range_that_is_taken_is_told_with_the_option_and_the_pod_can_be_deleted",
        a_range_that_is_taken_is_told_with_the_option_and_the_pod_can_be_deleted,
    ),
    (
        "a_pod_is_deleted_whatever_was_broken_of_its_network",
        a_pod_is_deleted_whatever_was_broken_of_its_network,
    ),
    (
        "a_firewall_that_stops_pods_is_told_by_run_and_as_an_event",
        a_firewall_that_stops_pods_is_told_by_run_and_as_an_event,
    ),
    (
        "a_name_server_that_a_pod_cannot_reach_is_told_by_run",
        a_name_server_that_a_pod_cannot_reach_is_told_by_run,
    ),
    ("files_of_the_machine_may_have_any_bytes", files_of_the_machine_may_have_any_bytes),
    (
        "the_doctor_tries_a_pods_network_and_names_what_is_in_its_way",
        the_doctor_tries_a_pods_network_and_names_what_is_in_its_way,
    ),
];

const SLEEPS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000'], ports: [{containerPort: 80, hostPort: 8090}]}
";

/// A pod that prints what it is told to and ends.
fn says(script: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: odd}}\nspec:\n  restartPolicy: Never\n{more}  \
         containers:\n  - name: main\n    image: busybox:1.36\n    command: [sh, -c, '{script}']\n"
    )
}

/// Runs a program on the lab's machine.
fn machine(node: &Node, line: &str) {
    let mut words = line.split_whitespace();
    let program = Path::new(words.next().expect("a program"));
    let status = node.lab.command(program).args(words).status().expect("it starts");
    assert!(status.success(), "{line}");
}

fn a_wrong_range_of_pod_addresses_is_a_usage_error_and_an_empty_one_is_none() {
    for (variable, value, told) in [
        ("MINIPOD_POD_CIDR", "10.9/8", "\"10.9/8\" as a range of pod addresses"),
        ("MINIPOD_POD_CIDR", "10.85.0.1/16", "bits are set behind the prefix"),
        ("MINIPOD_POD_CIDR6", "fd85::/120", "the prefix has to be from 16 to 96"),
        ("MINIPOD_POD_EGRESS", "some", "it has to be none, internet or all"),
    ] {
        let node = Node::new("range", &["busybox"]).with(variable, value);
        let outcome = node.apply(SLEEPS).ends_with(2);
        let option = variable.trim_start_matches("MINIPOD_").to_lowercase().replace('_', "-");
        assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("--{option}")), "{}", outcome.stderr);
        let pods = node.directories()[0].join("pods");
        assert_eq!(fs::read_dir(pods).into_iter().flatten().count(), 0, "nothing was made");
    }
    let node = Node::new("empty", &["busybox"]);
    let names = ["MINIPOD_POD_CIDR", "MINIPOD_POD_CIDR6", "MINIPOD_POD_EGRESS"];
    let node = names.into_iter().fold(node, |node, name| node.with(name, ""));
    let _ = node.apply(SLEEPS).succeeds();
    node.wait_for_status("odd", &["Running"]);
    assert_eq!(node.pod("odd")["status"]["podIP"], "10.85.0.2");
    node.delete_leaves_nothing("odd", &[]);
}

fn pods_get_another_range_where_the_machine_uses_the_first() {
    let node = Node::new("second", &["busybox"]);
    machine(&node, "ip route add 10.85.0.0/16 via 203.0.113.1");
    machine(&node, "ip route add 0.0.0.0/1 via 203.0.113.1");
    machine(&node, "ip route add 128.0.0.0/1 via 203.0.113.1");
    let manifest = says("ping -c 1 -W 5 1.1.1.1 > /dev/null && echo reached", "");
    let path = node.file("pod.yaml", &manifest);
    let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
    assert_eq!(outcome.stdout, "[main] reached\n");
    assert_eq!(node.pod("odd")["status"]["podIP"], "10.185.0.2");
    node.delete_leaves_nothing("odd", &[]);
}

fn a_range_that_is_taken_is_told_with_the_option_and_the_pod_can_be_deleted() {
    let node = Node::new("taken", &["busybox"]).with("MINIPOD_POD_CIDR", "10.77.0.0/16");
    machine(&node, "ip route add 10.77.0.0/16 via 203.0.113.1");
    let _ = node.apply(SLEEPS).succeeds();
    let events = ["get", "events", "-w"];
    let mut watch = e2e_tests::node::Watch::start(node.command(&events));
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    let told = std::iter::from_fn(|| watch.line(deadline)).find(|line| line.contains("10.77"));
    let told = told.expect("an event tells of the range");
    assert!(told.contains("this machine has the route 10.77.0.0/16 via uplink"), "{told}");
    assert!(told.contains("choose another range with --pod-cidr"), "{told}");
    node.delete_leaves_nothing("odd", &[]);
}

/// What somebody does to the lab's machine, and to the state directory.
type Breakage = fn(&Node, &Path);

fn breakages() -> Vec<(&'static str, Breakage)> {
    vec![
        ("the bridge", |node, _| {
            let bridge = links(node).into_iter().find(|name| name.starts_with("minipod-"));
            machine(node, &format!("ip link del {}", bridge.expect("a bridge")));
        }),
        ("the link", |node, _| remove_pods_links(node)),
        ("the tables", |node, _| machine(node, "nft flush ruleset")),
        ("the leases", |_, state| fs::remove_dir_all(state.join("leases")).expect("leases")),
        ("the lease", |_, state| {
            for lease in fs::read_dir(state.join("leases")).expect("leases").flatten() {
                fs::write(lease.path(), b"\xff").expect("a lease");
            }
        }),
        ("the settings", |_, state| {
            fs::write(settings_of(state), "{\"pod_cidr\": 7").expect("settings");
        }),
        ("the range in the settings", |_, state| {
            let path = settings_of(state);
            let text = fs::read_to_string(&path).expect("settings");
            let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            value["pod_cidr"] = "nonsense".into();
            value["pod_cidr6"] = "::/nonsense".into();
            fs::write(path, value.to_string()).expect("settings");
        }),
        ("everything", |node, state| {
            machine(node, "nft flush ruleset");
            fs::remove_dir_all(state.join("leases")).expect("leases");
            remove_pods_links(node);
            fs::remove_file(settings_of(state)).expect("settings");
        }),
    ]
}

fn a_pod_is_deleted_whatever_was_broken_of_its_network() {
    let node = Node::new("broken", &["busybox"]);
    let [state, ..] = node.directories();
    let before = links(&node);
    for (what, break_it) in breakages() {
        for supervisor in ["lives", "is killed"] {
            let _ = node.apply(SLEEPS).succeeds();
            node.wait_for_status("odd", &["Running"]);
            let uid = node.pod("odd")["metadata"]["uid"].as_str().expect("a uid").to_owned();
            if supervisor == "is killed" {
                crate::supervisor::kill(supervisor_of(&node, "odd"));
            }
            break_it(&node, &state);
            let outcome = node.run(&["delete", "pod", "odd", "--now"]);
            assert_eq!(outcome.code, 0, "{what}, the supervisor {supervisor}: {}", outcome.stderr);
            node.nothing_is_left(&uid);
            assert_eq!(links(&node), before, "{what}, the supervisor {supervisor}");
            let tables = node.lab.command(Path::new("nft")).args(["list", "tables"]).output();
            assert_eq!(String::from_utf8_lossy(&tables.expect("nft").stdout), "", "{what}");
        }
    }
}

/// Removes what is there of pods' links: a link goes by itself with a pod whose
/// supervisor was killed.
fn remove_pods_links(node: &Node) {
    for link in links(node).iter().filter(|name| name.starts_with("mp")) {
        let mut command = node.lab.command(Path::new("ip"));
        let _ = command.args(["link", "del", link]).output().expect("ip starts");
    }
}

/// The names of the links of the lab's machine.
fn links(node: &Node) -> Vec<String> {
    let listed = node.lab.command(Path::new("ip")).args(["-o", "-br", "link"]).output();
    let text = String::from_utf8_lossy(&listed.expect("ip").stdout).into_owned();
    let first = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.split('@').next().unwrap_or_default().to_owned()
    };
    text.lines().map(first).collect()
}

/// The settings of the only pod.
fn settings_of(state: &Path) -> std::path::PathBuf {
    let find = Command::new("find").arg(state).args(["-name", "settings.json"]).output();
    let text = String::from_utf8_lossy(&find.expect("find").stdout).into_owned();
    text.lines().next().expect("settings").into()
}

fn a_firewall_that_stops_pods_is_told_by_run_and_as_an_event() {
    let node = Node::new("walls", &["busybox"]);
    // Docker's: made way for.
    machine(&node, "iptables-nft -P FORWARD DROP");
    let path = node.file("pod.yaml", &says("ping -c 1 -W 5 1.1.1.1 > /dev/null && echo out", ""));
    let outcome = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
    assert_eq!(outcome.stdout, "[main] out\n", "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("NetworkBlocked"), "{}", outcome.stderr);
    // An administrator's own: told.
    for line in [
        "nft add table inet mine",
        "nft add chain inet mine wall { type filter hook forward priority 0 ; policy drop ; }",
    ] {
        machine(&node, line);
    }
    let path = node.file("pod.yaml", &says("echo here", ""));
    let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
    let told = "the firewall chain inet mine wall drops forwarded packets";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("nft insert rule inet mine wall iifname"),
        "{}",
        outcome.stderr
    );
    let events = node.events();
    let is_it =
        |(reason, text): &(String, String)| reason == "NetworkBlocked" && text.contains(told);
    assert!(events.iter().any(is_it), "{events:?}");
    node.delete_leaves_nothing("odd", &[]);
}

/// Runs a pod where `/etc/resolv.conf` and `/etc/hosts` of the machine have these bytes.
fn run_with_files(node: &Node, resolver: &[u8], hosts: &[u8], manifest: &str) -> [String; 2] {
    let path = node.file("pod.yaml", manifest);
    let directory = path.parent().expect("a directory");
    fs::write(directory.join("resolv.conf"), resolver).expect("a file");
    fs::write(directory.join("hosts"), hosts).expect("a file");
    let program = e2e_tests::fixtures::program();
    let script = format!(
        "mount --bind {0}/resolv.conf /etc/resolv.conf && mount --bind {0}/hosts /etc/hosts && \
         exec {1} run --rm {2}",
        directory.display(),
        program.display(),
        path.display()
    );
    let words = ["--mount", "--propagation", "private", "sh", "-c", &script];
    let output = node.with_places(Path::new("unshare"), &words).output().expect("unshare starts");
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
}

fn a_name_server_that_a_pod_cannot_reach_is_told_by_run() {
    let node = Node::new("resolver", &["busybox"]);
    let manifest = says("cat /etc/resolv.conf", "");
    let [stdout, stderr] = run_with_files(&node, b"nameserver 127.0.0.11\n", b"", &manifest);
    assert_eq!(stdout, "[main] nameserver 127.0.0.11\n", "{stderr}");
    let told =
        "the pod cannot reach the name server 127.0.0.11, which is on this machine's loopback";
    assert!(stderr.contains(told), "{stderr}");
    assert!(stderr.contains("dnsConfig.nameservers"), "{stderr}");
    let [_, stderr] = run_with_files(&node, b"nameserver 192.0.2.1\n", b"", &manifest);
    assert!(!stderr.contains("DNSConfigForming"), "{stderr}");
    let on_host = says("true", "  hostNetwork: true\n");
    let [_, stderr] = run_with_files(&node, b"nameserver 127.0.0.11\n", b"", &on_host);
    assert!(!stderr.contains("DNSConfigForming"), "there it can be reached: {stderr}");
}

fn files_of_the_machine_may_have_any_bytes() {
    let node = Node::new("bytes", &["busybox"]);
    let resolver = b"# caf\xe9\nnameserver 192.0.2.1\n";
    let hosts = b"192.0.2.9 printer # \xfc\n";
    let script = "grep nameserver /etc/resolv.conf; grep printer /etc/hosts | od -An -tx1 -j 20";
    let manifest = says(script, "  hostNetwork: true\n");
    let [stdout, stderr] = run_with_files(&node, resolver, hosts, &manifest);
    assert_eq!(stdout, "[main] nameserver 192.0.2.1\n[main]  fc 0a\n", "{stderr}");
    let [stdout, stderr] =
        run_with_files(&node, resolver, hosts, &says("cat /etc/resolv.conf", ""));
    assert_eq!(stdout, "[main] nameserver 192.0.2.1\n", "{stderr}");
}

fn the_doctor_tries_a_pods_network_and_names_what_is_in_its_way() {
    let node = Node::new("doctor", &[]);
    let finding = |node: &Node, name: &str| {
        let outcome = node.run(&["doctor", "-o", "json"]);
        let all: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        let found = all.as_array().into_iter().flatten().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {all}")).clone()
    };
    let before = links(&node);
    let tried = finding(&node, "pod network");
    assert_eq!(tried["level"], "ok", "{tried}");
    assert_eq!(links(&node), before, "nothing is left");
    let node = node.with("MINIPOD_POD_CIDR", "10.77.0.0/16");
    machine(&node, "ip route add 10.77.0.0/16 via 203.0.113.1");
    let taken = finding(&node, "pod addresses");
    assert_eq!(taken["level"], "missing", "{taken}");
    assert!(taken["try"].as_str().unwrap_or_default().contains("--pod-cidr"), "{taken}");
    machine(&node, "iptables-nft -P FORWARD DROP");
    let walls = finding(&node, "firewalls");
    assert_eq!(walls["level"], "ok", "minipod makes way in iptables: {walls}");
}
