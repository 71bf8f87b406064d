//! What `docker save` writes: `manifest.json` names a configuration and layer archives. There is
//! no manifest in it, so one is made.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::Deserialize;

use crate::digest::{Digest, Hasher};
use crate::image_manifest::{DOCUMENT_LIMIT, Descriptor, Document, OCI_MANIFEST};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::BlobSource;

use super::container::Container;
use super::{Found, LoadError, Problem};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    /// Absent or `null` in images without layers.
    layers: Option<Vec<String>>,
}

/// Layer archives by the digest that they turned out to have.
pub(super) struct Members<'a> {
    container: &'a Container,
    names: BTreeMap<Digest, String>,
}

impl BlobSource for Members<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        let name = self.names.get(&blob.digest).ok_or(io::ErrorKind::NotFound)?;
        self.container.member(name)
    }
}

/// The images in the archive, and where their layers are.
pub(super) fn images(container: &Container) -> Result<(Members<'_>, Vec<Found>), Problem> {
    let bytes = read(container, "manifest.json")?;
    let items: Vec<Item> = serde_json::from_slice(&bytes)
        .map_err(|source| Problem::Known(LoadError::DockerManifest { source }))?;
    let mut members = Members { container, names: BTreeMap::new() };
    let mut found = Vec::new();
    for item in items {
        found.push(image(&mut members, &item)?);
    }
    Ok((members, found))
}

fn image(members: &mut Members<'_>, item: &Item) -> Result<Found, Problem> {
    let config_bytes = read(members.container, &item.config)?;
    let mut layers = Vec::new();
    for name in item.layers.iter().flatten() {
        let problem = |source| Problem::Known(LoadError::Member { member: name.clone(), source });
        let (digest, size, media_type) = measure(members.container, name).map_err(problem)?;
        members.names.insert(digest.clone(), name.clone());
        layers.push(serde_json::json!({
            "mediaType": media_type, "digest": digest.to_string(), "size": size,
        }));
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(&config_bytes).to_string(),
            "size": config_bytes.len(),
        },
        "layers": layers,
    });
    let bytes = manifest.to_string().into_bytes();
    match Document::parse(&bytes, None, &Platform::host()).map_err(Problem::Image)? {
        Document::Manifest(manifest) => {
            let tags = item.repo_tags.iter().flatten();
            let names = tags.filter_map(|tag| Reference::parse(tag).ok()).collect();
            Ok(Found { manifest, config_bytes, index_bytes: None, names })
        }
        Document::Index { .. } => Err(Problem::Image(crate::image_manifest::ImageError::Ambiguous)),
    }
}

/// Reads a layer once to know its digest.
fn measure(container: &Container, name: &str) -> io::Result<(Digest, u64, &'static str)> {
    let mut source = container.member(name)?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut hasher, mut size, mut gzip) = (Hasher::default(), 0, false);
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        gzip = gzip || (size == 0 && buffer.starts_with(&[0x1f, 0x8b]));
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    let media_type = if gzip {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    } else {
        "application/vnd.oci.image.layer.v1.tar"
    };
    Ok((hasher.finish(), size, media_type))
}

fn read(container: &Container, name: &str) -> Result<Vec<u8>, Problem> {
    container
        .read(name, DOCUMENT_LIMIT)
        .map_err(|source| Problem::Known(LoadError::Member { member: name.to_owned(), source }))
}
