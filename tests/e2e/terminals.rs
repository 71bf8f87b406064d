//! A shell on a terminal in an init container that is at work.

use std::process::{Command, Stdio};
use std::time::Instant;

use e2e_tests::node::{PATIENCE, Watch};
use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[(
    "a_shell_in_a_running_init_container_is_a_real_one_and_ends_with_it",
    a_shell_in_a_running_init_container_is_a_real_one_and_ends_with_it,
)];

const IMAGES: [&str; 4] = ["init-demo", "network-connectivity-checker", "kubia", "kubia-ssl-proxy"];

/// A terminal as a user has one, with a shell in the init container; `told` is what the user's own
/// shell says when that one has ended.
struct Terminal {
    screen: Watch,
    device: String,
}

impl Terminal {
    fn open(node: &Node) -> Self {
        let program = fixtures::program().display().to_string();
        let exec = format!("{program} exec -it kubia-init-slow -c init-demo -- sh");
        let session = format!("tty; stty rows 33 cols 111; {exec}; echo code $?; stty -a");
        let words = ["-qec", &session, "/dev/null"];
        let mut script = node.with_places(std::path::Path::new("script"), &words);
        script.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut screen = Watch::start(script);
        let device = screen.line(Instant::now() + PATIENCE).expect("the terminal's name");
        Self { screen, device }
    }

    fn types(&mut self, text: &str) {
        self.screen.write(text);
    }

    /// Waits for a line of that text, whatever is there before it.
    fn shows(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Some(line) = self.screen.line(deadline) {
            if line.trim() == wanted {
                return;
            }
            seen.push(line);
        }
        panic!("no line {wanted:?}: {seen:#?}");
    }

    fn has_size(&self, rows: &str, columns: &str) {
        let words = ["-F", &self.device, "rows", rows, "cols", columns];
        let status = Command::new("stty").args(words).status();
        assert!(status.is_ok_and(|status| status.success()), "the terminal can be resized");
    }
}

fn a_shell_in_a_running_init_container_is_a_real_one_and_ends_with_it() {
    let node = Node::new("slow", &IMAGES);
    let text = std::fs::read_to_string(fixtures::example("kubia-init-slow.yaml"));
    let text = text.expect("the example is there");
    assert!(text.contains("args: [\"60\"]"), "a minute is longer than a test may take");
    let _ = node.apply(&text.replace("\"60\"", "\"15\"")).succeeds();
    node.wait_for_log("kubia-init-slow", "init-demo", "Step 1 of 15");
    let mut terminal = Terminal::open(&node);
    terminal.types("stty size; test -t 0 && tty\n");
    terminal.shows("33 111");
    terminal.shows("/dev/pts/0");
    terminal.has_size("40", "90");
    terminal.types("until stty size | grep '40 90'; do sleep 0.1; done\n");
    terminal.shows("40 90");
    // Ctrl-C ends what runs in the foreground, and not the shell.
    terminal.types("cat -n\n");
    terminal.types("it reads\n");
    terminal.shows("1\tit reads");
    terminal.types("\u{3}");
    terminal.shows("^C");
    terminal.types("echo and goes on, $?\n");
    terminal.shows("and goes on, 130");
    terminal.types("cat /proc/1/cmdline | tr '\\0' ' '; echo; exit 7\n");
    terminal.shows("/bin/sh /usr/local/bin/init-demo 15");
    terminal.shows("command terminated with exit code 7");
    terminal.shows("code 7");
    let mut second = Terminal::open(&node);
    second.types("echo here\n");
    second.shows("here");
    let mut pod = node.pod("kubia-init-slow");
    let init = &pod["status"]["initContainerStatuses"][0]["state"];
    assert!(init["running"].is_object(), "the init container is still at work: {init}");
    second.shows("code 137");
    second.shows_restored_modes();
    pod = node.pod("kubia-init-slow");
    let init = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!((&init["exitCode"], &init["reason"]), (&0.into(), &"Completed".into()));
    node.delete_leaves_nothing("kubia-init-slow", &["--now"]);
}

impl Terminal {
    /// The user's own terminal is as it was before.
    fn shows_restored_modes(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.screen.line(deadline) {
            if line.contains(" icanon") && line.contains(" echo ") {
                return;
            }
        }
        panic!("the terminal is not as it was");
    }
}
