//! The quality-of-service class of a pod (Kubernetes: `qosClass`).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::pod_resources;
use crate::quantity::Quantity;

/// How well a pod's use of resources is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Every container has limits for processor and memory that equal its requests.
    Guaranteed,
    /// Some container asks for something.
    Burstable,
    /// No container asks for anything.
    BestEffort,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

/// The class of a pod: by its own resources, else by those of all its containers.
pub fn qos_class(pod: &v1::Pod) -> QosClass {
    let spec = pod.spec.as_ref();
    let resources: Vec<Option<&v1::ResourceRequirements>> = match spec.and_then(pod_resources::own)
    {
        Some(own) => vec![Some(own)],
        None => spec.into_iter().flat_map(containers).map(|one| one.resources.as_ref()).collect(),
    };
    if resources.iter().all(|one| asks_for_nothing(*one)) {
        QosClass::BestEffort
    } else if resources.iter().all(|one| is_guaranteed(*one)) {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

fn containers(spec: &v1::PodSpec) -> impl Iterator<Item = &v1::Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

fn asks_for_nothing(resources: Option<&v1::ResourceRequirements>) -> bool {
    let lists = resources.iter().flat_map(|one| [one.requests.as_ref(), one.limits.as_ref()]);
    !lists.flatten().any(|list| {
        ["cpu", "memory"].iter().any(|name| amount(Some(list), name).is_some_and(|one| one != 0))
    })
}

fn is_guaranteed(resources: Option<&v1::ResourceRequirements>) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        let limit = amount(resources.and_then(|one| one.limits.as_ref()), name);
        let request = amount(resources.and_then(|one| one.requests.as_ref()), name);
        limit.is_some_and(|limit| limit != 0 && request.is_none_or(|request| request == limit))
    })
}

fn amount(list: Option<&BTreeMap<String, Text>>, name: &str) -> Option<i128> {
    Quantity::parse(&list?.get(name)?.0).ok().map(Quantity::milli)
}
