//! Kubernetes' defaults for what a manifest leaves out.

use k8s_openapi::api::core::v1::{
    Container, LifecycleHandler, PodSecurityContext, PodSpec, Probe, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Fills in a pod's metadata.
pub(crate) fn metadata(metadata: &mut ObjectMeta, namespace: &str) {
    let stated = metadata.namespace.as_deref().filter(|name| !name.is_empty());
    metadata.namespace = Some(stated.unwrap_or(namespace).to_owned());
}

/// Fills in a pod's specification.
pub(crate) fn pod(spec: &mut PodSpec) {
    or(&mut spec.restart_policy, "Always");
    or(&mut spec.dns_policy, "ClusterFirst");
    or(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
    for container in &mut spec.containers {
        self::container(container);
    }
    for container in spec.init_containers.iter_mut().flatten() {
        self::container(container);
    }
    if spec.host_network == Some(true) {
        let containers =
            spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
        for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
            port.host_port.get_or_insert(port.container_port);
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
    if let Some(resources) = &mut container.resources
        && let Some(limits) = &resources.limits
    {
        let requests = resources.requests.get_or_insert_default();
        for (name, quantity) in limits {
            requests.entry(name.clone()).or_insert_with(|| quantity.clone());
        }
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

fn probe(probe: &mut Probe) {
    probe.timeout_seconds.get_or_insert(1);
    probe.period_seconds.get_or_insert(10);
    probe.success_threshold.get_or_insert(1);
    probe.failure_threshold.get_or_insert(3);
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
    let has_source = volume.host_path.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.image.is_some();
    if !has_source {
        volume.empty_dir.get_or_insert_default();
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.projected {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.image {
        let is_latest = is_latest(source.reference.as_deref().unwrap_or_default());
        or(&mut source.pull_policy, if is_latest { "Always" } else { "IfNotPresent" });
    }
}

/// Whether an image name means "the newest": its tag is `latest`, or it has neither tag nor
/// digest.
pub(crate) fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
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
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
