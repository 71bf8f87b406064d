//! Kubernetes' defaults for what a manifest leaves out.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, LifecycleHandler, ObjectFieldSelector, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PodSecurityContext, PodSpec, Probe, ResourceRequirements, Secret,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::pod_resources;

/// Fills in an object's metadata, and takes out what is not for a manifest to say.
pub(crate) fn metadata(metadata: &mut ObjectMeta, namespace: &str) {
    let stated = metadata.namespace.take().filter(|name| !name.is_empty());
    *metadata = ObjectMeta {
        annotations: metadata.annotations.take(),
        generate_name: metadata.generate_name.take().filter(|prefix| !prefix.is_empty()),
        labels: metadata.labels.take(),
        name: metadata.name.take(),
        namespace: Some(stated.unwrap_or_else(|| namespace.to_owned())),
        ..ObjectMeta::default()
    };
}

/// Fills in a Secret: `stringData` is `data` that nobody had to encode.
pub(crate) fn secret(secret: &mut Secret) {
    or(&mut secret.type_, "Opaque");
    let texts = secret.string_data.take().unwrap_or_default();
    if !texts.is_empty() {
        let data = secret.data.get_or_insert_default();
        data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
    }
}

/// Fills in a PersistentVolumeClaim.
pub(crate) fn claim(claim: &mut PersistentVolumeClaim) {
    claim.status = None;
    claim.spec.iter_mut().for_each(claim_spec);
}

fn claim_spec(spec: &mut PersistentVolumeClaimSpec) {
    or(&mut spec.volume_mode, "Filesystem");
}

/// Fills in a pod's specification.
pub(crate) fn pod(spec: &mut PodSpec) {
    or(&mut spec.restart_policy, "Always");
    or(&mut spec.dns_policy, "ClusterFirst");
    or(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
    // An admission plug-in does this; the older field is kept the same.
    or(&mut spec.service_account_name, spec.service_account.as_deref().unwrap_or("default"));
    spec.service_account.clone_from(&spec.service_account_name);
    for container in &mut spec.containers {
        self::container(container);
    }
    for container in spec.init_containers.iter_mut().flatten() {
        self::container(container);
    }
    pod_resources::complete(spec);
    if spec.host_network == Some(true) {
        let containers =
            spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
        for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
            if port.host_port.unwrap_or_default() == 0 {
                port.host_port = Some(port.container_port);
            }
        }
    }
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
}

fn container(container: &mut Container) {
    let image = container.image.clone().unwrap_or_default();
    or(&mut container.image_pull_policy, if is_latest(&image) { "Always" } else { "IfNotPresent" });
    or(&mut container.termination_message_path, "/dev/termination-log");
    or(&mut container.termination_message_policy, "File");
    container.resources.get_or_insert_default();
    for port in container.ports.iter_mut().flatten() {
        or(&mut port.protocol, "TCP");
    }
    container.resources.iter_mut().for_each(requests);
    for variable in container.env.iter_mut().flatten() {
        let source = variable.value_from.as_mut();
        source.and_then(|source| source.field_ref.as_mut()).into_iter().for_each(field);
    }
    for probe in [
        &mut container.startup_probe,
        &mut container.liveness_probe,
        &mut container.readiness_probe,
    ] {
        probe.iter_mut().for_each(self::probe);
    }
    if let Some(hooks) = &mut container.lifecycle {
        hooks.post_start.iter_mut().for_each(handler);
        hooks.pre_stop.iter_mut().for_each(handler);
    }
}

/// What is limited and not requested is requested.
fn requests(resources: &mut ResourceRequirements) {
    let Some(limits) = &resources.limits else {
        return;
    };
    let requests = resources.requests.get_or_insert_default();
    for (name, quantity) in limits {
        requests.entry(name.clone()).or_insert_with(|| quantity.clone());
    }
}

fn field(selector: &mut ObjectFieldSelector) {
    or(&mut selector.api_version, "v1");
}

fn probe(probe: &mut Probe) {
    for (field, default) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        *field = field.filter(|value| *value != 0).or(Some(default));
    }
    if let Some(get) = &mut probe.http_get {
        or(&mut get.scheme, "HTTP");
        or(&mut get.path, "/");
    }
}

fn handler(handler: &mut LifecycleHandler) {
    if let Some(get) = &mut handler.http_get {
        or(&mut get.scheme, "HTTP");
        or(&mut get.path, "/");
    }
}

fn volume(volume: &mut Volume) {
    const MODE: i32 = 0o644;
    let named = Volume { name: volume.name.clone(), ..Volume::default() };
    if *volume == named {
        volume.empty_dir.get_or_insert_default();
    }
    if let Some(source) = &mut volume.image {
        let reference = source.reference.as_deref().unwrap_or_default();
        let policy = if is_latest(reference) { "Always" } else { "IfNotPresent" };
        or(&mut source.pull_policy, policy);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    let source = volume.ephemeral.as_mut();
    if let Some(template) = source.and_then(|source| source.volume_claim_template.as_mut()) {
        claim_spec(&mut template.spec);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(MODE);
        files(source.items.as_mut());
    }
    if let Some(source) = &mut volume.projected {
        source.default_mode.get_or_insert(MODE);
        for one in source.sources.iter_mut().flatten() {
            files(one.downward_api.as_mut().and_then(|source| source.items.as_mut()));
            if let Some(token) = &mut one.service_account_token {
                token.expiration_seconds.get_or_insert(3600);
            }
        }
    }
}

fn files(items: Option<&mut Vec<DownwardAPIVolumeFile>>) {
    items.into_iter().flatten().filter_map(|file| file.field_ref.as_mut()).for_each(field);
}

/// Whether an image name means "the newest": its tag is `latest`, or it has neither tag nor
/// digest.
pub(crate) fn is_latest(image: &str) -> bool {
    let (named, digest) = image.split_once('@').map_or((image, None), |(a, b)| (a, Some(b)));
    let name = named.rsplit('/').next().unwrap_or(named);
    match name.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none(),
    }
}

fn or(field: &mut Option<String>, default: &str) {
    if field.as_ref().is_none_or(String::is_empty) {
        *field = Some(default.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_means_the_newest() {
        for (image, latest) in [
            ("busybox", true),
            ("busybox:latest", true),
            ("busybox:1.36", false),
            ("localhost:5000/busybox", true),
            ("busybox@sha256:00", false),
            ("busybox:latest@sha256:00", true),
            ("busybox:1@sha256:00", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
