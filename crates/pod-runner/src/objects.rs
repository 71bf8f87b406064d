//! Stored objects that pods refer to: ConfigMaps, Secrets, PersistentVolumeClaims.
//!
//! Each is one JSON file below the data directory, written by rename.

use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::places::Places;
use crate::record::{RecordError, write_by_rename};

/// Why an object cannot be stored or read.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// Its file.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file's content.
    #[error("cannot keep the object")]
    Record(#[from] RecordError),
}

/// A kind of object that is stored.
pub trait StoredObject: Serialize + DeserializeOwned {
    /// The kind's plural in lower case, as in `kubectl get`.
    const PLURAL: &'static str;
    /// The kind as objects name it.
    const KIND: &'static str;

    /// How many entries it has, for listings.
    fn count(&self) -> usize;
}

impl StoredObject for ConfigMap {
    const PLURAL: &'static str = "configmaps";
    const KIND: &'static str = "ConfigMap";

    fn count(&self) -> usize {
        self.data.iter().flatten().count() + self.binary_data.iter().flatten().count()
    }
}

impl StoredObject for Secret {
    const PLURAL: &'static str = "secrets";
    const KIND: &'static str = "Secret";

    fn count(&self) -> usize {
        self.data.iter().flatten().count()
    }
}

impl StoredObject for PersistentVolumeClaim {
    const PLURAL: &'static str = "persistentvolumeclaims";
    const KIND: &'static str = "PersistentVolumeClaim";

    fn count(&self) -> usize {
        1
    }
}

/// The stored objects of this machine.
#[derive(Clone, Debug)]
pub struct Objects {
    places: Places,
}

impl Objects {
    /// The objects below the data directory.
    pub fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }

    /// The object of that kind and name, if there is one.
    pub fn find<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, ObjectError> {
        let path = self.path::<T>(namespace, name);
        match fs::read(&path) {
            Ok(text) => decode(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ObjectError::File { verb: "read", path, source }),
        }
    }

    /// Every object of that kind, in the order of their names.
    pub fn list<T: StoredObject>(&self) -> Result<Vec<T>, ObjectError> {
        let dir = self.places.objects(T::PLURAL);
        let failed = |source| ObjectError::File { verb: "read", path: dir.clone(), source };
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(text) => decode(&text, path),
            Err(source) => Err(ObjectError::File { verb: "read", path, source }),
        };
        paths.into_iter().map(read).collect()
    }

    /// Stores an object, replacing one of the same name.
    pub fn store<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
        object: &T,
    ) -> Result<(), ObjectError> {
        let path = self.path::<T>(namespace, name);
        let dir = self.places.objects(T::PLURAL);
        fs::create_dir_all(&dir).map_err(|source| ObjectError::File {
            verb: "create",
            path: dir,
            source,
        })?;
        let text = serde_json::to_vec(object)
            .map_err(|source| RecordError::Garbled { path: path.clone(), source })?;
        Ok(write_by_rename(&path, &text)?)
    }

    /// Removes an object; whether it was there.
    pub fn remove<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<bool, ObjectError> {
        let path = self.path::<T>(namespace, name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ObjectError::File { verb: "remove", path, source }),
        }
    }

    /// Where the files of a claim are; they stay until the claim is removed.
    pub fn claim_directory(&self, namespace: &str, name: &str) -> PathBuf {
        self.places.data.join("claims").join(format!("{namespace}_{name}"))
    }

    fn path<T: StoredObject>(&self, namespace: &str, name: &str) -> PathBuf {
        self.places.objects(T::PLURAL).join(format!("{namespace}_{name}.json"))
    }
}

fn decode<T: StoredObject>(text: &[u8], path: PathBuf) -> Result<T, ObjectError> {
    serde_json::from_slice(text)
        .map_err(|source| ObjectError::Record(RecordError::Garbled { path, source }))
}
