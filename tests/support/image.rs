//! Images that no builder would make, written as OCI layouts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// One layer, entry by entry, in the order in which they are added.
pub struct Layer(Builder<Vec<u8>>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Layer {
    /// Adds a regular file.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8], mode: u32) -> Self {
        self.entry(path, EntryType::Regular, (content, mode), None)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, (&[], 0o755), None)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Symlink, (&[], 0o777), Some(target))
    }

    /// Adds a FIFO.
    #[must_use]
    pub fn fifo(self, path: &str) -> Self {
        self.entry(path, EntryType::Fifo, (&[], 0o666), None)
    }

    fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        (content, mode): (&[u8], u32),
        target: Option<&str>,
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let added = match target {
            Some(target) => self.0.append_link(&mut header, path, target),
            None => self.0.append_data(&mut header, path, content),
        };
        added.expect("an entry of a layer");
        self
    }
}

/// Writes an image of busybox under that layer, with that configuration, as an OCI layout.
///
/// # Panics
///
/// When it cannot be written, or the busybox fixture is missing.
pub fn write(directory: &Path, name: &str, layer: Layer, config: &Value) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory for the image");
    let busybox = fixture();
    let base = busybox.1["layers"][0].clone();
    let digest = base["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:");
    fs::copy(busybox.0.join("blobs/sha256").join(digest), blobs.join(digest)).expect("a layer");
    let text = layer.0.into_inner().expect("a complete layer");
    let blob = |content: &[u8], kind: &str| {
        let digest = Sha256::digest(content);
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = digest.concat();
        fs::write(blobs.join(&digest), content).expect("a blob");
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len()})
    };
    let own = blob(&text, "application/vnd.oci.image.layer.v1.tar");
    let ids = [busybox.2["rootfs"]["diff_ids"][0].clone(), own["digest"].clone()];
    let image = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(image.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json"),
        "layers": [base, own],
    });
    let mut entry =
        blob(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(directory.join("index.json"), index.to_string()).expect("an index");
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)
        .expect("a layout");
}

/// The busybox fixture: its directory, its manifest and its configuration.
fn fixture() -> (PathBuf, Value, Value) {
    let layout = crate::fixtures::layout("busybox");
    let read = |path: PathBuf| -> Value {
        let text = fs::read(path).expect("the busybox fixture");
        serde_json::from_slice(&text).expect("JSON of the busybox fixture")
    };
    let blob = |digest: &Value| {
        let digest = digest.as_str().unwrap_or_default().trim_start_matches("sha256:");
        read(layout.join("blobs/sha256").join(digest))
    };
    let manifest = blob(&read(layout.join("index.json"))["manifests"][0]["digest"]);
    let config = blob(&manifest["config"]["digest"]);
    (layout, manifest, config)
}
