//! An OCI image layout (image-layout.md): `index.json` leads to everything.

use std::io::{self, Read};

use oci_spec::image::ImageIndex;

use crate::digest::Digest;
use crate::image_manifest::{DOCUMENT_LIMIT, Descriptor, Document, ImageError, Manifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::BlobSource;

use super::container::Container;
use super::{Found, LoadError, Problem};

/// Indexes in indexes are followed so far.
const DEPTH_LIMIT: usize = 3;
/// Annotations that hold a name, the most specific first.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

pub(super) struct Layout<'a> {
    container: &'a Container,
}

impl<'a> Layout<'a> {
    pub(super) fn new(container: &'a Container) -> Self {
        Self { container }
    }

    /// Every image for this machine that `index.json` names.
    pub(super) fn images(&self) -> Result<Vec<Found>, Problem> {
        let bytes = self.member("index.json")?;
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|source| {
            Problem::Image(ImageError::Parse { document: "index.json", source })
        })?;
        let platform = Platform::host();
        let mut found: Vec<Found> = Vec::new();
        for entry in index.manifests().iter().filter(|entry| platform.accepts(entry)) {
            let image = self.image(entry, &platform)?;
            let known =
                found.iter_mut().find(|known| known.manifest.digest == image.manifest.digest);
            match known {
                Some(known) => known.names.extend(image.names),
                None => found.push(image),
            }
        }
        if found.is_empty() {
            return Err(Problem::Image(ImageError::NoPlatform {
                wanted: platform.to_string(),
                offered: Platform::list(index.manifests()),
            }));
        }
        Ok(found)
    }

    fn image(
        &self,
        entry: &oci_spec::image::Descriptor,
        platform: &Platform,
    ) -> Result<Found, Problem> {
        let digest = Digest::parse(entry.digest().as_ref()).map_err(|source| {
            Problem::Image(ImageError::Digest { document: "index.json", source })
        })?;
        let media_type = entry.media_type().to_string();
        let (manifest, index_bytes) = self.follow(&digest, &media_type, platform)?;
        let config_bytes = self.document(&manifest.config.digest)?;
        let names = entry.annotations().iter().filter_map(|annotations| {
            NAMES.iter().find_map(|key| Reference::parse(annotations.get(*key)?).ok())
        });
        Ok(Found { names: names.collect(), manifest, config_bytes, index_bytes })
    }

    fn follow(
        &self,
        digest: &Digest,
        media_type: &str,
        platform: &Platform,
    ) -> Result<(Manifest, Option<Vec<u8>>), Problem> {
        let (mut digest, mut media_type) = (digest.clone(), media_type.to_owned());
        let mut index = None;
        for _ in 0..DEPTH_LIMIT {
            let bytes = self.document(&digest)?;
            match Document::parse(&bytes, Some(&media_type), platform).map_err(Problem::Image)? {
                Document::Manifest(manifest) => return Ok((manifest, index)),
                Document::Index { chosen } => {
                    (digest, media_type) = (chosen.digest, chosen.media_type);
                    index = index.or(Some(bytes));
                }
            }
        }
        Err(Problem::Image(ImageError::TooDeep))
    }

    fn document(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let name = blob_name(digest);
        let bytes = self.member(&name)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(Problem::Known(LoadError::Digest { member: name }))
        }
    }

    fn member(&self, name: &str) -> Result<Vec<u8>, Problem> {
        self.container
            .read(name, DOCUMENT_LIMIT)
            .map_err(|source| Problem::Known(LoadError::Member { member: name.to_owned(), source }))
    }
}

impl BlobSource for Layout<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        self.container.member(&blob_name(&blob.digest))
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
