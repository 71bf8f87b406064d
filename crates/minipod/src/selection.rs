//! Finds the pod and the container that a command is about.

use k8s_openapi::api::core::v1;
use pod_runner::Pods;
use pod_runner::pods::FoundPod;

use crate::failure::{Failure, Kind, near_match};

/// The pod of that name, which may be written `pod/NAME`.
pub(crate) fn pod(pods: &Pods, namespace: &str, name: &str) -> Result<FoundPod, Failure> {
    let name = name.strip_prefix("pod/").or(name.strip_prefix("pods/")).unwrap_or(name);
    if let Some(found) = pods.find(namespace, name)? {
        return Ok(found);
    }
    Err(not_found(pods, namespace, name))
}

/// That there is no such pod, with the one that may be meant.
pub(crate) fn not_found(pods: &Pods, namespace: &str, name: &str) -> Failure {
    let known = pods.list().unwrap_or_default();
    let names: Vec<&str> =
        known.iter().filter(|found| found.namespace() == namespace).map(FoundPod::name).collect();
    let near = near_match(name, names.iter().copied());
    let elsewhere = known.iter().find(|found| found.name() == name);
    let hint = match (near, elsewhere, names.is_empty()) {
        (Some(near), _, _) => format!("did you mean {near}?"),
        (_, Some(found), _) => format!("-n {}", found.namespace()),
        (_, _, true) => "minipod apply -f FILE creates one".to_owned(),
        _ => format!("minipod get pods shows: {}", names.join(", ")),
    };
    Failure::new(Kind::NotFound, format!("pods \"{name}\" not found")).hint(hint)
}

/// The container a command is about: the one that is named, else the one that the annotation
/// `kubectl.kubernetes.io/default-container` names, else the first main container. The second
/// value tells the user that a choice was made.
pub(crate) fn container(
    pod: &v1::Pod,
    stated: Option<&str>,
) -> Result<(String, Option<String>), Failure> {
    let names = container_names(pod);
    if let Some(stated) = stated {
        if names.iter().any(|name| name == stated) {
            return Ok((stated.to_owned(), None));
        }
        let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
        let text = format!("container {stated} is not valid for pod {pod_name}");
        let near = near_match(stated, names.iter().map(String::as_str));
        let hint = near.map_or_else(
            || format!("its containers are: {}", names.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return Err(Failure::new(Kind::NotFound, text).hint(hint));
    }
    let annotations = pod.metadata.annotations.as_ref();
    let annotated = annotations
        .and_then(|annotations| annotations.get("kubectl.kubernetes.io/default-container"))
        .filter(|name| names.contains(name));
    if let Some(name) = annotated {
        return Ok((name.clone(), None));
    }
    let mains = main_names(pod);
    let first = mains.first().cloned().unwrap_or_default();
    let list: Vec<String> = mains
        .iter()
        .cloned()
        .chain(init_names(pod).into_iter().map(|name| format!("{name} (init)")))
        .collect();
    let note = (list.len() > 1)
        .then(|| format!("Defaulted container \"{first}\" out of: {}\n", list.join(", ")));
    Ok((first, note))
}

/// Main containers, then init containers, as kubectl lists them.
pub(crate) fn container_names(pod: &v1::Pod) -> Vec<String> {
    main_names(pod).into_iter().chain(init_names(pod)).collect()
}

/// Init containers, then main containers: the order in which they start.
pub(crate) fn names_in_start_order(pod: &v1::Pod) -> Vec<String> {
    init_names(pod).into_iter().chain(main_names(pod)).collect()
}

fn main_names(pod: &v1::Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| &spec.containers).map(|container| container.name.clone()).collect()
}

fn init_names(pod: &v1::Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.init_containers.iter().flatten())
        .map(|container| container.name.clone())
        .collect()
}
