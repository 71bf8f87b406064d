//! The end of a claim.
//!
//! Its files go with it, as with the reclaim policy `Delete` that Kubernetes gives volumes that
//! were made for a claim. As long as a pod refers to it, the claim stays and is `Terminating`: the
//! finalizer `kubernetes.io/pvc-protection`. Whoever removes the last such pod ends the claim, too.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimTemplate, Pod, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use thiserror::Error;

use crate::cleanup::{self, REMOVED};
use crate::launch;
use crate::object_store::{Change, ObjectError, Objects};
use crate::objects::{StoredObject, completed};
use crate::places::Places;
use crate::pods::{FoundPod, Pods, PodsError};
use crate::watch::{Watcher, Woken};

/// What keeps a claim that is in use.
pub const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Why a claim is not deleted.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// The stored claim.
    #[error("cannot delete the claim")]
    Object(#[from] ObjectError),
    /// The pods that may use it.
    #[error("cannot tell whether a pod uses the claim")]
    Pods(#[from] PodsError),
    /// The claim's files.
    #[error("cannot remove the claim's files")]
    Files(#[source] io::Error),
}

/// A deletion that has been asked for.
#[derive(Debug)]
pub struct ClaimDeletion {
    places: Places,
    namespace: String,
    name: String,
    uid: Option<String>,
}

impl ClaimDeletion {
    /// Asks for the claim's deletion, which is done at once when no pod uses it; nothing when there
    /// is no such claim.
    pub fn request(
        places: &Places,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Self>, ClaimError> {
        let objects = Objects::new(places);
        let Some(claim) = mark_deleted(&objects, namespace, name)? else {
            return Ok(None);
        };
        let uid = claim.metadata.uid;
        finish_one(places, namespace, name)?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Ok(Some(Self { places: places.clone(), namespace, name, uid }))
    }

    /// Waits until the claim is gone, but not longer than until the deadline; whether it is.
    pub fn wait_until(&self, deadline: Option<Instant>) -> Result<bool, ClaimError> {
        let watcher = Watcher::new();
        let objects = Objects::new(&self.places);
        let failed = |source| ClaimError::Files(source);
        for directory in [self.places.pods(), self.places.objects(PersistentVolumeClaim::PLURAL)] {
            match watcher.add(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        loop {
            finish_one(&self.places, &self.namespace, &self.name)?;
            let found = objects.find::<PersistentVolumeClaim>(&self.namespace, &self.name)?;
            if found.is_none_or(|claim| claim.metadata.uid != self.uid) {
                return Ok(true);
            }
            if watcher.wait(None, deadline).map_err(failed)? == Woken::TimedOut {
                return Ok(false);
            }
        }
    }
}

/// Ends the claims whose deletion was asked for, or whose pod is gone, and that no pod uses any
/// more. What fails is tried again when the next pod is removed, or by whoever waits for the claim.
pub fn finish_deletions(places: &Places) {
    sweep(&places.data);
    let objects = Objects::new(places);
    for claim in objects.list::<PersistentVolumeClaim>().unwrap_or_default() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (namespace, name) = (text(&claim.metadata.namespace), text(&claim.metadata.name));
        if claim.metadata.deletion_timestamp.is_none() {
            if !is_orphan(places, &namespace, &claim) {
                continue;
            }
            if mark_deleted(&objects, &namespace, &name).is_err() {
                continue;
            }
        }
        let _ = finish_one(places, &namespace, &name);
    }
}

/// Notes that the claim's deletion was asked for; the claim as it is then, if there is one.
fn mark_deleted(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Result<Option<PersistentVolumeClaim>, ObjectError> {
    objects.change(namespace, name, |claim: Option<&PersistentVolumeClaim>| {
        let wanted = claim.filter(|claim| claim.metadata.deletion_timestamp.is_none());
        Ok(wanted.map_or(Change::Keep, |claim| {
            let mut claim = claim.clone();
            claim.metadata.deletion_timestamp = Some(launch::now());
            claim.metadata.deletion_grace_period_seconds = Some(0);
            Change::Store(claim)
        }))
    })
}

/// The pod that the claim was made for.
fn owner(claim: &PersistentVolumeClaim) -> Option<&OwnerReference> {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.find(|one| one.controller == Some(true) && one.kind == "Pod")
}

/// Whether the pod that the claim was made for is gone; where that cannot be told, it is not.
fn is_orphan(places: &Places, namespace: &str, claim: &PersistentVolumeClaim) -> bool {
    let Some(owner) = owner(claim) else { return false };
    let here = Pods::new(places).find(namespace, &owner.name);
    here.is_ok_and(|found| {
        let uid = found.as_ref().map(FoundPod::uid);
        uid.is_none_or(|uid| !uid.is_empty() && uid != owner.uid)
    })
}

/// The claim that the volume is made of, if it is made of one: its name.
pub fn name_of(pod: &str, volume: &Volume) -> Option<String> {
    match &volume.persistent_volume_claim {
        Some(source) => Some(source.claim_name.clone()),
        None => volume.ephemeral.as_ref().map(|_| format!("{pod}-{}", volume.name)),
    }
}

/// Why a volume does not get the claim that is made for the pod.
#[derive(Debug, Error)]
pub enum OwnClaimError {
    /// There is one of the name, with other content.
    #[error("{0}")]
    Foreign(String),
    /// It cannot be read or stored.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Makes the claim of an `ephemeral` volume, unless it is there. Like the controller of a cluster,
/// it takes over no claim that was not made for this pod.
pub fn make_for_pod(
    objects: &Objects,
    pod: &pod_model::Pod,
    (name, template): (&str, &PersistentVolumeClaimTemplate),
) -> Result<(), OwnClaimError> {
    let namespace = &pod.namespace;
    let is_own =
        |claim: &PersistentVolumeClaim| owner(claim).is_some_and(|one| one.uid == pod.uid.0);
    let mut found = objects.find::<PersistentVolumeClaim>(namespace, name)?;
    if found.as_ref().is_some_and(|claim| !is_own(claim)) {
        // It may be that of an earlier pod of the name, whose supervisor was killed at its end.
        finish_deletions(objects.places());
        found = objects.find(namespace, name)?;
    }
    if let Some(claim) = found {
        return if is_own(&claim) {
            Ok(())
        } else {
            Err(OwnClaimError::Foreign(format!(
                "PVC {namespace}/{name} was not created for pod {namespace}/{} (pod is not owner)",
                pod.name
            )))
        };
    }
    let own = template.metadata.clone().unwrap_or_default();
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.clone()),
            labels: own.labels,
            annotations: own.annotations,
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    };
    // There is no former one, which alone can refuse.
    let Ok(mut claim) = completed(claim, None) else { return Ok(()) };
    claim.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        block_owner_deletion: Some(true),
        controller: Some(true),
        kind: "Pod".to_owned(),
        name: pod.name.to_string(),
        uid: pod.uid.0.clone(),
    }]);
    Ok(objects.store(namespace, name, &claim)?)
}

/// Ends the claim if its deletion was asked for and no pod uses it. A pod that comes later finds
/// the mark, or no claim.
fn finish_one(places: &Places, namespace: &str, name: &str) -> Result<(), ClaimError> {
    let objects = Objects::new(places);
    let found = objects.find::<PersistentVolumeClaim>(namespace, name)?;
    let is_wanted = found.is_none_or(|claim| claim.metadata.deletion_timestamp.is_none());
    if is_wanted || is_used(places, namespace, name)? {
        return Ok(());
    }
    // The files go first, so that no new claim of the name ever finds them.
    let aside = places.data.join(format!("{REMOVED}-{}", crate::random::uid()));
    match fs::rename(objects.claim_directory(namespace, name), &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        moved => moved.map_err(ClaimError::Files)?,
    }
    objects.remove::<PersistentVolumeClaim>(namespace, name)?;
    cleanup::remove_directory(&aside); // what is left of it is swept up later
    Ok(())
}

/// Whether a pod refers to the claim, as long as the pod is there at all.
fn is_used(places: &Places, namespace: &str, name: &str) -> Result<bool, ClaimError> {
    let pods = Pods::new(places).list()?;
    let mut here = pods.iter().filter(|found| found.namespace() == namespace);
    Ok(here.any(|found| claims_of(&found.pod).is_none_or(|claims| claims.contains(name))))
}

/// The claims that a pod refers to; nobody knows those of a pod whose record is damaged.
fn claims_of(pod: &Pod) -> Option<BTreeSet<String>> {
    let volumes = pod.spec.as_ref()?.volumes.iter().flatten();
    let of_pod = pod.metadata.name.as_deref().unwrap_or_default();
    Some(volumes.filter_map(|volume| name_of(of_pod, volume)).collect())
}

/// Removes the files of claims that those have left who were killed while they removed them.
/// Whoever is at it now does not mind.
fn sweep(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().split_once('-').is_some_and(|(kind, _)| kind == REMOVED) {
            cleanup::remove_directory(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record;

    fn places() -> (tempfile::TempDir, Places) {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let places = Places { state: at("state"), data: at("data"), logs: at("logs") };
        (top, places)
    }

    fn store(places: &Places) {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.name = Some("files".into());
        claim.metadata.namespace = Some("default".into());
        let objects = Objects::new(places);
        let claim = completed(claim, None).unwrap();
        assert_eq!(claim.metadata.finalizers.as_deref(), Some([PROTECTION.to_owned()].as_slice()));
        objects.store("default", "files", &claim).unwrap();
        let files = objects.claim_directory("default", "files");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("old"), "").unwrap();
    }

    fn is_there(places: &Places) -> bool {
        let found = Objects::new(places).find::<PersistentVolumeClaim>("default", "files");
        found.unwrap().is_some()
    }

    #[test]
    fn a_claim_that_nobody_uses_goes_at_once_and_with_its_files() {
        let (_top, places) = places();
        assert!(ClaimDeletion::request(&places, "default", "files").unwrap().is_none());
        store(&places);
        let deletion = ClaimDeletion::request(&places, "default", "files").unwrap().unwrap();
        assert!(deletion.wait_until(Some(Instant::now())).unwrap());
        assert!(!is_there(&places));
        let left: Vec<_> = fs::read_dir(places.data.join("claims")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        // One of the name that comes now is waited for by nobody.
        store(&places);
        assert!(deletion.wait_until(Some(Instant::now())).unwrap());
    }

    #[test]
    fn a_claim_whose_pod_was_removed_by_somebody_who_was_killed_goes_with_the_next_one() {
        let (_top, places) = places();
        store(&places);
        let dir = places.pod("default", "user");
        fs::create_dir_all(dir.path()).unwrap();
        let pod = |uid: &str| {
            let metadata = serde_json::json!({"name": "user", "namespace": "default", "uid": uid});
            let spec = serde_json::json!({"containers": []}); // without one the record is damaged
            serde_json::from_value(serde_json::json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        let objects = Objects::new(&places);
        let mut claim: PersistentVolumeClaim = objects.find("default", "files").unwrap().unwrap();
        let owner = OwnerReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: "user".into(),
            uid: "1".into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        claim.metadata.owner_references = Some(vec![owner]);
        objects.store("default", "files", &claim).unwrap();
        record::prepare(&dir, &pod("1")).unwrap();
        finish_deletions(&places);
        assert!(is_there(&places), "its pod is there");
        fs::remove_dir_all(dir.path()).unwrap();
        fs::create_dir_all(dir.path()).unwrap();
        record::prepare(&dir, &pod("2")).unwrap();
        finish_deletions(&places);
        assert!(!is_there(&places), "another pod of the name is not its pod");
        assert!(!objects.claim_directory("default", "files").exists());
    }

    #[test]
    fn a_claim_stays_until_its_last_pod_is_gone() {
        let (_top, places) = places();
        store(&places);
        let dir = places.pod("default", "user");
        fs::create_dir_all(dir.path()).unwrap();
        let volumes = serde_json::json!([
            {"name": "v", "persistentVolumeClaim": {"claimName": "files"}}
        ]);
        let pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "user", "namespace": "default"},
            "spec": {"containers": [], "volumes": volumes}
        }));
        record::prepare(&dir, &pod.unwrap()).unwrap();
        let deletion = ClaimDeletion::request(&places, "default", "files").unwrap().unwrap();
        assert!(!deletion.wait_until(Some(Instant::now())).unwrap());
        let claim: PersistentVolumeClaim =
            Objects::new(&places).find("default", "files").unwrap().unwrap();
        assert!(claim.metadata.deletion_timestamp.is_some());
        // Whoever applies it again does not keep it.
        let again = completed(PersistentVolumeClaim::default(), Some(&claim)).unwrap();
        assert_eq!(again.metadata.deletion_timestamp, claim.metadata.deletion_timestamp);
        let waiting = std::thread::spawn(move || {
            deletion.wait_until(Some(Instant::now() + Duration::from_secs(10))).unwrap()
        });
        fs::rename(dir.path(), places.aside(REMOVED, "x")).unwrap();
        finish_deletions(&places);
        assert!(waiting.join().unwrap());
        assert!(!is_there(&places));
        assert!(!Objects::new(&places).claim_directory("default", "files").exists());
    }
}
