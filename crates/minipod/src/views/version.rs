//! `version -o json`: the fields of kubectl's that a program asks for.

use serde_json::{Value, json};

/// The version as a document. Go's names of architectures are those of images, too.
pub(crate) fn document(version: &str, architecture: &str) -> Value {
    let architecture = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut parts = version.split('.');
    let mut part = || parts.next().unwrap_or_default();
    json!({"clientVersion": {
        "major": part(),
        "minor": part(),
        "gitVersion": format!("v{version}"),
        "platform": format!("linux/{architecture}"),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_parts_that_kubectl_gives_it() {
        let version = &document("0.1.2", "x86_64")["clientVersion"];
        assert_eq!(version["gitVersion"], "v0.1.2");
        assert_eq!((&version["major"], &version["minor"]), (&json!("0"), &json!("1")));
        assert_eq!(version["platform"], "linux/amd64");
    }
}
