//! Names of images, as people write them and as registries know them.
//!
//! The grammar is the one of the distribution project (`reference/reference.go`), with Docker's
//! rules for what is left out: no registry means `docker.io`, no namespace there means `library`,
//! no tag and no digest means `latest`.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};

/// A valid image reference. `Display` gives the canonical form
/// `docker.io/library/busybox:latest`, with `@sha256:…` when a digest was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
    registry_given: bool,
}

/// Why a text is not an image reference. The texts name the part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was given.
    #[error("invalid reference format: the image name is empty")]
    Empty,
    /// Capital letters in the repository: the most frequent mistake, with its own sentence.
    #[error("invalid reference format: repository name ({repository}) must be lowercase")]
    Uppercase {
        /// The repository as it was written.
        repository: String,
    },
    /// A scheme such as `https://` or `docker://` in front.
    #[error("invalid reference format: {text:?} has a scheme; write host/name:tag")]
    Scheme {
        /// What was given.
        text: String,
    },
    /// The part before the first slash looks like a host but is not one.
    #[error("invalid reference format: {registry:?} is not a registry host")]
    Registry {
        /// The part in question.
        registry: String,
    },
    /// A path component breaks the grammar.
    #[error(
        "invalid reference format: {component:?} in {text:?} is not a name (lower-case letters \
         and digits, separated by one '.', one or two '_' or any number of '-')"
    )]
    Component {
        /// The component in question; may be empty.
        component: String,
        /// What was given.
        text: String,
    },
    /// The tag breaks the grammar.
    #[error(
        "invalid reference format: {tag:?} is not a tag (up to 128 letters, digits, '_', '.', \
         '-', not starting with '.' or '-')"
    )]
    Tag {
        /// The tag as it was written.
        tag: String,
    },
    /// The digest after `@` is not one.
    #[error("invalid reference format: the part after '@' is not a digest")]
    Digest {
        /// What is wrong with it.
        source: DigestError,
    },
    /// The name is longer than registries allow.
    #[error("invalid reference format: the name has {length} characters, at most 255 are allowed")]
    TooLong {
        /// Characters in registry and repository.
        length: usize,
    },
    /// 64 hexadecimal digits: an image id, not a name.
    #[error(
        "invalid reference format: {text:?} is an image id; cannot specify 64-byte hexadecimal strings"
    )]
    LooksLikeId {
        /// What was given.
        text: String,
    },
}

/// The registry that is meant when none is written.
pub const DEFAULT_REGISTRY: &str = "docker.io";

impl Reference {
    /// Parses what a person or a manifest wrote.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.contains("://") {
            return Err(ReferenceError::Scheme { text: text.to_owned() });
        }
        if is_image_id(text) {
            return Err(ReferenceError::LooksLikeId { text: text.to_owned() });
        }
        let (rest, digest) = split_digest(text)?;
        let (name, tag) = split_tag(rest)?;
        let (registry, path) = split_registry(name)?;
        check_path(path, text)?;
        let registry_given = registry.is_some();
        let registry = normal_registry(registry.unwrap_or(DEFAULT_REGISTRY));
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        let length = registry.len() + 1 + repository.len();
        if length > 255 {
            return Err(ReferenceError::TooLong { length });
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry, repository, tag, digest, registry_given })
    }

    /// The registry's host, with a port if one was given: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry: `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, written or implied; none if only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given. It decides what is meant, whatever the tag says.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// True if the tag is `latest`, written or implied, and no digest was given. Kubernetes
    /// pulls such images `Always` by default.
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref() == Some("latest")
    }

    /// False if the registry was left out, so that `unqualified-search-registries` may apply.
    pub fn names_its_registry(&self) -> bool {
        self.registry_given
    }

    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// As a person writes it: without `docker.io` and `library` where they are implied.
    pub fn familiar(&self) -> String {
        let name = if self.registry == DEFAULT_REGISTRY {
            self.repository.strip_prefix("library/").unwrap_or(&self.repository).to_owned()
        } else {
            self.name()
        };
        name + &self.suffix()
    }

    /// Without the registry if it was left out, so that it can be parsed again and mean the same.
    pub fn as_written(&self) -> String {
        if self.registry_given {
            self.to_string()
        } else {
            format!("{}{}", self.without_default(), self.suffix())
        }
    }

    /// The same repository, by digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), tag: None, ..self.clone() }
    }

    /// The repository as it was written, where the registry was left out.
    pub(crate) fn without_default(&self) -> &str {
        if self.registry_given {
            return &self.repository;
        }
        self.repository.strip_prefix("library/").unwrap_or(&self.repository)
    }

    /// `:tag` and `@digest`, as far as there are any.
    pub(crate) fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((rest, digest)) => match Digest::parse(digest) {
            Ok(digest) => Ok((rest, Some(digest))),
            Err(source) => Err(ReferenceError::Digest { source }),
        },
    }
}

/// The last colon starts a tag unless a slash follows it (then it starts a port).
fn split_tag(text: &str) -> Result<(&str, Option<&str>), ReferenceError> {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => {
            if is_tag(tag) {
                Ok((name, Some(tag)))
            } else {
                Err(ReferenceError::Tag { tag: tag.to_owned() })
            }
        }
        _ => Ok((text, None)),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// The first component is a registry if it has a dot or a colon or is `localhost`; otherwise it
/// belongs to the repository. (Newer Docker also takes `Luksa/app` for a host; here that is
/// the mistake it nearly always is.)
fn split_registry(name: &str) -> Result<(Option<&str>, &str), ReferenceError> {
    let Some((first, rest)) = name.split_once('/') else { return Ok((None, name)) };
    let is_host = first.contains(['.', ':', '[']) || first == "localhost";
    if !is_host {
        return Ok((None, name));
    }
    if is_registry(first) {
        Ok((Some(first), rest))
    } else {
        Err(ReferenceError::Registry { registry: first.to_owned() })
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    // A sign would be parsed, too.
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let port_is_valid = port.is_none_or(is_port);
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return port_is_valid && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    port_is_valid && host.split('.').all(label)
}

fn normal_registry(registry: &str) -> String {
    match registry {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
        other => other.to_owned(),
    }
}

fn check_path(path: &str, text: &str) -> Result<(), ReferenceError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase { repository: path.to_owned() });
    }
    match path.split('/').find(|component| !is_path_component(component)) {
        None => Ok(()),
        Some(component) => Err(ReferenceError::Component {
            component: component.to_owned(),
            text: text.to_owned(),
        }),
    }
}

/// `[a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|separator| !separator.is_empty())
        .all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
