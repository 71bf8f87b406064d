//! Where the configuration is, and how its files are put together
//! (containers-registries.conf.d(5)).

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Configuration, ConfigurationError};

const SYSTEM: &str = "/etc/containers";

impl Configuration {
    /// Reads the usual files; where none is, there is nothing configured. A file that
    /// `CONTAINERS_REGISTRIES_CONF` names is the only one.
    pub(crate) fn load() -> Result<Self, ConfigurationError> {
        if let Some(path) = env::var_os("CONTAINERS_REGISTRIES_CONF") {
            return Self::read(Path::new(&path)).map(Option::unwrap_or_default);
        }
        let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        let own = config.or_else(home).map(|config| config.join("containers"));
        Self::load_from(Path::new(SYSTEM), own.as_deref())
    }

    /// The file of the user counts instead of the system's; drop-in files come after either.
    pub(super) fn load_from(system: &Path, own: Option<&Path>) -> Result<Self, ConfigurationError> {
        let file = |directory: &Path| Self::read(&directory.join("registries.conf"));
        let drop_ins = |directory: &Path| drop_ins(&directory.join("registries.conf.d"));
        let mut paths = Vec::new();
        let own_file = own.map(file).transpose()?.flatten();
        let mut configuration = if let Some(found) = own_file {
            found
        } else {
            paths.extend(drop_ins(system)?);
            file(system)?.unwrap_or_default()
        };
        paths.extend(own.map(drop_ins).transpose()?.into_iter().flatten());
        for path in paths {
            if let Some(later) = Self::read(&path)? {
                configuration.overlay(later);
            }
        }
        Ok(configuration)
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

    /// What a later file says counts.
    fn overlay(&mut self, later: Self) {
        self.search = later.search.or(self.search.take());
        self.short_name_mode = later.short_name_mode.or(self.short_name_mode);
        self.aliases.extend(later.aliases);
        for registry in later.registries {
            self.registries.retain(|known| known.prefix() != registry.prefix());
            self.registries.push(registry);
        }
    }
}

/// The drop-in files of a directory, in the order of their names.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, ConfigurationError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        paths => paths
            .map_err(|source| ConfigurationError::Read { path: directory.to_owned(), source })?,
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    fn place(configuration: &Configuration, image: &str) -> String {
        let reference = Reference::parse(image).unwrap();
        configuration.endpoints(&reference).unwrap().remove(0).host
    }

    fn write(directory: &Path, name: &str, location: &str, more: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text =
            format!("{more}\n[[registry]]\nprefix = \"a.example\"\nlocation = \"{location}\"\n");
        fs::write(path, text).unwrap();
    }

    #[test]
    fn drop_in_files_overwrite_what_is_said_before() {
        let scratch = tempfile::tempdir().unwrap();
        let (system, own) = (scratch.path().join("etc"), scratch.path().join("home"));
        let load = || Configuration::load_from(&system, Some(&own)).unwrap();
        assert_eq!(place(&load(), "a.example/x"), "a.example");
        write(&system, "registries.conf", "main", "unqualified-search-registries = ['s.example']");
        assert_eq!(place(&load(), "a.example/x"), "main");
        write(&system, "registries.conf.d/10.conf", "ten", "[aliases]\nx = 'a.example/y'");
        write(&system, "registries.conf.d/9.conf.off", "off", "");
        assert_eq!(place(&load(), "a.example/x"), "ten");
        write(&own, "registries.conf.d/05.conf", "five", "");
        let all = load();
        assert_eq!(place(&all, "a.example/x"), "five");
        assert_eq!(all.search.as_deref(), Some(&["s.example".to_owned()][..]));
        assert_eq!(all.aliases.len(), 1);
        write(&own, "registries.conf", "own", "");
        assert_eq!(place(&load(), "a.example/x"), "five");
        assert!(load().search.is_none(), "the user's file counts instead of the system's");
    }

    #[test]
    fn a_file_that_is_not_toml_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("registries.conf.d")).unwrap();
        let path = scratch.path().join("registries.conf.d/x.conf");
        fs::write(&path, "[[registry").unwrap();
        let error = Configuration::load_from(scratch.path(), None).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot understand {}", path.display()));
    }
}
