//! A layer: a compressed archive that becomes a directory which overlayfs can stack.
//!
//! What this module must not know: where the bytes come from and where layers are kept. It is
//! given a stream and an empty private directory and trusts neither names nor numbers nor links
//! in the stream. Whether the bytes are the right ones is known only at the end; until then
//! nobody else may see the directory.

mod apply;
mod compression;
mod confinement;
mod entry;
mod hard_link;
mod header;
mod metadata;
mod pipe;
mod rule;
mod settle;
mod sparse;
mod tree;
mod unpack;
mod view;
pub(crate) mod whiteout;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::compression::Decoder;
pub(crate) use self::entry::{Entries, EntryKind, EntryPath};
pub use self::rule::Rule;
pub(crate) use self::settle::{Settled, Unsettled, root_is_plain, settle};
pub(crate) use self::unpack::{Unpacked, unpack};
pub(crate) use self::view::{Node, View};

use self::entry::ReadError;
use self::tree::WalkError;

/// What a layer may cost. Beyond it the image is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one layer.
    pub entries: u64,
    /// Bytes of all files of one layer.
    pub unpacked_bytes: u64,
    /// Bytes of all files of all layers of an image, also of those that are in the store already.
    pub image_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, unpacked_bytes: 64 << 30, image_bytes: 128 << 30 }
    }
}

/// How many bytes the layers of an image may still take; they are unpacked at once.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes so many bytes; false if there are fewer.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive breaks a rule.
    #[error("{} is refused: {rule}", shown(entry))]
    Refused {
        /// The entry's name, made printable; empty if the archive broke before a name.
        entry: String,
        /// The rule it breaks.
        rule: Rule,
    },
    /// This machine cannot do what the entry asks for.
    #[error("cannot {action} {entry:?}")]
    System {
        /// What was being done.
        action: &'static str,
        /// The entry's name, made printable.
        entry: String,
        /// What the system said.
        source: io::Error,
    },
    /// The stream ended or broke.
    #[error("cannot read the layer")]
    Stream {
        /// What the stream said.
        source: io::Error,
    },
}

impl UnpackError {
    /// That all layers together are too large.
    pub(crate) fn image_too_large() -> Self {
        Self::refused(b"", Rule::ImageTooLarge)
    }

    fn refused(name: &[u8], rule: Rule) -> Self {
        Self::Refused { entry: printable(name), rule }
    }

    fn from_walk(name: &[u8], error: WalkError) -> Self {
        match error {
            WalkError::Refused(rule) => Self::refused(name, rule),
            WalkError::System { action, source } => {
                // What the kernel says about names that only an archive could have chosen.
                match source.kind() {
                    io::ErrorKind::InvalidFilename => Self::refused(name, Rule::PathTooLong),
                    _ => Self::System { action, entry: printable(name), source },
                }
            }
        }
    }

    fn from_read(error: ReadError) -> Self {
        match error {
            ReadError::Refused { name, rule } => Self::refused(&name, rule),
            ReadError::Stream(source) => Self::Stream { source },
        }
    }
}

fn shown(entry: &str) -> String {
    if entry.is_empty() { "the archive".to_owned() } else { format!("entry {entry:?}") }
}

/// A name as text; `{:?}` escapes the rest. Very long names are cut.
fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().take(300).collect()
}
