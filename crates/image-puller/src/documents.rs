//! The documents of OCI and docker as data: indexes, manifests, configurations.
//!
//! Everybody else reads them with Go's types, for which `null`, `""` and absence are the same, so
//! images with any of these are in use. Here they are the same, too. What decides which bytes are
//! taken stays strict: no key twice, and every blob of an image needs a digest and a size.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

/// An image index, or docker's manifest list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Index {
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) manifests: Vec<Descriptor>,
}

/// A manifest.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) layers: Vec<Descriptor>,
}

/// What leads to another document or to a blob, and says what to expect there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) media_type: String,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) digest: String,
    pub(crate) size: Option<u64>,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) platform: Platform,
    #[serde(default, deserialize_with = "nothing")]
    annotations: BTreeMap<String, Option<String>>,
}

/// For which machine an entry of an index is; empty where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Platform {
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) os: String,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) variant: String,
}

/// A configuration.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Configuration {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    pub(crate) created: Option<String>,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) config: Settings,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) rootfs: RootFs,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default, rename = "type", deserialize_with = "nothing")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) diff_ids: Vec<String>,
}

/// How to run the image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Settings {
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) user: String,
    #[serde(default, deserialize_with = "keys")]
    pub(crate) exposed_ports: BTreeSet<String>,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) env: Vec<String>,
    #[serde(default, deserialize_with = "words")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "words")]
    pub(crate) cmd: Vec<String>,
    #[serde(default, deserialize_with = "keys")]
    pub(crate) volumes: BTreeSet<String>,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) working_dir: String,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) labels: BTreeMap<String, Option<String>>,
    #[serde(default, deserialize_with = "nothing")]
    pub(crate) stop_signal: String,
}

impl Descriptor {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key)?.as_deref()
    }
}

impl Platform {
    /// Whether it says nothing that could be compared.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }
}

/// Reads `null` as what an absent field would be.
fn nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A set is written as an object whose values mean nothing.
fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    let object: BTreeMap<String, serde_json::Value> = nothing(from)?;
    Ok(object.into_keys().collect())
}

/// A command may be one word instead of a list (docker's `StrSlice`).
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        List(Vec<String>),
    }
    Ok(match Option::deserialize(from)? {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::List(list)) => list,
    })
}
