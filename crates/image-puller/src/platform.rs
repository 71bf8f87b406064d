//! For which machine an image is wanted.

use std::fmt;

use oci_spec::image::Descriptor;

/// Operating system, processor architecture and its variant, in the words of Go and OCI:
/// `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`; compared with a preference order for arm.
    pub variant: Option<String>,
}

/// A text that is not `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read platform {text:?}: write it as linux/amd64 or linux/arm/v7")]
pub struct PlatformError {
    /// What was given.
    pub text: String,
}

impl Default for Platform {
    fn default() -> Self {
        Self::host()
    }
}

impl Platform {
    /// The machine that this program runs on.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Parses `linux/arm64` or `linux/arm/v6`.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        };
        match parts.as_slice() {
            [os, architecture, rest @ ..] if rest.len() <= 1 && parts.iter().all(valid) => {
                Ok(Self {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: rest.first().map(|variant| (*variant).to_owned()),
                })
            }
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }

    /// Whether an image for that platform is one for this: the same machine, and the same variant
    /// if one is asked for.
    pub(crate) fn covers(&self, found: &Self) -> bool {
        self.same_machine(found) && (self.variant.is_none() || self.variant == found.variant)
    }

    pub(crate) fn same_machine(&self, found: &Self) -> bool {
        self.os == found.os && self.architecture == found.architecture
    }

    /// The best entry of an index: the first of those with the best variant.
    pub(crate) fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let ranked = manifests.iter().filter_map(|entry| Some((self.rank(entry)?, entry)));
        let mut best: Option<(usize, &Descriptor)> = None;
        for (rank, entry) in ranked {
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, entry));
            }
        }
        // An index of one manifest need not say for which platform it is.
        let sole =
            || manifests.first().filter(|only| manifests.len() == 1 && only.platform().is_none());
        best.map(|(_, entry)| entry).or_else(sole)
    }

    /// True for an entry that does not say that it is for another machine.
    pub(crate) fn accepts(&self, entry: &Descriptor) -> bool {
        !is_attestation(entry) && (entry.platform().is_none() || self.rank(entry).is_some())
    }

    /// What an index offers, as a sentence part.
    pub(crate) fn list(manifests: &[Descriptor]) -> String {
        let mut names: Vec<String> = manifests
            .iter()
            .filter(|entry| !is_attestation(entry))
            .filter_map(|entry| entry.platform().as_ref().map(name))
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// How good an entry fits; 0 is best. `None` if it does not fit.
    fn rank(&self, entry: &Descriptor) -> Option<usize> {
        let platform = entry.platform().as_ref()?;
        let fits = platform.os().to_string() == self.os
            && platform.architecture().to_string() == self.architecture
            && !is_attestation(entry);
        if !fits {
            return None;
        }
        let variant = platform.variant().as_deref().filter(|variant| !variant.is_empty());
        self.acceptable_variants().iter().position(|wanted| *wanted == variant)
    }

    /// Variants that run here, best first (as containerd's platform matcher orders them).
    fn acceptable_variants(&self) -> Vec<Option<&str>> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm", Some("v8")) => vec![Some("v8"), Some("v7"), Some("v6"), Some("v5"), None],
            ("arm", Some("v7") | None) => vec![Some("v7"), None, Some("v6"), Some("v5")],
            ("arm", Some("v6")) => vec![Some("v6"), Some("v5")],
            ("arm64", Some("v8") | None) => vec![Some("v8"), None],
            ("amd64", None) => vec![None, Some("v1")],
            (_, None) => vec![None],
            (_, variant) => vec![variant, None],
        }
    }
}

/// Entries that `BuildKit` adds beside the images: provenance and bills of material.
fn is_attestation(entry: &Descriptor) -> bool {
    let annotated = entry.annotations().as_ref().is_some_and(|annotations| {
        annotations
            .get("vnd.docker.reference.type")
            .is_some_and(|kind| kind == "attestation-manifest")
    });
    annotated || entry.platform().as_ref().is_some_and(|p| p.os().to_string() == "unknown")
}

fn name(platform: &oci_spec::image::Platform) -> String {
    let variant = platform.variant().as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os(), platform.architecture())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}
