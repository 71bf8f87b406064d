//! Which kinds there are, in the two forms that clients ask for.

use http::StatusCode;
use serde_json::{Value, json};

use crate::kinds::KINDS;
use crate::respond::{Answer, bytes, document};

/// The Kubernetes version whose API this is.
const MINOR: &str = "36";

/// `/version`
pub(crate) fn version(own: &str) -> Answer {
    document(
        StatusCode::OK,
        &json!({
            "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0-minipod.{own}"),
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "", "compiler": "rustc",
            "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
        }),
    )
}

/// `/api` and `/apis`: in one document with all kinds for those who know that form, else the
/// versions or groups alone.
pub(crate) fn index(accept: &str, is_core: bool) -> Answer {
    for part in accept.split(',').map(str::trim) {
        let version = match part {
            _ if !part.contains("as=APIGroupDiscoveryList") => {
                if part.starts_with("application/json") || part.starts_with("*/*") {
                    break;
                }
                continue;
            }
            _ if part.contains("v=v2beta1") => "v2beta1",
            _ if part.contains("v=v2") => "v2",
            _ => continue,
        };
        return aggregated(version, is_core);
    }
    let legacy = if is_core {
        json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    } else {
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
    };
    document(StatusCode::OK, &legacy)
}

fn aggregated(version: &str, is_core: bool) -> Answer {
    let resources: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            let mut resource = json!({
                "resource": kind.plural,
                "singularResource": kind.singular,
                "scope": if kind.is_namespaced { "Namespaced" } else { "Cluster" },
                "responseKind": {"group": "", "version": "v1", "kind": kind.name},
                "verbs": kind.verbs,
            });
            if !kind.short.is_empty() {
                resource["shortNames"] = json!(kind.short);
            }
            if !kind.categories.is_empty() {
                resource["categories"] = json!(kind.categories);
            }
            resource
        })
        .collect();
    let items = if is_core {
        json!([{"metadata": {"creationTimestamp": null},
            "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]}])
    } else {
        json!([])
    };
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let kind =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    bytes(StatusCode::OK, &kind, list.to_string())
}

/// `/api/v1`
pub(crate) fn core() -> Answer {
    let resources: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            json!({
                "name": kind.plural, "singularName": kind.singular, "namespaced": kind.is_namespaced,
                "kind": kind.name, "verbs": kind.verbs, "shortNames": kind.short,
                "categories": kind.categories,
            })
        })
        .collect();
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources,
    });
    document(StatusCode::OK, &list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_first_form_that_it_names_and_is_known_here() {
        let kind = |accept: &str| {
            let answer = index(accept, true);
            answer.headers()["content-type"].to_str().unwrap().to_owned()
        };
        let form = |version| {
            format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
        };
        let (v2, beta) = (form("v2"), form("v2beta1"));
        assert_eq!(kind(&format!("{v2},{beta},application/json")), v2);
        assert_eq!(kind(&format!("{beta},application/json")), beta);
        assert_eq!(kind("application/json, */*"), "application/json");
        assert_eq!(kind(""), "application/json");
    }
}
