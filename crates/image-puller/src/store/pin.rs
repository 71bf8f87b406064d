//! Images that are being used: whoever starts containers from one pins it, so that cleaning up
//! passes it over. A pin is a lock, so it ends with the process that holds it.

use crate::digest::Digest;

use super::lock::Lock;
use super::{Image, Store, StoreError};

/// Keeps an image in the store until it is dropped.
#[derive(Debug)]
pub struct Pin {
    _lock: Lock,
}

impl Store {
    /// Pins an image that was found. `None` if it was removed meanwhile.
    pub fn pin(&self, image: &Image) -> Result<Option<Pin>, StoreError> {
        let path = self.places.pin(&image.manifest_digest);
        let failed = || StoreError::system("lock", &path);
        loop {
            let lock = Lock::shared(&path).map_err(failed())?;
            // Who cleans up takes the record and then the lock's file away, and then lets go.
            if !self.places.image(&image.manifest_digest).exists() {
                return Ok(None);
            }
            if lock.is_at(&path).map_err(failed())? {
                return Ok(Some(Pin { _lock: lock }));
            }
        }
    }

    /// Held while an image is removed, so that nobody pins it meanwhile; none if somebody has.
    pub(super) fn unpinned(&self, manifest: &Digest) -> Result<Option<Lock>, StoreError> {
        let path = self.places.pin(manifest);
        Lock::try_exclusive(&path).map_err(StoreError::system("lock", &path))
    }
}
