//! `describe configmap`, `secret` and `persistentvolumeclaim` in kubectl's layout.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_api::claims::name_of;

use super::{Page, annotations, pairs};
use crate::printable::escaped;
use columns::claims;

/// The texts of a ConfigMap, and how long its other values are.
pub(crate) fn config_map(map: &ConfigMap, shows_events: bool) -> String {
    let mut head = Page::default();
    metadata(&mut head, &map.metadata);
    // Values are no cells: they may have tabulators of their own.
    let mut rest = Page::default();
    rest.line(0, "\nData\n====");
    for (key, value) in map.data.iter().flatten() {
        rest.line(0, &format!("{key}:\n----\n{value}\n"));
    }
    rest.line(0, "\nBinaryData\n====");
    for (key, value) in map.binary_data.iter().flatten() {
        rest.line(0, &format!("{key}: {} bytes", value.0.len()));
    }
    rest.line(0, "");
    if shows_events {
        rest.line(0, "Events:  <none>");
    }
    head.aligned() + &escaped(&rest.text)
}

/// The keys of a Secret, and how long their values are.
pub(crate) fn secret(secret: &Secret) -> String {
    let mut page = Page::default();
    metadata(&mut page, &secret.metadata);
    page.line(0, "");
    page.field(0, "Type", secret.type_.as_deref().unwrap_or("Opaque"));
    page.line(0, "\nData\n====");
    for (key, value) in secret.data.iter().flatten() {
        page.field(0, key, &format!("{} bytes", value.0.len()));
    }
    page.aligned()
}

/// A claim, and those of the pods that have it as a volume.
pub(crate) fn claim(claim: &PersistentVolumeClaim, pods: &[Pod], shows_events: bool) -> String {
    let mut page = Page::default();
    let spec = claim.spec.clone().unwrap_or_default();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    page.field(0, "Name", name);
    page.field(0, "Namespace", namespace);
    page.field(0, "StorageClass", spec.storage_class_name.as_deref().unwrap_or_default());
    page.field(0, "Status", &claims::phase(claim));
    page.field(0, "Volume", spec.volume_name.as_deref().unwrap_or_default());
    page.list("Labels", &pairs(claim.metadata.labels.as_ref()));
    annotations(&mut page, claim.metadata.annotations.as_ref());
    let finalizers = claim.metadata.finalizers.clone().unwrap_or_default();
    page.field(0, "Finalizers", &format!("[{}]", finalizers.join(" ")));
    page.field(0, "Capacity", &claims::capacity(claim));
    page.field(0, "Access Modes", &claims::access_modes(claim));
    page.field(0, "VolumeMode", spec.volume_mode.as_deref().unwrap_or("Filesystem"));
    page.list("Used By", &users(name, namespace, pods));
    if shows_events {
        page.field(0, "Events", "<none>");
    }
    page.aligned()
}

fn metadata(page: &mut Page, metadata: &ObjectMeta) {
    page.field(0, "Name", metadata.name.as_deref().unwrap_or_default());
    page.field(0, "Namespace", metadata.namespace.as_deref().unwrap_or_default());
    page.list("Labels", &pairs(metadata.labels.as_ref()));
    annotations(page, metadata.annotations.as_ref());
}

fn users(claim: &str, namespace: &str, pods: &[Pod]) -> Vec<String> {
    let uses = |pod: &&Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let mut claims = volumes.filter_map(|volume| name_of(name, volume));
        pod.metadata.namespace.as_deref() == Some(namespace) && claims.any(|one| one == claim)
    };
    pods.iter().filter(uses).filter_map(|pod| pod.metadata.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_map_is_described_with_its_texts() {
        let map = serde_json::from_value(json!({
            "metadata": {"name": "settings", "namespace": "default", "labels": {"app": "web"}},
            "data": {"level": "debug", "table": "a\tb\nlonger\tc\n"},
            "binaryData": {"icon": "AAEC"}
        }));
        insta::assert_snapshot!(config_map(&map.unwrap(), true), @r"
        Name:         settings
        Namespace:    default
        Labels:       app=web
        Annotations:  <none>

        Data
        ====
        level:
        ----
        debug

        table:
        ----
        a	b
        longer	c



        BinaryData
        ====
        icon: 3 bytes

        Events:  <none>
        ");
        assert!(!config_map(&ConfigMap::default(), false).contains("Events"));
    }

    #[test]
    fn of_a_secret_only_the_lengths_are_told() {
        let value: Secret = serde_json::from_value(json!({
            "metadata": {"name": "keys", "namespace": "default", "annotations": {"a": "b"}},
            "type": "Opaque",
            "data": {"password": "c2VjcmV0", "user": "bWU="}
        }))
        .unwrap();
        insta::assert_snapshot!(secret(&value), @r"
        Name:         keys
        Namespace:    default
        Labels:       <none>
        Annotations:  a: b

        Type:  Opaque

        Data
        ====
        password:  6 bytes
        user:      2 bytes
        ");
    }

    #[test]
    fn a_claim_is_described_with_the_pods_that_use_it() {
        let pod = |name: &str, namespace: &str, claim: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"containers": [], "volumes": [
                    {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
                ]}
            }))
            .unwrap()
        };
        let pods = [pod("a", "default", "c"), pod("b", "default", "d"), pod("c", "other", "c")];
        let value: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pvc-1",
                "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"}
        }))
        .unwrap();
        insta::assert_snapshot!(claim(&value, &pods, true), @r"
        Name:          c
        Namespace:     default
        StorageClass:  
        Status:        Bound
        Volume:        pvc-1
        Labels:        <none>
        Annotations:   <none>
        Finalizers:    []
        Capacity:      1Gi
        Access Modes:  RWO
        VolumeMode:    Filesystem
        Used By:       a
        Events:        <none>
        ");
    }
}
