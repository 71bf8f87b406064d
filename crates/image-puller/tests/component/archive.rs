//! Archives byte by byte, so that anything can be wrong in them.

use std::io::Write;

/// The fields of a header block; set only what a test is about.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// As written in the header, which may be a lie.
    pub(crate) size: i64,
    pub(crate) mtime: i64,
    pub(crate) link: Vec<u8>,
    pub(crate) device: (i64, i64),
    pub(crate) magic: [u8; 8],
    pub(crate) has_right_checksum: bool,
}

/// An archive that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
}

impl Header {
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_000_000_000,
            link: Vec::new(),
            device: (0, 0),
            magic: *b"ustar\x0000",
            has_right_checksum: true,
        }
    }

    fn block(&self) -> [u8; 512] {
        let mut block = [0_u8; 512];
        // Longer names belong into an extended header.
        let name = &self.name[..self.name.len().min(100)];
        block[..name.len()].copy_from_slice(name);
        number(&mut block[100..108], i64::try_from(self.mode).expect("modes are small"));
        number(&mut block[108..116], i64::try_from(self.uid).expect("owners are small"));
        number(&mut block[116..124], i64::try_from(self.gid).expect("owners are small"));
        number(&mut block[124..136], self.size);
        number(&mut block[136..148], self.mtime);
        block[156] = self.kind;
        let link = &self.link[..self.link.len().min(100)];
        block[157..157 + link.len()].copy_from_slice(link);
        block[257..265].copy_from_slice(&self.magic);
        number(&mut block[329..337], self.device.0);
        number(&mut block[337..345], self.device.1);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let sum = if self.has_right_checksum { sum } else { sum + 1 };
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// Octal text if it fits, else two's complement with the first bit set, as GNU tar writes it.
fn number(field: &mut [u8], value: i64) {
    let digits = field.len() - 1;
    if value >= 0 && value < 1 << (3 * digits) {
        let text = format!("{value:0digits$o}\0");
        field.copy_from_slice(text.as_bytes());
        return;
    }
    let filler = if value < 0 { 0xff } else { 0 };
    field.fill(filler);
    let bytes = value.to_be_bytes();
    let (length, count) = (field.len(), bytes.len().min(field.len()));
    field[length - count..].copy_from_slice(&bytes[bytes.len() - count..]);
    field[0] |= 0x80;
}

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A header and the content after it, padded.
    pub(crate) fn entry(self, header: &Header, content: &[u8]) -> Self {
        let mut archive = self.raw(&header.block()).raw(content);
        let padded = archive.bytes.len().next_multiple_of(512);
        archive.bytes.resize(padded, 0);
        archive
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        let size = i64::try_from(content.len()).expect("contents are small");
        self.entry(&Header { size, ..Header::new(b'0', name) }, content)
    }

    pub(crate) fn directory(self, name: impl AsRef<[u8]>) -> Self {
        self.entry(&Header::new(b'5', name), b"")
    }

    pub(crate) fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.link(b'2', name.as_ref(), target.as_ref())
    }

    pub(crate) fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.link(b'1', name.as_ref(), target.as_ref())
    }

    fn link(self, kind: u8, name: &[u8], target: &[u8]) -> Self {
        self.entry(&Header { link: target.to_vec(), ..Header::new(kind, name) }, b"")
    }

    pub(crate) fn device(self, kind: u8, name: &str, device: (i64, i64)) -> Self {
        self.entry(&Header { device, ..Header::new(kind, name) }, b"")
    }

    /// An extended header of that kind (`x` or `g`) for what follows.
    pub(crate) fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let content: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let size = i64::try_from(content.len()).expect("contents are small");
        self.entry(&Header { size, ..Header::new(kind, "pax") }, &content)
    }

    /// The end of archive and everything so far.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    /// Everything so far, without an end.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// `"<length> <key>=<value>\n"`.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes everything")
}
