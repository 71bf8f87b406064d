//! The documents of an image: index → platform → manifest → configuration. Pure: bytes in,
//! checked values out.
//!
//! OCI image-spec (image-index.md, manifest.md, config.md) and Docker's schema 2, which uses the
//! same shapes under other names. A document that could be read as two things is refused
//! (CVE-2021-41190).

use serde::de::IgnoredAny;

use crate::digest::{Digest, DigestError};
use crate::documents;
use crate::platform::{Choice, Platform};

/// Larger manifests and configurations are refused, as other engines do.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// overlayfs stacks no more.
const LAYER_LIMIT: usize = 500;
const INDEX_LIMIT: usize = 1000;
/// Entries that do not say for which machine they are are looked into, but not more of them.
const UNKNOWN_LIMIT: usize = 16;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Why the documents of an image are refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not the JSON that the specification describes.
    #[error("cannot read the {document}")]
    Parse {
        /// Which document.
        document: &'static str,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// Too large to be honest.
    #[error("the {document} has {size} bytes, at most {DOCUMENT_LIMIT} are accepted")]
    TooLarge {
        /// Which document.
        document: &'static str,
        /// Bytes, as declared or received.
        size: u64,
    },
    /// Both an index and a manifest, or neither.
    #[error("the document is neither clearly an image index nor clearly an image manifest")]
    Ambiguous,
    /// The type in the document is not the one it was announced as.
    #[error("the document was announced as {announced} but says that it is {found}")]
    MediaType {
        /// From the descriptor or the HTTP header.
        announced: String,
        /// From the document.
        found: String,
    },
    /// Docker's first manifest format.
    #[error("manifest schema 1 is not supported; the image has to be pushed again by a newer tool")]
    SchemaOne,
    /// The index has nothing for this machine.
    #[error("the image has no variant for {wanted}; it offers {offered}")]
    NoPlatform {
        /// What was looked for.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// Indexes in indexes.
    #[error("the image index is nested too deeply")]
    TooDeep,
    /// More entries than an honest index has.
    #[error("the image index has {count} entries, at most {INDEX_LIMIT} are accepted")]
    TooManyManifests {
        /// How many there are.
        count: usize,
    },
    /// More than overlayfs can stack.
    #[error("the image has {count} layers, at most {LAYER_LIMIT} can be stacked")]
    TooManyLayers {
        /// How many there are.
        count: usize,
    },
    /// Manifest and configuration disagree.
    #[error("the manifest lists {layers} layers, the configuration {diff_ids}")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// `rootfs.type` is not `layers`.
    #[error("the configuration's rootfs has type {found:?} instead of \"layers\"")]
    RootFsType {
        /// What it says.
        found: String,
    },
    /// The manifest describes something else than a container image.
    #[error("the artifact has a layer of type {media_type}, which is no root filesystem layer")]
    NotALayer {
        /// The type in question.
        media_type: String,
    },
    /// A blob of the image of which the manifest does not say how large it is.
    #[error("the manifest does not say how large {digest} is")]
    NoSize {
        /// Which one.
        digest: Digest,
    },
    /// A digest in a document that is not one.
    #[error("the {document} has a digest that cannot be used")]
    Digest {
        /// Which document.
        document: &'static str,
        /// What is wrong with it.
        source: DigestError,
    },
}

/// A reference by content to another document or blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

/// A manifest that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A configuration that was checked against its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) document: documents::Configuration,
    pub(crate) diff_ids: Vec<Digest>,
}

/// A document under a tag or digest.
#[derive(Debug)]
pub(crate) enum Document {
    /// The entry for the platform asked for; or several that do not say for which one they are,
    /// so that their configurations have to.
    Index {
        candidates: Vec<Candidate>,
    },
    Manifest(Manifest),
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    /// Whether only its configuration says for which platform it is.
    pub(crate) is_unknown: bool,
}

#[derive(serde::Deserialize)]
struct Shape {
    #[serde(rename = "schemaVersion")]
    schema_version: Option<u32>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

impl Document {
    /// Reads an index or a manifest. `announced` is the media type that it came with, if any.
    pub(crate) fn parse(
        bytes: &[u8],
        announced: Option<&str>,
        platform: &Platform,
    ) -> Result<Self, ImageError> {
        check_size("manifest", bytes.len() as u64)?;
        let shape: Shape = serde_json::from_slice(bytes).map_err(parse_error("manifest"))?;
        let media_type = agreed_type(&shape, announced)?;
        let expected = match media_type.as_deref() {
            Some(OCI_INDEX | DOCKER_LIST) => Some(true),
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => Some(false),
            _ => None,
        };
        let is_empty = shape.config.is_none() && shape.layers.is_none();
        let is_index = shape.manifests.is_some() || (is_empty && expected == Some(true));
        let is_manifest = shape.config.is_some() || shape.layers.is_some();
        if shape.schema_version == Some(1) {
            return Err(ImageError::SchemaOne);
        }
        if is_index == is_manifest {
            return Err(ImageError::Ambiguous);
        }
        if expected.is_some_and(|expected| expected != is_index) {
            return Err(ImageError::Ambiguous);
        }
        if is_index {
            return choose(bytes, platform).map(|candidates| Self::Index { candidates });
        }
        let media_type = media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned());
        parse_manifest(bytes, media_type).map(Self::Manifest)
    }
}

impl Configuration {
    /// Reads the configuration that belongs to a manifest with this many layers.
    pub(crate) fn parse(bytes: &[u8], layers: usize) -> Result<Self, ImageError> {
        check_size("configuration", bytes.len() as u64)?;
        let document: documents::Configuration =
            serde_json::from_slice(bytes).map_err(parse_error("configuration"))?;
        let rootfs = &document.rootfs;
        if !matches!(rootfs.kind.as_str(), "layers" | "") {
            return Err(ImageError::RootFsType { found: rootfs.kind.clone() });
        }
        let ids = rootfs.diff_ids.iter().map(|id| Digest::parse(id));
        let diff_ids: Vec<Digest> = ids
            .collect::<Result<_, _>>()
            .map_err(|source| ImageError::Digest { document: "configuration", source })?;
        if diff_ids.len() != layers {
            return Err(ImageError::LayerCount { layers, diff_ids: diff_ids.len() });
        }
        Ok(Self { document, diff_ids })
    }

    /// The platform that the configuration says, or this machine's where it says none.
    pub(crate) fn platform(&self) -> Platform {
        Platform::of(&self.document.platform).unwrap_or_else(Platform::host)
    }
}

/// The type by which a document is known: what it says and what was announced must agree.
fn agreed_type(shape: &Shape, announced: Option<&str>) -> Result<Option<String>, ImageError> {
    let announced = announced.map(|text| text.split(';').next().unwrap_or(text).trim());
    let known = |text: &str| {
        matches!(text, OCI_INDEX | OCI_MANIFEST | DOCKER_LIST | DOCKER_MANIFEST)
            || text.starts_with("application/vnd.docker.distribution.manifest.v1+")
    };
    let announced = announced.filter(|text| known(text));
    if announced.is_some_and(|text| {
        text.contains("manifest.v1+pretty") || text.contains("docker.distribution.manifest.v1+")
    }) {
        return Err(ImageError::SchemaOne);
    }
    match (shape.media_type.as_ref().filter(|found| !found.is_empty()), announced) {
        (Some(found), Some(announced)) if found != announced => {
            Err(ImageError::MediaType { announced: announced.to_owned(), found: found.clone() })
        }
        (Some(found), _) => Ok(Some(found.clone())),
        (None, announced) => Ok(announced.map(str::to_owned)),
    }
}

fn choose(bytes: &[u8], platform: &Platform) -> Result<Vec<Candidate>, ImageError> {
    let index: documents::Index =
        serde_json::from_slice(bytes).map_err(parse_error("image index"))?;
    let manifests = &index.manifests;
    if manifests.len() > INDEX_LIMIT {
        return Err(ImageError::TooManyManifests { count: manifests.len() });
    }
    let (chosen, is_unknown) = match platform.choose(manifests) {
        Choice::Best(entry) => (vec![entry], false),
        Choice::Unknown(entries) => (entries, true),
    };
    if chosen.is_empty() {
        let (wanted, offered) = (platform.to_string(), Platform::list(manifests));
        return Err(ImageError::NoPlatform { wanted, offered });
    }
    let candidate = |entry: &documents::Descriptor| {
        let digest = digest("image index", &entry.digest)?;
        Ok(Candidate { digest, media_type: entry.media_type.clone(), is_unknown })
    };
    chosen.into_iter().take(UNKNOWN_LIMIT).map(candidate).collect()
}

fn parse_manifest(bytes: &[u8], media_type: String) -> Result<Manifest, ImageError> {
    let manifest: documents::Manifest =
        serde_json::from_slice(bytes).map_err(parse_error("manifest"))?;
    let layers = &manifest.layers;
    if layers.len() > LAYER_LIMIT {
        return Err(ImageError::TooManyLayers { count: layers.len() });
    }
    let is_other = |layer: &&documents::Descriptor| !is_layer_type(&layer.media_type);
    if let Some(other) = layers.iter().find(is_other) {
        return Err(ImageError::NotALayer { media_type: other.media_type.clone() });
    }
    let layers: Vec<Descriptor> = layers.iter().map(blob).collect::<Result<_, _>>()?;
    let config = blob(&manifest.config)?;
    check_size("configuration", config.size)?;
    Ok(Manifest { digest: Digest::of(bytes), media_type, bytes: bytes.to_vec(), config, layers })
}

/// A blob of an image. One without a size could be of any.
fn blob(from: &documents::Descriptor) -> Result<Descriptor, ImageError> {
    let digest = digest("manifest", &from.digest)?;
    let Some(size) = from.size else { return Err(ImageError::NoSize { digest }) };
    Ok(Descriptor { digest, size, media_type: from.media_type.clone() })
}

fn digest(document: &'static str, text: &str) -> Result<Digest, ImageError> {
    Digest::parse(text).map_err(|source| ImageError::Digest { document, source })
}

/// Layers by any of their names, with or without compression, also the ones that Docker once
/// kept elsewhere ("foreign"): their bytes count, their URLs are never asked. One without a type is
/// taken for a layer, because its bytes decide how it is read anyway.
fn is_layer_type(media_type: &str) -> bool {
    media_type.is_empty()
        || media_type.starts_with("application/vnd.oci.image.layer.v1.tar")
        || media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
        || media_type.starts_with("application/vnd.docker.image.rootfs.diff.tar")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
}

fn check_size(document: &'static str, size: u64) -> Result<(), ImageError> {
    if size > DOCUMENT_LIMIT { Err(ImageError::TooLarge { document, size }) } else { Ok(()) }
}

fn parse_error(document: &'static str) -> impl FnOnce(serde_json::Error) -> ImageError {
    move |source| ImageError::Parse { document, source }
}
