//! A command in a container, or a container itself, as its user sees it: what is written to it
//! and what it writes.
//!
//! Whoever reads slowly makes the command of `exec` wait, as a pipe does; an attached container
//! never waits, its readers miss something instead.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::client::{ClientError, answer, connect};
use crate::control::{AttachRequest, ExecRequest, Reply, Request, TerminalSize};
use crate::packet::{Incoming, PacketSocket};
use crate::places::PodDir;

/// How much of a container's output waits for a reader that has fallen behind, in bytes.
const WAITING_OUTPUT: usize = 1024 * 1024;

/// How often is read after the end, so that all of that is read, and not for ever.
const LAST_READS: usize = 64;

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// File descriptor 1, or the terminal.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The command ended with this code.
    Exited(i32),
    /// The user is no longer attached: the container ended, or the user left.
    Detached {
        /// How many bytes of output the user missed, having read too slowly.
        skipped: u64,
    },
}

/// Why a session broke.
#[derive(Debug)]
pub enum Broken {
    /// The supervisor.
    Client(ClientError),
    /// Whoever was to get the output does not want it.
    Output(io::Error),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Client(error.into())
    }
}

/// A session. Dropping it ends a command, and leaves an attached container alone.
#[derive(Debug)]
pub struct Session {
    socket: PacketSocket,
    outputs: Vec<(Output, OwnedFd)>,
    input: Option<Input>,
    terminal: Option<Terminal>,
}

/// The near end of a command's terminal.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Tells it how large the window is that shows it.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.0, size)?)
    }
}

/// Where the user writes. Dropping it says that there is nothing more to come.
#[derive(Debug)]
pub struct Input {
    file: OwnedFd,
    attached: Option<PacketSocket>,
}

impl Input {
    /// Leaves the container that the user is attached to.
    pub fn detach(mut self) {
        if let Some(socket) = self.attached.take() {
            let _ = socket.send(&Request::Detach, &[]); // it may just have ended
        }
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.file, bytes) {
                // The supervisor reads the same terminal without waiting; here one waits.
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                }
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(socket) = &self.attached {
            let _ = socket.send(&Request::InputEnded, &[]); // it may just have ended
        }
    }
}

/// Ends a session.
#[derive(Debug)]
pub struct Closer(PacketSocket);

impl Closer {
    /// Lets a command be ended, or leaves an attached container.
    pub fn close(&self) {
        self.0.shut_down();
    }
}

/// Starts a command in a container.
pub fn exec(dir: &PodDir, request: &ExecRequest, with_stdin: bool) -> Result<Session, ClientError> {
    let socket = connect(dir).map_err(ClientError::Gone)?;
    if request.terminal.is_some() {
        socket.send(&Request::Exec(request.clone()), &[])?;
        let (_, files) = answer(&socket)?;
        let near = files.into_iter().next().ok_or(ClientError::NoAnswer)?;
        let copy = || near.try_clone();
        let input = with_stdin.then(copy).transpose()?;
        return Ok(Session {
            input: input.map(|file| Input { file, attached: None }),
            terminal: Some(Terminal(copy()?)),
            outputs: vec![(Output::Stdout, near)],
            socket,
        });
    }
    let (stdin, input) = if with_stdin {
        let (far, near) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        (far, Some(Input { file: near, attached: None }))
    } else {
        (OwnedFd::from(std::fs::File::open("/dev/null")?), None)
    };
    let (outputs, [stdout, stderr]) = output_pipes(None)?;
    let far = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    socket.send(&Request::Exec(request.clone()), &far)?;
    drop((stdin, stdout, stderr));
    answer(&socket)?;
    Ok(Session { socket, outputs, input, terminal: None })
}

/// Attaches to a running container that has a terminal or has none.
pub fn attach(
    dir: &PodDir,
    request: &AttachRequest,
    has_terminal: bool,
) -> Result<Session, ClientError> {
    let socket = connect(dir).map_err(ClientError::Gone)?;
    let (outputs, far) = output_pipes(Some(WAITING_OUTPUT))?;
    let files: Vec<BorrowedFd<'_>> = far.iter().map(AsFd::as_fd).collect();
    socket.send(&Request::Attach(request.clone()), &files)?;
    drop(far);
    let (_, files) = answer(&socket)?;
    let near = files.into_iter().next();
    let terminal = match &near {
        Some(near) if has_terminal => Some(Terminal(near.try_clone()?)),
        _ => None,
    };
    let attached = Some(socket.try_clone()?);
    let input = near.filter(|_| request.with_stdin).map(|file| Input { file, attached });
    Ok(Session { socket, outputs, input, terminal })
}

impl Session {
    /// Where the user writes, if the user may; once.
    pub fn take_input(&mut self) -> Option<Input> {
        self.input.take()
    }

    /// The terminal, if there is one; once.
    pub fn take_terminal(&mut self) -> Option<Terminal> {
        self.terminal.take()
    }

    /// Ends the session from another thread, as dropping it does.
    pub fn closer(&self) -> io::Result<Closer> {
        Ok(Closer(self.socket.try_clone()?))
    }

    /// Hands on what comes out, until the end. What is still on its way then belongs to it; what
    /// others may write later does not.
    pub fn relay(
        mut self,
        mut show: impl FnMut(Output, &[u8]) -> io::Result<()>,
    ) -> Result<End, Broken> {
        loop {
            let is_over = self.wait(None)?;
            self.pass_on(&mut show)?;
            let Some(end) = is_over.then(|| self.end()).transpose()? else {
                continue;
            };
            for _ in 0..LAST_READS {
                if self.outputs.is_empty() || !self.has_output()? {
                    break;
                }
                self.pass_on(&mut show)?;
            }
            return Ok(end);
        }
    }

    /// Waits until something can be read; says whether it is the supervisor's last word.
    fn wait(&self, timeout: Option<&Timespec>) -> io::Result<bool> {
        let mut polled = vec![PollFd::new(&self.socket, PollFlags::IN)];
        polled.extend(self.outputs.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)));
        retry(|| poll(&mut polled, timeout))?;
        Ok(!polled[0].revents().is_empty())
    }

    fn has_output(&self) -> io::Result<bool> {
        let mut polled: Vec<PollFd<'_>> =
            self.outputs.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(retry(|| poll(&mut polled, Some(&at_once)))? > 0)
    }

    /// Reads each output that has something, once.
    fn pass_on(
        &mut self,
        show: &mut impl FnMut(Output, &[u8]) -> io::Result<()>,
    ) -> Result<(), Broken> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut buffer = vec![0; 64 * 1024];
        let mut still_open = Vec::new();
        for (output, file) in self.outputs.drain(..) {
            let mut polled = [PollFd::new(&file, PollFlags::IN)];
            if retry(|| poll(&mut polled, Some(&at_once)))? == 0 {
                still_open.push((output, file));
                continue;
            }
            // A terminal whose other end is closed answers EIO (pty(7)).
            let count = retry(|| rustix::io::read(&file, &mut buffer)).unwrap_or(0);
            if count > 0 {
                show(output, &buffer[..count]).map_err(Broken::Output)?;
                still_open.push((output, file));
            }
        }
        self.outputs = still_open;
        Ok(())
    }

    fn end(&self) -> Result<End, ClientError> {
        match answer(&self.socket)? {
            (Reply::Ended { code }, _) => Ok(End::Exited(code)),
            (Reply::Detached { skipped }, _) => Ok(End::Detached { skipped }),
            _ => Err(ClientError::NoAnswer),
        }
    }
}

/// Waits until the other end of a connection is closed.
pub fn wait_for_close(socket: &PacketSocket) {
    while matches!(socket.receive::<Reply>(), Ok(Incoming::Message(..) | Incoming::Nothing)) {}
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

type Outputs = (Vec<(Output, OwnedFd)>, [OwnedFd; 2]);

/// Pipes for standard output and standard error: near ends for us, far ends for the other side.
fn output_pipes(size: Option<usize>) -> io::Result<Outputs> {
    let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
        let (near, far) = pipe_with(PipeFlags::CLOEXEC)?;
        if let Some(size) = size {
            let _ = fcntl_setpipe_size(&near, size); // then less can wait in it
        }
        Ok((near, far))
    };
    let ((stdout, far_stdout), (stderr, far_stderr)) = (pipe()?, pipe()?);
    Ok((vec![(Output::Stdout, stdout), (Output::Stderr, stderr)], [far_stdout, far_stderr]))
}
