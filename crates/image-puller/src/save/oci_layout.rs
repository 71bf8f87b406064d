//! An OCI image layout (image-layout.md).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::image_manifest::OCI_INDEX;
use crate::store::Store;

use super::target::{Failure, Target};
use super::{Saved, copy_blob};

pub(super) fn write(
    store: &Store,
    images: &[Saved],
    target: &mut Target<'_>,
) -> Result<(), Failure> {
    target.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    target.document("index.json", index(images).to_string().as_bytes())?;
    target.directory("blobs")?;
    target.directory("blobs/sha256")?;
    let mut written: BTreeSet<&Digest> = BTreeSet::new();
    for image in images {
        for (digest, bytes) in [
            (&image.manifest.digest, &image.manifest.bytes),
            (&image.manifest.config.digest, &image.config_bytes),
        ] {
            if written.insert(digest) {
                target.document(&blob_name(digest), bytes)?;
            }
        }
        for layer in &image.manifest.layers {
            if written.insert(&layer.digest) {
                copy_blob(store, layer, &blob_name(&layer.digest), target)?;
            }
        }
    }
    Ok(())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn index(images: &[Saved]) -> Value {
    let manifests: Vec<Value> = images.iter().flat_map(entries).collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
}

/// One entry per name, or one without a name.
fn entries(image: &Saved) -> Vec<Value> {
    let platform = image.configuration.platform();
    let mut entry = json!({
        "mediaType": image.manifest.media_type,
        "digest": image.manifest.digest.to_string(),
        "size": image.manifest.bytes.len(),
        "platform": {
            "architecture": platform.architecture,
            "os": platform.os,
        },
    });
    if let Some(variant) = platform.variant {
        entry["platform"]["variant"] = json!(variant);
    }
    let named = |name: String| {
        let mut entry = entry.clone();
        // podman and skopeo read the first one, Docker and containerd the second one.
        entry["annotations"] = json!({
            "org.opencontainers.image.ref.name": name,
            "io.containerd.image.name": name,
        });
        entry
    };
    if image.names.is_empty() {
        return vec![entry];
    }
    image.names.iter().map(|name| named(name.to_string())).collect()
}
