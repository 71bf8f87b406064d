//! What starting a container needs to know of an image, in one small file per image.
//!
//! The file says under which boot of the machine it was written. Nothing is forced to disk while
//! pulling, so after a crash of the machine a file may be there with nothing in it; a record
//! from an earlier boot is therefore only believed if it was made durable.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::ImageConfig;
use crate::digest::Digest;

/// Under which circumstances something was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Written {
    /// It reached the disk.
    Durably,
    /// It is complete as long as the machine is not restarted: the boot id.
    InBoot(String),
}

impl Written {
    /// The present boot, from `/proc/sys/kernel/random/boot_id` (random(4)).
    pub(crate) fn now() -> Self {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self::InBoot(id.trim().to_owned())
    }

    /// True if a thing written so is known to be complete in the boot `now`.
    pub(crate) fn is_complete(&self, now: &Self) -> bool {
        *self == Self::Durably || (self == now && *self != Self::InBoot(String::new()))
    }
}

/// `images/<manifest digest>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageRecord {
    pub(crate) written: Written,
    pub(crate) id: Digest,
    pub(crate) manifest: Digest,
    pub(crate) media_type: String,
    pub(crate) manifest_size: u64,
    /// The index that the manifest was chosen from, if any.
    #[serde(default)]
    pub(crate) index: Option<Digest>,
    pub(crate) platform: String,
    pub(crate) created: Option<String>,
    /// Compressed bytes of all layers.
    pub(crate) size: u64,
    pub(crate) config: ImageConfig,
    /// Directory names in `layers/`, bottom to top.
    pub(crate) layers: Vec<Digest>,
    /// The blobs that the layers came from, bottom to top.
    pub(crate) blobs: Vec<Digest>,
}

/// `layers/<id>/meta.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerRecord {
    pub(crate) written: Written,
    pub(crate) diff_id: Digest,
    /// True if the tree is the same on any base, so that images can share it by `DiffID`.
    pub(crate) standalone: bool,
    /// True if the archive has an entry for the root of the image.
    pub(crate) root_given: bool,
    /// Blobs that were seen to decompress to this layer.
    pub(crate) blobs: Vec<Digest>,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// Reads a record; one that is missing, empty or damaged counts as not there, and so does a
/// directory: in `images/` of some stores lies the store of a minipod that kept it one level deeper.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => Ok(None),
            _ => Err(error),
        },
    }
}
