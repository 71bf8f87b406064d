//! Decompression in one thread, unpacking in another: a layer is as fast as the slower of them.
//!
//! A few buffers go round between the two, so that memory does not depend on the layer's size.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::digest::{Digest, Hasher};

/// Bytes of one buffer; a multiple of what the kernel writes at once.
const CHUNK: usize = 256 * 1024;
/// Full buffers that may wait, and empty ones.
const WAITING: usize = 4;

/// Where decompressed bytes go.
pub(crate) struct Sender {
    full: SyncSender<io::Result<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
}

/// Where they are read, and hashed on the way.
pub(crate) struct Reader {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
}

/// Two ends of a pipe.
pub(crate) fn pipe() -> (Sender, Reader) {
    let (full_in, full_out) = sync_channel(WAITING);
    let (empty_in, empty_out) = sync_channel(WAITING + 2);
    for _ in 0..WAITING + 2 {
        let _ = empty_in.try_send(Vec::new()); // there is room for all of them
    }
    let hasher = Hasher::default();
    let reader = Reader { full: full_out, empty: empty_in, current: vec![], position: 0, hasher };
    (Sender { full: full_in, empty: empty_out }, reader)
}

impl Sender {
    /// Sends everything that can be read; ends early when nobody listens any more.
    pub(crate) fn send_all(self, source: &mut impl Read) {
        while let Ok(mut buffer) = self.empty.recv() {
            buffer.resize(CHUNK, 0);
            let filled = fill(source, &mut buffer);
            let is_end = matches!(filled, Ok(0) | Err(_));
            let message = filled.map(|count| {
                buffer.truncate(count);
                buffer
            });
            if self.full.send(message).is_err() || is_end {
                return;
            }
        }
    }
}

/// Fills a buffer as far as the source goes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Reader {
    /// The digest of all that was read.
    pub(crate) fn finish(self) -> Digest {
        self.hasher.finish()
    }

    /// What is left of the current buffer; empty at the end.
    pub(crate) fn available(&mut self) -> io::Result<&[u8]> {
        if self.position == self.current.len() {
            let next = match self.full.recv() {
                Ok(next) => next?,
                Err(_) => Vec::new(), // the sender has said everything
            };
            self.hasher.update(&next);
            let empty = std::mem::replace(&mut self.current, next);
            let _ = self.empty.try_send(empty); // the sender may have ended
            self.position = 0;
        }
        Ok(&self.current[self.position..])
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.available()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_order_and_are_hashed() {
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (sender, mut reader) = pipe();
        let mut found = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send_all(&mut &bytes[..]));
            reader.read_to_end(&mut found).unwrap();
        });
        assert!(found == bytes);
        assert_eq!(reader.finish(), Digest::of(&bytes));
    }

    #[test]
    fn a_failure_arrives_after_the_bytes_before_it() {
        let (sender, mut reader) = pipe();
        let mut source = io::repeat(1).take(600_000).chain(Broken);
        sender.send_all(&mut source);
        let mut found = vec![0; CHUNK];
        reader.read_exact(&mut found).unwrap();
        reader.read_exact(&mut found).unwrap();
        assert_eq!(reader.read(&mut found).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_sender_ends_when_nobody_listens() {
        let (sender, reader) = pipe();
        drop(reader);
        sender.send_all(&mut io::repeat(0));
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}
