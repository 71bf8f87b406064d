//! The annotations that came before the fields: `container.apparmor.security.beta.kubernetes.io/CONTAINER`
//! means `securityContext.appArmorProfile` of that container, as an API server says.

use crate::yaml::{Key, Node, Place, Value};

const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Sets the field of each container whose annotation says what it does not say itself. An
/// annotation for a container that the pod does not have means nothing.
pub(crate) fn annotations_to_fields(pod: &mut Node) {
    let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let Some(Value::Map(entries)) = annotations.map(|node| node.value.clone()) else {
        return;
    };
    for (key, node) in &entries {
        let (Some(name), Some(text)) = (key.name.strip_prefix(PREFIX), node.text()) else {
            continue;
        };
        if let Some(profile) = profile(text, key.place) {
            set(pod, name, profile);
        }
    }
}

/// The field that the value of an annotation stands for.
fn profile(text: &str, place: Place) -> Option<Node> {
    let (kind, name) = match text.split_once('/') {
        None if text == "unconfined" => ("Unconfined", None),
        Some(("runtime", "default")) => ("RuntimeDefault", None),
        Some(("localhost", name)) => ("Localhost", Some(name)),
        _ => return None,
    };
    let field = |name: &str, text: &str| {
        let value = Value::Text(text.to_owned());
        (Key { place, name: name.to_owned() }, Node { place, value })
    };
    let mut fields = vec![field("type", kind)];
    fields.extend(name.map(|name| field("localhostProfile", name)));
    Some(Node { place, value: Value::Map(fields) })
}

fn set(pod: &mut Node, container: &str, profile: Node) {
    let place = profile.place;
    let spec = pod.get_mut("spec");
    let Some(Value::Map(spec)) = spec.map(|node| &mut node.value) else {
        return;
    };
    let lists = spec
        .iter_mut()
        .filter(|(key, _)| ["containers", "initContainers"].contains(&key.name.as_str()));
    let items = lists.filter_map(|(_, node)| match &mut node.value {
        Value::List(items) => Some(items),
        _ => None,
    });
    let mut all = items.flatten();
    let named = |item: &&mut Node| item.get("name").and_then(Node::text) == Some(container);
    let Some(Value::Map(fields)) = all.find(named).map(|node| &mut node.value) else {
        return;
    };
    if !fields.iter().any(|(key, _)| key.name == "securityContext") {
        let key = Key { place, name: "securityContext".to_owned() };
        fields.push((key, Node { place, value: Value::Map(Vec::new()) }));
    }
    let context = fields.iter_mut().find(|(key, _)| key.name == "securityContext");
    let Some(context) = context.map(|(_, node)| node) else {
        return;
    };
    if context.value == Value::Null {
        context.value = Value::Map(Vec::new());
    }
    if context.get("appArmorProfile").is_none()
        && let Value::Map(fields) = &mut context.value
    {
        fields.push((Key { place, name: "appArmorProfile".to_owned() }, profile));
    }
}
