//! Finds the pod and the container that a command is about.

use k8s_openapi::api::core::v1;
use pod_api::pods::FoundPod;
use pod_api::{Api, Pods, Selection, containers};
use pod_model::{Object, Unnamed};

use crate::cli::{FileArgs, PlaceArgs};
use crate::commands::places;
use crate::failure::{Failure, Kind, near_match};
use crate::manifest;
use crate::resource::{self, Named};
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

/// What the words of a command line name. Who gives a pod's name where a kind belongs gets a hint.
pub(crate) fn named(args: &PlaceArgs, words: &[String]) -> Result<Vec<Named>, Failure> {
    resource::parse(words).map_err(|failure| {
        let name = words.first().map(String::as_str).unwrap_or_default();
        let pods = Pods::new(&places(args));
        let is_pod = pods.find(&args.namespace, name).is_ok_and(|found| found.is_some());
        failure.maybe_hint(is_pod.then(|| format!("pod/{name}: the kind comes first")))
    })
}

/// The same, or what manifests describe, in their order.
pub(crate) fn named_or_described(
    args: &PlaceArgs,
    words: &[String],
    files: &FileArgs,
    command: &'static str,
) -> Result<Vec<Named>, Failure> {
    if files.file.is_empty() {
        return named(args, words);
    }
    if !words.is_empty() {
        let text = "when paths, URLs, or stdin is provided as resource input, you may not specify \
                    resource arguments as well";
        return Err(Failure::new(Kind::Usage, text));
    }
    let files = manifest::files(&files.file, files.recursive)?;
    let objects = manifest::read_names(&files, args, Unnamed::Refuse(command))?;
    let mut all: Vec<Named> = Vec::new();
    for object in &objects {
        let one = described(object);
        match all.last_mut() {
            Some(last) if (last.resource, &last.namespace) == (one.resource, &one.namespace) => {
                last.names.extend(one.names);
            }
            _ => all.push(one),
        }
    }
    Ok(all)
}

fn described(object: &Object) -> Named {
    let (resource, metadata) = match object {
        Object::Pod(pod) => (Resource::Pod, &pod.object.metadata),
        Object::ConfigMap(map) => (Resource::ConfigMap, &map.metadata),
        Object::Secret(secret) => (Resource::Secret, &secret.metadata),
        Object::PersistentVolumeClaim(claim) => (Resource::Claim, &claim.metadata),
    };
    let names = metadata.name.iter().cloned().collect();
    Named { resource, names, namespace: metadata.namespace.clone() }
}

/// The pod of that name, which may be written `pod/NAME`.
pub(crate) fn pod(pods: &Pods, namespace: &str, name: &str) -> Result<FoundPod, Failure> {
    let name = match name.split_once('/') {
        None => name,
        Some((kind, name)) => match resource::of_word(kind)? {
            Resource::Pod => name,
            _ => return Err(Failure::new(Kind::Usage, "minipod has containers in pods only")),
        },
    };
    if let Some(found) = pods.find(namespace, name)? {
        return Ok(found);
    }
    Err(not_found(pods, namespace, name))
}

/// The same, for logs, which are refused in other words.
pub(crate) fn pod_with_logs(pods: &Pods, namespace: &str, name: &str) -> Result<FoundPod, Failure> {
    pod(pods, namespace, name).map_err(|failure| {
        let bare = name.rsplit('/').next().unwrap_or(name);
        failure.reworded(|kind| {
            let text = format!(
                "error from server (NotFound): pods \"{bare}\" not found in namespace \"{namespace}\""
            );
            (kind == Kind::NotFound).then_some(text)
        })
    })
}

/// The pods with these labels.
pub(crate) fn labelled(
    pods: &Pods,
    namespace: Option<&str>,
    labels: &LabelSelector,
) -> Result<Vec<FoundPod>, Failure> {
    let mut found = pods.list()?;
    found.retain(|found| {
        namespace.is_none_or(|namespace| found.namespace() == namespace)
            && labels.matches(found.pod.metadata.labels.as_ref())
    });
    Ok(found)
}

/// That there is no such pod, with the one that may be meant.
pub(crate) fn not_found(pods: &Pods, namespace: &str, name: &str) -> Failure {
    let known = pods.list().unwrap_or_default();
    let known: Vec<(String, String)> =
        known.iter().map(|one| (one.namespace().to_owned(), one.name().to_owned())).collect();
    missing(Resource::Pod, (namespace, name), &known)
}

/// That there is no such object, with the one that may be meant.
pub(crate) fn object_not_found(
    api: &Api,
    resource: Resource,
    namespace: &str,
    name: &str,
) -> Failure {
    let known = api.list(resource, &Selection::default()).unwrap_or_default();
    let known: Vec<(String, String)> = known
        .iter()
        .map(|object| (object.namespace().to_owned(), object.name().to_owned()))
        .collect();
    missing(resource, (namespace, name), &known)
}

/// That there is no object of that namespace and name, with the one of those known that may be
/// meant.
pub(crate) fn missing(
    resource: Resource,
    (namespace, name): (&str, &str),
    known: &[(String, String)],
) -> Failure {
    let here = known.iter().filter(|(place, _)| place == namespace);
    let names: Vec<&str> = here.map(|(_, name)| name.as_str()).collect();
    let near = near_match(name, names.iter().copied());
    let elsewhere = known.iter().find(|(_, other)| other == name);
    let hint = match (near, elsewhere, names.is_empty()) {
        (Some(near), _, _) => format!("did you mean {near}?"),
        (_, Some((place, _)), _) => format!("-n {place}"),
        (_, _, true) => "minipod apply -f FILE creates one".to_owned(),
        _ => format!("minipod get {} shows: {}", resource.plural(), names.join(", ")),
    };
    let text = format!("{} \"{name}\" not found", resource.plural());
    Failure::server(Kind::NotFound, "NotFound", text).hint(hint)
}

/// The container a command is about, and what is told when it was chosen.
pub(crate) fn container(
    pod: &v1::Pod,
    stated: Option<&str>,
) -> Result<(String, Option<String>), Failure> {
    let stated = stated.filter(|stated| !stated.is_empty());
    containers::choose(pod, stated).map_err(|list| {
        let stated = stated.unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let text = format!("container {stated} is not valid for pod {name} out of: {list}");
        let names = containers::names(pod);
        let near = near_match(stated, names.iter().map(String::as_str));
        let hint = near.map(|near| format!("did you mean {near}?"));
        Failure::new(Kind::NotFound, text).maybe_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kubia(annotations: serde_json::Value) -> v1::Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "kubia-init", "annotations": annotations},
            "spec": {
                "containers": [{"name": "kubia"}, {"name": "envoy"}],
                "initContainers": [{"name": "init-demo"}, {"name": "network-check"}]
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_container_is_chosen_as_kubectl_chooses_it() {
        let list = "kubia, envoy, init-demo (init), network-check (init)";
        let pod = kubia(json!({}));
        assert_eq!(container(&pod, Some("envoy")).unwrap(), ("envoy".into(), None));
        let defaulted = Some(format!("Defaulted container \"kubia\" out of: {list}\n"));
        for stated in [None, Some("")] {
            assert_eq!(container(&pod, stated).unwrap(), ("kubia".into(), defaulted.clone()));
        }
        assert_eq!(
            container(&pod, Some("envy")).unwrap_err().to_string(),
            format!(
                "error: container envy is not valid for pod kubia-init out of: {list}\n  try: did you mean envoy?\n"
            )
        );
        let key = "kubectl.kubernetes.io/default-container";
        let pod = kubia(json!({key: "envoy"}));
        assert_eq!(container(&pod, None).unwrap(), ("envoy".into(), None));
        let note = container(&kubia(json!({key: "gone"})), None).unwrap().1.unwrap();
        assert!(
            note.starts_with("Default container name \"gone\" not found in pod kubia-init\nDefa")
        );
    }

    #[test]
    fn a_missing_object_is_told_with_the_one_that_may_be_meant() {
        let known = [("default", "kubia-init"), ("test", "other")];
        let known = known.map(|(place, name)| (place.to_owned(), name.to_owned()));
        let told = |name| missing(Resource::Pod, ("default", name), &known).to_string();
        assert_eq!(
            told("kubia-int"),
            "Error from server (NotFound): pods \"kubia-int\" not found\n  try: did you mean kubia-init?\n"
        );
        assert!(told("other").ends_with("try: -n test\n"));
        assert!(told("zzzzzz").ends_with("try: minipod get pods shows: kubia-init\n"));
    }
}
