//! Rules about requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::findings::Findings;
use super::formats;
use super::path::Path;
use crate::pod_resources;
use crate::quantity::Quantity;

/// Judges the name of a resource.
type CheckName = fn(&str, &Path, &mut Findings);

/// The resources of a container.
pub(super) fn check(resources: &ResourceRequirements, path: &Path, findings: &mut Findings) {
    check_lists(resources, check_name, path, findings);
}

/// The resources of a pod as a whole.
pub(super) fn check_pod(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let Some(own) = &spec.resources else {
        return;
    };
    check_lists(own, check_pod_name, path, findings);
    for (name, together) in pod_resources::requests_of_containers(spec) {
        let Some(asked) = own.requests.as_ref().and_then(|requests| requests.get(&name)) else {
            continue;
        };
        if is_more(&together, asked) {
            let why = format!(
                "must be greater than or equal to aggregate container requests of {}",
                together.0
            );
            findings.invalid(&path.child("requests").key(&name), &asked.0, &why);
        }
    }
    for (at, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let most = own.limits.as_ref().and_then(|limits| limits.get(name));
            let Some(most) = most.filter(|most| is_more(limit, most)) else {
                continue;
            };
            // Kubernetes names a field here that no manifest has.
            let shown = path.child("containers").index(at).key(name).child("limits");
            let limits = Path::root("spec").child("containers").index(at).child("resources");
            findings.placed(&limits.child("limits").key(name), |findings| {
                let why = format!("must be less than or equal to pod limits of {}", most.0);
                findings.invalid(&shown, &limit.0, &why);
            });
        }
    }
}

fn is_more(amount: &Text, other: &Text) -> bool {
    matches!((Quantity::parse(&amount.0), Quantity::parse(&other.0)), (Ok(a), Ok(b)) if a > b)
}

fn check_lists(
    resources: &ResourceRequirements,
    check_name: CheckName,
    path: &Path,
    findings: &mut Findings,
) {
    let limits = resources.limits.as_ref();
    for (name, text) in limits.into_iter().flatten() {
        let path = path.child("limits").key(name);
        check_name(name, &path, findings);
        check_amount(name, text, &path, findings);
        if is_extended(name) {
            findings.warn(&path, "the container gets no device: there are no device plug-ins");
        }
    }
    let requests = path.child("requests");
    for (name, text) in resources.requests.iter().flatten() {
        check_name(name, &requests.key(name), findings);
        check_amount(name, text, &requests.key(name), findings);
        let limit = limits.and_then(|limits| limits.get(name));
        findings.placed(&requests.key(name), |findings| {
            check_request(name, text, limit, path, findings);
        });
    }
    check_huge_pages(resources, path, findings);
}

/// A quantity that is not negative.
fn check_amount(name: &str, text: &Text, path: &Path, findings: &mut Findings) {
    let Ok(quantity) = Quantity::parse(&text.0) else {
        return; // the decoder has said it
    };
    if quantity.is_negative() {
        findings.invalid(path, &text.0, "must be greater than or equal to 0");
    }
    if !quantity.is_whole() && is_extended(name) {
        findings.invalid(path, &text.0, "must be an integer");
    } else if !quantity.is_whole() && matches!(name, "memory" | "ephemeral-storage") {
        let why = format!("fractional byte value {:?} is invalid, must be an integer", text.0);
        findings.warn(path, &why);
        findings.hint("m is a thousandth; mebibytes are Mi");
    }
}

fn check_name(name: &str, path: &Path, findings: &mut Findings) {
    let wrong = formats::label_key(name);
    findings.invalid_each(path, name, &wrong);
    if !wrong.is_empty() {
        return;
    }
    let is_standard =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !name.contains('/') && !is_standard {
        findings.invalid(path, name, "must be a standard resource type or fully qualified");
        if let Some(near) = crate::problem::near(name, ["cpu", "memory", "ephemeral-storage"]) {
            findings.hint(&format!("did you mean \"{near}\"?"));
        }
        findings.invalid(path, name, "must be a standard resource for containers");
    }
}

/// Few resources can be given to a pod as a whole.
fn check_pod_name(name: &str, path: &Path, findings: &mut Findings) {
    let wrong = formats::label_key(name);
    findings.invalid_each(path, name, &wrong);
    if !wrong.is_empty() || pod_resources::is_for_pods(name) {
        return;
    }
    if name.contains('/') || name == "ephemeral-storage" {
        findings.one_of(path, name, &["cpu", "hugepages-", "memory"]);
    } else {
        findings.invalid(path, name, "must be a standard resource type or fully qualified");
        if let Some(near) = crate::problem::near(name, ["cpu", "memory"]) {
            findings.hint(&format!("did you mean \"{near}\"?"));
        }
    }
}

fn check_request(
    name: &str,
    text: &Text,
    limit: Option<&Text>,
    path: &Path,
    findings: &mut Findings,
) {
    let requests = path.child("requests");
    let can_overcommit = matches!(name, "cpu" | "memory" | "ephemeral-storage");
    let Some(limit) = limit else {
        if !can_overcommit {
            let why = "Limit must be set for non overcommitable resources";
            findings.required(&path.child("limits"), why);
        }
        return;
    };
    let (Ok(amount), Ok(most)) = (Quantity::parse(&text.0), Quantity::parse(&limit.0)) else {
        return; // the decoder has said it
    };
    if amount != most && !can_overcommit {
        let why = format!("must be equal to {name} limit of {}", limit.0);
        findings.invalid(&requests, &text.0, &why);
    } else if amount > most {
        let why = format!("must be less than or equal to {name} limit of {}", limit.0);
        findings.invalid(&requests, &text.0, &why);
    }
}

fn check_huge_pages(resources: &ResourceRequirements, path: &Path, findings: &mut Findings) {
    let lists = [resources.limits.as_ref(), resources.requests.as_ref()];
    let names = || lists.into_iter().flatten().flat_map(BTreeMap::keys);
    let has_huge_pages = names().any(|name| name.starts_with("hugepages-"));
    let has_others = names().any(|name| matches!(name.as_str(), "cpu" | "memory"));
    if has_huge_pages && !has_others {
        findings.forbidden(path, "HugePages require cpu or memory");
    }
}

/// A resource of some vendor.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}
