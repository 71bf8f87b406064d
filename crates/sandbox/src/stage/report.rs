//! What a stage tells the process that started it: nothing, when all went well.
//!
//! The channel is closed by execve(2), so its end means that the program runs. Anything else on
//! it is the error. A terminal that was made in the container travels on it too, and the process
//! that a stage has made to go on in its place.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};

use crate::child::Child;

/// What went wrong in a stage, after its process was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct StageError {
    step: Step,
    doing: String,
    errno: i32,
}

/// How far a stage had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of a volume that the manifest asks for cannot be used.
    Configure,
    /// Everything before the program is looked for.
    Prepare,
    /// Looking for the program and running it.
    Exec,
    /// Running a program that is there; the text says all.
    Unrunnable,
}

impl StageError {
    /// That what the manifest asks for cannot be had, in Kubernetes' words.
    pub(crate) fn configure(sentence: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::new(Step::Configure, sentence, &error.into())
    }

    /// That a step of the preparation failed.
    pub(crate) fn prepare(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::new(Step::Prepare, doing, &error.into())
    }

    /// That the program cannot be run.
    pub(crate) fn exec(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::new(Step::Exec, doing, &error.into())
    }

    /// That the program is there and cannot be run, and why.
    pub(crate) fn unrunnable(name: &str, why: &str, error: impl Into<io::Error>) -> Self {
        Self::new(Step::Unrunnable, format!("exec: \"{name}\": {why}"), &error.into())
    }

    fn new(step: Step, doing: impl Into<String>, error: &io::Error) -> Self {
        Self { step, doing: doing.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    /// Whether the manifest asks for something that cannot be had.
    pub fn is_configuration(&self) -> bool {
        self.step == Step::Configure
    }

    /// Whether everything was ready and only the program could not be run.
    pub fn is_exec(&self) -> bool {
        matches!(self.step, Step::Exec | Step::Unrunnable)
    }

    /// Whether the program does not exist (exit code 127 in a shell).
    pub fn is_not_found(&self) -> bool {
        self.step == Step::Exec && self.errno == libc::ENOENT
    }

    /// Whether the program exists and cannot be run (exit code 126 in a shell).
    pub fn is_not_executable(&self) -> bool {
        self.is_exec() && !self.is_not_found()
    }

    /// The error number of errno(3).
    pub fn errno(&self) -> i32 {
        self.errno
    }

    fn encode(&self) -> Vec<u8> {
        let step = match self.step {
            Step::Configure => b'c',
            Step::Prepare => b'p',
            Step::Exec => b'x',
            Step::Unrunnable => b'u',
        };
        let mut bytes = vec![step];
        bytes.extend(self.errno.to_le_bytes());
        bytes.extend(self.doing.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let step = match bytes.first() {
            Some(b'c') => Step::Configure,
            Some(b'x') => Step::Exec,
            Some(b'u') => Step::Unrunnable,
            _ => Step::Prepare,
        };
        let number = bytes.get(1..5).and_then(|bytes| bytes.try_into().ok());
        let doing = String::from_utf8_lossy(bytes.get(5..).unwrap_or_default()).into_owned();
        Self { step, doing, errno: number.map_or(libc::EIO, i32::from_le_bytes) }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_not_found() {
            return write!(f, "{}: executable file not found in $PATH", self.doing);
        }
        if self.is_configuration() || self.step == Step::Unrunnable {
            return f.write_str(&self.doing);
        }
        let text = nix::errno::Errno::from_raw(self.errno).desc().to_lowercase();
        write!(f, "{}: {text}", self.doing)
    }
}

/// The end that a stage writes to.
#[derive(Debug)]
pub(crate) struct ReportWriter(OwnedFd);

/// The end that its starter reads, without waiting.
#[derive(Debug)]
pub(crate) struct ReportReader(OwnedFd);

/// What a report says.
#[derive(Debug)]
pub(crate) enum Report {
    /// Nothing yet.
    Nothing,
    /// The program runs.
    Executed,
    /// A terminal was made.
    Terminal(OwnedFd),
    /// Another process goes on: its pidfd and its id.
    Process(OwnedFd, i32),
    /// The stage failed.
    Failed(StageError),
}

/// A channel for one report.
pub(crate) fn channel() -> io::Result<(ReportReader, ReportWriter)> {
    let (reader, writer) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((ReportReader(reader), ReportWriter(writer)))
}

impl ReportWriter {
    /// Tells what went wrong.
    pub(crate) fn fail(&self, error: &StageError) {
        let mut beside = SendAncillaryBuffer::default();
        let text = error.encode();
        // If the starter is gone, there is nobody to tell.
        let _ = sendmsg(&self.0, &[IoSlice::new(&text)], &mut beside, SendFlags::NOSIGNAL);
    }

    /// The same; the exit code of a process that fails so.
    pub(crate) fn fail_with(&self, error: &StageError) -> i32 {
        self.fail(error);
        if error.is_not_found() { 127 } else { 126 }
    }

    /// Hands over the near end of a terminal.
    pub(crate) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        self.send(b"t", terminal)
    }

    /// Tells which process goes on in the place of this one.
    pub(crate) fn send_process(&self, pidfd: BorrowedFd<'_>, pid: i32) -> io::Result<()> {
        self.send(&pid.to_le_bytes(), pidfd)
    }

    /// Waits until the starter knows of this process, which another one has made. What it reports
    /// must not come before that it exists, and it must not go on where nobody would end or reap it.
    pub(crate) fn wait_until_known(&self) -> Result<(), StageError> {
        match retry_on_intr(|| recv(&self.0, &mut [0; 1], RecvFlags::empty())) {
            Ok((1, _)) => Ok(()),
            _ => Err(StageError::prepare("nobody knows of this process", Errno::SRCH)),
        }
    }

    /// That there is still somebody to tell; else it is too late to ask to die with the starter. A
    /// process that ends closes its files before the kernel looks for those who have asked
    /// (`PR_SET_PDEATHSIG`, prctl(2)), so whoever asks first and looks here then misses nothing,
    /// provided that it has no copy of the starter's end itself.
    pub(crate) fn require_starter(&self) -> Result<(), StageError> {
        let mut ends = [PollFd::new(&self.0, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut ends, Some(&at_once)) {
            Ok(0) => Ok(()),
            _ => Err(StageError::prepare("the supervisor has ended", Errno::SRCH)),
        }
    }

    fn send(&self, text: &[u8], file: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let files = [file];
        beside.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&self.0, &[IoSlice::new(text)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl ReportReader {
    /// Lets a process that was told of go on.
    pub(crate) fn acknowledge(&self) {
        let _ = send(&self.0, b"!", SendFlags::NOSIGNAL); // it may have been killed meanwhile
    }

    /// What there is to read.
    pub(crate) fn read(&self) -> Report {
        let mut text = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut text)];
        let bytes = match recvmsg(&self.0, &mut parts, &mut beside, flags) {
            Ok(received) => received.bytes,
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Report::Nothing,
            Err(_) => return Report::Executed, // the other end is gone, as after execve
        };
        let file = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        match (bytes, file) {
            (count, Some(file)) => match text[..count].try_into() {
                Ok(pid) => Report::Process(file, i32::from_le_bytes(pid)),
                Err(_) => Report::Terminal(file),
            },
            (0, None) => Report::Executed,
            (count, None) => Report::Failed(StageError::decode(&text[..count])),
        }
    }
}

impl Drop for ReportReader {
    /// Ends a process that was told of and that nobody has taken.
    fn drop(&mut self) {
        loop {
            match self.read() {
                Report::Process(pidfd, pid) => drop(Child::known_by(pidfd, pid)),
                Report::Terminal(_) => {}
                Report::Nothing | Report::Executed | Report::Failed(_) => return,
            }
        }
    }
}

impl AsFd for ReportWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for ReportReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_it_was_sent_and_the_end_means_that_the_program_runs() {
        let (reader, writer) = channel().unwrap();
        assert!(matches!(reader.read(), Report::Nothing));
        let error = StageError::exec("exec: \"x\"", io::Error::from_raw_os_error(libc::ENOENT));
        writer.fail(&error);
        let Report::Failed(received) = reader.read() else { panic!("no error") };
        assert_eq!(received, error);
        assert!(received.is_not_found());
        assert_eq!(received.to_string(), "exec: \"x\": executable file not found in $PATH");
        drop(writer);
        assert!(matches!(reader.read(), Report::Executed));
    }

    #[test]
    fn a_stage_sees_that_nobody_waits_for_its_report_any_more() {
        let (reader, writer) = channel().unwrap();
        assert_eq!(writer.require_starter(), Ok(()));
        drop(reader);
        let error = writer.require_starter().unwrap_err();
        assert_eq!(error.to_string(), "the supervisor has ended: no such process");
    }
}
