//! Which namespaces a pod has, and what its containers know of the network.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use e2e_tests::node::PATIENCE;
use e2e_tests::{Node, leaks};
use serde_json::Value;

use crate::Test;
use crate::supervisor::supervisor;

pub(crate) const TESTS: &[Test] = &[
    (
        "containers_share_what_kubernetes_has_them_share",
        containers_share_what_kubernetes_has_them_share,
    ),
    (
        "with_the_hosts_namespaces_init_containers_are_in_them_too",
        with_the_hosts_namespaces_init_containers_are_in_them_too,
    ),
    (
        "orphans_of_a_container_among_the_machines_processes_are_reaped",
        orphans_of_a_container_among_the_machines_processes_are_reaped,
    ),
    (
        "a_shared_process_namespace_has_a_first_process_that_reaps",
        a_shared_process_namespace_has_a_first_process_that_reaps,
    ),
    (
        "names_and_resolvers_are_written_as_a_kubelet_writes_them",
        names_and_resolvers_are_written_as_a_kubelet_writes_them,
    ),
    (
        "a_pod_has_an_ipv6_address_where_the_machine_has_one",
        a_pod_has_an_ipv6_address_where_the_machine_has_one,
    ),
    (
        "a_host_port_is_reached_from_where_it_should_be",
        a_host_port_is_reached_from_where_it_should_be,
    ),
];

/// Runs a pod of an init container and a main container that print what they see; returns that.
fn seen(node: &Node, name: &str, spec: &str) -> [Value; 2] {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         initContainers: [{{name: init, image: 'minipod/probe:1.0'}}]\n  \
         containers: [{{name: main, image: 'minipod/probe:1.0'}}]\n{spec}"
    );
    let path = node.file("probe.yaml", &manifest);
    let _ = node.run(&["run", &path.display().to_string()]).succeeds();
    let found = ["init", "main"].map(|container| {
        let logs = node.run(&["logs", name, "-c", container]).succeeds();
        serde_json::from_str(&logs.stdout).expect("the probe prints JSON")
    });
    node.delete_leaves_nothing(name, &[]);
    found
}

/// A namespace of this process, as links in `/proc/self/ns` show it.
fn own(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
    link.display().to_string()
}

/// MP-32.
fn containers_share_what_kubernetes_has_them_share() {
    let node = Node::new("share", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: share}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: one, image: 'busybox:1.36', command: [sh, -c, 'echo heard > /tmp/x; httpd -f -p 127.0.0.1:7000 -h /tmp']}
  - {name: two, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("share", &["Running"]);
    let kinds = ["net", "ipc", "uts", "user", "pid", "mnt", "cgroup"];
    let [one, two] = ["one", "two"].map(|container| {
        let script =
            format!("for kind in {}; do readlink /proc/self/ns/$kind; done", kinds.join(" "));
        let words = ["exec", "share", "-c", container, "--", "sh", "-c", &script];
        let links = node.run(&words).succeeds().stdout;
        links.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    for (at, kind) in kinds.into_iter().enumerate() {
        let is_shared = at < 4;
        assert_eq!(one[at] == two[at], is_shared, "{kind} is the pod's or the container's");
        assert_eq!(one[at] == own(kind), kind == "user", "{kind} is the host's or not");
    }
    let heard = ["exec", "share", "-c", "two", "--", "wget", "-q", "-O", "-", "127.0.0.1:7000/x"];
    assert_eq!(node.run(&heard).succeeds().stdout, "heard\n");
    node.delete_leaves_nothing("share", &["--now"]);
}

/// MP-34 and MP-35.
fn with_the_hosts_namespaces_init_containers_are_in_them_too() {
    let node = Node::new("hostns", &["probe"]);
    let spec = "  hostNetwork: true\n  hostPID: true\n  hostIPC: true\n";
    let network = fs::metadata(node.lab.network()).expect("the lab's machine").ino();
    for container in seen(&node, "hosts", spec) {
        let namespaces = &container["namespaces"];
        assert_eq!(namespaces["net"], format!("net:[{network}]"));
        for kind in ["pid", "ipc", "uts"] {
            assert_eq!(namespaces[kind], own(kind).as_str(), "{kind}");
        }
        assert_ne!(namespaces["mnt"], own("mnt").as_str());
        let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
        assert_eq!(container["hostname"], name.trim());
        let hosts = container["hosts"].as_str().unwrap_or_default();
        assert!(hosts.starts_with("# Kubernetes-managed hosts file (host network).\n"), "{hosts}");
    }
}

/// A container has a limit of 4096 processes, and one that nobody reaps counts.
fn orphans_of_a_container_among_the_machines_processes_are_reaped() {
    let node = Node::new("orphans", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: orphans}
spec:
  hostPID: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'for n in $(seq 50); do sh -c \"true &\"; done; echo left; sleep 1000']
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_log("orphans", "main", "left");
    let supervisor = supervisor(&node, "orphans");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        let children = fs::read_to_string(path).expect("it runs");
        if children.split_whitespace().count() == 3 {
            break; // the spawner, the pod's first process and the container's
        }
        assert!(Instant::now() < deadline, "nobody reaps {children}");
        std::thread::yield_now();
    }
    node.delete_leaves_nothing("orphans", &[]);
}

/// MP-33.
fn a_shared_process_namespace_has_a_first_process_that_reaps() {
    let node = Node::new("sharepid", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: share}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  containers:
  - {name: one, image: 'busybox:1.36', command: [sleep, '4711']}
  - {name: two, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("share", &["Running"]);
    // An orphan becomes a child of process 1, which must not leave it a zombie.
    let script = "cat /proc/1/comm; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; readlink /proc/self/ns/pid; \
                  (sh -c 'sleep 0.1; exit 3' &); while pidof -s sh | grep -vqx $$; do sleep 0.1; done; \
                  grep -h State /proc/[0-9]*/status | grep -c Z";
    let inside = node.run(&["exec", "share", "-c", "two", "--", "sh", "-c", script]).ends_with(1);
    let lines: Vec<&str> = inside.stdout.lines().collect();
    assert_eq!(lines[0], "minipod:pod", "{}", inside.stdout);
    assert!(lines[1].contains("sleep 4711"), "the other container is seen: {}", lines[1]);
    assert_eq!(lines[3], "0", "nobody is a zombie");
    let other = node.run(&["exec", "share", "-c", "one", "--", "readlink", "/proc/self/ns/pid"]);
    assert_eq!(other.succeeds().stdout.trim(), lines[2]);
    node.delete_leaves_nothing("share", &["--now"]);
}

/// MP-35 and MP-36.
fn names_and_resolvers_are_written_as_a_kubelet_writes_them() {
    let node = Node::new("names", &["probe"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let last = |value: &Value| text(value).lines().last().unwrap_or_default().to_owned();
    let spec = "  hostname: h\n  subdomain: s\n  hostAliases: [{ip: 192.0.2.9, hostnames: [one, two]}]\n  \
                dnsPolicy: None\n  dnsConfig: {nameservers: [192.0.2.1], searches: [a.example, b.example], options: [{name: ndots, value: '2'}, {name: edns0}]}\n";
    let [_, main] = seen(&node, "named", spec);
    assert_eq!(main["hostname"], "h");
    assert_eq!(main["etc_hostname"], "h\n");
    let hosts = text(&main["hosts"]);
    let (own, aliases) = hosts.split_once("\n\n").expect("a block of aliases");
    assert!(own.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), "{own}");
    assert!(own.ends_with("\th.s.default.svc.cluster.local\th"), "{own}");
    assert_eq!(aliases, "# Entries added by HostAliases.\n192.0.2.9\tone\ttwo\n");
    assert_eq!(
        text(&main["resolv_conf"]),
        "search a.example b.example\nnameserver 192.0.2.1\noptions ndots:2 edns0\n"
    );
    let [_, main] = seen(&node, "fqdn", "  subdomain: s\n  setHostnameAsFQDN: true\n");
    assert_eq!(main["hostname"], "fqdn.s.default.svc.cluster.local");
    let [_, main] = seen(&node, "plain", "  hostnameOverride: other.example\n");
    assert_eq!(main["hostname"], "other.example");
    assert!(last(&main["hosts"]).ends_with("\tother.example"), "{}", main["hosts"]);
    let long = "a".repeat(60);
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: long}}\nspec:\n  hostname: {long}\n  subdomain: s\n  \
         setHostnameAsFQDN: true\n  containers: [{{name: main, image: 'minipod/probe:1.0'}}]\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: many}}\nspec:\n  restartPolicy: Never\n  \
         dnsConfig: {{nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3]}}\n  \
         containers: [{{name: main, image: 'minipod/probe:1.0'}}]\n"
    );
    let _ = node.apply(&manifest).succeeds();
    wait_for_event(&node, "FailedCreatePodSandBox", "is too long (64 characters is the max");
    // The machine's own servers come first, so with any there are too many.
    let machine = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if machine.lines().any(|line| line.starts_with("nameserver")) {
        wait_for_event(&node, "DNSConfigForming", "Nameserver limits were exceeded, some");
    }
    let _ = node.run(&["delete", "pod", "many", "--now"]).succeeds();
    node.delete_leaves_nothing("long", &[]);
}

fn wait_for_event(node: &Node, reason: &str, part: &str) {
    let mut watch = e2e_tests::node::Watch::start(node.command(&["get", "events", "-w"]));
    let deadline = Instant::now() + PATIENCE;
    while let Some(line) = watch.line(deadline) {
        if line.contains(reason) && line.contains(part) {
            return;
        }
    }
    panic!("there is no event {reason} with {part:?}");
}

/// MP-37.
fn a_host_port_is_reached_from_where_it_should_be() {
    let node = Node::new("hostport", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: server}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: busybox:1.36
    command: [sh, -c, 'echo tcp > /tmp/answer; httpd -p 80 -h /tmp; sleep 1000']
    ports:
    - {containerPort: 80, hostPort: 8053}
    - {containerPort: 53, hostPort: 8053, protocol: UDP}
    - {containerPort: 80, hostPort: 8054, hostIP: 127.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: busy}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: 'busybox:1.36', command: [nc, -l, -p, '8055']}]
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("server", &["Running"]);
    node.wait_for_status("busy", &["Running"]);
    let get = |mut command: std::process::Command, to: &str| {
        command.args(["-s", "-m", "3", "--retry", "5", "--retry-connrefused"]);
        let output = command.arg(format!("http://{to}/answer")).output().expect("curl starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let here = || node.lab.command(Path::new("curl"));
    for address in ["203.0.113.2:8053", "127.0.0.1:8053", "127.0.0.1:8054"] {
        assert_eq!(get(here(), address), "tcp\n", "from the machine to {address}");
    }
    assert_eq!(get(node.lab.internet("curl"), "203.0.113.2:8053"), "tcp\n", "from outside");
    let mut outside = node.lab.internet("curl");
    outside.args(["-s", "-m", "2", "http://203.0.113.2:8054/answer"]);
    assert!(!outside.status().expect("curl starts").success(), "a port of the loopback only");
    let from_pod =
        ["exec", "server", "--", "wget", "-q", "-O", "-", "http://203.0.113.2:8053/answer"];
    assert_eq!(node.run(&from_pod).succeeds().stdout, "tcp\n", "from a pod, even itself");
    busy_ports_are_told(&node);
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

fn busy_ports_are_told(node: &Node) {
    for (port, owner) in [(8053, "pod "), (8055, "a process of this machine")] {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: late-{port}}}\nspec:\n  containers:\n  - name: main\n    \
             image: busybox:1.36\n    command: [sleep, '1000']\n    ports: [{{containerPort: 1, hostPort: {port}}}]\n"
        );
        let _ = node.apply(&manifest).succeeds();
        wait_for_event(node, "FailedCreatePodSandBox", &format!("{port}"));
        let description = node.run(&["describe", "pod", &format!("late-{port}")]).succeeds().stdout;
        assert!(description.contains(owner), "{description}");
        let uid = node.pod(&format!("late-{port}"))["metadata"]["uid"].to_string();
        let _ = node.run(&["delete", "pod", &format!("late-{port}")]).succeeds();
        let left = leaks::left(uid.trim_matches('"'), &[]);
        assert!(left.is_empty(), "{left:#?}");
    }
}

fn a_pod_has_an_ipv6_address_where_the_machine_has_one() {
    let node = Node::new("ipv6", &["busybox"]);
    for (outside, words) in [
        (true, "-6 address add 2001:db8::1/64 dev lan nodad"),
        (false, "-6 address add 2001:db8::2/64 dev uplink nodad"),
        (false, "-6 route add default via 2001:db8::1"),
    ] {
        let here = || node.lab.command(Path::new("ip"));
        let mut command = if outside { node.lab.internet("ip") } else { here() };
        let status = command.args(words.split(' ')).status().expect("ip starts");
        assert!(status.success(), "{words}");
    }
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: six}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'grep six /etc/hosts; ping -6 -c 1 -W 5 2001:db8::1 > /dev/null && echo reached']}
";
    let path = node.file("six.yaml", manifest);
    let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        ["[main] 10.85.0.2\tsix", "[main] fd85:a55::2\tsix", "[main] reached"],
        "{}",
        outcome.stderr
    );
    let ips = node.run(&["get", "pod", "six", "-o", "jsonpath={.status.podIPs[*].ip}"]).succeeds();
    assert_eq!(ips.stdout, "10.85.0.2 fd85:a55::2");
    node.delete_leaves_nothing("six", &[]);
}
