//! Which registry is asked, and how (containers-registries.conf(5), version 2).

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::Reference;

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
}

/// The configuration of all registries.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Configuration {
    #[serde(default, rename = "registry")]
    registries: Vec<Registry>,
}

#[derive(Clone, Debug, Deserialize)]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, Deserialize)]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
}

/// A place to ask: a host with a repository on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) repository: String,
    pub(crate) insecure: bool,
}

impl Configuration {
    /// Reads the usual files; where none is, there is nothing configured.
    pub(crate) fn load() -> Result<Self, ConfigurationError> {
        if let Some(path) = env::var_os("CONTAINERS_REGISTRIES_CONF") {
            return Self::read(Path::new(&path)).map(Option::unwrap_or_default);
        }
        let home = env::var_os("HOME").map(PathBuf::from);
        let own = home.map(|home| home.join(".config/containers/registries.conf"));
        for path in own.into_iter().chain([PathBuf::from("/etc/containers/registries.conf")]) {
            if let Some(found) = Self::read(&path)? {
                return Ok(found);
            }
        }
        Ok(Self::default())
    }

    /// Reads one file; none if it is not there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ConfigurationError> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => {
                text.map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?
            }
        };
        toml::from_str(&text).map(Some).map_err(|source| ConfigurationError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Where the image is asked for, mirrors first.
    pub(crate) fn endpoints(
        &self,
        reference: &Reference,
    ) -> Result<Vec<Endpoint>, ConfigurationError> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let matching = self.registries.iter().filter_map(|one| {
            let prefix = one.prefix.as_ref().or(one.location.as_ref())?;
            let rest = name.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((prefix.len(), rest, one))
        });
        let Some((_, rest, registry)) = matching.max_by_key(|(length, ..)| *length) else {
            return Ok(vec![endpoint(&name, is_local(reference.registry()))]);
        };
        if registry.blocked {
            let registry = reference.registry().to_owned();
            return Err(ConfigurationError::Blocked { registry });
        }
        let mut endpoints: Vec<Endpoint> = registry
            .mirrors
            .iter()
            .map(|mirror| endpoint(&format!("{}{rest}", mirror.location), mirror.insecure))
            .collect();
        let location = registry.location.as_ref().map(|location| format!("{location}{rest}"));
        let location = location.unwrap_or(name);
        endpoints.push(endpoint(&location, registry.insecure || is_local(reference.registry())));
        Ok(endpoints)
    }
}

fn endpoint(name: &str, insecure: bool) -> Endpoint {
    let (host, repository) = name.split_once('/').unwrap_or((name, ""));
    // Docker Hub's registry has another name than the one that images carry.
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    Endpoint { host: host.to_owned(), repository: repository.to_owned(), insecure }
}

/// Registries of this machine may speak plain HTTP, as docker allows it.
fn is_local(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
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
        assert_eq!(hosts("", "localhost:5000/a"), [("localhost:5000/a".to_owned(), true)]);
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
    fn a_blocked_registry_is_an_error() {
        let text = "[[registry]]\nlocation = \"docker.io\"\nblocked = true\n";
        let configuration: Configuration = toml::from_str(text).unwrap();
        assert!(configuration.endpoints(&Reference::parse("a").unwrap()).is_err());
    }
}
