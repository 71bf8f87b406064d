//! What a layer says, entry by entry, and the archive that says so.

use crate::archive::{Archive, Header};

/// One entry of a layer. Paths are as written in the archive.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) path: Vec<u8>,
    pub(crate) what: What,
    pub(crate) attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Device(u32, u32),
    Fifo,
    /// The path is what it hides.
    Whiteout,
    /// The path is the directory.
    Opaque,
}

/// Everything beside the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds; none is "whenever it was unpacked".
    pub(crate) modified: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// One line per entry, as failures show whole stacks.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Attributes { mode, uid, gid, modified, xattrs } = &self.attributes;
        let what = match &self.what {
            What::Symlink(to) => format!("symlink to {}", to.escape_ascii()),
            What::HardLink(to) => format!("hard link to {}", to.escape_ascii()),
            what => format!("{what:?}"),
        };
        let path = self.path.escape_ascii();
        write!(
            f,
            "/{path} {what} {mode:o} {uid}:{gid} {:?} {xattrs:?}",
            modified.unwrap_or_default()
        )
    }
}

impl Item {
    pub(crate) fn new(path: &str, what: What) -> Self {
        let mode = if what == What::Directory { 0o755 } else { 0o644 };
        let modified = Some((1_000_000_000, 0));
        let attributes = Attributes { mode, modified, ..Attributes::default() };
        Self { path: path.as_bytes().to_vec(), what, attributes }
    }

    /// With this owner, this mode and this time.
    pub(crate) fn with(mut self, mode: u32, uid: u32, seconds: i64) -> Self {
        self.attributes.mode = mode;
        (self.attributes.uid, self.attributes.gid) = (uid, uid);
        self.attributes.modified = Some((seconds, 0));
        self
    }
}

/// The archive of a layer.
pub(crate) fn archive(items: &[Item]) -> Vec<u8> {
    items.iter().fold(Archive::new(), add).finish()
}

fn add(archive: Archive, item: &Item) -> Archive {
    let (kind, link, device, content) = match &item.what {
        What::Directory => (b'5', &[][..], (0, 0), &[][..]),
        What::File(content) => (b'0', &[][..], (0, 0), &content[..]),
        What::Symlink(target) => (b'2', &target[..], (0, 0), &[][..]),
        What::HardLink(target) => (b'1', &target[..], (0, 0), &[][..]),
        What::Device(major, minor) => {
            (b'3', &[][..], (i64::from(*major), i64::from(*minor)), &[][..])
        }
        What::Fifo => (b'6', &[][..], (0, 0), &[][..]),
        What::Whiteout | What::Opaque => (b'0', &[][..], (0, 0), &[][..]),
    };
    let (name, attributes) = (name(item), &item.attributes);
    let (seconds, nanoseconds) = attributes.modified.unwrap_or_default();
    let header = Header {
        mode: attributes.mode.into(),
        size: i64::try_from(content.len()).expect("contents are small"),
        link: link.to_vec(),
        device,
        ..Header::new(kind, &name)
    };
    let mut records: Vec<(String, Vec<u8>)> = vec![
        ("path".to_owned(), name),
        ("mtime".to_owned(), time(seconds, nanoseconds).into_bytes()),
        ("uid".to_owned(), attributes.uid.to_string().into_bytes()),
        ("gid".to_owned(), attributes.gid.to_string().into_bytes()),
    ];
    if !link.is_empty() {
        records.push(("linkpath".to_owned(), link.to_vec()));
    }
    for (key, value) in &attributes.xattrs {
        records.push((format!("SCHILY.xattr.{key}"), value.clone()));
    }
    let records: Vec<(&str, &[u8])> =
        records.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
    archive.pax(b'x', &records).entry(&header, content)
}

fn name(item: &Item) -> Vec<u8> {
    let slash = item.path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (parent, base) = item.path.split_at(slash);
    match item.what {
        What::Whiteout => [parent, b".wh.", base].concat(),
        What::Opaque if item.path.is_empty() => b".wh..wh..opq".to_vec(),
        What::Opaque => [&item.path[..], b"/.wh..wh..opq"].concat(),
        What::Directory if item.path.is_empty() => b"./".to_vec(),
        What::Directory => [&item.path[..], b"/"].concat(),
        _ => item.path.clone(),
    }
}

/// Nanoseconds count upwards, decimal fractions away from zero.
fn time(seconds: i64, nanoseconds: u32) -> String {
    if seconds < 0 && nanoseconds > 0 {
        let (whole, fraction) = (seconds + 1, 1_000_000_000 - nanoseconds);
        let sign = if whole == 0 { "-" } else { "" };
        return format!("{sign}{whole}.{fraction:09}");
    }
    format!("{seconds}.{nanoseconds:09}")
}
