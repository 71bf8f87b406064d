//! One unpacked layer in its place, or on the way there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::digest::Digest;

use super::places::Places;
use super::record::{self, LayerRecord, Written};

/// A private directory in `tmp`; removed unless it is moved into place.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    places: Places,
}

impl Staging {
    /// Makes `<tmp>/<fresh>/fs`.
    pub(crate) fn create(places: &Places) -> io::Result<Self> {
        let path = places.fresh();
        DirBuilder::new().mode(0o700).create(&path)?;
        let staging = Self { path, places: places.clone() };
        DirBuilder::new().mode(0o755).create(staging.tree())?;
        rustix::fs::chmod(staging.tree(), Mode::from_raw_mode(0o755))?;
        Ok(staging)
    }

    /// Starts over with the empty tree of `fresh`.
    pub(crate) fn replace_with(&self, fresh: Self) -> io::Result<()> {
        self.places.discard(&self.tree())?;
        fs::rename(fresh.tree(), self.tree())?;
        drop(fresh);
        Ok(())
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join("fs")
    }

    /// The tree, to unpack into.
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.tree(), flags, Mode::empty())?)
    }

    /// Moves the layer into place. If another process was faster, its layer stays and learns
    /// that it also comes from this blob.
    pub(crate) fn commit(self, id: &Digest, record: &LayerRecord, now: &Written) -> io::Result<()> {
        let target = self.places.layer(id);
        write_record(&self.places, &self.path, record)?;
        for _ in 0..3 {
            match fs::rename(&self.path, &target) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                result => return result,
            }
            if let Some(mut known) = complete(&self.places, id, now)? {
                let fresh = record.blobs.iter().filter(|blob| !known.blobs.contains(blob));
                let fresh: Vec<Digest> = fresh.cloned().collect();
                known.blobs.extend(fresh);
                return write_record(&self.places, &target, &known);
            }
            self.places.discard(&target)?; // incomplete, from before a crash
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.path.exists() {
            let _ = confined::remove_tree(&self.path); // the next sweep tries again
        }
    }
}

/// The record of a layer that is known to be complete.
pub(crate) fn complete(
    places: &Places,
    id: &Digest,
    now: &Written,
) -> io::Result<Option<LayerRecord>> {
    let record: Option<LayerRecord> = record::read(&places.layer(id).join("meta.json"))?;
    Ok(record.filter(|record| record.written.is_complete(now)))
}

/// Writes `meta.json` of a layer.
pub(crate) fn write_record(places: &Places, layer: &Path, record: &LayerRecord) -> io::Result<()> {
    places.replace(&layer.join("meta.json"), &serde_json::to_vec(record)?)
}

/// A layer in its place.
#[derive(Debug)]
pub(crate) struct Usable {
    /// The name of its directory.
    pub(crate) id: Digest,
    pub(crate) root_given: bool,
    /// Bytes of its files.
    pub(crate) bytes: u64,
}

/// Where a layer of an image is, if it can be used as it is: unpacked, complete, and known to
/// come from this very blob, which is here too. A `DiffID` that an image merely claims gives it
/// nothing.
pub(crate) fn usable(
    places: &Places,
    (diff_id, chain_id): (&Digest, &Digest),
    blob: &Digest,
    now: &Written,
) -> io::Result<Option<Usable>> {
    if !places.blob(blob).exists() {
        return Ok(None);
    }
    let fits = |record: &LayerRecord| record.diff_id == *diff_id && record.blobs.contains(blob);
    if let Some(record) = complete(places, chain_id, now)?.filter(fits) {
        return Ok(Some(Usable {
            id: chain_id.clone(),
            root_given: record.root_given,
            bytes: record.bytes,
        }));
    }
    let shared = complete(places, diff_id, now)?.filter(|record| record.standalone && fits(record));
    Ok(shared.map(|record| Usable {
        id: diff_id.clone(),
        root_given: record.root_given,
        bytes: record.bytes,
    }))
}
