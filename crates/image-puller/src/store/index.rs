//! `index.json`: the names of images, as the OCI image layout wants them (image-layout.md).

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image_manifest::OCI_INDEX;

use super::StoreError;
use super::lock::Lock;
use super::places::Places;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The file, with whatever else other tools put into it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<IndexEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexEntry {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl IndexEntry {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64, name: &str) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: [(REF_NAME.to_owned(), name.to_owned())].into(),
            other: BTreeMap::new(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { schema_version: 2, media_type: Some(OCI_INDEX.to_owned()), manifests: Vec::new() }
    }
}

impl Index {
    pub(crate) fn entries(&self) -> &[IndexEntry] {
        &self.manifests
    }

    /// Gives the name to this image; whatever had it before loses it.
    pub(crate) fn set(&mut self, entry: IndexEntry) {
        let name = entry.name().map(str::to_owned);
        self.manifests.retain(|known| known.name() != name.as_deref());
        self.manifests.push(entry);
    }

    /// Takes a name away; returns the digest it stood for.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Digest> {
        let at = self.manifests.iter().position(|known| known.name() == Some(name))?;
        Some(self.manifests.remove(at).digest)
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// Reads the names. Needs no lock: the file is only ever replaced as a whole.
pub(crate) fn read(places: &Places) -> Result<Index, StoreError> {
    let path = places.index();
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| StoreError::Corrupt { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
        Err(source) => Err(StoreError::System { action: "read", path, source }),
    }
}

/// Changes the names, one process at a time.
pub(crate) fn change<T>(
    places: &Places,
    change: impl FnOnce(&mut Index) -> T,
) -> Result<T, StoreError> {
    let lock = places.lock("index");
    let _lock = Lock::exclusive(&lock).map_err(StoreError::system("lock", &lock))?;
    let mut index = read(places)?;
    let answer = change(&mut index);
    let path = places.index();
    let bytes =
        index.to_json().map_err(|source| StoreError::Corrupt { path: path.clone(), source })?;
    places.replace(&path, &bytes).map_err(StoreError::system("write", &path))?;
    Ok(answer)
}
