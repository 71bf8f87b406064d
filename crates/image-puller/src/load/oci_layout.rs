//! An OCI image layout (image-layout.md): `index.json` leads to everything.

use std::io::{self, Read};

use crate::digest::Digest;
use crate::documents::{Descriptor, Index};
use crate::image_manifest::{self, Candidate, Configuration, DOCUMENT_LIMIT, Document, ImageError};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::BlobSource;

use super::container::Container;
use super::{Found, LoadError, Problem};

/// Indexes in indexes are followed so far.
const DEPTH_LIMIT: usize = 3;
/// Annotations that hold a name, the most specific first.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// Something beside the images: a signature, a bill of materials.
pub(super) struct Other {
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

pub(super) struct Layout<'a> {
    container: &'a Container,
}

impl<'a> Layout<'a> {
    pub(super) fn new(container: &'a Container) -> Self {
        Self { container }
    }

    /// Every image for this machine that `index.json` names, and what else it names.
    pub(super) fn images(&self) -> Result<(Vec<Found>, Vec<Other>), Problem> {
        let bytes = self.member("index.json")?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|source| {
            Problem::Image(ImageError::Parse { document: "index.json", source })
        })?;
        let platform = Platform::host();
        let (mut found, mut others): (Vec<Found>, Vec<Other>) = (Vec::new(), Vec::new());
        for entry in index.manifests.iter().filter(|entry| platform.accepts(entry)) {
            let digest = digest(entry)?;
            let image = match self.image(entry, &digest, &platform) {
                Ok(image) => image,
                Err(Problem::Image(ImageError::NotALayer { media_type })) => {
                    others.push(Other { digest, media_type });
                    continue;
                }
                Err(error) => return Err(error),
            };
            let known =
                found.iter_mut().find(|known| known.manifest.digest == image.manifest.digest);
            match known {
                Some(known) => known.names.extend(image.names),
                None => found.push(image),
            }
        }
        if found.is_empty() {
            return Err(Problem::Image(match others.into_iter().next() {
                Some(Other { media_type, .. }) => ImageError::NotALayer { media_type },
                None => ImageError::NoPlatform {
                    wanted: platform.to_string(),
                    offered: Platform::list(&index.manifests),
                },
            }));
        }
        Ok((found, others))
    }

    fn image(
        &self,
        entry: &Descriptor,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Found, Problem> {
        let followed = self.follow((digest, &entry.media_type), platform, DEPTH_LIMIT)?;
        let names = NAMES.iter().find_map(|key| Reference::parse(entry.annotation(key)?).ok());
        Ok(Found { names: names.into_iter().collect(), ..followed })
    }

    /// Follows indexes to the manifest for a platform.
    fn follow(
        &self,
        (digest, media_type): (&Digest, &str),
        platform: &Platform,
        depth: usize,
    ) -> Result<Found, Problem> {
        let bytes = self.document(digest)?;
        match Document::parse(&bytes, Some(media_type), platform).map_err(Problem::Image)? {
            Document::Manifest(manifest) => {
                let config_bytes = self.document(&manifest.config.digest)?;
                Ok(Found { manifest, config_bytes, index_bytes: None, names: Vec::new() })
            }
            Document::Index { .. } if depth == 1 => Err(Problem::Image(ImageError::TooDeep)),
            Document::Index { candidates } => {
                let found = self.choose(&candidates, platform, depth - 1)?;
                Ok(Found { index_bytes: Some(bytes), ..found })
            }
        }
    }

    /// The one of several manifests that is for a platform. Where the index does not say it, the
    /// configurations do; a single one is taken as it is.
    fn choose(
        &self,
        candidates: &[Candidate],
        platform: &Platform,
        depth: usize,
    ) -> Result<Found, Problem> {
        let mut offered = Vec::new();
        for candidate in candidates {
            let is_open = candidate.is_unknown && candidates.len() > 1;
            let found =
                match self.follow((&candidate.digest, &candidate.media_type), platform, depth) {
                    Err(Problem::Image(ImageError::NotALayer { .. })) if is_open => continue,
                    found => found?,
                };
            let layers = found.manifest.layers.len();
            let configuration = Configuration::parse(&found.config_bytes, layers);
            let own = configuration.map_err(Problem::Image)?.platform();
            if !is_open || platform.runs(&own) {
                return Ok(found);
            }
            offered.push(own);
        }
        let (wanted, offered) = (platform.to_string(), Platform::names(offered.into_iter()));
        Err(Problem::Image(ImageError::NoPlatform { wanted, offered }))
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
    fn open(&self, blob: &image_manifest::Descriptor) -> io::Result<Box<dyn Read + '_>> {
        self.container.member(&blob_name(&blob.digest))
    }
}

fn digest(entry: &Descriptor) -> Result<Digest, Problem> {
    let document = "index.json";
    let parsed = Digest::parse(&entry.digest);
    parsed.map_err(|source| Problem::Image(ImageError::Digest { document, source }))
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
