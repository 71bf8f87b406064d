//! What real software and real manifests ask of a pod, where container engines have failed before.

use std::fs;
use std::os::unix::fs::MetadataExt;

use e2e_tests::Node;
use e2e_tests::image::Layer;
use serde_json::json;

use crate::Test;
use crate::volumes::{output, pod};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_container_starts_once_what_kept_it_from_being_created_is_mended",
        a_container_starts_once_what_kept_it_from_being_created_is_mended,
    ),
    (
        "volumes_are_mounted_inside_volumes_that_are_read_only",
        volumes_are_mounted_inside_volumes_that_are_read_only,
    ),
    (
        "a_mount_inside_a_config_map_survives_its_changes",
        a_mount_inside_a_config_map_survives_its_changes,
    ),
    (
        "a_mount_point_is_never_made_in_a_read_only_host_path",
        a_mount_point_is_never_made_in_a_read_only_host_path,
    ),
    (
        "a_missing_working_directory_is_made_in_a_read_only_root",
        a_missing_working_directory_is_made_in_a_read_only_root,
    ),
    (
        "a_volume_of_an_image_can_be_written_in_a_read_only_root",
        a_volume_of_an_image_can_be_written_in_a_read_only_root,
    ),
    (
        "volumes_that_a_hostile_image_declares_uncover_nothing",
        volumes_that_a_hostile_image_declares_uncover_nothing,
    ),
    (
        "every_signal_of_the_machine_stops_a_container",
        every_signal_of_the_machine_stops_a_container,
    ),
    ("a_stop_signal_that_is_none_is_told", a_stop_signal_that_is_none_is_told),
    ("a_terminal_is_the_console_of_its_container", a_terminal_is_the_console_of_its_container),
    (
        "a_pod_with_scheduling_gates_starts_when_the_last_is_removed",
        a_pod_with_scheduling_gates_starts_when_the_last_is_removed,
    ),
];

/// Those with user namespaces.
pub(crate) const OWN_USERS: &[Test] = &[(
    "mount_points_of_a_pod_with_users_of_its_own_belong_to_its_root",
    mount_points_of_a_pod_with_users_of_its_own_belong_to_its_root,
)];

const OBJECTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {plain: one}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: secret}
---
";

fn a_container_starts_once_what_kept_it_from_being_created_is_mended() {
    let node = Node::new("retry", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.1");
    let host = node.directory("host");
    let volumes = format!(
        "  - {{name: host, hostPath: {{path: {}}}}}\n  - {{name: in, emptyDir: {{}}}}\n",
        host.display()
    );
    let mounts = "    - {name: host, mountPath: /host, readOnly: true}\n    \
                  - {name: in, mountPath: /host/below}\n";
    let _ = node.apply(&pod("retry", &volumes, mounts, "echo here; exec sleep 1000")).succeeds();
    let failures = |node: &Node| {
        let events = node.events();
        let failed = events.into_iter().filter(|(reason, _)| reason == "Failed");
        failed.map(|(_, message)| message).collect::<Vec<_>>()
    };
    let waits_for = |pod: &serde_json::Value| {
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        (waiting["reason"] == "CreateContainerError")
            .then(|| waiting["message"].as_str().unwrap_or_default().to_owned())
    };
    // The second attempt fails for the same reason, and not for what the first one left.
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    let mut watch = e2e_tests::node::Watch::start(node.command(&["get", "events", "-w"]));
    let mut count = 0;
    while count < 2 {
        let line = watch.line(deadline).expect("the container is created again");
        count += usize::from(line.contains("Failed") && line.contains("read-only file system"));
        assert!(!line.contains("invalid argument"), "{line}");
    }
    drop(watch);
    let pod = node.pod("retry");
    let message = waits_for(&pod).unwrap_or_default();
    assert!(message.contains("read-only file system"), "{pod:#}");
    for message in failures(&node) {
        assert!(message.contains("read-only file system"), "{message}");
    }
    fs::create_dir(host.join("below")).expect("a directory of the host");
    node.wait_for_status("retry", &["Running"]);
}

fn volumes_are_mounted_inside_volumes_that_are_read_only() {
    let node = Node::new("nested", &["busybox"]);
    let _ = node.apply(OBJECTS).succeeds();
    let volumes = "  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys}}
  - {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  - {name: all, projected: {sources: [{configMap: {name: settings}}]}}
  - {name: empty, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: data, emptyDir: {}}
";
    let outer = [
        ("settings", "/settings"),
        ("keys", "/keys"),
        ("about", "/about"),
        ("all", "/all"),
        ("empty", "/empty"),
        ("memory", "/memory"),
    ];
    let mut mounts = String::new();
    let mut script = String::from("set -e\n");
    for (name, path) in outer {
        mounts.push_str(&format!(
            "    - {{name: {name}, mountPath: {path}, readOnly: true}}\n    \
             - {{name: data, mountPath: {path}/deep/er}}\n    \
             - {{name: settings, mountPath: {path}/file, subPath: plain}}\n"
        ));
        script.push_str(&format!(
            "echo x > {path}/deep/er/written\ncat {path}/file; echo\n\
             touch {path}/new 2> /dev/null && echo {path} can be written\n\
             touch {path}/deep/new 2> /dev/null && echo {path}/deep can be written\n"
        ));
    }
    script.push_str("cat /settings/plain /keys/token /about/name /all/plain; echo\n");
    let lines = output(&node, "nested", &pod("nested", volumes, &mounts, &script));
    let mut expected = vec!["one"; outer.len()];
    expected.push("onesecretnestedone");
    assert_eq!(lines, expected);
}

fn a_mount_inside_a_config_map_survives_its_changes() {
    let node = Node::new("survive", &["busybox"]);
    let _ = node.apply(OBJECTS).succeeds();
    let volumes =
        "  - {name: settings, configMap: {name: settings}}\n  - {name: data, emptyDir: {}}\n";
    let mounts = "    - {name: settings, mountPath: /settings}\n    \
                  - {name: data, mountPath: /settings/data}\n";
    let script = "echo kept > /settings/data/file; echo ready\n\
                  until test \"$(cat /settings/plain)\" = two; do usleep 10000; done\n\
                  cat /settings/data/file; ls /settings";
    let _ = node.apply(&pod("survive", volumes, mounts, script)).succeeds();
    node.wait_for_status("survive", &["Running"]);
    let _ = node.apply(&OBJECTS.replace("one", "two")).succeeds();
    node.wait_for_end("survive");
    assert_eq!(node.run(&["logs", "survive"]).stdout, "ready\nkept\ndata\nplain\n");
}

fn a_mount_point_is_never_made_in_a_read_only_host_path() {
    let node = Node::new("host-point", &["busybox"]);
    let host = node.directory("host");
    let volumes = format!(
        "  - {{name: host, hostPath: {{path: {}}}}}\n  - {{name: in, emptyDir: {{}}}}\n",
        host.display()
    );
    let mounts = "    - {name: host, mountPath: /host, readOnly: true}\n    \
                  - {name: in, mountPath: /host/below}\n";
    let _ = node.apply(&pod("point", &volumes, mounts, "true")).succeeds();
    node.wait_for_status("point", &["CreateContainerError"]);
    assert_eq!(fs::read_dir(&host).expect("the host path").count(), 0);
}

fn a_missing_working_directory_is_made_in_a_read_only_root() {
    let node = Node::new("directory", &["busybox"]);
    let more = "    workingDir: /not/there\n    securityContext: {readOnlyRootFilesystem: true}\n";
    let manifest = pod(
        "directory",
        "  - {name: data, emptyDir: {}}\n",
        "    - {name: data, mountPath: /data}\n",
        "pwd; stat -c %u:%a .",
    );
    let lines = output(&node, "directory", &(manifest + more));
    assert_eq!(lines, ["/not/there", "0:755"]);
}

fn a_volume_of_an_image_can_be_written_in_a_read_only_root() {
    let node = Node::new("image-volume", &["busybox"]);
    let layer = Layer::default()
        .directory("var/lib/data")
        .file("var/lib/data/seed", b"seed", 0o640)
        .directory("mounted")
        .file("mounted/hidden", b"", 0o644);
    let config = json!({"Volumes": {"/var/lib/data": {}, "/not/there": {}, "/mounted": {}}});
    node.load("with-volumes:1", layer, &config);
    let script = "cat /var/lib/data/seed; echo
                  stat -c %a /var/lib/data/seed
                  for i in /var/lib/data /not/there; do
                    touch $i/new && echo $i
                  done
                  ls -A /mounted /not/there
                  touch /new 2> /dev/null || echo read-only
                  test -e /persisted/mark && echo restarted; touch /persisted/mark
                  exit 1";
    let spec = |readonly: bool| {
        let volumes = "  - {name: mark, emptyDir: {}}\n  - {name: over, emptyDir: {}}\n";
        let mounts =
            "    - {name: mark, mountPath: /persisted}\n    - {name: over, mountPath: /mounted}\n";
        let more = format!("    securityContext: {{readOnlyRootFilesystem: {readonly}}}\n");
        let text = pod("volumes", volumes, mounts, script) + &more;
        text.replace("busybox:1.36", "with-volumes:1").replace("Never", "OnFailure")
    };
    let data = |node: &Node| node.directories()[1].join("pods");
    for readonly in [true, false] {
        let _ = node.apply(&spec(readonly)).succeeds();
        // What a start wrote is gone with it, as in a container that was made anew.
        node.wait_until("volumes", |pod| {
            pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
                && pod["status"]["containerStatuses"][0]["restartCount"] == 1
        });
        let printed = node.run(&["logs", "volumes"]).stdout;
        let end = if readonly { "read-only\nrestarted\n" } else { "restarted\n" };
        let lists = "/mounted:\n\n/not/there:\nnew\n";
        let expected = format!("seed\n640\n/var/lib/data\n/not/there\n{lists}{end}");
        assert_eq!(printed, expected, "{readonly}");
        node.delete_leaves_nothing("volumes", &["--now"]);
        assert_eq!(fs::read_dir(data(&node)).map_or(0, Iterator::count), 0);
    }
}

fn volumes_that_a_hostile_image_declares_uncover_nothing() {
    let node = Node::new("image-volumes", &["busybox"]);
    let layer = Layer::default().link("up", "../../../../..").link("proc-link", "/proc");
    let paths = [
        "/",
        "/..",
        "",
        ".",
        "relative",
        "/proc",
        "/proc-link/sys",
        "/sys",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/shm",
        "/up/tmp/x",
        "/etc",
        "/proc/sysrq-trigger/../sys",
    ];
    let volumes: serde_json::Map<String, serde_json::Value> =
        paths.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
    node.load("hostile-volumes:1", layer, &json!({"Volumes": volumes}));
    let script = "for i in /new /sys/new /sys/fs/cgroup/new /proc/sys/kernel/domainname; do
                    echo x 2> /dev/null > $i && echo $i can be written
                  done
                  for i in /relative /etc /tmp/x; do touch $i/new && echo $i; done
                  stat -f -c %T /proc /sys /dev; cat /proc/1/comm";
    let more = "    securityContext: {readOnlyRootFilesystem: true}\n";
    let volumes = "  - {name: data, emptyDir: {}}\n";
    let manifest = pod("hostile", volumes, "    - {name: data, mountPath: /data}\n", script) + more;
    let lines = output(&node, "hostile", &manifest.replace("busybox:1.36", "hostile-volumes:1"));
    assert_eq!(lines, ["/relative", "/etc", "/tmp/x", "proc", "sysfs", "tmpfs", "sh"]);
}

fn mount_points_of_a_pod_with_users_of_its_own_belong_to_its_root() {
    let node = Node::new("own-points", &["busybox"]);
    let host = node.directory("host");
    let _ = node.apply(OBJECTS).succeeds();
    let volumes = format!(
        "  - {{name: disk, emptyDir: {{}}}}\n  - {{name: memory, emptyDir: {{medium: Memory}}}}\n  \
         - {{name: settings, configMap: {{name: settings}}}}\n  \
         - {{name: keys, secret: {{secretName: keys}}}}\n  \
         - {{name: host, hostPath: {{path: {}}}}}\n  - {{name: in, emptyDir: {{}}}}\n",
        host.display()
    );
    let outer = ["disk", "memory", "settings", "keys", "host"];
    let mut mounts = String::from("    - {name: in, mountPath: /made/for/it}\n");
    let mut script = String::from("set -e\nstat -c %u:%g /made /made/for /not /not/there\n");
    for name in outer {
        mounts.push_str(&format!(
            "    - {{name: {name}, mountPath: /{name}}}\n    \
             - {{name: in, mountPath: /{name}/deep/er}}\n    \
             - {{name: settings, mountPath: /{name}/file, subPath: plain}}\n"
        ));
        script.push_str(&format!(
            "touch /{name}/deep/er/x; cat /{name}/file; stat -c ' %u:%g' /{name}/deep\n"
        ));
    }
    let more = "    workingDir: /not/there\n    securityContext: {readOnlyRootFilesystem: true}\n";
    let manifest = pod("own", &volumes, &mounts, &script) + more;
    let manifest = manifest.replace("  restartPolicy", "  hostUsers: false\n  restartPolicy");
    let lines = output(&node, "own", &manifest);
    // Volumes of the pod's own give what is in them to the group of the pod.
    let grouped = vec!["one 0:4321"; outer.len() - 1];
    let expected = [vec!["0:0"; 4], grouped, vec!["one 0:0"]].concat();
    assert_eq!(lines, expected);
    // A host path belongs to whom it did: the pod's root is root there.
    assert_eq!(fs::metadata(host.join("deep")).expect("the mount point").uid(), 0);
}

/// What a container says that waits for every signal: the number of the first one that comes.
const TELLS_ITS_SIGNAL: &str = "for n in $(seq 1 64); do case $n in 9|17|19|32|33) ;; \
    *) trap \"echo $n > /told/$0; exit 0\" $n;; esac; done; touch /told/ready-$0; \
    while true; do sleep 0.05; done";

fn every_signal_of_the_machine_stops_a_container() {
    let node = Node::new("real-time", &["busybox"]);
    let told = node.directory("told");
    let of_image =
        [("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("40", 40), ("SIGPOLL", 29), ("winch", 28)];
    let of_manifest = [("SIGRTMIN+4", 38), ("SIGRTMAX", 64), ("SIGPOLL", 29), ("SIGIOT", 6)];
    let mut containers = String::new();
    let mut add = |name: String, image: &str, more: &str| {
        containers.push_str(&format!(
            "  - name: {name}\n    image: {image}\n    command: [sh, -c, '{TELLS_ITS_SIGNAL}', {name}]\n    \
             volumeMounts: [{{name: told, mountPath: /told}}]\n{more}"
        ));
    };
    for (at, (signal, _)) in of_image.iter().enumerate() {
        let image = format!("stopped:{at}");
        node.load(&image, Layer::default(), &json!({"StopSignal": signal}));
        add(format!("image-{at}"), &image, "");
    }
    for (at, (signal, _)) in of_manifest.iter().enumerate() {
        let more = format!("    lifecycle: {{stopSignal: {signal}}}\n");
        add(format!("manifest-{at}"), "busybox:1.36", &more);
    }
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: signals}}\nspec:\n  os: {{name: linux}}\n  \
         volumes: [{{name: told, hostPath: {{path: {}}}}}]\n  containers:\n{containers}",
        told.display()
    );
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("signals", &["Running"]);
    for container in 0..of_image.len() {
        wait_in(&node, "signals", "image-0", &format!("test -e /told/ready-image-{container}"));
    }
    for container in 0..of_manifest.len() {
        wait_in(&node, "signals", "image-0", &format!("test -e /told/ready-manifest-{container}"));
    }
    node.delete_leaves_nothing("signals", &[]);
    for (group, signals) in [("image", of_image.as_slice()), ("manifest", &of_manifest)] {
        for (at, (signal, number)) in signals.iter().enumerate() {
            let said = fs::read_to_string(told.join(format!("{group}-{at}")));
            assert_eq!(said.unwrap_or_default(), format!("{number}\n"), "{group} {signal}");
        }
    }
}

/// Waits until a condition of the shell holds in a container.
pub(crate) fn wait_in(node: &Node, pod: &str, container: &str, condition: &str) {
    let script = format!("until {condition}; do usleep 20000; done");
    let _ = node
        .run(&["exec", pod, "-c", container, "--", "timeout", "60", "sh", "-c", &script])
        .succeeds();
}

fn a_stop_signal_that_is_none_is_told() {
    let node = Node::new("no-signal", &["busybox"]);
    node.load("stopped:1", Layer::default(), &json!({"StopSignal": "SIGSTOPPING"}));
    let manifest = pod(
        "odd",
        "  - {name: data, emptyDir: {}}\n",
        "    - {name: data, mountPath: /data}\n",
        "trap 'exit 0' TERM; touch /data/ready; while true; do sleep 0.05; done",
    );
    let _ = node.apply(&manifest.replace("busybox:1.36", "stopped:1")).succeeds();
    node.wait_for_status("odd", &["Running"]);
    wait_in(&node, "odd", "main", "test -e /data/ready");
    let warned = node.events().into_iter().find(|(reason, _)| reason == "InvalidStopSignal");
    let (_, message) = warned.expect("a warning");
    assert!(message.contains("\"SIGSTOPPING\"") && message.contains("SIGTERM"), "{message}");
    node.delete_leaves_nothing("odd", &[]);
}

fn a_terminal_is_the_console_of_its_container() {
    let node = Node::new("console", &["busybox"]);
    let layer = Layer::default().link("dev/console", "/etc/passwd");
    node.load("console:1", layer, &json!({}));
    let manifest = |name: &str, script: &str, more: &str| {
        let text = pod(
            name,
            "  - {name: data, emptyDir: {medium: Memory}}\n",
            "    - {name: data, mountPath: /data}\n",
            script,
        );
        text.replace("busybox:1.36", "console:1") + more
    };
    let script = "echo said > /dev/console
                  stat -c %F /dev/console
                  test $(stat -c %t:%T /dev/console) = $(stat -c %t:%T $(readlink /proc/self/fd/0)) && echo same";
    let terminal =
        "    tty: true\n    securityContext: {readOnlyRootFilesystem: true, runAsUser: 1000}\n";
    let lines = output(&node, "console", &manifest("console", script, terminal));
    assert_eq!(lines, ["said", "character special file", "same"]);
    // Without a terminal there is none, and an image cannot bring one.
    let lines =
        output(&node, "none", &manifest("none", "ls /dev/console 2> /dev/null || echo none", ""));
    assert_eq!(lines, ["none"]);
}

fn a_pod_with_scheduling_gates_starts_when_the_last_is_removed() {
    let node = Node::new("gated", &["busybox"]);
    let manifest = |gates: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: gated}}\nspec:\n  schedulingGates: {gates}\n  \
             terminationGracePeriodSeconds: 1\n  containers:\n  \
             - {{name: main, image: 'busybox:1.36', command: [sleep, '1000']}}\n"
        )
    };
    let _ = node.apply(&manifest("[{name: example.com/a}, {name: example.com/b}]")).succeeds();
    node.wait_for_status("gated", &["SchedulingGated"]);
    let _ = node.apply(&manifest("[{name: example.com/b}]")).succeeds();
    let pod = node.pod("gated");
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated", "{pod:#}");
    assert!(node.events().is_empty(), "{:?}", node.events());
    let described = node.run(&["describe", "pod", "gated"]).succeeds().stdout;
    assert!(described.contains("SchedulingGated") || described.contains("Pending"), "{described}");
    let _ = node.run(&["logs", "gated"]).ends_with(1);
    let more = node.apply(&manifest("[{name: example.com/b}, {name: example.com/c}]"));
    assert!(more.stderr.contains("only deletion is allowed"), "{}", more.stderr);
    let _ = node.apply(&manifest("[]")).succeeds();
    node.wait_for_status("gated", &["Running"]);
    node.delete_leaves_nothing("gated", &[]);
    let _ = node.apply(&manifest("[{name: example.com/a}]")).succeeds();
    node.wait_for_status("gated", &["SchedulingGated"]);
    node.delete_leaves_nothing("gated", &[]);
}
