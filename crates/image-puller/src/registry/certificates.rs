//! Certificates for one registry: authorities to trust beside the system's, and the client's own
//! (containers-certs.d(5)).

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Identity};

use super::error::RegistryError;

/// What the directory of a registry holds.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    pub(super) authorities: Vec<Certificate>,
    pub(super) identity: Option<Identity>,
}

/// The directories of this machine that have one directory per registry.
pub(crate) fn directories() -> Vec<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let own = config.or_else(home).map(|config| config.join("containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(system).collect()
}

impl Certificates {
    /// What the first directory that knows this host has for it.
    pub(super) fn find(host: &str, directories: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut candidates = directories.iter().map(|directory| directory.join(host));
        match candidates.find(|directory| directory.is_dir()) {
            Some(directory) => Self::read(&directory),
            None => Ok(Self::default()),
        }
    }

    fn read(directory: &Path) -> Result<Self, RegistryError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
        };
        let mut paths = list().map_err(unreadable(directory))?;
        paths.sort();
        let mut found = Self::default();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => {
                    let bytes = fs::read(&path).map_err(unreadable(&path))?;
                    let certificates = Certificate::from_pem_bundle(&bytes);
                    found.authorities.extend(certificates.map_err(unusable(&path))?);
                }
                Some("cert") if found.identity.is_none() => {
                    let key = path.with_extension("key");
                    let mut bytes = fs::read(&path).map_err(unreadable(&path))?;
                    bytes.push(b'\n');
                    bytes.extend(fs::read(&key).map_err(unreadable(&key))?);
                    found.identity = Some(Identity::from_pem(&bytes).map_err(unusable(&path))?);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Certificate { path, source: Box::new(source) }
}

fn unusable(path: &Path) -> impl FnOnce(reqwest::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Certificate { path, source: Box::new(source) }
}
