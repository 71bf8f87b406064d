//! What a test waits for, and how it talks to a command that goes on.

use std::io::Write;
use std::time::Instant;

use crate::Node;
use crate::node::{PATIENCE, Watch};

impl Node {
    /// Waits for an event with that reason and message.
    ///
    /// # Panics
    ///
    /// When that takes too long; with the events that came.
    pub fn wait_for_event(&self, reason: &str, message: &str) {
        let mut watch = Watch::start(self.command(&["get", "events", "-w"]));
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Some(line) = watch.line(deadline) {
            if line.contains(reason) && line.contains(message) {
                return;
            }
            seen.push(line);
        }
        panic!("no {reason} {message}:\n{seen:#?}");
    }

    /// Waits until a running container has written that line.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub fn wait_for_log(&self, name: &str, container: &str, wanted: &str) {
        let words = ["logs", name, "-c", container, "-f", "--tail", "1"];
        let mut watch = Watch::start(self.command(&words));
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = watch.line(deadline) {
            if line == wanted {
                return;
            }
        }
        panic!("{container} did not write {wanted:?}");
    }
}

impl Watch {
    /// Writes to the command, whose standard input is a pipe.
    ///
    /// # Panics
    ///
    /// When it does not read.
    pub fn write(&mut self, text: &str) {
        let stdin = self.child().stdin.as_mut().expect("its input is a pipe");
        stdin.write_all(text.as_bytes()).expect("the command reads");
    }

    /// Ends the command's input.
    pub fn close_input(&mut self) {
        self.child().stdin = None;
    }

    /// Interrupts the command, as Ctrl-C does.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn interrupt(&mut self) {
        let pid = rustix::process::Pid::from_child(self.child());
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    }
}
