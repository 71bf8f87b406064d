//! `exec`, `attach`, `cp` and `port-forward`: everything that enters a running pod.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_command_gets_what_it_is_sent_and_ends_with_its_user",
        a_command_gets_what_it_is_sent_and_ends_with_its_user,
    ),
    ("a_command_cannot_type_on_its_users_terminal", a_command_cannot_type_on_its_users_terminal),
    (
        "an_attached_client_talks_to_a_container_as_its_manifest_allows",
        an_attached_client_talks_to_a_container_as_its_manifest_allows,
    ),
    (
        "files_are_copied_both_ways_without_tools_and_past_traps",
        files_are_copied_both_ways_without_tools_and_past_traps,
    ),
    ("local_ports_lead_into_the_pod_until_it_goes", local_ports_lead_into_the_pod_until_it_goes),
];

const SENDING: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: send}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init, image: 'busybox:1.36', command: [sh, -c, 'until [ -e /go ]; do sleep 0.1; done']}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'until [ -e /end ]; do sleep 0.1; done']}
";

fn a_command_gets_what_it_is_sent_and_ends_with_its_user() {
    let node = Node::new("send", &["busybox"]);
    let _ = node.apply(SENDING).succeeds();
    node.wait_until("send", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    });
    let early = node.run(&["exec", "send", "--", "true"]).ends_with(125);
    assert_eq!(
        early.stderr,
        "Defaulted container \"main\" out of: main, init (init)\n\
         error: unable to upgrade connection: container not found (\"main\")\n"
    );
    let _ = node.run(&["exec", "send", "-c", "init", "--", "touch", "/go"]).succeeds();
    node.wait_for_status("send", &["Running"]);
    let exec = |words: &[&str]| node.run(&[&["exec", "send", "-c", "main"], words].concat());
    codes_and_words(&node);
    // A child that keeps the pipe open does not keep the command.
    let left = exec(&["--", "sh", "-c", "sleep 997 & echo said"]).succeeds();
    assert_eq!(left.stdout, "said\n");
    many_bytes(&node);
    // Whoever is killed takes the command along.
    let mut watch = Watch::start(node.command(&[
        "exec",
        "send",
        "-c",
        "main",
        "--",
        "sh",
        "-c",
        "echo here; sleep 996; true",
    ]));
    assert_eq!(watch.line(Instant::now() + PATIENCE).as_deref(), Some("here"));
    drop(watch);
    let is_gone = "until ! ps | grep -v grep | grep -q 'sleep 996'; do sleep 0.1; done";
    let _ = exec(&["--", "timeout", "20", "sh", "-c", is_gone]).succeeds();
    let _ = exec(&["--", "touch", "/end"]).succeeds();
    node.wait_for_phase("send", "Succeeded");
    let late = exec(&["--", "true"]).ends_with(1);
    assert_eq!(
        late.stderr,
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n"
    );
    node.delete_leaves_nothing("send", &[]);
}

/// Every way for a command to end, and to be asked for wrongly.
fn codes_and_words(node: &Node) {
    let exec = |words: &[&str]| node.run(&[&["exec", "send", "-c", "main"], words].concat());
    for code in [0, 1, 2, 125, 126, 127, 128, 254, 255] {
        let _ = exec(&["--", "sh", "-c", &format!("exit {code}")]).ends_with(code);
    }
    for signal in [1, 9, 15] {
        let told = exec(&["--", "sh", "-c", &format!("kill -{signal} $$")]).ends_with(128 + signal);
        assert_eq!(told.stderr, format!("command terminated with exit code {}\n", 128 + signal));
    }
    let dashes = exec(&["true"]).ends_with(2);
    assert!(dashes.stderr.contains("is not supported anymore. Use exec [POD] -- [COMMAND]"));
    let nothing = exec(&[]).ends_with(2);
    assert!(nothing.stderr.contains("you must specify at least one command for the container"));
    let no_tty = exec(&["-it", "--", "sh", "-c", "[ -t 0 ] || echo no terminal"]).succeeds();
    assert_eq!(no_tty.stdout, "no terminal\n");
    assert!(no_tty.stderr.starts_with("Unable to use a TTY - input is not a terminal"));
}

/// What a command reads and writes is not held in memory, and one that reads nothing ends all the
/// same.
fn many_bytes(node: &Node) {
    let exec = |command: &str| {
        let mut exec =
            node.command(&["exec", "send", "-c", "main", "-i", "--", "sh", "-c", command]);
        exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        exec.spawn().expect("the program can be started")
    };
    let mut counting = exec("wc -c");
    let mut stdin = counting.stdin.take().expect("a pipe");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        stdin.write_all(&block).expect("the command reads");
    }
    drop(stdin);
    let counted = counting.wait_with_output().expect("the command ends");
    assert_eq!(String::from_utf8_lossy(&counted.stdout).trim(), (256 << 20).to_string());
    let mut early = exec("exit 3");
    let mut stdin = early.stdin.take().expect("a pipe");
    let _ = (0..256).try_for_each(|_| stdin.write_all(&block)); // nobody reads it
    drop(stdin);
    assert_eq!(early.wait().expect("the command ends").code(), Some(3));
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// `script` gives the program a terminal, as a user has one, and writes what appears on it.
pub(crate) fn on_a_terminal(node: &Node, words: &str) -> Command {
    let program = e2e_tests::fixtures::program().display().to_string();
    let command = node.command(&[]);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{program} {words}; stty -a"), "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    script
}

fn a_command_cannot_type_on_its_users_terminal() {
    let node = Node::new("typing", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: typing}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("typing", &["Running"]);
    // What a process does to a terminal it does to its own: none, or one of the container's.
    let look = "s=it-has; for n in 0 1 2; do [ -t $n ] && s=$s-terminal; done; \
                (: < /dev/tty) 2> /dev/null && s=$s-controlling; \
                cut -d' ' -f6 /proc/self/stat | grep -qx 0 || s=$s-session; echo $s.";
    for (flags, wanted) in
        [("", "it-has-session."), ("-it", "it-has-terminal-terminal-terminal-controlling-session.")]
    {
        let words = format!("exec {flags} typing -- sh -c '{}'", look.replace('\'', "'\\''"));
        let seen = on_a_terminal(&node, &words).output().expect("script can be started");
        let text = format!("\n{}", String::from_utf8_lossy(&seen.stdout)).replace('\r', "");
        assert!(text.contains(wanted), "{flags:?} {text}");
        assert!(text.contains(" icanon"), "the user's terminal is as it was: {text}");
    }
    // It is so, too, when the client is killed by a signal that can be caught.
    let words = "exec -it typing -- sh -c 'echo started; sleep 1000'";
    let mut script = Watch::start(on_a_terminal(&node, words));
    let deadline = Instant::now() + PATIENCE;
    while !script.line(deadline).expect("the command starts").contains("started") {}
    let child = children(script.child().id()).into_iter().flat_map(children).next();
    let _ = Command::new("kill").arg(child.expect("the client runs").to_string()).status();
    while !script.line(deadline).expect("the terminal is as it was").contains(" icanon") {}
    node.delete_leaves_nothing("typing", &["--now"]);
}

const TALKING: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: talk}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: open
    image: luksa/kubia:1.0
    stdin: true
    command:
    - node
    - -e
    - |
      process.stdin.on('data', text => console.log(`got ${text}`.trim()));
      process.stdin.on('end', () => console.log('end'));
      process.on('SIGTERM', () => process.exit(0));
  - name: once
    image: busybox:1.36
    stdin: true
    stdinOnce: true
    command: [sh, -c, 'while read line; do echo \"got $line\"; done; echo end']
  - name: tty
    image: busybox:1.36
    stdin: true
    tty: true
    command: [sh, -c, 'while read line; do echo \"got $line in $(stty size)\"; done']
  - name: loud
    image: busybox:1.36
    command: [sh, -c, 'until [ -e /go ]; do sleep 0.1; done; yes $(seq 200) | head -c 8000000; echo; echo done; sleep 1000']
";

fn an_attached_client_talks_to_a_container_as_its_manifest_allows() {
    let node = Node::new("talk", &["busybox", "kubia"]);
    let _ = node.apply(TALKING).succeeds();
    node.wait_for_status("talk", &["Running"]);
    let attach = |container: &str| {
        let mut command = node.command(&["attach", "talk", "-c", container, "-i"]);
        command.stdin(Stdio::piped());
        Watch::start(command)
    };
    let expect = |watch: &mut Watch, line: &str| {
        let deadline = Instant::now() + PATIENCE;
        while watch.line(deadline).unwrap_or_else(|| panic!("no {line:?}")) != line {}
    };
    // Two clients at once; both see everything, and a client that goes is not the end of input.
    let (mut first, mut second) = (attach("open"), attach("open"));
    first.write("one\n");
    expect(&mut first, "got one");
    second.write("two\n");
    expect(&mut second, "got two");
    expect(&mut first, "got two");
    drop(first);
    second.write("three\n");
    expect(&mut second, "got three");
    drop(second);
    // The end of a client's input is the container's, once.
    let mut client = attach("once");
    client.write("one\n");
    client.close_input();
    expect(&mut client, "got one");
    expect(&mut client, "end");
    assert!(client.child().wait().expect("the container ended").success());
    a_terminal_is_left_with_keys(&node);
    // A client that reads nothing does not stop the container.
    let mut stopped = node.command(&["attach", "talk", "-c", "loud"]);
    let mut stopped =
        stopped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let _ = stopped.stderr.as_mut().expect("a pipe").read(&mut [0; 1]); // it is attached soon
    let _ = node.run(&["exec", "talk", "-c", "loud", "--", "touch", "/go"]).succeeds();
    node.wait_for_log("talk", "loud", "done");
    let logs = node.run(&["logs", "talk", "-c", "open"]).succeeds();
    assert_eq!(logs.stdout, "got one\ngot two\ngot three\n");
    let _ = stopped.kill();
    let _ = stopped.wait();
    let gone = node.run(&["attach", "talk", "-c", "once"]).ends_with(1);
    assert!(gone.stderr.contains("error: container once not found in pod talk_default"));
    node.delete_leaves_nothing("talk", &["--now"]);
}

fn a_terminal_is_left_with_keys(node: &Node) {
    let mut script = on_a_terminal(node, "attach -it talk -c tty");
    let mut client = Watch::start({
        script.stdin(Stdio::piped());
        script
    });
    let deadline = Instant::now() + PATIENCE;
    let mut text = String::new();
    let mut until = |client: &mut Watch, wanted: &str| {
        while !text.contains(wanted) {
            let line = client.line(deadline);
            text.push_str(&line.unwrap_or_else(|| panic!("no {wanted:?}:\n{text}")));
        }
    };
    until(&mut client, "try pressing enter");
    client.write("hello\n");
    until(&mut client, "got hello in 24 80");
    client.write("\x10\x11");
    until(
        &mut client,
        "Session ended, resume using 'minipod attach talk -c tty -n default -i -t' command",
    );
    until(&mut client, " icanon");
    // Where nobody types on a terminal, there is none to attach.
    let mut piped = node.command(&["attach", "talk", "-c", "tty", "-it"]);
    let mut piped = piped.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = String::new();
    let stderr = piped.stderr.take().expect("a pipe");
    BufReader::new(stderr).read_line(&mut told).expect("it says something");
    assert!(told.starts_with("Unable to use a TTY - input is not a terminal"), "{told}");
    let _ = piped.kill();
    let _ = piped.wait();
    let state = node.pod("talk")["status"]["containerStatuses"][2]["state"].clone();
    assert!(state["running"].is_object(), "{state}");
}

/// A container that swaps a directory with a link for as long as it runs, and one that has
/// neither a shell nor `tar`.
const TRAPS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: files}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: swap, emptyDir: {}}]
  containers:
  - name: bare
    image: luksa/kubia:1.0
    volumeMounts: [{name: swap, mountPath: /swap}]
  - name: swaps
    image: busybox:1.36
    command:
    - sh
    - -c
    - |
      mkdir -p /swap/tree/dir; echo inside > /swap/tree/dir/canary; ln -s CANARY /swap/link
      while true; do mv /swap/tree/dir /swap/away; mv /swap/link /swap/tree/dir; mv /swap/tree/dir /swap/link; mv /swap/away /swap/tree/dir; done
    volumeMounts: [{name: swap, mountPath: /swap}]
  - name: user
    image: busybox:1.36
    command: [sleep, '1000']
    securityContext: {runAsUser: 1000}
";

fn files_are_copied_both_ways_without_tools_and_past_traps() {
    let node = Node::new("files", &["busybox", "kubia"]);
    let here = tempfile::TempDir::new().expect("a directory for the test");
    let at = |name: &str| here.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    fs::create_dir_all(at("canary")).expect("a canary");
    fs::write(at("canary/canary"), "outside").expect("a canary");
    let _ = node.apply(&TRAPS.replace("CANARY", &path("canary"))).succeeds();
    node.wait_for_status("files", &["Running"]);
    fs::create_dir_all(at("out/deep")).expect("a tree");
    fs::write(at("out/deep/file"), vec![7; 5_000_000]).expect("a file");
    symlink("deep/file", at("out/link")).expect("a link");
    let copy = |from: &str, to: &str, container: &str| node.run(&["cp", from, to, "-c", container]);
    // Into a new name, into a directory that exists, and back.
    let _ = copy(&path("out"), "files:/new", "bare").succeeds();
    let _ = copy(&path("out"), "default/files:/new", "bare").succeeds();
    let back = copy("files:/new", &path("back"), "bare").succeeds();
    assert_eq!(back.stderr.matches("warning: skipping symlink: ").count(), 2, "{}", back.stderr);
    for name in ["back/deep/file", "back/out/deep/file"] {
        assert_eq!(fs::read(at(name)).expect(name), vec![7; 5_000_000]);
    }
    let _ = copy("files:/new/deep/file", &path("back"), "bare").succeeds();
    assert!(at("back/file").is_file(), "a file goes into a directory that exists");
    // A name relative to the working directory, and rights of the container's user.
    let _ = copy(&path("out/deep/file"), "files:here", "bare").succeeds();
    let _ = copy("files:/app/here", &path("here"), "bare").succeeds();
    let denied = copy(&path("out"), "files:/root/x", "user").ends_with(1);
    assert!(denied.stderr.contains("Permission denied"), "{}", denied.stderr);
    let _ = copy(&path("out/deep/file"), "files:/tmp/x", "user").succeeds();
    let listed = node.run(&["exec", "files", "-c", "user", "--", "ls", "-ln", "/tmp/x"]).succeeds();
    assert!(listed.stdout.contains(" 1000 "), "{}", listed.stdout);
    what_cannot_be_copied_is_named(&node, &path("out"));
    // The links lead to a path of this machine, which is a path of the container's instead.
    for round in 0..60 {
        let into = format!("swapped{round}");
        let _ = copy("files:/swap/tree", &path(&into), "bare"); // parts of it may just be away
        let canary = fs::read_to_string(at(&into).join("dir/canary")).unwrap_or_default();
        assert_ne!(canary, "outside");
        let _ = copy(&path("out/deep"), "files:/swap/tree/dir", "bare");
    }
    let names: Vec<_> = fs::read_dir(at("canary")).expect("the canary").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read_to_string(at("canary/canary")).expect("the canary"), "outside");
    assert!(!Path::new("/new").exists() && !Path::new("/swap").exists());
    node.delete_leaves_nothing("files", &["--now"]);
}

fn what_cannot_be_copied_is_named(node: &Node, from_here: &str) {
    let copy = |from: &str, to: &str, container: &str| node.run(&["cp", from, to, "-c", container]);
    let missing = copy("files:/nothing", "x", "bare").ends_with(1);
    assert!(missing.stderr.contains("No such file or directory"), "{}", missing.stderr);
    for (from, to, error) in [
        ("/nothing".to_owned(), "files:/x".to_owned(), "doesn't exist in local filesystem"),
        (
            from_here.to_owned(),
            "x".to_owned(),
            "one of src or dest must be a remote file specification",
        ),
        (
            "files:/x".into(),
            "files:/y".into(),
            "one of src or dest must be a local file specification",
        ),
    ] {
        let outcome = copy(&from, &to, "bare");
        assert!(outcome.code != 0 && outcome.stderr.contains(error), "{}", outcome.stderr);
    }
}

/// Answers each connection with what it was sent, backwards, once all of it is there.
const ECHO: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: luksa/kubia:1.0
    ports: [{name: echo, containerPort: 7000}]
    command:
    - node
    - -e
    - |
      require('net').createServer({allowHalfOpen: true}, socket => {
        const pieces = [];
        socket.on('data', piece => pieces.push(piece));
        socket.on('end', () => socket.end(Buffer.concat(pieces).reverse()));
        socket.on('error', () => {});
      }).listen(7000, '127.0.0.1', () => console.log('listening'));
";

fn local_ports_lead_into_the_pod_until_it_goes() {
    let node = Node::new("echo", &["kubia"]);
    let _ = node.apply(ECHO).succeeds();
    node.wait_for_log("echo", "main", "listening");
    let _visit = node.lab.enter();
    let start = |ports: &[&str]| {
        Watch::start(node.command(&[&["port-forward", "pod/echo"], ports].concat()))
    };
    let deadline = Instant::now() + PATIENCE;
    let mut forward = start(&["7000:echo", ":7001"]);
    let line = |forward: &mut Watch| forward.line(deadline).unwrap_or_default();
    assert_eq!(line(&mut forward), "Forwarding from 127.0.0.1:7000 -> 7000");
    assert_eq!(line(&mut forward), "Forwarding from [::1]:7000 -> 7000");
    let other = line(&mut forward);
    let other = other.trim_start_matches("Forwarding from ").trim_end_matches(" -> 7001");
    let other = other.to_owned();
    a_hundred_clients_are_answered();
    // A port that nobody listens on costs its own connection and no other.
    let mut refused = TcpStream::connect(&other).expect("the port is open");
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    TcpStream::connect("127.0.0.1:7000").expect("the port is open still");
    let taken = node.run(&["port-forward", "echo", "7000"]).ends_with(1);
    assert!(
        taken.stderr.contains("Error listen tcp4 127.0.0.1:7000: bind: address already in use")
    );
    assert!(
        taken
            .stderr
            .ends_with("error: unable to listen on any of the requested ports: [{7000 7000}]\n")
    );
    let mut interrupted = start(&[":7000"]);
    line(&mut interrupted);
    interrupted.interrupt();
    assert_eq!(interrupted.child().wait().expect("it ends").code(), Some(0));
    node.delete_leaves_nothing("echo", &["--now"]);
    assert_eq!(forward.child().wait().expect("it ends").code(), Some(1));
}

fn a_hundred_clients_are_answered() {
    let clients: Vec<_> = (0..100_usize)
        .map(|number| {
            let address = if number % 2 == 0 { "127.0.0.1:7000" } else { "[::1]:7000" };
            let mut client = TcpStream::connect(address).expect("the port is open");
            thread::spawn(move || {
                let sent: Vec<u8> = (0..10_000 + number)
                    .map(|at| u8::try_from(at % 251).unwrap_or_default())
                    .collect();
                client.write_all(&sent).expect("the pod reads");
                client.shutdown(Shutdown::Write).expect("the connection is open");
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).expect("the pod answers");
                answer.reverse();
                assert!(answer == sent, "{} bytes", answer.len());
            })
        })
        .collect();
    for client in clients {
        client.join().expect("an echo");
    }
}
