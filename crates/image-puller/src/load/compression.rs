//! Archives of images as people pack them: with gzip, zstd, xz, bzip2, or not at all.

use std::io::{self, BufRead, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use crate::layer::Decoder;

const XZ: &[u8] = b"\xfd7zXZ\0";
/// The mark of bzip2, and that of its first block after the digit for the size.
const BZIP2: (&[u8], &[u8]) = (b"BZh", b"1AY&SY");
/// `xz -9` needs 65 MiB to unpack; an archive may ask for up to 4 GiB.
const XZ_MEMORY_KIB: u32 = 256 * 1024;
const MARK: u64 = 10;

/// The content of an archive file.
pub(super) enum Opened<P, C> {
    /// It is not compressed.
    Plain(P),
    Compressed(C),
}

/// Finds out by the first bytes how a file is compressed.
pub(super) fn open<'a, R: BufRead + 'a>(
    mut source: R,
) -> io::Result<Opened<impl Read + use<'a, R>, Box<dyn Read + 'a>>> {
    let mut start = Vec::new();
    source.by_ref().take(MARK).read_to_end(&mut start)?;
    let is_xz = start.starts_with(XZ);
    let is_bzip2 = start.starts_with(BZIP2.0) && start.get(4..) == Some(BZIP2.1);
    let whole = Cursor::new(start).chain(source);
    if is_xz {
        let reader = XzReader::new_mem_limit(whole, true, XZ_MEMORY_KIB);
        return Ok(Opened::Compressed(Box::new(reader)));
    }
    if is_bzip2 {
        return Ok(Opened::Compressed(Box::new(MultiBzDecoder::new(whole))));
    }
    Ok(match Decoder::new(whole)? {
        plain @ Decoder::Plain(_) => Opened::Plain(plain),
        compressed => Opened::Compressed(Box::new(compressed)),
    })
}
