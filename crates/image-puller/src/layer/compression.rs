//! Picks the decompressor by the first bytes, as engines do: media types are often wrong, and
//! the digest of the uncompressed bytes decides in the end.

use std::io::{self, BufRead, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames start with 0x184D2A5n (RFC 8878 §3.1.2).
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The first bytes, which were looked at, and what comes after them.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// A stream that gives uncompressed bytes.
pub(crate) enum Decoder<R: BufRead> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    Zstd(Box<zstd::Decoder<'static, Whole<R>>>),
}

impl<R: BufRead> Decoder<R> {
    pub(crate) fn new(mut source: R) -> io::Result<Self> {
        // A pipe or a connection may hand them out one by one.
        let mut start = Vec::new();
        source.by_ref().take(4).read_to_end(&mut start)?;
        let is_skippable =
            start.len() == 4 && start[1..] == ZSTD_SKIPPABLE && start[0] & 0xf0 == 0x50;
        let (is_gzip, is_zstd) = (start.starts_with(&GZIP), start == ZSTD || is_skippable);
        let whole = Cursor::new(start).chain(source);
        if is_gzip {
            Ok(Self::Gzip(Box::new(MultiGzDecoder::new(whole))))
        } else if is_zstd {
            Ok(Self::Zstd(Box::new(zstd::Decoder::with_buffer(whole)?)))
        } else {
            Ok(Self::Plain(whole))
        }
    }

    /// The compressed stream, at wherever decompression stopped.
    pub(crate) fn into_source(self) -> Whole<R> {
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

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;

    #[test]
    fn compression_is_recognized_though_the_bytes_come_one_by_one() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"content").unwrap();
        let zstd = zstd::encode_all(&b"content"[..], 1).unwrap();
        for bytes in [gzip.finish().unwrap(), zstd, b"content".to_vec()] {
            let slow = BufReader::with_capacity(1, &bytes[..]);
            let mut found = Vec::new();
            Decoder::new(slow).unwrap().read_to_end(&mut found).unwrap();
            assert_eq!(found, b"content");
        }
    }

    #[test]
    fn less_than_a_mark_is_plain() {
        for bytes in [&b""[..], b"\x1f", b"\x28\xb5\x2f"] {
            let mut found = Vec::new();
            Decoder::new(bytes).unwrap().read_to_end(&mut found).unwrap();
            assert_eq!(found, bytes);
        }
    }
}
