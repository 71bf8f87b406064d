//! Rules about requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::findings::Findings;
use super::formats;
use super::path::Path;
use crate::quantity::Quantity;

/// The resources of a container, or of a pod as a whole.
pub(super) fn check(resources: &ResourceRequirements, path: &Path, findings: &mut Findings) {
    let limits = resources.limits.as_ref();
    for (name, text) in limits.into_iter().flatten() {
        check_one(name, text, &path.child("limits").key(name), findings);
    }
    let requests = path.child("requests");
    for (name, text) in resources.requests.iter().flatten() {
        check_one(name, text, &requests.key(name), findings);
        let limit = limits.and_then(|limits| limits.get(name));
        findings.placed(&requests.key(name), |findings| {
            check_request(name, text, limit, path, findings);
        });
    }
    check_huge_pages(resources, path, findings);
}

/// A quantity that is not negative, of a resource that exists.
pub(super) fn check_one(name: &str, text: &Text, path: &Path, findings: &mut Findings) {
    check_name(name, path, findings);
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
