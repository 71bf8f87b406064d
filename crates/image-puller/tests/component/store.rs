//! A store in a temporary directory, and what must be true of it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use image_puller::{
    Image, Limits, Patience, ProgressEvent, PullError, PullOptions, Pulled, Puller, Reference,
    Store,
};

/// A store and everything around it that must not change.
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
    pub(crate) docker_config: Option<String>,
    pub(crate) patience: Patience,
    pub(crate) limits: Limits,
    /// What was reported while pulling.
    pub(crate) events: Mutex<Vec<ProgressEvent>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().expect("there is room for temporary files"))
    }

    /// In memory, where it can be: some disks make a thousand directories a second.
    pub(crate) fn in_memory() -> Self {
        tempfile::tempdir_in("/dev/shm").map_or_else(|_| Self::new(), Self::in_directory)
    }

    fn in_directory(directory: tempfile::TempDir) -> Self {
        let patience = Patience {
            pause: Duration::from_millis(1),
            silence: Duration::from_secs(1),
            ..Patience::default()
        };
        let limits = Limits::default();
        Self { directory, docker_config: None, patience, limits, events: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path().join("data")).expect("a store can be made here")
    }

    /// Pulls `image:latest` from the registry at that host.
    pub(crate) fn pull(&self, host: &str) -> Result<Pulled, PullError> {
        self.pull_reference(&reference(host))
    }

    pub(crate) fn pull_reference(&self, reference: &Reference) -> Result<Pulled, PullError> {
        let conf = self.path().join("registries.conf");
        let mut options = PullOptions::from_file(&conf).expect("it is not there, or a good one");
        options.docker_configs.extend(self.docker_config.clone());
        options.patience = self.patience;
        options.limits = self.limits;
        let report = |event| self.events.lock().expect("nobody panics here").push(event);
        Puller::new(self.store(), options).pull(reference, &report)
    }

    /// Pulls and expects a failure that leaves nothing behind; answers with all it says.
    pub(crate) fn pull_fails(&self, host: &str) -> String {
        let error = self.pull(host).expect_err("the pull must not succeed");
        let found = self.store().find(&reference(host)).expect("the store can be read");
        assert!(found.is_none(), "an image that failed is not there: {}", told(&error));
        self.assert_empty(&told(&error));
        told(&error)
    }

    pub(crate) fn images_directory(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Nothing of any image is there, not even a temporary file.
    pub(crate) fn assert_empty(&self, why: &str) {
        for directory in ["tmp", "trash", "layers", "images", "names", "blobs/sha256"] {
            assert_eq!(self.names_in(directory), [] as [String; 0], "{directory} after: {why}");
        }
        let images = self.store().list().expect("the index can be read");
        assert_eq!(images, [], "after: {why}");
    }

    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.images_directory().join(directory));
        entries
            .expect("the store has this directory")
            .map(|entry| {
                entry.expect("it can be listed").file_name().to_string_lossy().into_owned()
            })
            .collect()
    }

    /// The reasons for trying again, in order.
    pub(crate) fn retries(&self) -> Vec<String> {
        let events = self.events.lock().expect("nobody panics here");
        let reason = |event: &ProgressEvent| match event {
            ProgressEvent::Retrying { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        events.iter().filter_map(reason).collect()
    }

    /// What was left out on purpose.
    pub(crate) fn skipped(&self) -> Vec<String> {
        let events = self.events.lock().expect("nobody panics here");
        let reason = |event: &ProgressEvent| match event {
            ProgressEvent::Skipped { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        events.iter().filter_map(reason).collect()
    }
}

pub(crate) fn reference(host: &str) -> Reference {
    Reference::parse(&format!("{host}/image:latest")).expect("this is a reference")
}

/// The file of an image, by whichever layer has it.
pub(crate) fn file(image: &Image, path: &str) -> Option<Vec<u8>> {
    image.read_file(path, 1 << 30).expect("the file can be read")
}

/// An error with all its causes, as a person gets them.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
