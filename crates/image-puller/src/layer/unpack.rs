//! One pass over a layer: decompress, hash, unpack, and read to the very end.

use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use crate::digest::Digest;

use super::apply::{Applied, Applier};
use super::compression::Decoder;
use super::confinement;
use super::entry::Entries;
use super::pipe::{self, pipe};
use super::settle::Unsettled;
use super::view::View;
use super::{Budget, Limits, UnpackError};

const COMPRESSED_BUFFER: usize = 256 * 1024;

/// A layer that was unpacked, and what is known about it.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// The digest of all uncompressed bytes, also of those after the end of the archive.
    pub(crate) diff_id: Digest,
    pub(crate) entries: u64,
    /// Bytes of file content.
    pub(crate) bytes: u64,
    pub(crate) unsettled: Unsettled,
    /// The archive says what owner and mode the root of the image has.
    pub(crate) root_given: bool,
    pub(crate) skipped: Vec<String>,
}

/// Unpacks `source` into the empty directory `root`. The caller compares the digests: that of
/// the compressed bytes with a reader below, that of the uncompressed ones with the answer.
/// `source` is read to its end.
pub(crate) fn unpack(
    source: impl Read,
    root: OwnedFd,
    lower: Option<&View>,
    limits: (Limits, &Budget),
) -> Result<Unpacked, UnpackError> {
    let stream = |source| UnpackError::Stream { source };
    let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, source);
    let mut decoder = Decoder::new(buffered).map_err(stream)?;
    let (sender, plain) = pipe();
    let unpacked = thread::scope(|scope| {
        let apply = || {
            // Whether the kernel enforces it makes no difference to what a layer may contain.
            let confined = confinement::change_only_below(root.as_fd());
            confined.map_err(io::Error::other).map_err(stream)?;
            unpack_plain(plain, root, lower, limits)
        };
        let applying = thread::Builder::new().name("unpack".to_owned()).spawn_scoped(scope, apply);
        sender.send_all(&mut decoder);
        applying.map_err(stream)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    io::copy(&mut decoder.into_source(), &mut io::sink()).map_err(stream)?;
    Ok(unpacked)
}

/// Unpacks what is decompressed already, to its end.
fn unpack_plain(
    plain: pipe::Reader,
    root: OwnedFd,
    lower: Option<&View>,
    (limits, image): (Limits, &Budget),
) -> Result<Unpacked, UnpackError> {
    let mut entries = Entries::new(plain);
    let applied = Applier::new(root, lower, (limits, image)).apply_all(&mut entries)?;
    let mut plain = entries.into_source();
    // Bytes after the end of the archive are not unpacked, but they count.
    let mut trailing = 0;
    loop {
        let count = plain.available().map_err(|source| UnpackError::Stream { source })?.len();
        trailing += count as u64;
        if count == 0 {
            return Ok(unpacked(plain.finish(), applied));
        }
        if trailing > limits.unpacked_bytes {
            return Err(UnpackError::refused(b"", super::Rule::TooLarge));
        }
        plain.consume(count);
    }
}

fn unpacked(diff_id: Digest, applied: Applied) -> Unpacked {
    Unpacked {
        diff_id,
        entries: applied.entries,
        bytes: applied.bytes,
        unsettled: applied.unsettled,
        root_given: applied.root_given,
        skipped: applied.skipped.into_reasons(),
    }
}
