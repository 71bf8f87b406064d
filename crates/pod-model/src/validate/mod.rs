//! Kubernetes' rules with its sentences, in the order in which its API server looks at them.

mod container;
mod env;
mod findings;
mod formats;
mod metadata;
mod mounts;
mod objects;
mod path;
mod pod;
mod ports;
mod probe;
mod projected;
mod resources;
mod restart;
mod scheduling;
mod security;
mod volume;

use k8s_openapi::api::core::v1::Pod;

pub(crate) use findings::Findings;
pub use formats::{label_key, label_value};
pub(crate) use objects::{claim, config_map, secret};
pub(crate) use path::{Part, Path};

/// Everything that is wrong with the pod.
pub(crate) fn check(pod: &Pod, findings: &mut Findings) {
    metadata::check(&pod.metadata, findings);
    match &pod.spec {
        Some(spec) => pod::check(spec, pod.metadata.name.as_deref().unwrap_or_default(), findings),
        None => findings.required(&Path::root("spec"), ""),
    }
}
