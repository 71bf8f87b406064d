//! The credentials that a pod brings for its registries (`imagePullSecrets`).

use k8s_openapi::api::core::v1::Secret;

use crate::linux_host::Context;
use pod_api::object_store::Objects;

/// The contents of the pod's pull secrets, in the format of `~/.docker/config.json`. A secret
/// that does not exist or is of another type is passed over, as a kubelet does.
pub(crate) fn pull_secrets(context: &Context) -> Vec<String> {
    let objects = Objects::new(&context.settings.places);
    let spec = context.pod.object.spec.as_ref();
    let references = spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let namespace = &context.pod.namespace;
    references
        .filter_map(|reference| objects.find::<Secret>(namespace, &reference.name).ok().flatten())
        .filter_map(|secret| docker_config(&secret))
        .collect()
}

/// The pull secrets that do not exist.
pub(crate) fn missing_pull_secrets(context: &Context) -> Vec<String> {
    let objects = Objects::new(&context.settings.places);
    let spec = context.pod.object.spec.as_ref();
    let references = spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let is_missing = |name: &String| {
        !objects.find::<Secret>(&context.pod.namespace, name).is_ok_and(|found| found.is_some())
    };
    references.map(|reference| reference.name.clone()).filter(is_missing).collect()
}

fn docker_config(secret: &Secret) -> Option<String> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    match secret.type_.as_deref()? {
        "kubernetes.io/dockerconfigjson" => text(".dockerconfigjson"),
        // The older form is the inner part alone.
        "kubernetes.io/dockercfg" => Some(format!("{{\"auths\":{}}}", text(".dockercfg")?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_secret_counts_only_if_its_type_fits_its_content() {
        let secret = |kind: &str, key: &str| Secret {
            type_: Some(kind.to_owned()),
            data: Some([(key.to_owned(), ByteString(b"{}".to_vec()))].into()),
            ..Default::default()
        };
        let rows = [
            ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", Some("{}")),
            ("kubernetes.io/dockercfg", ".dockercfg", Some("{\"auths\":{}}")),
            ("kubernetes.io/dockercfg", ".dockerconfigjson", None),
            ("Opaque", ".dockerconfigjson", None),
        ];
        for (kind, key, expected) in rows {
            assert_eq!(docker_config(&secret(kind, key)).as_deref(), expected, "{kind} {key}");
        }
    }
}
