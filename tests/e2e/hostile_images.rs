//! Images that put links, FIFOs and directories where a runtime works. Nothing outside a container
//! may change or be shown, and nobody may wait for ever.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use e2e_tests::Node;
use e2e_tests::fixtures;
use e2e_tests::image::Layer;
use serde_json::{Value, json};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "files_that_a_runtime_mounts_may_be_anything_in_an_image",
        files_that_a_runtime_mounts_may_be_anything_in_an_image,
    ),
    (
        "what_the_kernel_shows_is_in_its_place_or_nowhere",
        what_the_kernel_shows_is_in_its_place_or_nowhere,
    ),
    ("nothing_is_mounted_over_the_root_or_in_proc", nothing_is_mounted_over_the_root_or_in_proc),
    ("a_working_directory_is_in_the_container", a_working_directory_is_in_the_container),
    ("an_image_says_who_runs_it", an_image_says_who_runs_it),
    ("an_odd_user_database_is_no_trap", an_odd_user_database_is_no_trap),
    (
        "an_environment_of_an_image_takes_nothing_from_the_host",
        an_environment_of_an_image_takes_nothing_from_the_host,
    ),
    ("no_container_can_write_to_the_program", no_container_can_write_to_the_program),
    (
        "volumes_that_an_image_asks_for_are_left_alone",
        volumes_that_an_image_asks_for_are_left_alone,
    ),
];

/// A directory of the host that no container has anything to do with.
struct Canary(PathBuf);

impl Canary {
    fn new(node: &Node) -> Self {
        let directory = node.directory("canary");
        fs::write(directory.join("canary"), "untouched").expect("a file of the test");
        fs::create_dir(directory.join("sub")).expect("a directory of the test");
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    /// How to get there from the root with dots.
    fn dotted(&self) -> String {
        format!("../../../../../..{}", self.path())
    }

    fn is_untouched(&self) {
        let names = |directory: &Path| {
            let entries = fs::read_dir(directory).expect("the canary").flatten();
            let mut names: Vec<String> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.0), ["canary", "sub"]);
        assert!(names(&self.0.join("sub")).is_empty());
        let content = fs::read_to_string(self.0.join("canary")).expect("the canary's file");
        assert_eq!(content, "untouched");
    }
}

/// A pod of one container of that image.
fn pod(name: &str, image: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: {image}\n{container}"
    )
}

/// What became of a pod: its STATUS, and what it printed.
fn fate(node: &Node, name: &str, manifest: &str) -> (String, String) {
    let _ = node.apply(manifest).succeeds();
    settle(node, name)
}

/// The same for a pod that exists.
fn settle(node: &Node, name: &str) -> (String, String) {
    let ends = [
        "Completed",
        "Error",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "StartError",
    ];
    let status = node.wait_for_status(name, &ends);
    let printed = node.run(&["logs", name]).stdout;
    node.delete_leaves_nothing(name, &["--now"]);
    (status, printed)
}

/// Adds something at a path to a layer, with a target where it has one.
type Plant = fn(Layer, &str, &str) -> Layer;

fn files_that_a_runtime_mounts_may_be_anything_in_an_image() {
    let node = Node::new("etc", &[]);
    let canary = Canary::new(&node);
    let file = format!("{}/canary", canary.path());
    let made = format!("{}/made", canary.path());
    let plants: [(&str, Plant, &str); 6] = [
        ("absolute", |layer, path, target| layer.link(path, target), &file),
        ("dangling", |layer, path, target| layer.link(path, target), &made),
        (
            "dotted",
            |layer, path, target| layer.link(path, target),
            &format!("{}/canary", canary.dotted()),
        ),
        ("looping", |layer, path, _| layer.link(path, path.rsplit('/').next().unwrap_or(path)), ""),
        ("fifo", |layer, path, _| layer.fifo(path), ""),
        ("directory", |layer, path, _| layer.directory(path), ""),
    ];
    for (name, plant, target) in plants {
        let mut layer = Layer::default();
        for path in ["etc/hosts", "etc/hostname", "etc/resolv.conf", "last-words", "etc/mtab"] {
            layer = plant(layer, path, target);
        }
        let image = format!("hostile/{name}:1");
        node.load(&image, layer, &json!({}));
        let command =
            "    command: [sh, -c, 'echo started; echo x > /etc/hosts; echo x > /last-words']
    terminationMessagePath: /last-words\n";
        let (status, printed) = fate(&node, name, &pod(name, &image, command));
        let is_started = printed.starts_with("started");
        assert!(is_started || status == "CreateContainerError", "{name}: {status} {printed}");
        assert_eq!(is_started, !["looping", "directory"].contains(&name), "{name}: {status}");
        canary.is_untouched();
    }
}

fn what_the_kernel_shows_is_in_its_place_or_nowhere() {
    let node = Node::new("kernel", &["busybox"]);
    let canary = Canary::new(&node);
    for (at, (path, target)) in [
        ("proc", canary.path()),
        ("proc", "/tmp".into()),
        ("sys", canary.dotted()),
        ("dev", canary.path()),
        ("dev", format!("{}/sub", canary.dotted())),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("link{at}");
        let image = format!("hostile/{name}:1");
        node.load(&image, Layer::default().link(path, &target), &json!({}));
        let (status, _) = fate(&node, &name, &pod(&name, &image, "    command: [\"true\"]\n"));
        assert_eq!(status, "CreateContainerError", "{path} -> {target}");
        canary.is_untouched();
    }
    // What an image has in these places is covered.
    let layer = Layer::default()
        .link("dev/null", "/proc/sys/kernel/core_pattern")
        .link("dev/pts", &canary.path())
        .link("dev/console", &format!("{}/canary", canary.path()))
        .file("proc/keys", b"of the image", 0o666);
    node.load("hostile/covered:1", layer, &json!({}));
    let script = "    command: [sh, -c, 'stat -c %F /dev/null /proc/keys; ls -A /dev/pts | tr -d \"\\n\"']\n    tty: true\n";
    let (status, printed) = fate(&node, "covered", &pod("covered", "hostile/covered:1", script));
    assert_eq!(status, "Completed");
    let kinds = "character special file\r\ncharacter special file\r\n0ptmx";
    assert_eq!(printed.trim_end(), kinds);
    canary.is_untouched();
}

fn nothing_is_mounted_over_the_root_or_in_proc() {
    let node = Node::new("targets", &["busybox"]);
    for (at, (path, is_fine)) in [
        ("/proc", false),
        ("/proc/self/attr", false),
        ("/proc/sys/net", false),
        ("/", false),
        ("/tmp/../..", false),
        ("/dev", true),
        ("/sys/fs/cgroup", true),
        ("/with,comma:and\\\\slash", true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("target{at}");
        let container = format!(
            "    command: [\"true\"]\n    volumeMounts: [{{name: v, mountPath: \"{path}\"}}]\n  volumes: [{{name: v, emptyDir: {{}}}}]\n"
        );
        let manifest = pod(&name, "busybox:1.36", &container);
        let applied = node.apply(&manifest);
        if applied.code == 3 {
            assert!(!is_fine, "{path}: {}", applied.stderr);
            continue;
        }
        let (status, _) = settle(&node, &name);
        assert_eq!(status, if is_fine { "Completed" } else { "CreateContainerError" }, "{path}");
    }
}

fn a_working_directory_is_in_the_container() {
    let node = Node::new("cwd", &["busybox"]);
    let canary = Canary::new(&node);
    let layer = Layer::default().link("away", &canary.path()).link("dots", &canary.dotted());
    node.load("hostile/cwd:1", layer, &json!({"WorkingDir": "/away/made/deep"}));
    let look = "    command: [sh, -c, 'pwd -P; stat -c %a .']\n";
    let (status, printed) = fate(&node, "image", &pod("image", "hostile/cwd:1", look));
    let inside = format!("{}/made/deep\n755\n", canary.path());
    assert_eq!((status.as_str(), printed.as_str()), ("Completed", inside.as_str()));
    for (name, path) in [("dots", "/dots/made"), ("up", "/../../x/y"), ("new", "/not/there")] {
        let manifest = pod(name, "hostile/cwd:1", &format!("{look}    workingDir: {path}\n"));
        let (status, printed) = fate(&node, name, &manifest);
        assert_eq!(status, "Completed", "{path}: {printed}");
    }
    // No open file of minipod's leads out of the container.
    let mut manifest = pod("open", "busybox:1.36", "    command: [\"true\"]\n");
    let paths: Vec<String> = (3..32)
        .map(|number| {
            format!("/proc/self/fd/{number}{}", if number % 2 == 0 { "" } else { "/../made" })
        })
        .collect();
    for (at, path) in paths.iter().enumerate() {
        manifest += &format!(
            "  - {{name: c{at}, image: 'busybox:1.36', command: [pwd, -P], workingDir: {path}}}\n"
        );
    }
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("open", &["CreateContainerError"]);
    for (at, path) in paths.iter().enumerate() {
        let printed = node.run(&["logs", "open", "-c", &format!("c{at}")]).stdout;
        assert_eq!(printed, "", "{path}");
    }
    node.delete_leaves_nothing("open", &["--now"]);
    canary.is_untouched();
}

const PASSWD: &[u8] =
    b"root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\napps:x:1001:\nstaff:x:50:app\n";

fn an_image_says_who_runs_it() {
    let node = Node::new("whoami", &[]);
    let files =
        || Layer::default().file("etc/passwd", PASSWD, 0o644).file("etc/group", GROUP, 0o644);
    let rows = [
        ("", Some("0 0 0 /root")),
        ("app", Some("1000 1001 1001 50 /home/app")),
        ("1000", Some("1000 1001 1001 50 /home/app")),
        ("1000:2000", Some("1000 2000 2000 50 /home/app")),
        ("app:staff", Some("1000 50 50 /home/app")),
        ("4000", Some("4000 0 0 /")),
        ("nobody-there", None),
        ("app:nobody-there", None),
        ("4294967296", None),
        ("2147483648", None),
        ("-1", None),
        ("0x0", None),
        ("1e3", None),
        (" 1", None),
        ("+0", None),
    ];
    let mut manifest = String::from(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: users}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n",
    );
    for (at, (user, _)) in rows.iter().enumerate() {
        node.load(&format!("user/u{at}:1"), files(), &json!({"User": user}));
        manifest += &format!(
            "  - {{name: c{at}, image: 'user/u{at}:1', command: [sh, -c, 'echo $(id -u) $(id -g) $(id -G) $HOME']}}\n"
        );
    }
    let _ = node.apply(&manifest).succeeds();
    let settled = |pod: &Value| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        statuses.len() == rows.len()
            && statuses.iter().all(|one| {
                one["state"]["terminated"].is_object()
                    || one["state"]["waiting"]["reason"] == "CreateContainerConfigError"
            })
    };
    node.wait_until("users", settled);
    for (at, (user, expected)) in rows.iter().enumerate() {
        let printed = node.run(&["logs", "users", "-c", &format!("c{at}")]).stdout;
        assert_eq!(printed.trim_end(), expected.unwrap_or_default(), "USER {user:?}");
    }
    node.delete_leaves_nothing("users", &["--now"]);
}

fn an_odd_user_database_is_no_trap() {
    let node = Node::new("passwd", &[]);
    let canary = Canary::new(&node);
    let huge = vec![b'x'; 5 << 20];
    let layers: [(&str, Layer, bool); 5] = [
        ("fifo", Layer::default().fifo("etc/passwd"), false),
        ("zero", Layer::default().link("etc/passwd", "/dev/zero"), true),
        ("huge", Layer::default().file("etc/passwd", &huge, 0o644), false),
        ("away", Layer::default().link("etc/passwd", &format!("{}/canary", canary.path())), true),
        ("loop", Layer::default().link("etc/group", "group"), false),
    ];
    for (name, layer, starts) in layers {
        let image = format!("odd/{name}:1");
        node.load(&image, layer, &json!({}));
        let (status, _) = fate(&node, name, &pod(name, &image, "    command: [\"true\"]\n"));
        let expected = if starts { "Completed" } else { "CreateContainerConfigError" };
        assert_eq!(status, expected, "{name}");
    }
}

fn an_environment_of_an_image_takes_nothing_from_the_host() {
    let node = Node::new("env", &[]).with("SECRET_CANARY", "of the host");
    let env = ["SECRET_CANARY", "SECRET*", "*", "=x", "", "FINE=yes", "HOME=/\nroot2:x:0:0"];
    let labels = json!({"minipod.uid": "x", "io.kubernetes.pod.uid": "x"});
    node.load("hostile/env:1", Layer::default(), &json!({"Env": env, "Labels": labels}));
    let (_, printed) = fate(
        &node,
        "env",
        &pod("env", "hostile/env:1", "    command: [sh, -c, 'env; cat /etc/passwd']\n"),
    );
    assert!(!printed.contains("of the host"), "{printed}");
    assert!(printed.contains("FINE=yes"), "{printed}");
    assert!(
        !printed.lines().any(|line| line.starts_with("root2:") && line.ends_with("sh")),
        "{printed}"
    );
}

fn no_container_can_write_to_the_program() {
    let node = Node::new("exe", &["probe"]);
    let program = fs::read(fixtures::program()).expect("the program");
    let manifest = pod(
        "exe",
        "minipod/probe:1.0",
        "    command: [/verdicts, exe]\n    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n",
    );
    let _ = node.apply(&manifest).succeeds();
    let layer = Layer::default().file("bin/self", b"#!/proc/self/exe\n", 0o755);
    node.load("hostile/self:1", layer, &json!({}));
    let own = pod("own", "hostile/self:1", "    command: [sleep, '1000']\n");
    let _ = node.apply(&own).succeeds();
    node.wait_for_status("own", &["Running"]);
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..20 {
        // The kernel runs minipod itself in there; it must not be able to do anything.
        let outcome = node.run(&["exec", "own", "--", "/bin/self"]);
        assert_ne!(outcome.code, 0, "{}", outcome.stdout);
        let _ = node.run(&["exec", "exe", "-c", "main", "--", "/bin/true"]);
    }
    let logs = node.run(&["logs", "exe"]).stdout;
    for line in logs.lines() {
        *found.entry(line.to_owned()).or_default() += 1;
    }
    assert!(
        !found.keys().any(|line| line.starts_with("opened") && line.contains("minipod")),
        "{found:?}"
    );
    assert!(fs::read(fixtures::program()).expect("the program") == program, "it is unchanged");
    let _ = node.run(&["delete", "pod", "exe", "--now"]).succeeds();
    node.delete_leaves_nothing("own", &["--now"]);
}

/// What an image calls a volume is a directory of its root like any other.
fn volumes_that_an_image_asks_for_are_left_alone() {
    let node = Node::new("imagevolumes", &[]);
    let canary = Canary::new(&node);
    let layer = Layer::default()
        .link("absolute", &canary.path())
        .link("dotted", &canary.dotted())
        .file("data/file", b"of the image", 0o644);
    let (up, deep) = (format!("/..{}", canary.path()), format!("/dotted/{}", canary.dotted()));
    let volumes =
        json!({"/data": {}, "/absolute": {}, "/dotted/sub": {}, up: {}, deep: {}, "": {}});
    node.load("hostile/volumes:1", layer, &json!({"Volumes": volumes}));
    let look = "    command: [sh, -c, 'cat /data/file; grep -c -E \" /(data|absolute|dotted)\" \
        /proc/self/mountinfo; echo changed > /data/file']\n";
    for name in ["first", "second"] {
        let (status, printed) = fate(&node, name, &pod(name, "hostile/volumes:1", look));
        assert_eq!((status.as_str(), printed.as_str()), ("Completed", "of the image0\n"));
        canary.is_untouched();
    }
}
