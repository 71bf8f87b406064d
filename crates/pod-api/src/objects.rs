//! The kinds of stored objects that pods refer to: ConfigMaps, Secrets, PersistentVolumeClaims.

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
use crate::resource::Resource;

const IMMUTABLE: &str = "immutable: Forbidden: field is immutable when `immutable` is set";
const IMMUTABLE_DATA: &str = "data: Forbidden: field is immutable when `immutable` is set";
const IMMUTABLE_BINARY_DATA: &str =
    "binaryData: Forbidden: field is immutable when `immutable` is set";

/// A kind of object that is stored.
pub trait StoredObject: Serialize + DeserializeOwned + Clone {
    /// The kind.
    const RESOURCE: Resource;
    /// The kind's plural in lower case, as in `kubectl get`.
    const PLURAL: &'static str;

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
        return Err(Immutable { kind: T::RESOURCE.kind(), name, reason });
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
    metadata.resource_version = kept.resource_version;
    object.settle();
    Ok(object)
}

impl StoredObject for ConfigMap {
    const RESOURCE: Resource = Resource::ConfigMap;
    const PLURAL: &'static str = "configmaps";

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
    const RESOURCE: Resource = Resource::Secret;
    const PLURAL: &'static str = "secrets";

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
    const RESOURCE: Resource = Resource::Claim;
    const PLURAL: &'static str = "persistentvolumeclaims";

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
