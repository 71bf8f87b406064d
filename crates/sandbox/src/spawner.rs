//! The process that all others of a pod are copies of.
//!
//! Who am I: `minipod:spawn`, a copy of the supervisor from before it read anything: no manifest, no
//! Secret and no variable of whoever started it is in my memory, and so in none of my copies. What
//! do I hold: one end of a channel to the supervisor, and the host's mount namespace. How do I end:
//! when the supervisor closes its end, or by the kernel when it dies.
//!
//! The supervisor says which namespaces a new process gets and hands over its order, as a file that
//! I pass on and do not read. The process is the supervisor's child (`CLONE_PARENT`, clone(2)); its
//! pidfd is my answer.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

use crate::SandboxError;
use crate::child::Child;
use crate::host_mounts;
use crate::packet;
use crate::seccomp;
use crate::stage::harmless::{forget_environment, let_go_of_streams, stay_hidden};
use crate::stage::order::{self, Files, Order, Received};
use crate::stage::report::StageError;
use crate::sys::clone::{self, Cloned, New};
use crate::sys::descriptors;

/// What processes do that have work of the caller's to do; the word is what the caller gave with
/// the order. Each returns an exit code.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    /// Works on the files of a container, with its streams as this process's own.
    pub files: fn(&str) -> i32,
    /// Looks up what the next one needs the machine's files for, with no privilege; returns the
    /// word for it.
    pub look_up: fn(&str) -> Option<String>,
    /// Asks something over a network and writes the answer to the file.
    pub ask: fn(&str, OwnedFd) -> i32,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Spawner {
    channel: OwnedFd,
    process: Child,
}

/// What the spawner has to know about a new process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Birth<'a> {
    /// Its namespaces.
    pub(crate) new: New<'a>,
    /// The bounding set of the default profile that it will need, which is compiled once.
    pub(crate) profile: Option<u64>,
    /// Whether it is born in the cgroup v2 directory that comes as the second file.
    pub(crate) in_cgroup: bool,
    /// Whether it is born in the pid namespace of the process whose pidfd comes as the last file.
    pub(crate) among: bool,
}

/// Messages to and from the spawner are shorter.
const LONGEST: usize = 1024;

impl Spawner {
    /// Copies this process, which has one thread and has read nothing yet that no container may
    /// know, and whose mount namespace is the one that it will keep.
    pub fn start(jobs: Jobs) -> Result<Self, SandboxError> {
        let (near, far) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(io::Error::from)?;
        let process = Child::spawn(New::default(), || match prepare(far.as_fd()) {
            Ok(()) => serve(&far, jobs),
            Err(_) => 1,
        })
        .map_err(|source| SandboxError::Clone { what: "the spawner".into(), source })?;
        Ok(Self { channel: near, process })
    }

    /// Ends it, without waiting for its end.
    pub fn end(&self) {
        let _ = self.process.kill(); // it may have ended by itself
    }

    /// Makes a process that carries out the order.
    pub(crate) fn spawn(
        &self,
        birth: Birth<'_>,
        order: &Order<'_>,
        files: &Files<'_>,
    ) -> io::Result<Child> {
        self.spawn_in(birth, None, (order, files))
    }

    /// The same in the pid namespace of a process.
    pub(crate) fn spawn_among(
        &self,
        member: BorrowedFd<'_>,
        order: &Order<'_>,
        files: &Files<'_>,
    ) -> io::Result<Child> {
        self.spawn_in(Birth::default(), Some(member), (order, files))
    }

    fn spawn_in(
        &self,
        birth: Birth<'_>,
        among: Option<BorrowedFd<'_>>,
        (order, files): (&Order<'_>, &Files<'_>),
    ) -> io::Result<Child> {
        let cgroup = birth.new.cgroup;
        let birth = Birth { in_cgroup: cgroup.is_some(), among: among.is_some(), ..birth };
        let written = write_order(order, files)?;
        let all: Vec<BorrowedFd<'_>> = std::iter::once(written.as_fd())
            .chain(cgroup)
            .chain(files.descriptors())
            .chain(among)
            .collect();
        packet::send(&self.channel, &serde_json::to_vec(&birth)?, &all)?;
        let mut answer = [0; LONGEST];
        self.wait_for_answer()?;
        let (length, mut received) = packet::receive(&self.channel, &mut answer)?;
        let number = answer.first_chunk().filter(|_| length == 4).copied();
        let number = number.map(i32::from_le_bytes).ok_or_else(has_ended)?;
        match received.pop() {
            Some(pidfd) => Ok(Child::known_by(pidfd, number)),
            None => Err(io::Error::from_raw_os_error(number)),
        }
    }

    /// One that was killed answers no more; its copies may keep the channel open for a moment.
    fn wait_for_answer(&self) -> io::Result<()> {
        let process = self.process.pidfd();
        let mut ends =
            [PollFd::new(&self.channel, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        loop {
            match poll(&mut ends, None) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if ends[0].revents().is_empty() => return Err(has_ended()),
                Ok(_) => return Ok(()),
            }
        }
    }
}

fn has_ended() -> io::Error {
    io::Error::other("the pod's spawner has ended; delete the pod and create it again")
}

/// The order in a file that needs no reader while it is written, whatever its length.
fn write_order(order: &Order<'_>, files: &Files<'_>) -> io::Result<File> {
    let mut file = File::from(memfd_create("order", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(&(order, files.slots()))?)?;
    Ok(file)
}

/// Becomes the spawner.
fn prepare(channel: BorrowedFd<'_>) -> Result<(), StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:spawn"); // only what ps shows
    stay_hidden(|| Ok(()))?; // one that has died has closed the channel
    forget_environment()?;
    let kept: Vec<_> = host_mounts::namespace().into_iter().chain([channel]).collect();
    let_go_of_streams()
        .and_then(|()| descriptors::close_all_but(&kept))
        .map_err(|error| StageError::prepare("cannot let go of files", error))
}

/// Makes processes until the supervisor is gone.
fn serve(channel: &OwnedFd, jobs: Jobs) -> i32 {
    let Ok(own) = File::open("/proc/self/ns/pid") else {
        return 1;
    };
    let mut message = [0; LONGEST];
    loop {
        let (length, files) = match packet::receive(channel, &mut message) {
            Ok((0, _)) => return 0,
            Ok(received) => received,
            Err(_) => return 1,
        };
        let answered = match make(&message[..length], files, &own, jobs) {
            Ok(Cloned { pidfd, pid }) => {
                packet::send(channel, &pid.to_le_bytes(), &[pidfd.as_fd()])
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                packet::send(channel, &number.to_le_bytes(), &[])
            }
        };
        if answered.is_err() {
            return 0; // nobody is left to serve
        }
    }
}

/// Makes one process.
fn make(message: &[u8], mut files: Vec<OwnedFd>, own: &File, jobs: Jobs) -> io::Result<Cloned> {
    let birth: Birth<'_> = serde_json::from_slice(message)?;
    if files.len() < 1 + usize::from(birth.in_cgroup) + usize::from(birth.among) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if let Some(bounding) = birth.profile {
        drop(seccomp::default_profile(bounding)); // the copy finds it
    }
    let member = if birth.among { files.pop() } else { None };
    let written = File::from(files.remove(0));
    let cgroup = birth.in_cgroup.then(|| files.remove(0));
    let new = New { sibling: true, cgroup: cgroup.as_ref().map(AsFd::as_fd), ..birth.new };
    let job = || match read_order(written) {
        Ok((order, slots)) => order::carry_out(order, Received::new(slots, files), jobs),
        Err(_) => 1,
    };
    let Some(member) = member else {
        return clone::clone(new, job);
    };
    // For the time of the clone, children are born there (setns(2), `CLONE_NEWPID`).
    setns(&member, CloneFlags::CLONE_NEWPID)?;
    let made = clone::clone(new, job);
    setns(own, CloneFlags::CLONE_NEWPID)?;
    made
}

fn read_order(mut file: File) -> io::Result<(Order<'static>, Vec<order::Slot>)> {
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
