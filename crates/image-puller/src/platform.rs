//! For which machine an image is wanted.

use std::collections::BTreeSet;
use std::fmt;

use crate::documents::{self, Descriptor};

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

    /// Parses `linux/arm64`, `linux/arm/v6`, or one of both parts alone. Other names for the same
    /// thing (`aarch64`, `x86_64`) are taken for those of Go, as docker takes them.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        };
        let error = || PlatformError { text: text.to_owned() };
        if parts.len() > 3 || !parts.iter().all(valid) {
            return Err(error());
        }
        let host = Self::host();
        let (os, architecture, variant) = match parts.as_slice() {
            [os] if is_os(&os.to_lowercase()) => (*os, host.architecture.as_str(), None),
            [architecture] if is_architecture(&normal("", architecture, "").1) => {
                ("linux", *architecture, None)
            }
            [os, architecture, rest @ ..] => (*os, *architecture, rest.first().copied()),
            _ => return Err(error()),
        };
        Ok(Self::normalized(os, architecture, variant.unwrap_or_default()))
    }

    /// The platform with Go's names for its parts.
    fn normalized(os: &str, architecture: &str, variant: &str) -> Self {
        let (os, architecture, variant) = normal(os, architecture, variant);
        Self { os, architecture, variant: Some(variant).filter(|variant| !variant.is_empty()) }
    }

    /// The platform that a document says; none if it says nothing. What it leaves out is as here.
    pub(crate) fn of(document: &documents::Platform) -> Option<Self> {
        if document.is_unknown() {
            return None;
        }
        let host = Self::host();
        let or = |text: &str, other: String| if text.is_empty() { other } else { text.to_owned() };
        let os = or(&document.os, host.os);
        let architecture = or(&document.architecture, host.architecture);
        Some(Self::normalized(&os, &architecture, &document.variant))
    }

    /// Whether an image for that platform is one for this: the same machine, and the same variant
    /// if one is asked for.
    pub(crate) fn covers(&self, found: &Self) -> bool {
        let is_same = || self.usual_variant() == found.usual_variant();
        self.same_machine(found) && (self.variant.is_none() || is_same())
    }

    /// Whether an image for that platform runs on this one.
    pub(crate) fn runs(&self, found: &Self) -> bool {
        let variant = found.variant.as_deref();
        self.same_machine(found) && self.acceptable_variants().contains(&variant)
    }

    /// The variant, or the one that is meant where none is named.
    fn usual_variant(&self) -> Option<&str> {
        let usual = match self.architecture.as_str() {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            "amd64" => Some("v1"),
            _ => None,
        };
        self.variant.as_deref().or(usual)
    }

    pub(crate) fn same_machine(&self, found: &Self) -> bool {
        self.os == found.os && self.architecture == found.architecture
    }

    /// The best entry of an index: the first of those with the best variant. Where none fits, those
    /// that do not say for which platform they are.
    pub(crate) fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Choice<'a> {
        let ranked = manifests.iter().filter_map(|entry| Some((self.rank(entry)?, entry)));
        match ranked.min_by_key(|(rank, _)| *rank) {
            Some((_, best)) => Choice::Best(best),
            None => Choice::Unknown(
                manifests
                    .iter()
                    .filter(|entry| entry.platform.is_unknown() && !is_attestation(entry))
                    .collect(),
            ),
        }
    }

    /// True for an entry that does not say that it is for another machine.
    pub(crate) fn accepts(&self, entry: &Descriptor) -> bool {
        !is_attestation(entry) && (entry.platform.is_unknown() || self.rank(entry).is_some())
    }

    /// What an index offers, as a sentence part.
    pub(crate) fn list(manifests: &[Descriptor]) -> String {
        let entries = manifests.iter().filter(|entry| !is_attestation(entry));
        Self::names(entries.filter_map(|entry| Self::of(&entry.platform)))
    }

    /// Platforms as a sentence part.
    pub(crate) fn names(platforms: impl Iterator<Item = Self>) -> String {
        let names: BTreeSet<String> = platforms.map(|one| one.to_string()).collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// How good an entry fits; 0 is best. `None` if it does not fit.
    fn rank(&self, entry: &Descriptor) -> Option<usize> {
        let found = Self::of(&entry.platform)?;
        if !self.same_machine(&found) || is_attestation(entry) {
            return None;
        }
        let variant = found.variant.as_deref();
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

/// What an index has for a platform.
#[derive(Debug)]
pub(crate) enum Choice<'a> {
    Best(&'a Descriptor),
    Unknown(Vec<&'a Descriptor>),
}

/// Entries that `BuildKit` adds beside the images: provenance and bills of material.
fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotation("vnd.docker.reference.type") == Some("attestation-manifest")
        || entry.platform.os == "unknown"
}

/// Go's names for what is also called otherwise, as containerd normalizes them.
fn normal(os: &str, architecture: &str, variant: &str) -> (String, String, String) {
    let os = match os.to_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    };
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8") => ("arm64", "v8"),
        ("aarch64", other) => ("arm64", other),
        ("armhf" | "armv7l" | "armv7", _) => ("arm", "v7"),
        ("armel" | "armv6l" | "armv6", _) => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "7") => ("arm", "v7"),
        ("arm", "8") => ("arm", "v8"),
        ("loongarch64", other) => ("loong64", other),
        (architecture, variant) => (architecture, variant),
    };
    (os, architecture.to_owned(), variant.to_owned())
}

fn is_os(name: &str) -> bool {
    matches!(name, "linux" | "windows" | "darwin" | "macos" | "freebsd")
}

fn is_architecture(name: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le",
        "riscv64", "s390x", "wasm",
    ];
    KNOWN.contains(&name)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_of_a_platform_are_taken_for_those_of_go() {
        let rows = [
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64/v8"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/X86-64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i686", "linux/386"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/7", "linux/arm/v7"),
            ("amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("s390x", "linux/s390x"),
            ("macos/arm64", "darwin/arm64"),
        ];
        for (text, expected) in rows {
            let found = Platform::parse(text).map(|platform| platform.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        }
        let host = Platform::host();
        assert_eq!(Platform::parse("linux").unwrap().architecture, host.architecture);
        for text in ["", "/", "linux/", "pdp11", "linux/amd64/v1/x", "linux/am d64"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_that_goes_without_saying_is_the_same_as_that_which_is_said() {
        let parse = |text: &str| Platform::parse(text).unwrap();
        let rows = [
            ("linux/arm64/v8", "linux/aarch64", true),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm/v6", "linux/arm", false),
            ("linux/amd64", "linux/amd64/v3", true),
            ("linux/amd64/v3", "linux/amd64", false),
            ("linux/amd64", "linux/arm64", false),
        ];
        for (wanted, found, is_covered) in rows {
            assert_eq!(parse(wanted).covers(&parse(found)), is_covered, "{wanted} {found}");
        }
    }
}
