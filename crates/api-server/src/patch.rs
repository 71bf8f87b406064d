//! Patches of objects, in the three forms that change one.

use serde_json::{Map, Value};

use crate::respond::Failed;

/// The object with the patch applied.
pub(crate) fn apply(kind: &str, object: &Value, patch: &[u8]) -> Result<Value, Failed> {
    let wrong = |error: &dyn std::error::Error| Failed::bad_request(error.to_string());
    let mut patched = object.clone();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => {
            let patch: Value = serde_json::from_slice(patch).map_err(|error| wrong(&error))?;
            json_patch::merge(&mut patched, &patch);
        }
        "application/json-patch+json" => {
            let patch: json_patch::Patch =
                serde_json::from_slice(patch).map_err(|error| wrong(&error))?;
            json_patch::patch(&mut patched, &patch).map_err(|error| {
                let text = format!(
                    "the server rejected our request due to an error in our request: {error}"
                );
                Failed::new(422, "Invalid", text)
            })?;
        }
        "application/strategic-merge-patch+json" => {
            let patch: Value = serde_json::from_slice(patch).map_err(|error| wrong(&error))?;
            strategic(&mut patched, &patch, "");
        }
        other => {
            let text = format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, \
                 application/strategic-merge-patch+json (not {other:?})"
            );
            return Err(Failed::new(415, "UnsupportedMediaType", text));
        }
    }
    Ok(patched)
}

/// The lists whose elements a strategic merge patch finds by a key (Kubernetes: `patchMergeKey`).
const KEYED: [(&str, &str); 20] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("imagePullSecrets", "name"),
    ("schedulingGates", "name"),
    ("volumes", "name"),
    ("resourceClaims", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("conditions", "type"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
    ("ownerReferences", "uid"),
    ("secrets", "name"),
    ("addresses", "type"),
    ("containerStatuses", "name"),
];

fn key_of(list: &str) -> Option<&'static str> {
    KEYED.iter().find(|(known, _)| *known == list).map(|(_, key)| *key)
}

/// Whether a list of that name is a set of values that are merged one by one.
fn is_set(list: &str) -> bool {
    list == "finalizers"
}

/// Applies a strategic merge patch (Kubernetes: `strategicpatch`).
fn strategic(target: &mut Value, patch: &Value, name: &str) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_maps(target, patch),
        (Value::Array(target), Value::Array(patch)) if key_of(name).is_some() => {
            merge_lists(target, patch, key_of(name).unwrap_or_default());
        }
        (Value::Array(target), Value::Array(patch)) if is_set(name) => {
            for value in patch {
                if !target.contains(value) {
                    target.push(value.clone());
                }
            }
        }
        (target, patch) => *target = without_directives(patch),
    }
}

fn merge_maps(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = patch.iter().filter(|(key, _)| *key != "$patch").map(owned).collect();
            return;
        }
        Some("delete") => {
            target.clear();
            return;
        }
        _ => {}
    }
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(known)) = target.get_mut(list) {
                known.retain(|one| !gone.contains(one));
            }
        } else if key.starts_with('$') {
            // The order is set when everything is there.
        } else if value.is_null() {
            target.remove(key);
        } else if let Some(known) = target.get_mut(key) {
            strategic(known, value, key);
        } else {
            target.insert(key.clone(), without_directives(value));
        }
    }
    for (key, order) in patch {
        let list = key.strip_prefix("$setElementOrder/");
        if let (Some(list), Some(order)) = (list, order.as_array())
            && let Some(Value::Array(known)) = target.get_mut(list)
        {
            sort_as(known, order, key_of(list));
        }
    }
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn merge_lists(target: &mut Vec<Value>, patch: &[Value], key: &str) {
    if patch.iter().any(|one| one["$patch"] == "replace") {
        target.clear();
    }
    for one in patch.iter().filter(|one| one["$patch"] != "replace") {
        let at = target.iter().position(|known| known[key] == one[key]);
        match at {
            Some(at) if one["$patch"] == "delete" => drop(target.remove(at)),
            Some(at) => strategic(&mut target[at], one, ""),
            None if one["$patch"] == "delete" => {}
            None => target.push(without_directives(one)),
        }
    }
}

/// Elements in the order of that list; those that it does not name stay behind what they followed.
fn sort_as(list: &mut [Value], order: &[Value], key: Option<&str>) {
    let place = |value: &Value| {
        order.iter().position(|one| match key {
            Some(key) => one[key] == value[key],
            None => one == value,
        })
    };
    let mut last = 0;
    let mut ranks = Vec::with_capacity(list.len());
    for value in list.iter() {
        last = place(value).map_or(last, |place| place + 1);
        ranks.push(last);
    }
    let mut sorted: Vec<(usize, Value)> = ranks.into_iter().zip(list.iter().cloned()).collect();
    sorted.sort_by_key(|(rank, _)| *rank);
    for (place, (_, value)) in list.iter_mut().zip(sorted) {
        *place = value;
    }
}

/// A value that is new: what it says about merging has no meaning then.
fn without_directives(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_directives(value))).collect()
        }
        Value::Array(list) => {
            let kept = list.iter().filter(|one| one["$patch"] != "delete");
            kept.map(without_directives).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(value: &Value) -> Value {
        json!({"metadata": {"labels": value}})
    }

    const STRATEGIC: &str = "application/strategic-merge-patch+json";

    fn patched(object: &Value, patch: &Value) -> Value {
        apply(STRATEGIC, object, patch.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_strategic_patch_finds_elements_by_their_keys() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "image": "i:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
             "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "i:1"},
        ]}});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"$setElementOrder/env": [{"name": "A"}],
                "env": [{"$patch": "delete", "name": "B"}], "name": "a", "ports": null}],
        }});
        let wanted = json!({"spec": {"containers": [
            {"name": "b", "image": "i:1"},
            {"name": "a", "image": "i:1", "env": [{"name": "A", "value": "1"}]},
        ]}});
        assert_eq!(patched(&pod, &patch), wanted);
    }

    #[test]
    fn an_element_that_the_order_does_not_name_stays_where_it_was() {
        let object = json!({"env": [{"name": "a"}, {"name": "x"}, {"name": "b"}]});
        let patch = json!({"$setElementOrder/env": [{"name": "b"}, {"name": "a"}]});
        let wanted = json!({"env": [{"name": "b"}, {"name": "a"}, {"name": "x"}]});
        assert_eq!(patched(&object, &patch), wanted);
    }

    #[test]
    fn directives_replace_delete_and_retain() {
        let object = json!({"a": {"x": 1, "y": 2}, "finalizers": ["one", "two"]});
        let replace = json!({"a": {"$patch": "replace", "z": 3}});
        assert_eq!(patched(&object, &replace)["a"], json!({"z": 3}));
        let retain = json!({"a": {"$retainKeys": ["y", "z"], "z": 3}});
        assert_eq!(patched(&object, &retain)["a"], json!({"y": 2, "z": 3}));
        let without =
            json!({"$deleteFromPrimitiveList/finalizers": ["one"], "finalizers": ["three"]});
        assert_eq!(patched(&object, &without)["finalizers"], json!(["two", "three"]));
        assert_eq!(patched(&object, &json!({"a": null})), json!({"finalizers": ["one", "two"]}));
        let new =
            json!({"b": {"list": [{"$patch": "delete", "name": "x"}], "$retainKeys": ["list"]}});
        assert_eq!(patched(&json!({}), &new), json!({"b": {"list": []}}));
    }

    #[test]
    fn json_patches_are_those_of_their_rfcs() {
        let object = labels(&json!({"a": "1", "b": "2"}));
        let merge = labels(&json!({"a": null, "c": "3"})).to_string();
        let merged = apply("application/merge-patch+json", &object, merge.as_bytes()).unwrap();
        assert_eq!(merged, labels(&json!({"b": "2", "c": "3"})));
        let patch =
            json!([{"op": "replace", "path": "/metadata/labels/a", "value": "9"}]).to_string();
        let kind = "application/json-patch+json; charset=utf-8";
        let patched = apply(kind, &object, patch.as_bytes()).unwrap();
        assert_eq!(patched["metadata"]["labels"]["a"], "9");
        let wrong = json!([{"op": "remove", "path": "/none"}]).to_string();
        assert!(apply(kind, &object, wrong.as_bytes()).unwrap_err().is("Invalid"));
        assert!(apply("text/plain", &object, b"").unwrap_err().is("UnsupportedMediaType"));
    }
}
