//! What a pod may learn about itself (Kubernetes: downward API).

use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use pod_model::Quantity;

use super::PlanInput;

/// The value of a `fieldRef`.
pub(crate) fn field(input: &PlanInput<'_>, path: &str) -> String {
    let metadata = &input.pod.object.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            _ => &metadata.annotations,
        };
        return map.as_ref().and_then(|map| map.get(key).cloned()).unwrap_or_default();
    }
    match path {
        "metadata.name" => input.pod.name.to_string(),
        "metadata.namespace" => input.pod.namespace.clone(),
        "metadata.uid" => input.pod.uid.to_string(),
        "metadata.labels" => lines(metadata.labels.as_ref()),
        "metadata.annotations" => lines(metadata.annotations.as_ref()),
        "spec.nodeName" => input.node_name.to_owned(),
        "spec.serviceAccountName" => {
            let spec = input.pod.object.spec.as_ref();
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.hostIP" | "status.hostIPs" => input.host_ip.to_owned(),
        "status.podIP" => input.pod_ips.first().map(ToString::to_string).unwrap_or_default(),
        "status.podIPs" => {
            let ips: Vec<String> = input.pod_ips.iter().map(ToString::to_string).collect();
            ips.join(",")
        }
        _ => String::new(), // validation knows the paths
    }
}

/// The value of a `resourceFieldRef`: the quantity in units of the divisor, rounded up.
pub(crate) fn resource(
    input: &PlanInput<'_>,
    container: &Container,
    selector: &ResourceFieldSelector,
) -> String {
    let (list, resource) = selector.resource.split_once('.').unwrap_or(("", ""));
    let resources = container.resources.as_ref();
    let stated = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        _ => resources.and_then(|resources| resources.requests.as_ref()),
    };
    let stated = stated.and_then(|list| list.get(resource)).map(|quantity| quantity.0.as_str());
    let milli = match (stated.and_then(|text| Quantity::parse(text).ok()), list) {
        (Some(quantity), _) => quantity.milli(),
        (None, "limits") => input.node_capacity(resource),
        (None, _) => 0,
    };
    let divisor = selector.divisor.as_ref().and_then(|text| Quantity::parse(&text.0).ok());
    let divisor = divisor.map(Quantity::milli).filter(|divisor| *divisor > 0);
    (milli.div_euclid(divisor.unwrap_or(1000))
        + i128::from(milli.rem_euclid(divisor.unwrap_or(1000)) > 0))
    .to_string()
}

/// `metadata.labels['key']` as `metadata.labels` and `key`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// `key="value"` lines, sorted by key.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let mut text = String::new();
    for (key, value) in map.into_iter().flatten() {
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{separator}{key}={}", go_quoted(value)); // a String takes it all
    }
    text
}

/// A string in double quotes as Go's `%q` writes it.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(control)); // a String takes it all
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
