//! Picks the decompressor by the first bytes, as engines do: media types are often wrong, and
//! the digest of the uncompressed bytes decides in the end.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames start with 0x184D2A5n (RFC 8878 §3.1.2).
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// A stream that gives uncompressed bytes.
pub(crate) enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<zstd::Decoder<'static, R>>),
}

impl<R: BufRead> Decoder<R> {
    pub(crate) fn new(mut source: R) -> io::Result<Self> {
        let start = source.fill_buf()?;
        let skippable =
            start.len() >= 4 && start[1..4] == ZSTD_SKIPPABLE && start[0] & 0xf0 == 0x50;
        if start.starts_with(&GZIP) {
            Ok(Self::Gzip(Box::new(MultiGzDecoder::new(source))))
        } else if start.starts_with(&ZSTD) || skippable {
            Ok(Self::Zstd(Box::new(zstd::Decoder::with_buffer(source)?)))
        } else {
            Ok(Self::Plain(source))
        }
    }

    /// The compressed stream, at wherever decompression stopped.
    pub(crate) fn into_source(self) -> R {
        match self {
            Self::Plain(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
