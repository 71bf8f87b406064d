//! Volumes that follow the objects they are made of, while the pod runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirEntryExt;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use pod_model::Uptime;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::{Tree, VolumeError, group_access, of_pod, path, payload, projection};
use crate::plan::PlanInput;
use pod_api::objects::StoredObject;
use pod_api::places::Places;
use pod_api::roots;

/// Tells when a stored ConfigMap or Secret changes (inotify(7)). The instances are the user's, of
/// whom every container of user 0 is one, and it may take all: then the watch looks by itself.
#[derive(Debug)]
pub(crate) struct ObjectWatch {
    directories: [PathBuf; 2],
    how: How,
}

#[derive(Debug)]
enum How {
    Told(OwnedFd),
    Looks { seen: BTreeSet<Entry>, next: Uptime },
}

/// A file by its name and number: objects are written by rename and removed by unlink.
type Entry = (OsString, u64);

/// How often a watch that is not told looks.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

impl ObjectWatch {
    /// A watch, if a volume of the pod is made of such objects.
    pub(crate) fn for_pod(
        input: &PlanInput<'_>,
        places: &Places,
        now: Uptime,
    ) -> io::Result<Option<Self>> {
        let is_used = of_pod(input).any(|volume| {
            volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some()
        });
        if !is_used {
            return Ok(None);
        }
        let directories = [ConfigMap::PLURAL, Secret::PLURAL].map(|kind| places.objects(kind));
        for directory in &directories {
            roots::make_directory(directory)?;
        }
        let how = told_of(&directories).map_or_else(|| How::looking(&directories, now), How::Told);
        Ok(Some(Self { directories, how }))
    }

    /// Becomes readable when something changes, if the kernel tells.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.how {
            How::Told(inotify) => Some(inotify.as_fd()),
            How::Looks { .. } => None,
        }
    }

    /// When it wants to look by itself.
    pub(crate) fn next_deadline(&self) -> Option<Uptime> {
        match &self.how {
            How::Told(_) => None,
            How::Looks { next, .. } => Some(*next),
        }
    }

    /// Looks, if it is time to; whether something has changed.
    pub(crate) fn look(&mut self, now: Uptime) -> bool {
        let How::Looks { seen, next } = &mut self.how else {
            return false;
        };
        if *next > now {
            return false;
        }
        *next = now + LOOKS_AGAIN;
        let found = entries(&self.directories);
        let has_changed = *seen != found;
        *seen = found;
        has_changed
    }

    /// Forgets the changes so far.
    pub(crate) fn drain(&self) {
        let How::Told(inotify) = &self.how else {
            return;
        };
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(inotify, &mut space);
        while reader.next().is_ok() {}
    }
}

impl How {
    fn looking(directories: &[PathBuf], now: Uptime) -> Self {
        Self::Looks { seen: entries(directories), next: now + LOOKS_AGAIN }
    }
}

/// An inotify instance that watches them, if there is one left.
fn told_of(directories: &[PathBuf]) -> Option<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let what = WatchFlags::MOVED_TO | WatchFlags::DELETE;
    let is_added = |directory: &PathBuf| inotify::add_watch(&watch, directory, what).is_ok();
    directories.iter().all(is_added).then_some(watch)
}

fn entries(directories: &[PathBuf]) -> BTreeSet<Entry> {
    let read = directories.iter().filter_map(|directory| fs::read_dir(directory).ok());
    read.flatten().flatten().map(|entry| (entry.file_name(), entry.ino())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_is_not_told_finds_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let directories = ["a", "b"].map(|name| dir.path().join(name));
        directories.iter().for_each(|one| fs::create_dir(one).unwrap());
        let start = Uptime::default();
        let how = How::looking(&directories, start);
        let mut watch = ObjectWatch { directories: directories.clone(), how };
        let mut now = start;
        let mut looks = |watch: &mut ObjectWatch| {
            assert!(!watch.look(now), "it is not time to");
            now = watch.next_deadline().unwrap();
            watch.look(now)
        };
        assert!(!looks(&mut watch));
        let write = |text: &str| {
            fs::write(directories[1].join("new"), text).unwrap();
            fs::rename(directories[1].join("new"), directories[1].join("map.json")).unwrap();
        };
        write("1");
        assert!(looks(&mut watch));
        let kept = fs::hard_link(directories[1].join("map.json"), dir.path().join("kept"));
        kept.unwrap(); // its number is not given to the next
        write("2");
        assert!(looks(&mut watch));
        assert!(!looks(&mut watch));
        fs::remove_file(directories[1].join("map.json")).unwrap();
        assert!(looks(&mut watch));
    }
}
