//! Firewalls of others that would drop what pods send and get.

use std::process::Command;

use sandbox::network::warnings;

use crate::Test;
use crate::lab::{INTERNET, MACHINE, Machine, Namespace, Pod, tcp};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        (
            "pods_pass_a_forward_chain_of_iptables_that_drops",
            pods_pass_a_forward_chain_of_iptables_that_drops,
        ),
        (
            "pods_pass_a_forward_chain_of_iptables_legacy_that_drops",
            pods_pass_a_forward_chain_of_iptables_legacy_that_drops,
        ),
        (
            "pods_pass_where_bridged_packets_go_through_iptables_too",
            pods_pass_where_bridged_packets_go_through_iptables_too,
        ),
        (
            "a_firewall_that_drops_later_is_told_with_the_way_out",
            a_firewall_that_drops_later_is_told_with_the_way_out,
        ),
        (
            "a_firewall_whose_last_rule_rejects_is_told_until_it_lets_pods_pass",
            a_firewall_whose_last_rule_rejects_is_told_until_it_lets_pods_pass,
        ),
        ("a_firewall_that_lets_pods_pass_is_not_told", a_firewall_that_lets_pods_pass_is_not_told),
    ]
}

/// Runs a program inside the machine and returns what it printed.
fn run(machine: &Machine, line: &str) -> String {
    let mut words = line.split_whitespace();
    machine.namespace.run(|| {
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    })
}

fn told(machine: &Machine) -> Vec<String> {
    machine.namespace.run(|| warnings(&machine.settings)).unwrap()
}

fn reaches_the_internet(pod: &Pod, internet: &Namespace) {
    let listener = internet.listen("0.0.0.0:443");
    pod.namespace.talk((INTERNET, 443), &listener);
}

/// With every program that rules the same packets.
fn drops_by_policy(program: &str) {
    let (machine, internet) = Machine::with_internet();
    run(&machine, &format!("{program} -P FORWARD DROP"));
    run(&machine, &format!("{program} -A FORWARD -s 192.0.2.77 -j ACCEPT"));
    let before = run(&machine, &format!("{program} -S"));
    let (pod, other) = (machine.pod(&[tcp(8080, 80)]), machine.pod(&[]));
    reaches_the_internet(&pod, &internet);
    let inside = pod.namespace.listen("0.0.0.0:80");
    internet.talk((MACHINE, 8080), &inside);
    other.namespace.talk((MACHINE, 8080), &inside);
    assert_eq!(told(&machine), [""; 0]);
    let during = run(&machine, &format!("{program} -S FORWARD"));
    assert!(during.contains("-A FORWARD -i minipod0 "), "{during}");
    for pod in [pod, other] {
        machine.detach(&pod);
    }
    assert_eq!(run(&machine, &format!("{program} -S")), before);
}

fn pods_pass_a_forward_chain_of_iptables_that_drops() {
    drops_by_policy("iptables-nft");
}

fn pods_pass_a_forward_chain_of_iptables_legacy_that_drops() {
    drops_by_policy("iptables-legacy");
}

fn pods_pass_where_bridged_packets_go_through_iptables_too() {
    let machine = Machine::new();
    run(&machine, "iptables-nft -P FORWARD DROP");
    let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    machine.namespace.run(|| std::fs::write(switch, "1")).unwrap();
    let (one, two) = (machine.pod(&[]), machine.pod(&[]));
    let listener = two.namespace.listen("0.0.0.0:80");
    one.namespace.talk((two.address.ip, 80), &listener);
}

fn a_firewall_that_drops_later_is_told_with_the_way_out() {
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    assert_eq!(told(&machine), [""; 0]);
    run(&machine, "iptables-nft -P FORWARD DROP");
    let expected = "the firewall chain ip filter FORWARD drops forwarded packets, so pods may not \
                    reach the outside; allow them with: iptables -I FORWARD -i minipod0 -j ACCEPT; \
                    iptables -I FORWARD -o minipod0 -j ACCEPT";
    assert_eq!(told(&machine), [expected]);
    run(&machine, "iptables-nft -I FORWARD -i minipod0 -j ACCEPT");
    assert_eq!(told(&machine), [""; 0]);
    run(&machine, "iptables-legacy -P FORWARD DROP");
    let legacy = told(&machine).join("");
    assert!(legacy.contains("iptables-legacy -I FORWARD -o minipod0 -j ACCEPT"), "{legacy}");
    machine.detach(&pod);
}

/// As firewalld has it: a policy to accept, and a last rule that rejects.
fn a_firewall_whose_last_rule_rejects_is_told_until_it_lets_pods_pass() {
    let (machine, internet) = Machine::with_internet();
    for command in [
        "nft add table inet firewalld",
        "nft add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }",
        "nft add rule inet firewalld filter_FORWARD ct state established,related accept",
        "nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited",
    ] {
        run(&machine, command);
    }
    let pod = machine.pod(&[]);
    let expected = "the firewall chain inet firewalld filter_FORWARD drops forwarded packets, so \
                    pods may not reach the outside; allow them with: firewall-cmd --zone=trusted \
                    --add-source=10.85.0.0/16";
    assert_eq!(told(&machine), [expected]);
    run(&machine, "nft insert rule inet firewalld filter_FORWARD ip saddr 10.85.0.0/16 accept");
    assert_eq!(told(&machine), [""; 0]);
    reaches_the_internet(&pod, &internet);
}

fn a_firewall_that_lets_pods_pass_is_not_told() {
    let machine = Machine::new();
    for command in [
        "nft add table inet mine",
        "nft add chain inet mine forward { type filter hook forward priority 0; }",
        "nft add rule inet mine forward ip saddr 192.0.2.77 drop",
    ] {
        run(&machine, command);
    }
    let pod = machine.pod(&[]);
    assert_eq!(told(&machine), [""; 0]);
    machine.detach(&pod);
}
