//! Clients that are attached to a running container.
//!
//! A container never waits for them: what a client's pipe has no room for, the client misses. Its
//! log has everything. What clients write goes straight into the container's standard input or
//! terminal, whose near end they get; the supervisor keeps it open, so that a container without
//! clients waits for input and does not see its end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

use super::LinuxHost;
use super::output;
use super::requests::not_running;
use crate::plan::Stdin;
use pod_api::control::{AttachRequest, Refusal, Reply};
use pod_api::logs::Stream;

/// Who is attached to a container, and what they may write to.
#[derive(Debug)]
pub(super) struct Attached {
    stdin: Stdin,
    /// The near end of the container's standard input, unless that is a terminal.
    pipe: Option<OwnedFd>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    connection: u64,
    writes: bool,
    outputs: [Option<OwnedFd>; 2],
    skipped: u64,
}

impl Attached {
    /// For a new container; the far end is what it reads as standard input.
    pub(super) fn new(
        stdin: Stdin,
        has_terminal: bool,
    ) -> std::io::Result<(Self, Option<OwnedFd>)> {
        let (mut far, mut near) = (None, None);
        if stdin != Stdin::Closed && !has_terminal {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            (far, near) = (Some(reader), Some(writer));
        }
        Ok((Self { stdin, pipe: near, clients: Vec::new() }, far))
    }

    /// Hands a piece of output on.
    pub(super) fn show(&mut self, stream: Stream, bytes: &[u8]) {
        self.clients.iter_mut().for_each(|client| client.show(stream, bytes));
    }

    /// Everybody who is attached, with how much each has missed.
    pub(super) fn dismiss(&mut self) -> Vec<(u64, Reply)> {
        let clients = std::mem::take(&mut self.clients).into_iter();
        clients
            .map(|client| (client.connection, Reply::Detached { skipped: client.skipped }))
            .collect()
    }

    /// A client goes, or has nothing more to write; after the first one that wrote, a container
    /// with `stdinOnce` reads the end of its input.
    fn input_ends(&mut self, connection: u64) {
        let client = self.clients.iter_mut().find(|client| client.connection == connection);
        let wrote = client.is_some_and(|client| std::mem::take(&mut client.writes));
        if wrote && self.stdin == Stdin::Once {
            self.stdin = Stdin::Closed;
            self.pipe = None;
        }
    }

    fn remove(&mut self, connection: u64) -> Option<Client> {
        self.input_ends(connection);
        let at = self.clients.iter().position(|client| client.connection == connection)?;
        Some(self.clients.swap_remove(at))
    }
}

impl Client {
    fn show(&mut self, stream: Stream, bytes: &[u8]) {
        let output = &mut self.outputs[stream as usize];
        let Some(file) = output else {
            return;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&*file, rest) {
                Ok(count) => rest = &rest[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(_) => {
                    *output = None; // it stopped reading
                    return;
                }
            }
        }
        self.skipped += rest.len() as u64;
    }
}

impl LinuxHost {
    pub(super) fn attach(&mut self, id: u64, request: &AttachRequest, files: Vec<OwnedFd>) {
        if let Err((kind, message)) = self.try_attach(id, request, files) {
            self.requests.refuse(id, kind, message);
        }
    }

    fn try_attach(
        &mut self,
        id: u64,
        request: &AttachRequest,
        files: Vec<OwnedFd>,
    ) -> Result<(), (Refusal, String)> {
        let failed = |error: std::io::Error| (Refusal::Failed, error.to_string());
        let container = self.find_running_mut(&request.container);
        let container = container.ok_or_else(|| not_running(&request.container))?;
        for file in &files {
            output::set_nonblocking(file).map_err(failed)?;
        }
        let writes = request.with_stdin && container.attached.stdin != Stdin::Closed;
        let terminal = container.terminal().filter(|_| writes);
        let terminal = terminal.map(OwnedFd::try_clone).transpose().map_err(failed)?;
        let attached = &mut container.attached;
        let pipe = attached.pipe.as_ref().filter(|_| writes);
        let pipe = pipe.map(OwnedFd::try_clone).transpose().map_err(failed)?;
        let mut files = files.into_iter();
        let outputs = [files.next(), files.next()];
        attached.clients.push(Client { connection: id, writes, outputs, skipped: 0 });
        let back: Vec<BorrowedFd<'_>> = terminal.iter().chain(&pipe).map(AsFd::as_fd).collect();
        self.requests.answer(id, &Reply::Accepted, &back);
        Ok(())
    }

    pub(super) fn input_ends(&mut self, id: u64) {
        for container in &mut self.containers {
            container.attached.input_ends(id);
        }
    }

    pub(super) fn detach(&mut self, id: u64) {
        let mut containers = self.containers.iter_mut();
        if let Some(client) = containers.find_map(|one| one.attached.remove(id)) {
            self.requests.close(id, &Reply::Detached { skipped: client.skipped });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    fn client(connection: u64, writes: bool) -> (Client, OwnedFd) {
        let (near, far) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        output::set_nonblocking(&far).unwrap();
        (Client { connection, writes, outputs: [Some(far), None], skipped: 0 }, near)
    }

    #[test]
    fn a_client_that_does_not_read_misses_output_and_stops_nobody() {
        let (mut attached, _) = Attached::new(Stdin::Closed, false).unwrap();
        let (slow, slow_end) = client(1, false);
        let (gone, gone_end) = client(2, false);
        attached.clients = vec![slow, gone];
        drop(gone_end);
        nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGPIPE).thread_block().unwrap();
        let block = vec![b'x'; 1024 * 1024];
        attached.show(Stream::Stdout, &block);
        attached.show(Stream::Stderr, &block);
        let missed: Vec<(u64, Reply)> = attached.dismiss();
        let mut read = Vec::new();
        File::from(slow_end).read_to_end(&mut read).unwrap();
        let skipped = (block.len() - read.len()) as u64;
        assert!(skipped > 0 && !read.is_empty());
        assert_eq!(missed, [(1, Reply::Detached { skipped }), (2, Reply::Detached { skipped: 0 })]);
    }

    #[test]
    fn input_once_ends_with_the_first_client_that_writes() {
        for (stdin, ends) in [(Stdin::Once, true), (Stdin::Open, false)] {
            let (mut attached, far) = Attached::new(stdin, false).unwrap();
            let (reader, _reader_end) = client(1, false);
            let (writer, _writer_end) = client(2, true);
            attached.clients = vec![reader, writer];
            assert!(attached.remove(1).is_some() && attached.pipe.is_some());
            attached.input_ends(2);
            assert_eq!(attached.pipe.is_none(), ends, "{stdin:?}");
            assert!(attached.remove(2).is_some() && attached.remove(2).is_none());
            drop(far);
        }
        let (attached, far) = Attached::new(Stdin::Closed, false).unwrap();
        assert!(attached.pipe.is_none() && far.is_none());
        let (attached, far) = Attached::new(Stdin::Open, true).unwrap();
        assert!(attached.pipe.is_none() && far.is_none(), "its terminal is its input");
    }
}
