//! The same layers, unpacked by us and by others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_puller::{Digest, Store};
use serde_json::json;

use crate::archive::gzip;
use crate::image::{Layer, MANIFEST, TestImage, descriptor};
use crate::listing::{Listing, list};
use crate::overlay::Overlay;

/// A place for one image and all that is made of it.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// An OCI image layout of these archives.
    pub(crate) fn new(archives: Vec<Vec<u8>>) -> Self {
        let directory = in_memory()
            .unwrap_or_else(|| tempfile::tempdir().expect("there is room for temporary files"));
        let layers = archives
            .into_iter()
            .map(|archive| Layer::compressed(gzip(&archive), &archive, "gzip"))
            .collect();
        write_layout(&directory.path().join("layout"), &TestImage::of(layers));
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a container of ours would see, or why the image is refused.
    pub(crate) fn ours(&self) -> Result<Listing, String> {
        let store = Store::open(&self.path("data")).expect("a store can be made here");
        let names = store.load(&self.path("layout"), &()).map_err(|error| told(&error))?;
        let image = store.find(&names[0]).expect("the store can be read").expect("it was loaded");
        let overlay = Overlay::mount(&image.layers, self.directory.path());
        Ok(list(&overlay.path()))
    }

    /// What umoci makes of it.
    pub(crate) fn umoci(&self) -> Listing {
        let image = format!("{}:1", self.path("layout").display());
        let done = Command::new("sh")
            .args(["-c", "umask 022 && exec umoci unpack --image \"$0\" \"$1\"", &image])
            .arg(self.path("bundle"))
            .output()
            .expect("umoci can be started");
        assert!(done.status.success(), "umoci: {}", String::from_utf8_lossy(&done.stderr));
        list(&self.path("bundle/rootfs"))
    }
}

/// A directory for which no disk is waited for; none if attributes of users do not work there.
fn in_memory() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir_in("/dev/shm").ok()?;
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(directory.path(), "user.a", b"x", flags).ok()?;
    rustix::fs::removexattr(directory.path(), "user.a").ok()?;
    Some(directory)
}

fn write_layout(directory: &Path, image: &TestImage) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("it is new");
    let manifest = image.manifest();
    let all = image.layers.iter().map(|layer| &layer.blob).chain([&image.config, &manifest]);
    for bytes in all {
        fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("it is new");
    }
    let mut entry = descriptor(MANIFEST, &manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(directory.join("index.json"), index.to_string()).expect("it is new");
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("new");
}

/// An error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
