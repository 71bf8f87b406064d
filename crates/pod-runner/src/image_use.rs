//! Which images the pods of this machine use.

use image_puller::{Digest, PullOptions, Reference, Store, StoreError};
use k8s_openapi::api::core::v1;
use thiserror::Error;

use pod_api::places::Places;
use pod_api::pods::{FoundPod, Pods, PodsError};

/// A pod and its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUser {
    /// Its name; with the namespace before it where that is not `default`.
    pub pod: String,
    /// Digests of the images' manifests or indexes.
    pub images: Vec<Digest>,
}

/// Why it is not known which images are used.
#[derive(Debug, Error)]
pub enum ImageUseError {
    /// The pods.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every pod with the images that it runs, and with those that it would take now: a pod that is
/// only coming into being has its images already.
pub fn users(places: &Places, store: &Store) -> Result<Vec<ImageUser>, ImageUseError> {
    let mut users = Vec::new();
    // What is wrong with the configuration is told by whoever pulls.
    let options = PullOptions::from_environment().ok();
    let full_names = |name: &str| -> Vec<Reference> {
        let Ok(reference) = Reference::parse(name) else { return Vec::new() };
        let others = options.as_ref().and_then(|options| options.candidates(&reference).ok());
        std::iter::once(reference).chain(others.into_iter().flatten()).collect()
    };
    for found in Pods::new(places).list()? {
        let mut images: Vec<Digest> = running(&found.pod).collect();
        for reference in named(&found.pod).flat_map(full_names) {
            images.extend(store.manifest_of(&reference)?);
        }
        images.sort();
        images.dedup();
        users.push(ImageUser { pod: name_of(&found), images });
    }
    Ok(users)
}

fn name_of(found: &FoundPod) -> String {
    match found.namespace() {
        "default" => found.name().to_owned(),
        namespace => format!("{namespace}/{}", found.name()),
    }
}

/// `imageID` of all containers: `repository@digest`.
fn running(pod: &v1::Pod) -> impl Iterator<Item = Digest> {
    let status = pod.status.iter();
    let all = status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    all.filter_map(|container| Digest::parse(container.image_id.rsplit('@').next()?).ok())
}

/// The names of the images in the manifest.
fn named(pod: &v1::Pod) -> impl Iterator<Item = &str> {
    let specs = pod.spec.iter();
    specs.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        let containers = init.chain(&spec.containers).filter_map(|one| one.image.as_deref());
        let volumes = spec.volumes.iter().flatten().filter_map(|one| one.image.as_ref());
        containers.chain(volumes.filter_map(|one| one.reference.as_deref()))
    })
}
