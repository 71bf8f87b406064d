//! Volumes that follow the objects they are made of, while the pod runs.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::{Tree, VolumeError, group_access, of_pod, path, payload, projection};
use crate::objects::StoredObject;
use crate::places::Places;
use crate::plan::PlanInput;

/// Tells when a stored ConfigMap or Secret changes (inotify(7)).
#[derive(Debug)]
pub(crate) struct ObjectWatch(OwnedFd);

impl ObjectWatch {
    /// A watch, if a volume of the pod is made of such objects.
    pub(crate) fn for_pod(input: &PlanInput<'_>, places: &Places) -> io::Result<Option<Self>> {
        let is_used = of_pod(input).any(|volume| {
            volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some()
        });
        if !is_used {
            return Ok(None);
        }
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for plural in [ConfigMap::PLURAL, Secret::PLURAL] {
            let directory = places.objects(plural);
            fs::create_dir_all(&directory)?;
            // Objects are written by rename and removed by unlink.
            let what = WatchFlags::MOVED_TO | WatchFlags::DELETE;
            inotify::add_watch(&watch, &directory, what)?;
        }
        Ok(Some(Self(watch)))
    }

    /// Forgets the changes so far.
    pub(crate) fn drain(&self) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut space);
        while reader.next().is_ok() {}
    }
}

impl AsFd for ObjectWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Writes again what has changed, and returns what failed; a volume that fails stays as it is.
pub(crate) fn refresh(input: &PlanInput<'_>) -> Vec<VolumeError> {
    let refresh_one = |volume| -> Result<(), VolumeError> {
        let Some(payload) = projection::of_volume(input, volume)? else {
            return Ok(());
        };
        let path = path(input, volume)?;
        Tree::open(&path)
            .and_then(|tree| payload::write(&tree, &payload, group_access(input, volume)))
            .map_err(|source| VolumeError::file(volume, "write", &path, source))
    };
    of_pod(input).filter_map(|volume| refresh_one(volume).err()).collect()
}
