//! What system calls and setuid programs of a container come to, under each profile.

use std::fs;

use e2e_tests::Node;
use serde_json::json;

use crate::Test;
use crate::isolation_defaults::run;

pub(crate) const TESTS: &[Test] = &[
    (
        "system_calls_get_the_verdicts_of_their_profile",
        system_calls_get_the_verdicts_of_their_profile,
    ),
    ("a_profile_of_the_users_own_decides", a_profile_of_the_users_own_decides),
    (
        "commands_run_under_a_profile_that_forbids_new_processes",
        commands_run_under_a_profile_that_forbids_new_processes,
    ),
    (
        "a_setuid_program_gains_nothing_that_was_taken",
        a_setuid_program_gains_nothing_that_was_taken,
    ),
];

/// What each call answers by default: 0 for success, else the error number.
const VERDICTS: [(&str, i64); 52] = [
    ("keyctl", 1),
    ("search_key", 1),
    ("add_key", 1),
    ("unshare_user", 1),
    ("unshare_mount", 1),
    ("clone_mount", 1),
    ("clone3", 38),
    ("mount", 1),
    ("umount", 1),
    ("remount", 1),
    ("bpf", 1),
    ("open_by_handle_at", 1),
    ("unknown", 38),
    ("userfaultfd", 1),
    ("io_uring_setup", 1),
    ("personality_randomize", 1),
    ("personality_default", 0),
    ("ptrace", 0),
    ("kexec_load", 1),
    ("swapon", 1),
    ("init_module", 1),
    ("reboot", 1),
    ("settimeofday", 1),
    ("sethostname", 1),
    ("chroot", 0),
    ("setns", 1),
    ("socket_alg", 1),
    ("socket_vsock", 1),
    ("socket_inet", 0),
    ("socket_unix", 0),
    ("socket_netlink", 0),
    ("socket_packet", 0),
    ("chown", 0),
    ("bind_low_port", 0),
    ("mknod_disk", 0),
    ("open_disk", 1),
    ("open_memory", 1),
    ("open_null", 0),
    ("threads", 0),
    ("spawn", 0),
    ("vfork", 0),
    ("setuid", 0),
    // The same by i386's door, and none by x32's.
    ("i386_getpid", 0),
    ("i386_keyctl", 1),
    ("i386_unshare", 1),
    ("i386_mount", 1),
    ("i386_bpf", 1),
    ("i386_socketcall_alg", 1),
    ("x32_getpid", 38),
    ("x32_keyctl", 38),
    ("x32_unshare", 38),
    ("x32_mount", 38),
];

fn system_calls_get_the_verdicts_of_their_profile() {
    let node = Node::new("verdicts", &["probe"]);
    let container = |name: &str, security: &str| {
        format!(
            "  - {{name: {name}, image: 'minipod/probe:1.0', command: [/verdicts], \
             securityContext: {{{security}}}}}\n"
        )
    };
    let spec = [
        "  containers:\n".to_owned(),
        container("default", ""),
        container("nothing", "capabilities: {drop: [ALL]}"),
        container("one", "capabilities: {drop: [ALL], add: [CHOWN]}"),
        container("loose", "seccompProfile: {type: Unconfined}"),
        container("privileged", "privileged: true"),
    ];
    let seen = run(&node, "verdicts", &spec.concat());
    let check = |name: &str, exceptions: &[(&str, i64)]| {
        for (call, verdict) in VERDICTS {
            let exception = exceptions.iter().find(|one| one.0 == call);
            let verdict = exception.map_or(verdict, |one| one.1);
            assert_eq!(seen[name][call], verdict, "{name}: {call} in {}", seen[name]);
        }
    };
    check("default", &[]);
    let without =
        [("chroot", 1), ("socket_packet", 1), ("mknod_disk", 1), ("open_null", 1), ("setuid", 1)];
    check("nothing", &without);
    check("one", &without);
    assert_eq!(
        (&seen["nothing"]["chown"], &seen["one"]["chown"]),
        (&json!(0), &json!(0)),
        "to its owner"
    );
    let free = ["unshare_user", "clone3", "personality_randomize"];
    for call in free {
        assert_ne!(seen["loose"][call], 1, "without a filter {call} is the kernel's to judge");
    }
    for (call, verdict) in [("mount", 2), ("unshare_mount", 0), ("sethostname", 22), ("chroot", 0)]
    {
        assert_eq!(seen["privileged"][call], verdict, "privileged: {call}");
    }
    // Keys of the host and of other containers are out of reach: each has a keyring of its own.
    let rings = ["loose", "privileged"].map(|name| seen[name]["keyring"].as_i64());
    assert!(rings[0] > Some(0) && rings[1] > Some(0) && rings[0] != rings[1], "{rings:?}");
}

/// Forbids what the default profile allows, and the other way round.
const PROFILE: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
  "syscalls": [
    {"names": ["chown", "fchownat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
    {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
     "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}
  ]}"#;

fn a_profile_of_the_users_own_decides() {
    let node = Node::new("profile", &["probe"]);
    let profiles = node.directories()[1].join("seccomp/team");
    fs::create_dir_all(&profiles).expect("a directory of the test");
    fs::write(profiles.join("own.json"), PROFILE).expect("a file of the test");
    fs::write(profiles.join("bad.json"), "{}").expect("a file of the test");
    let spec = |path: &str| {
        format!(
            "  containers:\n  - name: main\n    image: minipod/probe:1.0\n    command: [/verdicts]\n    \
             securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {path}}}}}\n"
        )
    };
    let seen = run(&node, "profile", &spec("team/own.json"));
    for (call, verdict) in [
        ("chown", 95),
        ("socket_inet", 1),
        ("socket_unix", 0),
        ("unshare_user", 0),
        ("i386_keyctl", 0),
    ] {
        assert_eq!(seen["main"][call], verdict, "{call}: {}", seen["main"]);
    }
    for (at, path) in ["team/none.json", "team/bad.json", "team"].iter().enumerate() {
        let name = format!("refused{at}");
        let manifest =
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{}", spec(path));
        let _ = node.apply(&manifest).succeeds();
        node.wait_for_status(&name, &["CreateContainerError"]);
        let begins = format!(
            "Error: cannot load seccomp profile \"{}\": ",
            profiles.with_file_name(path).display()
        );
        let events = node.events();
        assert!(events.iter().any(|(_, text)| text.starts_with(&begins)), "{begins} {events:#?}");
        node.delete_leaves_nothing(&name, &["--now"]);
    }
    for path in ["../own.json", "''"] {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: invalid}}\nspec:\n{}",
            spec(path)
        );
        if node.apply(&manifest).code != 3 {
            node.wait_for_status("invalid", &["CreateContainerError"]);
            node.delete_leaves_nothing("invalid", &["--now"]);
        }
    }
}

/// For a program that is alone, and waits for nobody.
const ALONE: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
  "syscalls": [
    {"names": ["clone", "clone3", "fork", "vfork"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
    {"names": ["ppoll"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
  ]}"#;

fn commands_run_under_a_profile_that_forbids_new_processes() {
    let node = Node::new("alone", &["probe"]);
    let profiles = node.directories()[1].join("seccomp");
    fs::create_dir_all(&profiles).expect("a directory of the test");
    fs::write(profiles.join("alone.json"), ALONE).expect("a file of the test");
    let profile = "seccompProfile: {type: Localhost, localhostProfile: alone.json}";
    let container = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n    image: minipod/probe:1.0\n    command: [sleep, '1000']\n    \
             readinessProbe: {{exec: {{command: [test, -e, /probe]}}}}\n    \
             securityContext: {{{profile}{more}}}\n"
        )
    };
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: alone}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n{}{}{}",
        container("plain", ""),
        container("kept", ", allowPrivilegeEscalation: false"),
        container("user", ", runAsUser: 1000")
    );
    let _ = node.apply(&manifest).succeeds();
    node.wait_until("alone", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        statuses.len() == 3 && statuses.iter().all(|status| status["ready"] == true)
    });
    for (container, uid, kept) in [("plain", "0", "0"), ("kept", "0", "1"), ("user", "1000", "0")] {
        let exec = |command: &[&str]| {
            node.run(&[&["exec", "alone", "-c", container, "--"], command].concat())
        };
        let printed = exec(&["/probe"]).succeeds().stdout;
        let seen: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        let status = &seen["status"];
        assert_eq!((&status["Seccomp"], &status["NoNewPrivs"]), (&json!("2"), &json!(kept)));
        assert_eq!(status["Uid"], [uid; 4].join("\t"), "{container}");
        let held = if uid == "0" { "00000000a80425fb" } else { "0000000000000000" };
        assert_eq!((&status["CapEff"], &status["CapPrm"]), (&json!(held), &json!(held)));
        let alone = exec(&["sh", "-c", "(true); true"]);
        assert!(alone.stderr.contains("can't fork"), "{container}: {}", alone.stderr);
        let _ = exec(&["/nowhere"]).ends_with(127);
    }
    node.delete_leaves_nothing("alone", &["--now"]);
}

fn a_setuid_program_gains_nothing_that_was_taken() {
    let node = Node::new("setuid", &["probe"]);
    let container = |name: &str, more: &str| {
        format!(
            "  - {{name: {name}, image: 'minipod/probe:1.0', command: [/setuid-probe], \
             securityContext: {{runAsUser: 1000{more}}}}}\n"
        )
    };
    let spec = [
        "  containers:\n".to_owned(),
        container("free", ""),
        container("dropped", ", capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}"),
        container("kept", ", allowPrivilegeEscalation: false"),
    ];
    let seen = run(&node, "setuid", &spec.concat());
    let status = |name: &str, field: &str| {
        seen[name]["status"][field].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(status("free", "Uid"), "1000\t0\t0\t0");
    assert_eq!(status("free", "CapEff"), "00000000a80425fb");
    assert_eq!(status("dropped", "Uid"), "1000\t0\t0\t0");
    assert_eq!(status("dropped", "CapEff"), "0000000000000400", "no more than the bounding set");
    assert_eq!(status("kept", "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(status("kept", "CapEff"), "0000000000000000");
    assert_eq!(status("kept", "NoNewPrivs"), "1");
}
