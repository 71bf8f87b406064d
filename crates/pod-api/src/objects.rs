//! Stored objects that pods refer to: ConfigMaps, Secrets, PersistentVolumeClaims.
//!
//! Each is one JSON file below the data directory, written by rename.

use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
    Secret,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::claims::PROTECTION;
use crate::launch;
use crate::places::{Places, file_name};
use crate::record::{RecordError, write_by_rename};
use crate::roots;

const IMMUTABLE: &str = "immutable: Forbidden: field is immutable when `immutable` is set";
const IMMUTABLE_DATA: &str = "data: Forbidden: field is immutable when `immutable` is set";
const IMMUTABLE_BINARY_DATA: &str =
    "binaryData: Forbidden: field is immutable when `immutable` is set";

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
pub trait StoredObject: Serialize + DeserializeOwned + Clone {
    /// The kind's plural in lower case, as in `kubectl get`.
    const PLURAL: &'static str;
    /// The kind as objects name it.
    const KIND: &'static str;

    /// How many entries it has, for listings.
    fn count(&self) -> usize;

    /// Its metadata.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;

    /// Why it cannot take the place of the former one, if it cannot: Kubernetes' sentence.
    fn refusal(&self, former: &Self) -> Option<&'static str>;

    /// Fills in what the object itself says nothing about.
    fn settle(&mut self) {}
}

/// An object that may not be changed like this.
#[derive(Debug, Error)]
#[error("The {kind} {name:?} is invalid: {reason}")]
pub struct Immutable {
    kind: &'static str,
    name: String,
    reason: &'static str,
}

/// The object as an API server keeps it, taking the place of a former one.
pub fn completed<T: StoredObject>(mut object: T, former: Option<&T>) -> Result<T, Immutable> {
    if let Some(reason) = former.and_then(|former| object.refusal(former)) {
        let name = object.metadata_mut().name.clone().unwrap_or_default();
        return Err(Immutable { kind: T::KIND, name, reason });
    }
    let kept = former.cloned().map(|mut former| former.metadata_mut().clone());
    let metadata = object.metadata_mut();
    let kept = kept.unwrap_or_else(|| ObjectMeta {
        uid: Some(crate::random::uid()),
        creation_timestamp: Some(launch::now()),
        ..ObjectMeta::default()
    });
    metadata.uid = kept.uid;
    metadata.creation_timestamp = kept.creation_timestamp;
    metadata.deletion_timestamp = kept.deletion_timestamp;
    metadata.deletion_grace_period_seconds = kept.deletion_grace_period_seconds;
    metadata.owner_references = kept.owner_references;
    object.settle();
    Ok(object)
}

impl StoredObject for ConfigMap {
    const PLURAL: &'static str = "configmaps";
    const KIND: &'static str = "ConfigMap";

    fn count(&self) -> usize {
        self.data.iter().flatten().count() + self.binary_data.iter().flatten().count()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn refusal(&self, former: &Self) -> Option<&'static str> {
        if former.immutable != Some(true) {
            return None;
        }
        [
            (self.immutable != Some(true), IMMUTABLE),
            (self.data != former.data, IMMUTABLE_DATA),
            (self.binary_data != former.binary_data, IMMUTABLE_BINARY_DATA),
        ]
        .into_iter()
        .find_map(|(is_changed, reason)| is_changed.then_some(reason))
    }
}

impl StoredObject for Secret {
    const PLURAL: &'static str = "secrets";
    const KIND: &'static str = "Secret";

    fn count(&self) -> usize {
        self.data.iter().flatten().count()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn refusal(&self, former: &Self) -> Option<&'static str> {
        let is_fixed = former.immutable == Some(true);
        [
            (self.type_ != former.type_, "type: Invalid value: field is immutable"),
            (is_fixed && self.immutable != Some(true), IMMUTABLE),
            (is_fixed && self.data != former.data, IMMUTABLE_DATA),
        ]
        .into_iter()
        .find_map(|(is_changed, reason)| is_changed.then_some(reason))
    }
}

impl StoredObject for PersistentVolumeClaim {
    const PLURAL: &'static str = "persistentvolumeclaims";
    const KIND: &'static str = "PersistentVolumeClaim";

    fn count(&self) -> usize {
        1
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn refusal(&self, former: &Self) -> Option<&'static str> {
        let fixed = |claim: &Self| {
            let spec = claim.spec.clone().unwrap_or_default();
            PersistentVolumeClaimSpec {
                resources: None,
                volume_attributes_class_name: None,
                volume_name: None,
                ..spec
            }
        };
        (fixed(self) != fixed(former)).then_some(
            "spec: Forbidden: spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims",
        )
    }

    /// A claim is bound at once: to a directory of its own.
    fn settle(&mut self) {
        let finalizers = self.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|one| one == PROTECTION) {
            finalizers.push(PROTECTION.to_owned());
        }
        let uid = self.metadata.uid.clone().unwrap_or_default();
        let spec = self.spec.get_or_insert_default();
        spec.volume_name = Some(format!("pvc-{uid}"));
        self.status = Some(PersistentVolumeClaimStatus {
            access_modes: spec.access_modes.clone(),
            capacity: spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
            phase: Some("Bound".to_owned()),
            ..PersistentVolumeClaimStatus::default()
        });
    }
}

/// The stored objects of this machine.
#[derive(Clone, Debug)]
pub struct Objects {
    places: Places,
}

impl Objects {
    /// Where they are.
    pub fn places(&self) -> &Places {
        &self.places
    }

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
        roots::make_directory(&dir).map_err(|source| ObjectError::File {
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
        self.places.data.join("claims").join(file_name(namespace, name))
    }

    fn path<T: StoredObject>(&self, namespace: &str, name: &str) -> PathBuf {
        self.places.objects(T::PLURAL).join(format!("{}.json", file_name(namespace, name)))
    }
}

fn decode<T: StoredObject>(text: &[u8], path: PathBuf) -> Result<T, ObjectError> {
    serde_json::from_slice(text)
        .map_err(|source| ObjectError::Record(RecordError::Garbled { path, source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(immutable: bool, value: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta { name: Some("m".into()), ..ObjectMeta::default() },
            immutable: immutable.then_some(true),
            data: Some([("a".to_owned(), value.to_owned())].into()),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn an_object_keeps_its_identity_when_it_changes() {
        let first = completed(map(false, "1"), None).unwrap();
        assert!(first.metadata.uid.as_ref().is_some_and(|uid| uid.len() == 36));
        let second = completed(map(false, "2"), Some(&first)).unwrap();
        assert_eq!(second.metadata, first.metadata);
        assert_eq!(completed(map(false, "2"), Some(&second)).unwrap(), second);
    }

    #[test]
    fn an_immutable_object_stays_as_it_is() {
        let fixed = completed(map(true, "1"), None).unwrap();
        assert!(completed(map(true, "1"), Some(&fixed)).is_ok());
        let error = completed(map(true, "2"), Some(&fixed)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The ConfigMap \"m\" is invalid: data: Forbidden: field is immutable when `immutable` is set"
        );
        let error = completed(map(false, "1"), Some(&fixed)).unwrap_err();
        assert!(error.to_string().contains("immutable: Forbidden"), "{error}");
    }

    #[test]
    fn a_claim_is_bound_at_once() {
        let claim: PersistentVolumeClaim = serde_json::from_str(
            r#"{"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}"#,
        )
        .unwrap();
        let bound = completed(claim.clone(), None).unwrap();
        let status = bound.status.clone().unwrap();
        assert_eq!(status.phase.as_deref(), Some("Bound"));
        assert_eq!(status.capacity.unwrap()["storage"].0, "1Gi");
        assert_eq!(completed(claim.clone(), Some(&bound)).unwrap(), bound);
        let mut other = claim;
        other.spec.get_or_insert_default().access_modes = Some(vec!["ReadOnlyMany".into()]);
        assert!(completed(other, Some(&bound)).is_err());
    }
}
