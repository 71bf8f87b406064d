//! What an API server adds to each pod, and `kubectl get pod -o yaml` therefore shows: a volume with
//! the token of the pod's service account.

use crate::yaml::{Node, Place, Value};

const PREFIX: &str = "kube-api-access-";

/// The pod without the volume and its mounts, and the places of what was taken out, if a server
/// has added some.
pub(crate) fn taken_out(pod: &Node) -> Option<(Node, Vec<Place>)> {
    let volumes = items(pod.get("spec")?.get("volumes")?);
    let added = |volume: &&Node| is_added(volume);
    let places: Vec<Place> = volumes.iter().filter(added).map(|volume| volume.place).collect();
    if places.is_empty() {
        return None;
    }
    let names: Vec<String> = volumes.iter().filter(added).filter_map(name).collect();
    let mut pod = pod.clone();
    let spec = below(&mut pod, "spec")?;
    if let Some(volumes) = below(spec, "volumes") {
        retain(volumes, |volume| !is_added(volume));
    }
    for kind in ["initContainers", "containers"] {
        let Some(Value::List(containers)) = below(spec, kind).map(|list| &mut list.value) else {
            continue;
        };
        for container in containers {
            if let Some(mounts) = below(container, "volumeMounts") {
                retain(mounts, |mount| name(mount).is_none_or(|name| !names.contains(&name)));
            }
        }
    }
    Some((pod, places))
}

/// Whether a volume is one that only a server makes.
fn is_added(volume: &Node) -> bool {
    let sources = volume.get("projected").and_then(|projected| projected.get("sources"));
    let has_token = sources.is_some_and(|sources| {
        items(sources).iter().any(|source| source.get("serviceAccountToken").is_some())
    });
    has_token && name(volume).is_some_and(|name| name.starts_with(PREFIX))
}

fn name(node: &Node) -> Option<String> {
    node.get("name").and_then(Node::text).map(str::to_owned)
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

fn below<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node)
        }
        _ => None,
    }
}

fn retain(list: &mut Node, is_kept: impl Fn(&Node) -> bool) {
    if let Value::List(items) = &mut list.value {
        items.retain(is_kept);
    }
}
