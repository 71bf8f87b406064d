//! Images from a real registry.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use e2e_tests::node::PATIENCE;
use e2e_tests::registry::{ADDRESS, CREDENTIALS, Registry};
use e2e_tests::{Node, Outcome, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "init_images_are_pulled_and_main_images_are_already_present",
        init_images_are_pulled_and_main_images_are_already_present,
    ),
    ("an_image_that_no_registry_has_backs_off", an_image_that_no_registry_has_backs_off),
    ("images_are_pulled_listed_and_removed_by_name", images_are_pulled_listed_and_removed_by_name),
    (
        "a_private_registry_opens_to_a_pod_with_a_secret",
        a_private_registry_opens_to_a_pod_with_a_secret,
    ),
    (
        "main_images_are_fetched_while_init_containers_run_and_told_in_their_turn",
        main_images_are_fetched_while_init_containers_run_and_told_in_their_turn,
    ),
    (
        "a_container_sees_the_layers_of_its_image_as_if_applied_in_order",
        a_container_sees_the_layers_of_its_image_as_if_applied_in_order,
    ),
];

fn init_images_are_pulled_and_main_images_are_already_present() {
    let mut node = Node::new("pull", &["kubia", "kubia-ssl-proxy"]);
    let registry = Registry::start(
        &node.lab,
        &[
            ("init-demo", "luksa/init-demo:1.0"),
            ("network-connectivity-checker", "luksa/network-connectivity-checker:1.0"),
        ],
    );
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let path = fixtures::example("kubia-init.yaml").display().to_string();
    let _ = node.run(&["apply", "-f", &path]).succeeds();
    node.wait_for_status("kubia-init", &["Running"]);
    let events = node.events();
    let reasons: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
    // Listing 5.10.
    assert_eq!(
        reasons,
        [
            "Scheduled",
            "Pulling",
            "Pulled",
            "Created",
            "Started",
            "Pulling",
            "Pulled",
            "Created",
            "Started",
            "Pulled",
            "Created",
            "Started",
            "Pulled",
            "Created",
            "Started"
        ]
    );
    assert_eq!(events[1].1, "Pulling image \"luksa/init-demo:1.0\"");
    let pulled = "Successfully pulled image \"luksa/init-demo:1.0\" in ";
    assert!(events[2].1.starts_with(pulled) && events[2].1.contains("Image size: "), "{events:#?}");
    let present = "Container image \"luksa/kubia:1.0\" already present on machine";
    assert_eq!(events[9].1, present);
    node.delete_leaves_nothing("kubia-init", &["--now"]); // a program does not hear SIGTERM at its start
}

fn an_image_that_no_registry_has_backs_off() {
    let mut node = Node::new("nopull", &[]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let registry = Registry::start(&node.lab, &[]);
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: none}\nspec: {restartPolicy: Never, containers: [{name: a, image: 'none:1'}]}\n";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("none", &["ErrImagePull", "RegistryUnavailable"]);
    node.wait_for_status("none", &["ImagePullBackOff"]);
    assert_eq!(node.pod("none")["status"]["phase"], "Pending");
    node.delete_leaves_nothing("none", &[]);
}

fn images_are_pulled_listed_and_removed_by_name() {
    let mut node = Node::new("images", &[]);
    let registry = Registry::start(&node.lab, &[("busybox", "library/busybox:1.36")]);
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let pulled = node.run(&["pull", "busybox:1.36"]).succeeds();
    let digest = pulled.stdout.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let by_digest = format!("busybox@{digest}");
    let _ = node.run(&["image", "pull", &by_digest]).succeeds();
    let listed = node.run(&["images", "--digests"]).succeeds().stdout;
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"]);
    assert_eq!(lines[1][..3], ["docker.io/library/busybox", "1.36", &digest]);
    assert_eq!(lines[2][..2], ["docker.io/library/busybox", "<none>"]);
    let id = node.run(&["images", "-q", "busybox:1.36"]).succeeds().stdout.trim().to_owned();
    assert_eq!(lines[1][3], id);
    let inspected = node.run(&["image", "inspect", &id]).succeeds().stdout;
    let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("it is JSON");
    assert_eq!(inspected[0]["RepoTags"][0], "docker.io/library/busybox:1.36");
    assert_eq!(inspected[0]["RootFS"]["Type"], "layers");
    let disk = node.run(&["image", "df"]).succeeds().stdout;
    assert!(disk.lines().nth(1).is_some_and(|line| line.contains("(100%)")), "{disk}");
    saved_and_loaded(&node, &id);
    piped(&node, &id);
    let _ = node.run(&["rmi", &id]).ends_with(1); // it has two names
    let _ = node.run(&["rmi", "busybox:1.36"]).succeeds();
    let _ = node.run(&["rmi", "busybox:1.36"]).ends_with(5);
    let removed = node.run(&["image", "rm", &by_digest]).succeeds();
    assert!(removed.stdout.contains("Deleted: sha256:"), "{}", removed.stdout);
    assert_eq!(node.run(&["images", "-q"]).succeeds().stdout, "");
    let missing = node.run(&["pull", "busybox:1.37"]).ends_with(1);
    assert!(missing.stderr.contains("try: "), "{}", missing.stderr);
}

/// What is saved can be read by skopeo, and what skopeo writes can be loaded.
fn saved_and_loaded(node: &Node, id: &str) {
    for (format, transport) in
        [("oci-archive", "oci-archive"), ("docker-archive", "docker-archive"), ("oci-dir", "oci")]
    {
        let saved = node.file(&format!("{format}.saved"), "").display().to_string();
        std::fs::remove_file(&saved).expect("it is ours");
        let _ = node.run(&["save", "--format", format, "-o", &saved, "busybox:1.36"]).succeeds();
        let (from, back) = (format!("{transport}:{saved}"), format!("{saved}.back"));
        let to = format!("{transport}:{back}:docker.io/library/busybox:copy-{format}");
        let mut copy = node.lab.command(Path::new("skopeo"));
        copy.args(["--insecure-policy", "copy", "--quiet", &from, &to]);
        let output = copy.output().expect("skopeo can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let loaded = node.run(&["load", "-i", &back]).succeeds().stdout;
        let name = format!("docker.io/library/busybox:copy-{format}");
        assert_eq!(loaded, format!("Loaded image: {name}\n"));
        assert_eq!(node.run(&["images", "-q", &name]).succeeds().stdout.trim(), id, "{format}");
        let _ = node.run(&["rmi", &name]).succeeds();
    }
    let store = format!(
        "oci:{}:docker.io/library/busybox:1.36",
        node.directories()[1].join("images").display()
    );
    let mut inspect = node.lab.command(Path::new("skopeo"));
    let output = inspect.args(["inspect", &store]).output().expect("skopeo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Archives go out to files and come in through pipes, and have nothing to do with terminals.
fn piped(node: &Node, id: &str) {
    let saved = |format: &str| {
        let saved = node.file(&format!("piped.{format}"), "");
        let mut save = node.command(&["save", "--format", format, "busybox:1.36"]);
        save.stdout(File::create(&saved).expect("it is ours"));
        assert!(save.status().expect("the program can be started").success());
        format!("{format}:{}", saved.display())
    };
    let mut inspect = node.lab.command(Path::new("skopeo"));
    let output = inspect.args(["inspect", "--raw", &saved("oci-archive")]).output();
    assert!(output.expect("skopeo can be started").status.success());
    let archive = saved("docker-archive");
    let name = "docker.io/library/busybox:piped";
    for words in [&["load"][..], &["load", "-i", "-"], &["load", "-i", "/dev/stdin"]] {
        let mut copy = node.lab.command(Path::new("skopeo"));
        let to = format!("docker-archive:/dev/stdout:{name}");
        copy.args(["--insecure-policy", "copy", "--quiet", &archive, &to]);
        let mut copy = copy.stdout(Stdio::piped()).spawn().expect("skopeo can be started");
        let piped = copy.stdout.take().expect("it is a pipe");
        let load = node.command(words).stdin(piped).output();
        let load =
            String::from_utf8_lossy(&load.expect("the program can be started").stdout).into_owned();
        assert_eq!(load, format!("Loaded image: {name}\n"), "{words:?}");
        assert!(copy.wait().expect("it ends").success());
        assert_eq!(node.run(&["images", "-q", name]).succeeds().stdout.trim(), id);
        let _ = node.run(&["rmi", name]).succeeds();
    }
    let nothing = node.run(&["load"]).ends_with(1).stderr;
    assert!(nothing.contains("standard input holds no images"), "{nothing}");
    for (words, told) in [
        ("save busybox:1.36", "an archive is nothing for a terminal"),
        ("load", "there is no archive to load"),
    ] {
        let program = fixtures::program().display().to_string();
        let within = format!("{program} {words}");
        let outcome: Outcome = node
            .with_places(Path::new("script"), &["-qec", &within, "/dev/null"])
            .output()
            .expect("script can be started")
            .into();
        let outcome = outcome.ends_with(2);
        assert!(outcome.stdout.contains(told), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("try: use -"), "{}", outcome.stdout);
    }
}

fn a_private_registry_opens_to_a_pod_with_a_secret() {
    let mut node = Node::new("private", &[]);
    let registry = Registry::start_private(&node.lab, &[("busybox", "team/tools:1")]);
    let home = node.directories()[0].with_file_name("home");
    let certificates = home.join(".config/containers/certs.d").join(ADDRESS);
    std::fs::create_dir_all(&certificates).expect("it is ours");
    node = node.with("HOME", &home.display().to_string());
    let image = format!("{ADDRESS}/team/tools:1");
    let unknown = node.run(&["pull", &image]).ends_with(1).stderr;
    let hint = format!("/etc/containers/certs.d/{ADDRESS}/ca.crt");
    assert!(unknown.contains("UnknownIssuer") && unknown.contains(&hint), "{unknown}");
    std::fs::write(certificates.join("ca.crt"), registry.authority()).expect("it is ours");
    let denied = node.run(&["pull", &image]).ends_with(1).stderr;
    assert!(denied.contains("(401)") && denied.contains("docker login"), "{denied}");
    let config = serde_json::json!({ "auths": { ADDRESS: {
        "username": CREDENTIALS.0, "password": CREDENTIALS.1,
    }}});
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\n\
         type: kubernetes.io/dockerconfigjson\n\
         stringData: {{.dockerconfigjson: '{config}'}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: tools}}\nspec:\n\
         \x20 imagePullSecrets: [{{name: key}}]\n\
         \x20 containers: [{{name: a, image: '{image}', command: [sleep, '1000']}}]\n"
    );
    let early = manifest.replace("{name: key}]", "{name: none}, {name: key}]");
    let _ = node.apply(&early).succeeds();
    node.wait_for_status("tools", &["Running"]);
    let events = node.events();
    let warned = "Unable to retrieve some image pull secrets (none); attempting to pull the image \
                  may not succeed.";
    assert!(events.iter().any(|(_, message)| message == warned), "{events:#?}");
    let used = node.run(&["rmi", &image]).ends_with(1).stderr;
    assert!(used.contains("is used by pod \"tools\""), "{used}");
    let pruned = node.run(&["image", "prune", "--all"]).succeeds().stdout;
    assert_eq!(pruned, "Total reclaimed space: 0B\n");
    node.delete_leaves_nothing("tools", &["--now"]);
    let pruned = node.run(&["image", "prune", "--all"]).succeeds().stdout;
    assert!(pruned.contains(&format!("untagged: {image}\n")), "{pruned}");
}

fn main_images_are_fetched_while_init_containers_run_and_told_in_their_turn() {
    let mut node = Node::new("ahead", &["busybox"]);
    let registry = Registry::start(
        &node.lab,
        &[("init-demo", "luksa/init-demo:1.0"), ("secret-init", "minipod/files:1.0")],
    );
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: ahead}\nspec:\n  restartPolicy: Never\n  \
         volumes: [{name: files, image: {reference: 'minipod/files:1.0'}}]\n  \
         initContainers: [{name: first, image: 'busybox:1.36', imagePullPolicy: IfNotPresent, \
         command: [sh, -c, 'mkfifo /go && read x < /go']}]\n  containers:\n  \
         - {name: never, image: 'luksa/init-demo:1.0', imagePullPolicy: Never}\n  \
         - {name: one, image: 'luksa/init-demo:1.0'}\n  - {name: two, image: 'luksa/init-demo:1.0', \
         volumeMounts: [{name: files, mountPath: /files}]}\n";
    let _ = node.apply(manifest).succeeds();
    let deadline = Instant::now() + PATIENCE;
    for image in ["luksa/init-demo:1.0", "minipod/files:1.0"] {
        while node.run(&["images", "-q", image]).stdout.is_empty() {
            assert!(Instant::now() < deadline, "{image} is not fetched");
        }
    }
    let pruned = node.run(&["image", "prune", "--all"]).succeeds().stdout;
    assert_eq!(pruned, "Total reclaimed space: 0B\n", "its time will come");
    let of_main = |events: &[(String, String)]| -> Vec<String> {
        let is_later = |text: &str| text.contains("luksa/init-demo") || text.contains("files");
        let about = events.iter().filter(|(_, message)| is_later(message));
        about.map(|(reason, message)| format!("{reason}: {message}")).collect()
    };
    assert_eq!(of_main(&node.events()), [] as [String; 0], "its turn has not come");
    // The image may be here before the container runs, and the container before its pipe is there.
    let release = "until [ -p /go ]; do :; done; echo > /go";
    while node.run(&["exec", "ahead", "-c", "first", "--", "sh", "-c", release]).code != 0 {
        assert!(Instant::now() < deadline, "the container does not run");
    }
    node.wait_for_status("ahead", &["ErrImageNeverPull"]);
    let mut told = of_main(&node.events());
    while told.len() < 6 {
        assert!(Instant::now() < deadline, "{told:#?}");
        told = of_main(&node.events());
    }
    let starts = [
        "ErrImageNeverPull: Container image \"luksa/init-demo:1.0\" is not present with pull policy of Never",
        "Pulling: Pulling image \"luksa/init-demo:1.0\"",
        "Pulled: Successfully pulled image \"luksa/init-demo:1.0\" in ",
        "Pulling: Pulling image \"minipod/files:1.0\"",
        "Pulled: Successfully pulled image \"minipod/files:1.0\" in ",
        "Pulled: Container image \"luksa/init-demo:1.0\" already present on machine",
    ];
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told} instead of {start}");
    }
    node.delete_leaves_nothing("ahead", &["--now"]);
}

const LAYERS: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: layers}
spec:
  restartPolicy: Never
  containers:
  - name: look
    image: minipod/layers:1.0
    command: [sh, -c]
    args:
    - |
      cd /data && for path in / $(find . | sort); do
        ls -ldn "$path" | awk '{print $1, $3, $4, $8, $9, $10, $11}'
      done
      cat b c link/through
"#;

fn a_container_sees_the_layers_of_its_image_as_if_applied_in_order() {
    let node = Node::new("layers", &["layers"]);
    let path = node.file("layers.yaml", LAYERS).display().to_string();
    let seen = node.run(&["run", &path]).succeeds();
    let lines = seen.stdout.lines().map(|line| line.trim_start_matches("[look] "));
    // The times of the root and of what no entry is for are not given.
    let lines: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
    let expected = [
        "drwxrwxrwt 7 7 2023 .",
        "-rw-r----- 4294967294 4294967294 2023 ./a",
        "-rw-r----- 4294967294 4294967294 2023 ./b",
        "-rw------- 0 0 2023 ./becomes-file",
        "-rw-r----- 4294967294 4294967294 2023 ./c",
        "lrwxrwxrwx 9 9 2023 ./link -> real",
        "drwx------ 8 8 2023 ./old",
        "-rwsr-xr-x 0 0 2023 ./old/y",
        "drwxr-xr-x 0 0 2023 ./real",
        "-rw-r--r-- 0 0 2023 ./real/through",
    ];
    assert!(lines[0].starts_with("drwx--x--x 5 5 "), "{lines:#?}");
    let (new, rest): (Vec<_>, Vec<_>) = lines[1..].iter().partition(|line| line.contains("./new"));
    assert_eq!(rest[..expected.len()], expected, "{lines:#?}");
    assert_eq!(new.len(), 1, "{lines:#?}");
    assert_eq!(rest[expected.len()..], ["a", "a", "through"], "{lines:#?}");
    node.delete_leaves_nothing("layers", &[]);
}
