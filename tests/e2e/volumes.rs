//! What containers find in their volumes, and what becomes of a pod that lacks one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("volumes_show_what_the_manifest_says", volumes_show_what_the_manifest_says),
    ("a_volume_in_memory_has_its_size_and_its_pod", a_volume_in_memory_has_its_size_and_its_pod),
    (
        "a_volume_follows_its_object_and_a_sub_path_does_not",
        a_volume_follows_its_object_and_a_sub_path_does_not,
    ),
    ("a_pod_waits_for_what_its_volumes_lack", a_pod_waits_for_what_its_volumes_lack),
    ("a_host_path_of_another_kind_holds_the_pod_up", a_host_path_of_another_kind_holds_the_pod_up),
    (
        "a_host_path_is_there_and_made_as_its_type_says",
        a_host_path_is_there_and_made_as_its_type_says,
    ),
    ("an_image_is_a_volume", an_image_is_a_volume),
    (
        "a_claim_is_given_to_a_group_as_its_policy_says",
        a_claim_is_given_to_a_group_as_its_policy_says,
    ),
    ("a_sub_path_cannot_leave_its_volume", a_sub_path_cannot_leave_its_volume),
    ("a_planted_link_in_a_volume_is_not_followed", a_planted_link_in_a_volume_is_not_followed),
];

const OBJECTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {plain: one, other: two}
binaryData: {bytes: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: secret}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

/// A pod of one busybox container that runs a script.
pub(crate) fn pod(name: &str, volumes: &str, mounts: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{color: green}}}}\nspec:\n  \
         restartPolicy: Never\n  securityContext: {{fsGroup: 4321}}\n  volumes:\n{volumes}  \
         containers:\n  - name: main\n    image: busybox:1.36\n    command:\n    - sh\n    - -c\n    \
         - |\n{}\n    env: [{{name: PART, value: deep/part}}]\n    volumeMounts:\n{mounts}",
        script.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
    )
}

/// Runs a pod to its end and returns what it printed, line by line.
pub(crate) fn output(node: &Node, name: &str, manifest: &str) -> Vec<String> {
    let path = node.file(&format!("{name}.yaml"), manifest);
    let outcome = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
    let prefix = "[main] ";
    let lines = outcome.stdout.lines();
    lines.map(|line| line.strip_prefix(prefix).unwrap_or(line).to_owned()).collect()
}

const EVERY_KIND: &str = "  - {name: disk, emptyDir: {}}
  - name: settings
    configMap: {name: settings, items: [{key: plain, path: a/b/plain, mode: 0640}, {key: bytes, path: bytes}]}
  - {name: keys, secret: {secretName: keys, defaultMode: 0400}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: missing, configMap: {name: nowhere, optional: true}}
  - {name: claim, persistentVolumeClaim: {claimName: claim}}
  - name: all
    projected:
      sources:
      - configMap: {name: settings}
      - secret: {name: keys, items: [{key: token, path: plain}]}
      - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
";

const EVERY_MOUNT: &str = "    - {name: disk, mountPath: /disk}
    - {name: disk, mountPath: /part, subPathExpr: $(PART)}
    - {name: settings, mountPath: /settings}
    - {name: keys, mountPath: /keys}
    - {name: about, mountPath: /about}
    - {name: missing, mountPath: /missing}
    - {name: claim, mountPath: /claim}
    - {name: all, mountPath: /all}
    - {name: settings, mountPath: /etc/one, subPath: a/b/plain}
";

const LOOK_AT_ALL: &str = "exec 2>&1; stat -c '%a %u:%g' /disk /settings /keys /claim
stat -L -c '%a %u:%g' /settings/a/b/plain /keys/token /all/plain
readlink /settings/a; readlink /all/name
ls -A /settings | sed 's/^[.][.][0-9_]*[.][0-9]*$/VERSION/' | sort | tr '\\n' ' '; echo
cat /settings/a/b/plain /keys/token /about/labels /all/plain /all/other /all/name /etc/one; echo
ls /missing; wc -c < /settings/bytes
echo x > /settings/new && echo written
echo x > /keys/new && echo written
echo x > /part/file; cat /disk/deep/part/file; stat -c %a /disk/deep/part
grep -c ' /keys .* tmpfs ' /proc/self/mountinfo
id -G";

const ALL_OF_IT: &str = "2777 0:4321
2777 0:4321
2777 0:4321
2777 0:4321
640 0:4321
440 0:4321
644 0:4321
..data/a
..data/name
..data VERSION a bytes 
onesecretcolor=\"green\"secrettwovolumesone
3
sh: can't create /settings/new: Read-only file system
sh: can't create /keys/new: Read-only file system
x
2777
1
0 4321";

/// MP-11 and MP-40.
fn volumes_show_what_the_manifest_says() {
    let node = Node::new("volumes", &["busybox"]);
    let _ = node.apply(OBJECTS).succeeds();
    let manifest = pod("volumes", EVERY_KIND, EVERY_MOUNT, LOOK_AT_ALL);
    assert_eq!(output(&node, "volumes", &manifest).join("\n"), ALL_OF_IT);
}

/// MP-38.
fn a_volume_in_memory_has_its_size_and_its_pod() {
    let node = Node::new("memory", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.01");
    let volumes = "  - {name: shared, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n";
    let mounts = "    - {name: shared, mountPath: /shared}\n";
    // The first start fails: what it wrote is there for the second.
    let script = "test -e /shared/first || { touch /shared/first; exit 1; }
dd if=/dev/zero of=/shared/big bs=1024 count=2048 2>/dev/null || echo full
stat -c %s /shared/big
ls /shared | tr '\\n' ' '";
    let restarting = |name: &str| {
        pod(name, volumes, mounts, script)
            .replace("restartPolicy: Never", "restartPolicy: OnFailure")
    };
    let manifest = format!("{}---\n{}", restarting("one"), restarting("two"));
    let _ = node.apply(&manifest).succeeds();
    let uids = ["one", "two"].map(|name| {
        node.wait_for_status(name, &["Completed"]);
        let logs = node.run(&["logs", name]).succeeds();
        assert_eq!(logs.stdout, "full\n1048576\nbig first ");
        node.pod(name)["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
    });
    let _ = node.run(&["delete", "pod", "one", "two"]).succeeds();
    uids.iter().for_each(|uid| node.nothing_is_left(uid));
}

/// MP-40.
fn a_volume_follows_its_object_and_a_sub_path_does_not() {
    let node = Node::new("follow", &["busybox"]);
    let _ = node.apply(OBJECTS).succeeds();
    let volumes = "  - {name: settings, configMap: {name: settings}}
  - {name: both, projected: {sources: [{configMap: {name: settings}}, {secret: {name: keys}}]}}\n";
    let mounts = "    - {name: settings, mountPath: /settings}
    - {name: both, mountPath: /both}
    - {name: settings, mountPath: /plain, subPath: plain}\n";
    let script = "echo ready
until grep -q changed /settings/plain && grep -q fresh /both/token; do sleep 0.02; done
cat /settings/plain /both/plain /both/token /plain; echo; ls /settings; ls -A /settings | grep -c '^[.][.]2'";
    let _ = node.apply(&pod("follow", volumes, mounts, script)).succeeds();
    node.wait_for_status("follow", &["Running"]);
    let _ = node
        .apply(
            &OBJECTS
                .replace("plain: one, other: two", "plain: changed")
                .replace("token: secret", "token: fresh"),
        )
        .succeeds();
    node.wait_for_status("follow", &["Completed"]);
    let logs = node.run(&["logs", "follow"]).succeeds();
    assert_eq!(logs.stdout, "ready\nchangedchangedfreshone\nbytes\nplain\n1\n");
    node.delete_leaves_nothing("follow", &[]);
}

fn a_pod_waits_for_what_its_volumes_lack() {
    let node = Node::new("lack", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.1");
    let volumes = "  - {name: map, configMap: {name: settings, items: [{key: plain, path: plain}]}}
  - {name: keys, secret: {secretName: keys}}
  - {name: claim, persistentVolumeClaim: {claimName: claim}}
  - {name: all, projected: {sources: [{configMap: {name: settings}}, {secret: {name: keys}}]}}\n";
    let mounts = "    - {name: map, mountPath: /map}\n    - {name: all, mountPath: /all}\n";
    let _ = node.apply(&pod("lack", volumes, mounts, "cat /map/plain /all/token")).succeeds();
    let text = |volume: &str, why: &str| {
        let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
        ("FailedMount".to_owned(), message)
    };
    let expected = [
        text("map", "configmap \"settings\" not found"),
        text("keys", "secret \"keys\" not found"),
        text("claim", "persistentvolumeclaim \"claim\" not found"),
        text("all", "[configmap \"settings\" not found, secret \"keys\" not found]"),
    ];
    let mut watch = Watch::start(node.command(&["get", "events", "-w"]));
    let deadline = Instant::now() + PATIENCE;
    while watch.line(deadline).is_some_and(|line| !line.contains("\"all\"")) {}
    let events = node.events();
    for event in &expected {
        assert!(events.contains(event), "{event:?} in {events:#?}");
    }
    node.wait_for_status("lack", &["ContainerCreating"]);
    // An object without the key is not enough.
    let _ = node.apply(&OBJECTS.replace("plain: one, ", "")).succeeds();
    let wanted = "configmap references non-existent config key: plain";
    while watch.line(deadline).is_some_and(|line| !line.contains(wanted)) {}
    assert!(node.events().contains(&text("map", wanted)));
    let _ = node.apply(OBJECTS).succeeds();
    node.wait_for_status("lack", &["Completed"]);
    assert_eq!(node.run(&["logs", "lack"]).succeeds().stdout, "onesecret");
    node.delete_leaves_nothing("lack", &[]);
}

/// A directory of the host with one file of each kind.
fn host_directory(node: &Node) -> (PathBuf, UnixListener) {
    let host = node.directory("host");
    fs::create_dir(host.join("dir")).expect("a directory of the test");
    fs::write(host.join("file"), "content").expect("a file of the test");
    symlink("dir", host.join("link")).expect("a link of the test");
    let socket = UnixListener::bind(host.join("socket")).expect("a socket of the test");
    (host, socket)
}

/// A volume of a path, absolute or below the directory.
fn host_volume(host: &Path, name: &str, path: &str, kind: &str) -> String {
    let path = host.join(path);
    format!("  - {{name: {name}, hostPath: {{path: {}, type: '{kind}'}}}}\n", path.display())
}

/// MP-39.
fn a_host_path_of_another_kind_holds_the_pod_up() {
    let node = Node::new("wrong", &["busybox"]);
    let (host, _socket) = host_directory(&node);
    let wrong = [
        ("a", "file", "Directory", "a directory"),
        ("b", "file", "DirectoryOrCreate", "a directory"),
        ("c", "dir", "File", "a file"),
        ("d", "nothing", "File", "a file"),
        ("e", "file", "Socket", "a socket file"),
        ("f", "file", "CharDevice", "a character device"),
        ("g", "/dev/null", "BlockDevice", "a block device"),
        ("h", "nothing", "Directory", "a directory"),
    ];
    let volumes: Vec<String> =
        wrong.iter().map(|(name, path, kind, _)| host_volume(&host, name, path, kind)).collect();
    let mounts = "    - {name: a, mountPath: /a}\n";
    let _ = node.apply(&pod("wrong", &volumes.concat(), mounts, "true")).succeeds();
    let mut watch = Watch::start(node.command(&["get", "events", "-w"]));
    let deadline = Instant::now() + PATIENCE;
    while watch.line(deadline).is_some_and(|line| !line.contains("\"h\"")) {}
    let events = node.events();
    for (name, path, _, what) in wrong {
        let why =
            format!("hostPath type check failed: {} is not {what}", host.join(path).display());
        let message = format!("MountVolume.SetUp failed for volume \"{name}\" : {why}");
        let event = ("FailedMount".to_owned(), message);
        assert!(events.contains(&event), "{event:?}\n{events:#?}");
    }
    node.delete_leaves_nothing("wrong", &["--now"]);
}

/// MP-39.
fn a_host_path_is_there_and_made_as_its_type_says() {
    let node = Node::new("right", &["busybox"]);
    let (host, _socket) = host_directory(&node);
    let right = [
        ("a", "dir", "Directory"),
        ("b", "new/deep", "DirectoryOrCreate"),
        ("c", "file", "File"),
        ("d", "fresh", "FileOrCreate"),
        ("e", "socket", "Socket"),
        ("f", "/dev/null", "CharDevice"),
        ("g", "made", ""),
        ("h", "link", "Directory"),
    ];
    let (mut volumes, mut mounts) = (String::new(), String::new());
    for (name, path, kind) in right {
        volumes += &host_volume(&host, name, path, kind);
        mounts += &format!("    - {{name: {name}, mountPath: /{name}}}\n");
    }
    let script = "for one in a b c d e f g h; do stat -c '%n %F' /$one; done; echo x > /h/through";
    let lines = output(&node, "right", &pod("right", &volumes, &mounts, script));
    let kinds = "/a directory\n/b directory\n/c regular file\n/d regular empty file\n/e socket\n\
                 /f character special file\n/g directory\n/h directory";
    assert_eq!(lines.join("\n"), kinds);
    let status = |path: &str| fs::metadata(host.join(path)).expect("a file of the test");
    let mode = |path: &str| status(path).permissions().mode() & 0o7777;
    assert_eq!((mode("new/deep"), mode("fresh"), mode("made")), (0o755, 0o644, 0o755));
    assert_eq!(status("dir").gid(), 0, "fsGroup is not for host paths");
    assert!(host.join("dir/through").exists());
}

fn an_image_is_a_volume() {
    let node = Node::new("imagevolume", &["busybox", "secret-init"]);
    let volumes =
        "  - {name: files, image: {reference: 'minipod/secret-init:1.0', pullPolicy: Never}}\n";
    let mounts = "    - {name: files, mountPath: /files}
    - {name: files, mountPath: /some, subPath: etc}\n";
    let script =
        "exec 2>&1; cat /files/secret-token; ls /some; touch /files/x; /files/bin/busybox true
grep -E -c ' /(files|some) ro,nosuid,nodev,noexec' /proc/self/mountinfo";
    let lines = output(&node, "image", &pod("image", volumes, mounts, script));
    assert_eq!(
        lines.join("\n"),
        "token-that-only-the-init-image-has\ngroup\npasswd\ntouch: /files/x: Read-only file system\n\
         sh: /files/bin/busybox: Permission denied\n2"
    );
    let absent = volumes.replace("secret-init", "absent");
    let _ = node.apply(&pod("absent", &absent, mounts, "true")).succeeds();
    node.wait_for_status("absent", &["ErrImageNeverPull"]);
    let text = "Container image \"minipod/absent:1.0\" is not present with pull policy of Never";
    assert!(node.events().contains(&("ErrImageNeverPull".into(), text.into())));
    node.delete_leaves_nothing("absent", &["--now"]);
    let missing = mounts.replace("subPath: etc", "subPath: nowhere");
    let _ = node.apply(&pod("missing", volumes, &missing, "true")).succeeds();
    node.wait_for_status("missing", &["CreateContainerConfigError"]);
    node.delete_leaves_nothing("missing", &["--now"]);
}

/// A claim outlives its pods, so that walking through it each time can be left out.
fn a_claim_is_given_to_a_group_as_its_policy_says() {
    let node = Node::new("fsgroup", &["busybox"]);
    let _ = node.apply(OBJECTS).succeeds();
    let volumes = "  - {name: kept, persistentVolumeClaim: {claimName: claim}}
  - {name: scratch, emptyDir: {}}\n";
    let mounts = "    - {name: kept, mountPath: /kept}
    - {name: scratch, mountPath: /scratch}\n";
    let run = |name: &str, policy: &str, script: &str| {
        let manifest = pod(name, volumes, mounts, script);
        let policy = format!("fsGroup: 4321, fsGroupChangePolicy: {policy}");
        output(&node, name, &manifest.replace("fsGroup: 4321", &policy)).join(" ")
    };
    let look = "stat -c '%g %a' /kept /kept/file /scratch";
    let make = format!("echo x > /kept/file; chown 0:0 /kept/file; chmod 600 /kept/file; {look}");
    let made = "4321 2777 0 600 4321 2777";
    assert_eq!(run("first", "OnRootMismatch", &make), made, "the root was nobody's yet");
    assert_eq!(run("second", "OnRootMismatch", look), made, "the root is the group's");
    assert_eq!(run("third", "Always", look), "4321 2777 4321 660 4321 2777");
    let away = format!("chown 0:0 /kept /kept/file; {look}");
    let _ = run("fourth", "OnRootMismatch", &away);
    assert_eq!(run("fifth", "OnRootMismatch", look), "4321 2777 4321 660 4321 2777");
}

/// A directory whose content must never change or be seen in a container.
fn canary(node: &Node) -> PathBuf {
    let canary = node.directory("canary");
    fs::write(canary.join("canary"), "untouched").expect("a file of the test");
    canary
}

fn is_untouched(canary: &Path) {
    let names: Vec<_> = fs::read_dir(canary)
        .expect("a file of the test")
        .flatten()
        .map(|one| one.file_name())
        .collect();
    assert_eq!(names, ["canary"], "{}", canary.display());
    assert_eq!(fs::read_to_string(canary.join("canary")).expect("a file of the test"), "untouched");
}

/// MP-41.
fn a_sub_path_cannot_leave_its_volume() {
    let node = Node::new("subpath", &["busybox"]);
    let canary = canary(&node);
    let host = node.directory("host");
    fs::create_dir(host.join("inside")).expect("a file of the test");
    fs::write(host.join("inside/file"), "inside").expect("a file of the test");
    symlink(&canary, host.join("absolute")).expect("a file of the test");
    symlink("../canary", host.join("relative")).expect("a file of the test");
    symlink("inside", host.join("within")).expect("a file of the test");
    let volumes = format!("  - {{name: host, hostPath: {{path: {}}}}}\n", host.display());
    for (at, path) in
        ["absolute", "relative", "relative/canary", "absolute/new/deep"].iter().enumerate()
    {
        let name = format!("out{at}");
        let mounts = format!("    - {{name: host, mountPath: /part, subPath: {path}}}\n");
        let _ = node.apply(&pod(&name, &volumes, &mounts, "true")).succeeds();
        node.wait_for_status(&name, &["CreateContainerConfigError"]);
        let what =
            if path.ends_with("deep") { "create subPath directory" } else { "prepare subPath" };
        let text =
            format!("Error: failed to {what} for volumeMount \"host\" of container \"main\"");
        let events = node.events();
        let is_told = events.iter().any(|(_, message)| *message == text)
            || events.iter().any(|(_, message)| message.contains("failed to prepare subPath"));
        assert!(is_told, "{text}\n{events:#?}");
        node.delete_leaves_nothing(&name, &["--now"]);
    }
    is_untouched(&canary);
    let mounts = "    - {name: host, mountPath: /part, subPath: within}
    - {name: host, mountPath: /file, subPath: within/file}
    - {name: host, mountPath: /new, subPath: within/new/deep}\n";
    let script = "cat /part/file /file; echo; stat -c %a /new";
    let lines = output(&node, "within", &pod("within", &volumes, mounts, script));
    assert_eq!(lines, ["insideinside", "755"]);
    // An expression is only known when the container starts.
    for (value, why) in [
        ("../canary", "unable to provision SubPath `../canary`: must not contain '..'"),
        ("/canary", "error SubPath `/canary` must not be an absolute path"),
        ("''", "missing value for PART"),
    ] {
        let mounts = "    - {name: host, mountPath: /part, subPathExpr: $(PART)}\n";
        let manifest = pod("expr", &volumes, mounts, "true").replace("deep/part", value);
        let _ = node.apply(&manifest).succeeds();
        node.wait_for_status("expr", &["CreateContainerConfigError"]);
        let events = node.events();
        assert!(
            events.iter().any(|(_, message)| *message == format!("Error: {why}")),
            "{events:#?}"
        );
        node.delete_leaves_nothing("expr", &["--now"]);
    }
    is_untouched(&canary);
}

/// MP-41.
fn a_planted_link_in_a_volume_is_not_followed() {
    let node = Node::new("planted", &["busybox"]);
    let canary = canary(&node);
    let _ = node.apply(OBJECTS).succeeds();
    let data = node.directories()[1].display().to_string();
    let volumes = format!(
        "  - {{name: settings, configMap: {{name: settings}}}}
  - {{name: data, hostPath: {{path: {data}}}}}
  - {{name: canary, hostPath: {{path: {}}}}}\n",
        canary.display()
    );
    let mounts = "    - {name: settings, mountPath: /settings}
    - {name: data, mountPath: /data}\n";
    let link = canary.display();
    // Who may write to minipod's own directory plants links in the volume, then waits for the
    // next version to come.
    let script = format!(
        "cd /data/pods/*/volumes/settings
rm plain && ln -s {link}/canary plain
rm ..data && ln -s {link} ..data
ln -s {link} ..data_tmp
ln -s {link} stray
echo ready
until grep -q changed /settings/plain 2>/dev/null && ! test -L /settings/stray; do sleep 0.02; done
ls /settings | tr '\\n' ' '"
    );
    let manifest = pod("planted", &volumes, mounts, &script);
    let path = node.file("planted.yaml", &manifest);
    let mut run = Watch::start(node.command(&["run", &path.display().to_string()]));
    let deadline = Instant::now() + PATIENCE;
    while run.line(deadline).is_some_and(|line| !line.contains("ready")) {}
    let _ = node.apply(&OBJECTS.replace("plain: one", "plain: changed")).succeeds();
    node.wait_for_status("planted", &["Completed"]);
    assert_eq!(node.run(&["logs", "planted"]).succeeds().stdout, "ready\nbytes other plain ");
    is_untouched(&canary);
    node.delete_leaves_nothing("planted", &[]);
    is_untouched(&canary);
}
