//! Images made for a test: documents and layers as bytes.

use image_puller::Digest;
use serde_json::{Value, json};

use crate::archive::Archive;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer as it is stored, and what it uncompresses to.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: Digest,
}

/// An image whose documents can be bent before it is served.
#[derive(Clone, Debug)]
pub(crate) struct TestImage {
    pub(crate) manifest: Value,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
    /// Set where the bytes of the manifest matter.
    pub(crate) manifest_bytes: Option<Vec<u8>>,
}

impl Layer {
    pub(crate) fn plain(archive: Vec<u8>) -> Self {
        let diff_id = Digest::of(&archive);
        Self { media_type: LAYER.to_owned(), blob: archive, diff_id }
    }

    /// Something compressed, which uncompresses to an archive with that digest.
    pub(crate) fn compressed(blob: Vec<u8>, archive: &[u8], with: &str) -> Self {
        Self { media_type: format!("{LAYER}+{with}"), blob, diff_id: Digest::of(archive) }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.blob)
    }
}

impl TestImage {
    pub(crate) fn of(layers: Vec<Layer>) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": { "Cmd": ["/bin/true"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self::with_config(layers, config.to_string().into_bytes())
    }

    pub(crate) fn with_config(layers: Vec<Layer>, config: Vec<u8>) -> Self {
        let descriptors: Vec<Value> =
            layers.iter().map(|layer| descriptor(&layer.media_type, &layer.blob)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": descriptors,
        });
        Self { manifest, config, layers, manifest_bytes: None }
    }

    /// One layer with one file of so many bytes, which do not repeat.
    pub(crate) fn of_size(size: usize) -> Self {
        Self::of(vec![Layer::plain(Archive::new().file("large", &noise(size)).finish())])
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        self.manifest_bytes.clone().unwrap_or_else(|| self.manifest.to_string().into_bytes())
    }

    /// What is at `/v2/…/manifests/…` and `/v2/…/blobs/…`.
    pub(crate) fn content(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let name = path.rsplit('/').next()?;
        if path.contains("/manifests/") {
            let manifest = self.manifest();
            let is_here = name == "latest" || name == Digest::of(&manifest).to_string();
            return is_here.then(|| (MANIFEST.to_owned(), manifest));
        }
        let blobs = self.layers.iter().map(|layer| &layer.blob).chain([&self.config]);
        let mut blobs = blobs.filter(|blob| Digest::of(blob).to_string() == name);
        Some(("application/octet-stream".to_owned(), blobs.next()?.clone()))
    }
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len(),
    })
}

/// Bytes that do not compress and do not repeat.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(step).collect()
}
