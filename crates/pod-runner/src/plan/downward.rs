//! What a pod may learn about itself (Kubernetes: downward API).

use std::fmt::Write;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use pod_model::{Quantity, pod_resources};

use super::pod::spec;
use super::{PlanError, PlanInput, container_named};

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

/// The value of a `resourceFieldRef`: the quantity in units of the divisor, rounded up. It is of
/// the container that the reference names, else of the container whose variable it is.
pub(crate) fn resource(
    input: &PlanInput<'_>,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
) -> Result<String, PlanError> {
    let name = selector.container_name.as_deref().unwrap_or_default();
    let container = if name.is_empty() { own } else { container_named(input.pod, name) };
    let container = container.ok_or_else(|| PlanError::NoContainer { name: name.to_owned() })?;
    let (list, resource) = selector.resource.split_once('.').unwrap_or(("", ""));
    let resources = container.resources.as_ref();
    let stated = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        _ => resources.and_then(|resources| resources.requests.as_ref()),
    };
    let stated = stated.and_then(|list| list.get(resource)).map(|quantity| quantity.0.as_str());
    let milli = match (stated.and_then(|text| Quantity::parse(text).ok()), list) {
        (Some(quantity), _) => quantity.milli(),
        (None, "limits") => {
            let of_pod = pod_limit(input, resource).map(Quantity::milli);
            of_pod.unwrap_or_else(|| input.node_capacity(resource))
        }
        (None, _) => 0,
    };
    let divisor = selector.divisor.as_ref().and_then(|text| Quantity::parse(&text.0).ok());
    let divisor = divisor.map(Quantity::milli).filter(|divisor| *divisor > 0).unwrap_or(1000);
    let rest = i128::from(milli.rem_euclid(divisor) > 0);
    Ok((milli.div_euclid(divisor) + rest).to_string())
}

/// The limit of the pod as a whole.
fn pod_limit(input: &PlanInput<'_>, resource: &str) -> Option<Quantity> {
    let limits = pod_resources::own(spec(input.pod))?.limits.as_ref()?;
    Quantity::parse(&limits.get(resource)?.0).ok()
}

/// How many bytes the file system holds that a path of minipod's own is or will be on.
pub(super) fn file_system_size(path: &Path) -> u64 {
    let sizes = path.ancestors().filter_map(|path| rustix::fs::statvfs(path).ok());
    sizes.map(|found| found.f_blocks.saturating_mul(found.f_frsize)).next().unwrap_or(0)
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
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control.is_control() => {
                let code = u32::from(control);
                // A String takes it all.
                let _ = match code {
                    0x80.. => write!(quoted, "\\u{code:04x}"),
                    _ => write!(quoted, "\\x{code:02x}"),
                };
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_as_go_quotes_them() {
        let labels = [("b", "line\nbreak\u{7}\u{1b}\u{85}"), ("a", "\"q\" \\ ü")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let text = lines(Some(&labels.into_iter().collect()));
        assert_eq!(text, "a=\"\\\"q\\\" \\\\ ü\"\nb=\"line\\nbreak\\a\\x1b\\u0085\"");
    }
}
