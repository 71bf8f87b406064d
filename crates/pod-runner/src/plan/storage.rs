//! How much a pod may write to the machine's disk, and what is said when it writes more.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use pod_model::{Pod, Quantity};

use super::pod::spec;
use pod_api::MaxPodDisk;

/// The limits on local storage that a manifest states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageLimits {
    /// Volumes of type emptyDir on disk, with their `sizeLimit`.
    pub(crate) volumes: Vec<(String, Limit)>,
    /// Containers with an `ephemeral-storage` limit: what they write, with their logs.
    pub(crate) containers: Vec<(String, Limit)>,
    /// What no manifest states: all that a pod may write (`--max-pod-disk`).
    pub(crate) pod: Option<Limit>,
}

/// A limit with the text that states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) bytes: u64,
    text: String,
}

impl Limit {
    fn of(text: &Text) -> Option<Self> {
        let bytes = u64::try_from(Quantity::parse(&text.0).ok()?.value()).ok()?;
        Some(Self { bytes, text: text.0.clone() })
    }
}

/// What a pod has written, in bytes: each volume and each container by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageUse {
    pub(crate) volumes: Vec<(String, u64)>,
    pub(crate) containers: Vec<(String, u64)>,
}

/// The limits of that pod.
pub(crate) fn storage_limits(pod: &Pod, most: &MaxPodDisk) -> StorageLimits {
    let spec = spec(pod);
    let volumes = spec.volumes.iter().flatten().filter_map(|volume| {
        let source = volume.empty_dir.as_ref()?;
        let is_disk = source.medium.as_deref() != Some("Memory");
        let limit = source.size_limit.as_ref().filter(|_| is_disk).and_then(Limit::of)?;
        Some((volume.name.clone(), limit)).filter(|(_, limit)| limit.bytes > 0)
    });
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let containers = containers.filter_map(|container| {
        let limit = ephemeral_storage(container.resources.as_ref())?;
        Some((container.name.clone(), limit))
    });
    let pod = match most {
        MaxPodDisk::Limit(text) => Limit::of(&Text(text.clone())),
        MaxPodDisk::Auto | MaxPodDisk::Unlimited => None,
    };
    StorageLimits { volumes: volumes.collect(), containers: containers.collect(), pod }
}

/// The pod's volumes of type emptyDir on disk.
pub(crate) fn disk_volumes(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = spec(pod).volumes.iter().flatten();
    let on_disk = volumes.filter(|volume| {
        volume.empty_dir.as_ref().is_some_and(|one| one.medium.as_deref() != Some("Memory"))
    });
    on_disk.map(|volume| volume.name.as_str())
}

fn ephemeral_storage(resources: Option<&ResourceRequirements>) -> Option<Limit> {
    Limit::of(resources?.limits.as_ref()?.get("ephemeral-storage")?)
}

impl StorageLimits {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.containers.is_empty() && self.pod.is_none()
    }

    /// The kubelet's message on the first limit that is exceeded: volumes, then the pod as a whole,
    /// then each container.
    pub(crate) fn exceeded(&self, used: &StorageUse) -> Option<String> {
        let of = |list: &[(String, u64)], name: &str| {
            list.iter().find(|(other, _)| other == name).map_or(0, |(_, bytes)| *bytes)
        };
        for (name, limit) in &self.volumes {
            if of(&used.volumes, name) > limit.bytes {
                let text = &limit.text;
                return Some(format!(
                    "Usage of EmptyDir volume {name:?} exceeds the limit {text:?}. "
                ));
            }
        }
        let total: u64 = used.volumes.iter().chain(&used.containers).map(|(_, bytes)| bytes).sum();
        if let Some(Limit { text, .. }) = self.pod.as_ref().filter(|limit| total > limit.bytes) {
            return Some(format!(
                "Pod ephemeral local storage usage exceeds the limit of --max-pod-disk, {text}. "
            ));
        }
        let most: u64 = self.containers.iter().map(|(_, limit)| limit.bytes).sum();
        if !self.containers.is_empty() && total > most {
            let text = self.total_text(most);
            return Some(format!(
                "Pod ephemeral local storage usage exceeds the total limit of containers {text}. "
            ));
        }
        self.containers.iter().find(|(name, limit)| of(&used.containers, name) > limit.bytes).map(
            |(name, limit)| {
                let text = &limit.text;
                format!("Container {name} exceeded its local ephemeral storage limit {text:?}. ")
            },
        )
    }

    /// The sum of the containers' limits, as one of them states it if it is the only one.
    fn total_text(&self, bytes: u64) -> String {
        if let [(_, limit)] = self.containers.as_slice() {
            return limit.text.clone();
        }
        let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
        let whole =
            units.iter().find(|(shift, _)| bytes.is_multiple_of(1_u64 << shift) && bytes > 0);
        whole.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> StorageLimits {
        let limit = |text: &str| Limit::of(&Text(text.to_owned())).unwrap();
        StorageLimits {
            volumes: vec![("scratch".into(), limit("10Mi"))],
            containers: vec![("a".into(), limit("1Mi")), ("b".into(), limit("2Mi"))],
            pod: None,
        }
    }

    fn said(volume: u64, a: u64, b: u64) -> Option<String> {
        let volumes = vec![("scratch".into(), volume << 20)];
        let containers = vec![("a".into(), a << 20), ("b".into(), b << 20)];
        limits().exceeded(&StorageUse { volumes, containers })
    }

    #[test]
    fn what_is_within_its_limits_stays() {
        assert_eq!(said(0, 1, 2), None);
    }

    #[test]
    fn a_volume_over_its_limit_evicts_first() {
        let text = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"10Mi\". ";
        assert_eq!(said(11, 5, 5).as_deref(), Some(text));
    }

    #[test]
    fn volumes_and_containers_together_have_the_containers_limits() {
        let text = "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ";
        assert_eq!(said(3, 1, 0).as_deref(), Some(text));
    }

    #[test]
    fn a_pod_over_the_limit_of_every_pod_evicts() {
        let most = Limit::of(&Text("5Mi".into()));
        let limits = StorageLimits { pod: most, ..StorageLimits::default() };
        let used = |mebibytes: u64| StorageUse {
            volumes: vec![("v".into(), 3 << 20)],
            containers: vec![("a".into(), mebibytes << 20)],
        };
        assert_eq!(limits.exceeded(&used(2)), None);
        let text = "Pod ephemeral local storage usage exceeds the limit of --max-pod-disk, 5Mi. ";
        assert_eq!(limits.exceeded(&used(3)).as_deref(), Some(text));
        assert!(!limits.is_empty());
    }

    #[test]
    fn a_container_over_its_own_limit_evicts() {
        let text = "Container a exceeded its local ephemeral storage limit \"1Mi\". ";
        assert_eq!(said(0, 2, 0).as_deref(), Some(text));
    }
}
