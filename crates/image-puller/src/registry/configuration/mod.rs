//! Which registry is asked, and how (containers-registries.conf(5), version 2).

mod files;
mod short_names;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use crate::{Reference, ReferenceError};
use short_names::ShortNameMode;

/// A configuration file that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not TOML, or not of this form.
    #[error("cannot understand {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<toml::de::Error>,
    },
    /// The registry is blocked.
    #[error("{registry} is blocked in registries.conf")]
    Blocked {
        /// The registry's host.
        registry: String,
    },
    /// A short name that may mean several images.
    #[error("{name:?} may mean {candidates}")]
    Ambiguous {
        /// The name without tag and digest.
        name: String,
        /// What it may mean.
        candidates: String,
    },
    /// An alias that is no name.
    #[error("the alias {name:?} in registries.conf means {target:?}")]
    Alias {
        /// The short name.
        name: String,
        /// What it stands for.
        target: String,
        /// Why that is no name.
        source: ReferenceError,
    },
}

impl ConfigurationError {
    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ambiguous { .. } => Some("write the name with its registry".to_owned()),
            Self::Blocked { registry } => Some(format!(
                "take another registry, or remove blocked = true for {registry} from registries.conf"
            )),
            Self::Read { .. } | Self::Parse { .. } | Self::Alias { .. } => None,
        }
    }
}

/// The configuration of all registries.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Configuration {
    #[serde(default, rename = "unqualified-search-registries")]
    search: Option<Vec<String>>,
    #[serde(default, rename = "short-name-mode")]
    short_name_mode: Option<ShortNameMode>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default, rename = "registry")]
    registries: Vec<Registry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default, rename = "pull-from-mirror")]
    pull_from: PullFrom,
}

/// For which references a mirror is asked.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

/// A place to ask: a host with a repository on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) repository: String,
    /// Whether plain HTTP and certificates that nobody vouches for will do.
    pub(crate) insecure: bool,
}

impl Endpoint {
    /// The name under which credentials and certificates for it are kept.
    pub(crate) fn familiar_host(&self) -> &str {
        if self.host == HUB { crate::DEFAULT_REGISTRY } else { &self.host }
    }

    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.host)
    }
}

impl Registry {
    fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref().or(self.location.as_deref()).filter(|prefix| !prefix.is_empty())
    }

    /// How much of the name the prefix matches, if it does. A prefix `*.example.com` matches the
    /// host of any registry below that domain.
    fn matched(&self, name: &str) -> Option<usize> {
        let prefix = self.prefix()?;
        let length = match prefix.strip_prefix('*') {
            Some(domain) => {
                let host = name.split('/').next().unwrap_or(name);
                let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
                bare.ends_with(domain).then_some(host.len())?
            }
            None => name.starts_with(prefix).then_some(prefix.len())?,
        };
        let rest = &name[length..];
        (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(length)
    }
}

impl Mirror {
    fn serves(&self, reference: &Reference) -> bool {
        match self.pull_from {
            PullFrom::All => true,
            PullFrom::DigestOnly => reference.digest().is_some(),
            PullFrom::TagOnly => reference.digest().is_none(),
        }
    }
}

/// The registry of Docker Hub has another name than the one that images carry.
pub(super) const HUB: &str = "registry-1.docker.io";

impl Configuration {
    /// The hosts that it names as places to ask, without ports.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let locations = self.registries.iter().flat_map(|one| {
            one.location.iter().chain(one.mirrors.iter().map(|mirror| &mirror.location))
        });
        let host = |location: &String| {
            bare_host(location.split('/').next().unwrap_or_default()).to_ascii_lowercase()
        };
        locations.map(host).filter(|host| !host.is_empty()).collect()
    }

    /// Where the image is asked for, mirrors first.
    pub(crate) fn endpoints(
        &self,
        reference: &Reference,
    ) -> Result<Vec<Endpoint>, ConfigurationError> {
        let name = reference.to_string();
        let matching = self.registries.iter().filter_map(|one| {
            let prefix = one.prefix().unwrap_or_default().len();
            Some((prefix, one.matched(&name)?, one))
        });
        let Some((_, matched, registry)) = matching.max_by_key(|(length, ..)| *length) else {
            return Ok(vec![endpoint(&name, false)]);
        };
        if registry.blocked {
            let registry = reference.registry().to_owned();
            return Err(ConfigurationError::Blocked { registry });
        }
        let rest = &name[matched..];
        let mirrors = registry.mirrors.iter().filter(|mirror| {
            let by_digest = reference.digest().is_some();
            mirror.serves(reference) && (by_digest || !registry.mirror_by_digest_only)
        });
        let mut endpoints: Vec<Endpoint> = mirrors
            .map(|mirror| endpoint(&format!("{}{rest}", mirror.location), mirror.insecure))
            .collect();
        let location = registry.location.as_ref().filter(|location| !location.is_empty());
        let location = location.map_or(name.clone(), |location| format!("{location}{rest}"));
        endpoints.push(endpoint(&location, registry.insecure));
        Ok(endpoints)
    }
}

/// The place of a name, which may have a tag or a digest.
fn endpoint(name: &str, insecure: bool) -> Endpoint {
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let repository = path.split([':', '@']).next().unwrap_or(path).to_owned();
    let host = if host == crate::DEFAULT_REGISTRY { HUB } else { host };
    Endpoint { insecure: insecure || is_local(host), host: host.to_owned(), repository }
}

/// Registries of this machine may speak plain HTTP, as docker allows it.
fn is_local(host: &str) -> bool {
    is_loopback(bare_host(host))
}

/// A host without its port and the brackets of an IPv6 address.
pub(super) fn bare_host(host: &str) -> &str {
    let has_port = !host.ends_with(']') && host.contains(':');
    let bare = if has_port { host.rsplit_once(':').map_or(host, |(bare, _)| bare) } else { host };
    bare.trim_matches(['[', ']'])
}

/// Whether a host without a port is this machine.
pub(super) fn is_loopback(bare: &str) -> bool {
    let address: Option<IpAddr> = bare.parse().ok();
    bare == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str, image: &str) -> Vec<(String, bool)> {
        let configuration: Configuration = toml::from_str(text).unwrap();
        let reference = Reference::parse(image).unwrap();
        let endpoints = configuration.endpoints(&reference).unwrap();
        let shown = |one: Endpoint| (format!("{}/{}", one.host, one.repository), one.insecure);
        endpoints.into_iter().map(shown).collect()
    }

    #[test]
    fn docker_hub_is_asked_under_its_own_name() {
        assert_eq!(
            hosts("", "luksa/kubia:1.0"),
            [("registry-1.docker.io/luksa/kubia".to_owned(), false)]
        );
        for local in ["localhost:5000/a", "127.0.0.2/a", "[::1]:5000/a", "[::1]/a"] {
            assert_eq!(hosts("", local), [(local.to_owned(), true)]);
        }
        let elsewhere = "127.0.0.1.example/a";
        assert_eq!(hosts("", elsewhere), [(elsewhere.to_owned(), false)]);
    }

    #[test]
    fn mirrors_are_asked_first_and_the_longest_prefix_decides() {
        let text = r#"
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "10.0.0.1:5000/hub"
            insecure = true
            [[registry]]
            prefix = "docker.io/luksa"
            location = "other.example/l"
        "#;
        assert_eq!(
            hosts(text, "busybox"),
            [
                ("10.0.0.1:5000/hub/library/busybox".to_owned(), true),
                ("registry-1.docker.io/library/busybox".to_owned(), false)
            ]
        );
        assert_eq!(hosts(text, "luksa/kubia"), [("other.example/l/kubia".to_owned(), false)]);
    }

    #[test]
    fn a_prefix_may_be_a_domain_or_one_tag() {
        let text = r#"
            [[registry]]
            prefix = "*.example.com"
            location = "mirror.example/all"
            [[registry]]
            prefix = "*.near.example.com"
            insecure = true
            [[registry]]
            prefix = "quay.io/a/b:old"
            location = "archive.example/b:old"
        "#;
        let rows = [
            ("x.example.com/a/b:1", ("mirror.example/all/a/b", false)),
            ("y.near.example.com:5000/a", ("y.near.example.com:5000/a", true)),
            ("notexample.com/a", ("notexample.com/a", false)),
            ("example.com/a", ("example.com/a", false)),
            ("quay.io/a/b:old", ("archive.example/b", false)),
            ("quay.io/a/b:older", ("quay.io/a/b", false)),
        ];
        for (image, (place, insecure)) in rows {
            assert_eq!(hosts(text, image), [(place.to_owned(), insecure)], "{image}");
        }
    }

    #[test]
    fn a_mirror_may_be_for_tags_or_for_digests_only() {
        let digest = format!("a.example/x@sha256:{}", "0".repeat(64));
        let text = |registry: &str, mirror: &str| {
            format!(
                "[[registry]]\nlocation = 'a.example'\n{registry}\n[[registry.mirror]]\n\
                 location = 'm.example'\n{mirror}\n"
            )
        };
        let rows = [
            ("", "", true, true),
            ("mirror-by-digest-only = true", "", false, true),
            ("", "pull-from-mirror = 'digest-only'", false, true),
            ("", "pull-from-mirror = 'tag-only'", true, false),
        ];
        for (registry, mirror, for_tag, for_digest) in rows {
            let text = text(registry, mirror);
            let is_asked = |image: &str| hosts(&text, image).len() == 2;
            let found = (is_asked("a.example/x:1"), is_asked(&digest));
            assert_eq!(found, (for_tag, for_digest), "{registry} {mirror}");
        }
    }

    #[test]
    fn a_blocked_registry_is_an_error() {
        let text = "[[registry]]\nlocation = \"docker.io\"\nblocked = true\n";
        let configuration: Configuration = toml::from_str(text).unwrap();
        assert!(configuration.endpoints(&Reference::parse("a").unwrap()).is_err());
    }
}
