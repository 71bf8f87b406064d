//! What a stage tells the process that started it: nothing, when all went well.
//!
//! The channel is a pipe that is closed by execve(2), so its end means that the program runs.
//! Anything else on it is the error. A container that may trace its neighbors can make a stage that
//! it sees write anything: so only bytes travel here, no open file, and no byte is taken for a
//! process. Which process goes on in a stage's place is told by the kernel
//! ([`Child::take_made`](crate::child::Child)).
//!
//! A terminal that was made in the container travels on a socket of its own, of which there is one
//! message. Whoever sends it is not seen by a container, or is the container's first process.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PIPE_BUF, PipeFlags, pipe_with};

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
    /// Something that the pod does without.
    Spared,
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

    /// That something failed that the pod does without.
    pub(crate) fn spared(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::new(Step::Spared, doing, &error.into())
    }

    fn new(step: Step, doing: impl Into<String>, error: &io::Error) -> Self {
        Self { step, doing: doing.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    /// Whether the manifest asks for something that cannot be had.
    pub fn is_configuration(&self) -> bool {
        self.step == Step::Configure
    }

    /// Whether the pod is ready in spite of it.
    pub(crate) fn is_spared(&self) -> bool {
        self.step == Step::Spared
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
            Step::Spared => b's',
        };
        let mut bytes = vec![step];
        bytes.extend(self.errno.to_le_bytes());
        bytes.extend(self.doing.as_bytes());
        bytes.truncate(PIPE_BUF); // so much arrives whole (pipe(7))
        bytes
    }

    /// Whatever it is, it becomes one line.
    fn decode(bytes: &[u8]) -> Self {
        let step = match bytes.first() {
            Some(b'c') => Step::Configure,
            Some(b'x') => Step::Exec,
            Some(b'u') => Step::Unrunnable,
            Some(b's') => Step::Spared,
            _ => Step::Prepare,
        };
        let number = bytes.get(1..5).and_then(|bytes| bytes.try_into().ok());
        let doing = String::from_utf8_lossy(bytes.get(5..).unwrap_or_default())
            .replace(char::is_control, " ");
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
pub(crate) struct ReportWriter {
    errors: OwnedFd,
    /// One byte comes when the starter knows of the process that was made in another one's place.
    known: OwnedFd,
    terminal: Option<OwnedFd>,
}

/// The end that its starter reads, without waiting.
#[derive(Debug)]
pub(crate) struct ReportReader {
    errors: OwnedFd,
    known: OwnedFd,
    terminal: Option<OwnedFd>,
}

/// What a report says.
#[derive(Debug)]
pub(crate) enum Report {
    /// Nothing yet.
    Nothing,
    /// The program runs.
    Executed,
    /// The stage failed.
    Failed(StageError),
}

/// A channel for one report, and for a terminal if there is to be one.
pub(crate) fn channel(with_terminal: bool) -> io::Result<(ReportReader, ReportWriter)> {
    let (errors, far_errors) = pipe_with(PipeFlags::CLOEXEC)?;
    let (far_known, known) = pipe_with(PipeFlags::CLOEXEC)?;
    for own in [&errors, &known] {
        rustix::io::ioctl_fionbio(own, true)?;
    }
    let (mut terminal, mut far_terminal) = (None, None);
    if with_terminal {
        let flags = SocketFlags::CLOEXEC;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        (terminal, far_terminal) = (Some(near), Some(far));
    }
    Ok((
        ReportReader { errors, known, terminal },
        ReportWriter { errors: far_errors, known: far_known, terminal: far_terminal },
    ))
}

impl ReportWriter {
    /// The end that came as files.
    pub(crate) fn new(errors: OwnedFd, known: OwnedFd, terminal: Option<OwnedFd>) -> Self {
        Self { errors, known, terminal }
    }

    /// The channel for a terminal.
    pub(crate) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Tells what went wrong.
    pub(crate) fn fail(&self, error: &StageError) {
        let _ = write(&self.errors, &error.encode()); // if the starter is gone, there is nobody
    }

    /// The same; the exit code of a process that fails so.
    pub(crate) fn fail_with(&self, error: &StageError) -> i32 {
        self.fail(error);
        if error.is_not_found() { 127 } else { 126 }
    }

    /// Tells that all went well, in a process that runs no program and has closed everything else.
    pub(crate) fn close(self) {
        let Self { errors, known, terminal } = self;
        drop(errors);
        std::mem::forget((known, terminal)); // closed already, under their owner
    }

    /// What a process keeps open that another one may look into.
    pub(crate) fn kept(&self) -> [BorrowedFd<'_>; 2] {
        [self.errors.as_fd(), self.known.as_fd()]
    }

    /// Hands over the near end of a terminal.
    pub(crate) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        let socket = self.terminal.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let files = [terminal];
        beside.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(socket, &[IoSlice::new(b"t")], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits until the starter knows of this process, which another one has made: it must not go on
    /// where nobody would end or reap it.
    pub(crate) fn wait_until_known(&self) -> Result<(), StageError> {
        match retry_on_intr(|| read(&self.known, &mut [0; 1])) {
            Ok(1) => Ok(()),
            _ => Err(StageError::prepare("nobody knows of this process", Errno::SRCH)),
        }
    }

    /// That there is still somebody to tell; else it is too late to ask to die with the starter. A
    /// process that ends closes its files before the kernel looks for those who have asked
    /// (`PR_SET_PDEATHSIG`, prctl(2)), so whoever asks first and looks here then misses nothing,
    /// provided that it has no copy of the starter's end itself. Where a seccomp filter of somebody's
    /// own refuses to look, the process goes on.
    pub(crate) fn require_starter(&self) -> Result<(), StageError> {
        let mut ends = [PollFd::new(&self.errors, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut ends, Some(&at_once)) {
            Ok(1..) => Err(StageError::prepare("the supervisor has ended", Errno::SRCH)),
            _ => Ok(()),
        }
    }
}

impl ReportReader {
    /// Lets the process go on that was made in another one's place.
    pub(crate) fn acknowledge(&self) {
        let _ = write(&self.known, b"!"); // it may have been killed meanwhile
    }

    /// What there is to read.
    pub(crate) fn read(&self) -> Report {
        let mut text = [0_u8; PIPE_BUF];
        match read(&self.errors, &mut text) {
            Ok(0) => Report::Executed, // the other end is gone, as after execve
            Ok(count) => Report::Failed(StageError::decode(&text[..count])),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Report::Nothing,
            Err(errno) => Report::Failed(StageError::prepare("cannot read a report", errno)),
        }
    }

    /// The terminal, once the program runs. Anything else in its place is none.
    pub(crate) fn take_terminal(&mut self) -> Option<OwnedFd> {
        let socket = self.terminal.take()?;
        let mut text = [0_u8; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        recvmsg(&socket, &mut [IoSliceMut::new(&mut text)], &mut beside, flags).ok()?;
        let file = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        file.filter(|file| rustix::termios::isatty(file))
    }
}

impl AsFd for ReportWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.errors.as_fd()
    }
}

impl AsFd for ReportReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.errors.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn an_error_arrives_as_it_was_sent_and_the_end_means_that_the_program_runs() {
        let (reader, writer) = channel(false).unwrap();
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
    fn what_a_tracer_makes_a_stage_say_is_one_line_and_no_more_than_an_error() {
        for said in [&b"x"[..], &[1, 0, 0, 0], &[0xff; 60_000], b"x\x02\0\0\0a\x1b[2J\nb"] {
            let (reader, writer) = channel(false).unwrap();
            write(&writer.errors, said).unwrap();
            let Report::Failed(error) = reader.read() else { panic!("{said:?}") };
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn what_is_handed_over_in_a_terminals_place_is_not_taken() {
        let (null, (mut reader, writer)) =
            (File::open("/dev/null").unwrap(), channel(true).unwrap());
        writer.send_terminal(null.as_fd()).unwrap();
        assert!(reader.take_terminal().is_none());
        let (near, _far) = crate::terminal::open_pair().unwrap();
        let (mut reader, writer) = channel(true).unwrap();
        writer.send_terminal(near.as_fd()).unwrap();
        assert!(reader.take_terminal().is_some());
        assert!(reader.take_terminal().is_none(), "there is one");
    }

    #[test]
    fn a_stage_sees_that_nobody_waits_for_its_report_any_more() {
        let (reader, writer) = channel(false).unwrap();
        assert_eq!(writer.require_starter(), Ok(()));
        drop(reader);
        let error = writer.require_starter().unwrap_err();
        assert_eq!(error.to_string(), "the supervisor has ended: no such process");
    }
}
