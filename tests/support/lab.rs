//! A small internet in network namespaces (`scripts/lab`), so that tests neither need the real one
//! nor touch the machine's own network.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::fixtures::workspace;

/// A lab; dropping it removes its namespaces and what runs in them.
#[derive(Debug)]
pub struct Lab {
    name: String,
}

impl Lab {
    /// Makes a lab of that name, with an internet that owns 1.1.1.1.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let lab = Self { name: format!("mpt-{name}-{}", std::process::id()) };
        let made = lab.script().arg("up").output().expect("scripts/lab can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        lab
    }

    /// A command on the lab's stand-in for this machine.
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}-host", self.name)).arg(program);
        command
    }

    /// The network namespace of the lab's stand-in for this machine.
    pub fn network(&self) -> std::path::PathBuf {
        format!("/run/netns/{}-host", self.name).into()
    }

    /// Moves this thread, and those it starts meanwhile, to the lab's stand-in for this machine.
    ///
    /// # Panics
    ///
    /// When it cannot be entered.
    pub fn enter(&self) -> Visit {
        let open = |path: &str| File::open(path).expect("there is such a namespace");
        let visit = Visit { home: open("/proc/thread-self/ns/net") };
        join(&open(&format!("/run/netns/{}-host", self.name)));
        visit
    }

    /// A command in the lab's internet.
    pub fn internet(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}-internet", self.name)).arg(program);
        command
    }

    /// Takes 1.1.1.1 away: the lab is offline.
    ///
    /// # Panics
    ///
    /// When the address cannot be taken away.
    pub fn go_offline(&self) {
        let status = self
            .internet("ip")
            .args(["address", "del", "1.1.1.1/32", "dev", "lo"])
            .stderr(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the address can be taken away");
    }

    fn script(&self) -> Command {
        let mut command = Command::new(workspace().join("scripts/lab"));
        command.env("LAB", &self.name);
        command
    }
}

/// A thread's time in a lab, to which it does not belong: taking the lab down kills what is in it.
#[derive(Debug)]
#[must_use = "the thread goes back when this is dropped"]
pub struct Visit {
    home: File,
}

impl Drop for Visit {
    fn drop(&mut self) {
        join(&self.home);
    }
}

fn join(network: &File) {
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(network.as_fd(), kind).expect("root may enter it");
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.script().arg("down").output(); // the leak check tells
    }
}
