//! A machine's worth of minipod with places of its own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::image::{self, Layer};
use crate::{Lab, fixtures, leaks};

/// Whatever is waited for comes within this time, or the test fails.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// State, data and logs of one test, in a lab of its own.
#[derive(Debug)]
pub struct Node {
    /// The lab that its commands run in.
    pub lab: Lab,
    directory: TempDir,
    settings: Vec<(String, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// Its exit code.
    pub code: i32,
    /// What it answered.
    pub stdout: String,
    /// What it told beside.
    pub stderr: String,
}

impl Node {
    /// A node with these fixture images in its store.
    ///
    /// # Panics
    ///
    /// When it cannot be set up.
    pub fn new(name: &str, images: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory for the test");
        let node = Self { lab: Lab::new(name), directory, settings: Vec::new() };
        for image in images {
            let layout = fixtures::layout(image);
            let _ = node.run(&["load", "--quiet", "-i", &layout.display().to_string()]).succeeds();
        }
        node
    }

    /// Puts an image of busybox under that layer into the store.
    ///
    /// # Panics
    ///
    /// When it cannot be written or loaded.
    pub fn load(&self, name: &str, layer: Layer, config: &Value) {
        let layout = self.directory(&format!("image-{}", name.replace(['/', ':'], "-")));
        image::write(&layout, name, layer, config);
        let _ = self.run(&["load", "--quiet", "-i", &layout.display().to_string()]).succeeds();
    }

    /// Sets an environment variable for the node's commands.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the test's directory.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("a file of the test");
        path
    }

    /// A new directory in the test's directory.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir(&path).expect("a directory of the test");
        path
    }

    /// The directories of the node.
    pub fn directories(&self) -> [PathBuf; 3] {
        ["state", "data", "logs"].map(|name| self.directory.path().join(name))
    }

    /// The program with the node's places, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.with_places(&fixtures::program(), arguments)
    }

    /// Some program with the node's places, not started yet.
    pub fn with_places(&self, program: &Path, arguments: &[&str]) -> Command {
        let [state, data, logs] = self.directories();
        let mut command = self.lab.command(program);
        command
            .args(arguments)
            .env("MINIPOD_STATE_DIR", state)
            .env("MINIPOD_DATA_DIR", data)
            .env("MINIPOD_LOG_DIR", logs)
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).output().expect("the program can be started").into()
    }

    /// Applies a manifest given as text.
    pub fn apply(&self, manifest: &str) -> Outcome {
        let path = self.file("manifest.yaml", manifest);
        self.run(&["apply", "-f", &path.display().to_string()])
    }

    /// Starts `get pods -w` and hands out its lines.
    pub fn watch_pods(&self) -> Watch {
        Watch::start(self.command(&["get", "pods", "-w"]))
    }

    /// The pod as JSON.
    ///
    /// # Panics
    ///
    /// When there is no such pod.
    pub fn pod(&self, name: &str) -> Value {
        let outcome = self.run(&["get", "pod", name, "-o", "json"]).succeeds();
        serde_json::from_str(&outcome.stdout).expect("the pod is JSON")
    }

    /// `reason: message` of each event, in order.
    ///
    /// # Panics
    ///
    /// When the events are not JSON.
    pub fn events(&self) -> Vec<(String, String)> {
        let outcome = self.run(&["get", "events", "-o", "json"]).succeeds();
        let list: Value = serde_json::from_str(&outcome.stdout).expect("the events are JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
    }

    /// Waits until the STATUS column of the pod is one of these.
    ///
    /// # Panics
    ///
    /// When that takes too long; with all that is known of the pod.
    pub fn wait_for_status(&self, name: &str, wanted: &[&str]) -> String {
        let mut watch = self.watch_pods();
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = watch.line(deadline) {
            let cells: Vec<&str> =
                line.split("   ").map(str::trim).filter(|c| !c.is_empty()).collect();
            if cells.first() == Some(&name) && cells.get(2).is_some_and(|one| wanted.contains(one))
            {
                return cells[2].to_owned();
            }
        }
        panic!(
            "{name} did not become {wanted:?}:\n{}",
            self.run(&["describe", "pod", name]).stdout
        );
    }

    /// Waits until the pod has ended, and returns it.
    ///
    /// # Panics
    ///
    /// When that takes too long; with all that is known of the pod.
    pub fn wait_for_end(&self, name: &str) -> Value {
        self.wait_until(name, |pod| {
            ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase)
        })
    }

    /// Waits until the pod is as wanted, and returns it.
    ///
    /// # Panics
    ///
    /// When that takes too long; with the pod as it is then.
    pub fn wait_until(&self, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        // A line for each change of the record, also for those that no column shows.
        let mut watch = Watch::start(self.command(&["get", "pods", "-w", "-o", "name"]));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pod = self.pod(name);
            if is_wanted(&pod) {
                return pod;
            }
            assert!(watch.line(deadline).is_some(), "{name} is not as wanted: {pod:#}");
        }
    }

    /// Waits until the pod's phase is that one, and returns the pod.
    pub fn wait_for_phase(&self, name: &str, phase: &str) -> Value {
        self.wait_until(name, |pod| pod["status"]["phase"] == phase)
    }

    /// Deletes the pod and checks that nothing of it is left.
    ///
    /// # Panics
    ///
    /// When something is left.
    pub fn delete_leaves_nothing(&self, name: &str, arguments: &[&str]) {
        let pod = self.pod(name);
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut words = vec!["delete", "pod", name];
        words.extend_from_slice(arguments);
        let _ = self.run(&words).succeeds();
        self.nothing_is_left(&uid);
    }

    /// Checks that nothing of the pod of that uid is left, and no link of minipod's in the lab unless
    /// another pod needs it.
    ///
    /// # Panics
    ///
    /// When something is left.
    pub fn nothing_is_left(&self, uid: &str) {
        let [state, data, logs] = self.directories();
        let mut left = leaks::left(uid, &[&state, &data, &logs]);
        left.extend(leaks::half_removed(&state));
        let links = self.lab.command(Path::new("ip")).args(["-o", "link"]).output();
        let links = links.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let links = links.unwrap_or_default();
        let has_others = !self.run(&["get", "pods", "-A", "-o", "name"]).stdout.is_empty();
        let own = format!("mp{}", uid.get(..8).unwrap_or(uid));
        let prefixes = if has_others { vec![own.as_str()] } else { vec!["mp", "minipod"] };
        let is_ours = |line: &&str| {
            let name = line.split(": ").nth(1).unwrap_or_default();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        left.extend(links.lines().filter(is_ours).map(str::to_owned));
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let listed = self.run(&["get", "pods", "-o", "json"]).stdout;
        let pods: Value = serde_json::from_str(&listed).unwrap_or_default();
        let _ = self.run(&["delete", "pods", "--all", "--force"]);
        if thread::panicking() {
            return; // one failure is told
        }
        for pod in pods["items"].as_array().into_iter().flatten() {
            self.nothing_is_left(pod["metadata"]["uid"].as_str().unwrap_or_default());
        }
        // A supervisor may still be on its way out.
        let [state, ..] = self.directories();
        let deadline = Instant::now() + PATIENCE;
        while let Some(process) = leaks::processes_for(&state).first() {
            assert!(Instant::now() < deadline, "left behind: {process}");
            thread::yield_now();
        }
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// Requires exit code 0.
    ///
    /// # Panics
    ///
    /// When it is another one; with all that was printed.
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Requires an exit code.
    ///
    /// # Panics
    ///
    /// When it is another one; with all that was printed.
    pub fn ends_with(self, code: i32) -> Self {
        let Self { code: found, stdout, stderr } = &self;
        assert_eq!(*found, code, "stdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }
}

/// A command that goes on, line by line. Dropping it kills it.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Starts the command.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program can be started");
        let mut stdout = child.stdout.take().expect("its output is a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                text.extend_from_slice(&buffer[..count]);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// The next line, if it comes before the deadline.
    pub fn line(&mut self, deadline: Instant) -> Option<String> {
        self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait(); // nobody is left to tell
    }
}
