//! What a pod can do to its neighbors by the network, and what it may reach.

use std::path::Path;

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_root_container_cannot_take_a_neighbors_address",
        a_root_container_cannot_take_a_neighbors_address,
    ),
    ("pod_egress_bounds_what_a_pod_reaches", pod_egress_bounds_what_a_pod_reaches),
    (
        "pod_egress_refuses_a_pod_on_the_hosts_network",
        pod_egress_refuses_a_pod_on_the_hosts_network,
    ),
];

/// The attacker has `NET_ADMIN` and takes the victim's address; the victim asks the third pod.
fn a_root_container_cannot_take_a_neighbors_address() {
    let node = Node::new("spoof", &["busybox"]);
    let pod = |name: &str, more: &str, script: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
             terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: busybox:1.36\n    \
             command: [sh, -c, '{script}']\n{more}"
        )
    };
    let admin = "    securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW]}}\n";
    let serve = "mkdir /w; hostname > /w/name; httpd -p 80 -h /w; sleep 1000";
    let manifests =
        [pod("server", "", serve), pod("client", "", "sleep 1000"), pod("attacker", admin, serve)];
    let _ = node.apply(&manifests.join("---\n")).succeeds();
    for name in ["server", "client", "attacker"] {
        node.wait_for_status(name, &["Running"]);
    }
    let ip = node.pod("server")["status"]["podIP"].as_str().expect("an address").to_owned();
    let take = format!("ip address add {ip}/32 dev eth0 && ip address add 10.85.7.7/32 dev eth0");
    let _ = node.run(&["exec", "attacker", "--", "sh", "-c", &take]).succeeds();
    let url = format!("http://{ip}/name");
    for _ in 0..5 {
        let asked = node.run(&["exec", "client", "--", "wget", "-q", "-O", "-", &url]);
        assert_eq!(asked.succeeds().stdout, "server\n");
    }
    // Nobody else has this address, so the attacker's answer would be the only one.
    let asked = node.run(&["exec", "client", "--", "ping", "-c", "1", "-W", "2", "10.85.7.7"]);
    let _ = asked.ends_with(1);
    let mac = "ip link set eth0 down; ip link set eth0 address 0a:58:0a:55:00:01; ip link set eth0 up; \
               ping -c 2 -W 1 10.85.0.1";
    let _ = node.run(&["exec", "attacker", "--", "sh", "-c", mac]).ends_with(1);
    let gateway = node.run(&["exec", "client", "--", "ping", "-c", "1", "-W", "5", "10.85.0.1"]);
    let _ = gateway.succeeds();
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

/// The lab's internet has 1.1.1.1; beside it, here, a private network and a metadata service.
fn pod_egress_bounds_what_a_pod_reaches() {
    let node = Node::new("egress", &["busybox"]);
    for address in ["10.1.2.3", "169.254.169.254"] {
        let words = ["address", "add", &format!("{address}/32"), "dev", "lo"];
        assert!(node.lab.internet("ip").args(words).status().expect("ip").success());
    }
    let link_local = ["route", "add", "169.254.169.254/32", "via", "203.0.113.1"];
    let mut command = node.lab.command(Path::new("ip"));
    assert!(command.args(link_local).status().expect("ip").success());
    let script = "for ip in 1.1.1.1 10.1.2.3 169.254.169.254 203.0.113.2 10.85.0.1; do \
                  ping -c 1 -W 1 $ip > /dev/null 2>&1 && echo $ip; done; true";
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: asks}}\nspec:\n  restartPolicy: Never\n  \
         containers: [{{name: main, image: 'busybox:1.36', command: [sh, -c, '{script}']}}]\n"
    );
    let path = node.file("asks.yaml", &manifest).display().to_string();
    for (egress, reached) in [
        ("all", &["1.1.1.1", "10.1.2.3", "169.254.169.254", "203.0.113.2", "10.85.0.1"][..]),
        ("internet", &["1.1.1.1"]),
        ("none", &[]),
    ] {
        let outcome = node.run(&["run", "--rm", "--pod-egress", egress, &path]).succeeds();
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let expected: Vec<String> = reached.iter().map(|ip| format!("[main] {ip}")).collect();
        assert_eq!(lines, expected, "{egress}: {}", outcome.stderr);
    }
}

fn pod_egress_refuses_a_pod_on_the_hosts_network() {
    let node = Node::new("egresshost", &["busybox"]).with("MINIPOD_POD_EGRESS", "internet");
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  containers: [{name: main, image: 'busybox:1.36', command: [sleep, '1000']}]
";
    let path = node.file("host.yaml", manifest).display().to_string();
    let outcome = node.run(&["run", "--rm", "--timeout", "5s", &path]);
    assert_ne!(outcome.code, 0);
    let told =
        "a pod with hostNetwork: true sends packets as this machine, which --pod-egress internet";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
}
