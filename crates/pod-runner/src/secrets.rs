//! The credentials that a pod brings for its registries (`imagePullSecrets`).

use k8s_openapi::api::core::v1::Secret;

use crate::linux_host::Context;
use crate::objects::Objects;

/// The contents of the pod's pull secrets, in the format of `~/.docker/config.json`. A secret
/// that does not exist is passed over, as a kubelet does.
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

fn docker_config(secret: &Secret) -> Option<String> {
    let data = secret.data.as_ref()?;
    if let Some(config) = data.get(".dockerconfigjson") {
        return String::from_utf8(config.0.clone()).ok();
    }
    // The older form is the inner part alone.
    let auths = String::from_utf8(data.get(".dockercfg")?.0.clone()).ok()?;
    Some(format!("{{\"auths\":{auths}}}"))
}
