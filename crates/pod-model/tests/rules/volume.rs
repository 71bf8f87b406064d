//! Rules about volumes.

use crate::{beside, check, problems};

fn volume(source: &str) -> String {
    beside(&format!("volumes: [{{name: v, {source}}}]"))
}

#[test]
fn a_volume_has_a_name_and_one_source() {
    check(
        &[
            ("volumes: [{emptyDir: {}}]", &["spec.volumes[0].name: Required value"]),
            (
                "volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]",
                &["spec.volumes[1].name: Duplicate value: \"v\""],
            ),
            (
                "volumes: [{name: v, emptyDir: {}, hostPath: {path: /a}}]",
                &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
            ),
            // Kubernetes makes it an emptyDir.
            ("volumes: [{name: v}]", &[]),
            (
                "volumes: [{name: v, nfs: {server: s, path: /p}}]",
                &[
                    "spec.volumes[0].nfs is not supported: this kind of volume needs a cluster or a network file system",
                ],
            ),
        ],
        beside,
    );
}

#[test]
fn a_volume_that_is_wrong_cannot_be_mounted() {
    let text = crate::pod(
        "{volumes: [{name: v, hostPath: {}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /a}]}]}",
    );
    assert_eq!(
        crate::messages(&text),
        [
            "spec.volumes[0].hostPath.path: Required value",
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ]
    );
}

#[test]
fn sources_are_complete() {
    check(
        &[
            (
                "hostPath: {path: /a/../b}",
                &[
                    "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
                ],
            ),
            (
                "hostPath: {path: /a, type: Dir}",
                &[
                    "spec.volumes[0].hostPath.type: Unsupported value: \"Dir\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
                ],
            ),
            ("secret: {}", &["spec.volumes[0].secret.secretName: Required value"]),
            ("configMap: {}", &["spec.volumes[0].configMap.name: Required value"]),
            (
                "persistentVolumeClaim: {}",
                &["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
            ),
            (
                "emptyDir: {sizeLimit: -1}",
                &[
                    "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
                ],
            ),
            (
                "configMap: {name: m, defaultMode: 644}",
                &[
                    "spec.volumes[0].configMap.defaultMode: Invalid value: 644: must be a number between 0 and 0777 (octal), both inclusive",
                ],
            ),
            ("configMap: {name: m, defaultMode: 0644}", &[]),
            ("configMap: {name: m, defaultMode: 0o644}", &[]),
            ("configMap: {name: m, defaultMode: 420}", &[]),
            (
                "secret: {secretName: s, items: [{}]}",
                &[
                    "spec.volumes[0].secret.items[0].key: Required value",
                    "spec.volumes[0].secret.items[0].path: Required value",
                ],
            ),
            (
                "secret: {secretName: s, items: [{key: k, path: /a}]}",
                &[
                    "spec.volumes[0].secret.items[0].path: Invalid value: \"/a\": must be a relative path",
                ],
            ),
            (
                "secret: {secretName: s, items: [{key: k, path: a/../b}]}",
                &[
                    "spec.volumes[0].secret.items[0].path: Invalid value: \"a/../b\": must not contain '..'",
                ],
            ),
            (
                "secret: {secretName: s, items: [{key: k, path: ..a, mode: 0o1000}]}",
                &[
                    "spec.volumes[0].secret.items[0].path: Invalid value: \"..a\": must not start with '..'",
                    "spec.volumes[0].secret.items[0].mode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
                ],
            ),
        ],
        volume,
    );
}

#[test]
fn files_about_the_pod_say_what_they_hold() {
    check(
        &[
            (
                "downwardAPI: {items: [{path: a}]}",
                &[
                    "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
                ],
            ),
            (
                "downwardAPI: {items: [{fieldRef: {fieldPath: metadata.labels}}]}",
                &["spec.volumes[0].downwardAPI.path: Required value"],
            ),
            (
                "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}]}",
                &[
                    "spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: \"status.podIP\": supported values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\"",
                ],
            ),
            (
                "downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}",
                &["spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value"],
            ),
            (
                "projected: {sources: [{secret: {name: s, items: [{key: k, path: a}]}}, {configMap: {name: m, items: [{key: k, path: a}]}}]}",
                &["spec.volumes[0].projected: Invalid value: \"m\": conflicting duplicate paths"],
            ),
            (
                "projected: {sources: [{secret: {name: s}, configMap: {name: m}}]}",
                &[
                    "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
                ],
            ),
            (
                "projected: {sources: [{secret: {}}]}",
                &["spec.volumes[0].projected.sources[0].secret.name: Required value"],
            ),
        ],
        volume,
    );
}

#[test]
fn volumes_of_a_cluster_are_refused_by_their_names() {
    for kind in [
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "ephemeral",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "gitRepo",
        "glusterfs",
        "iscsi",
        "nfs",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    ] {
        let found = problems(&beside(&format!("volumes: [{{name: v, {kind}: {{}}}}]")));
        let refused = found.iter().find(|problem| problem.severity == pod_model::Severity::Error);
        let refused = refused.unwrap_or_else(|| panic!("{kind} is not refused: {found:?}"));
        let path = format!("spec.volumes[0].{kind}");
        assert!(refused.message.starts_with(&path), "{}", refused.message);
        assert_eq!((refused.place.line, found.len()), (4, 1), "{found:?}");
    }
}

#[test]
fn what_podman_writes_for_memory_has_a_tip() {
    let found = problems(&beside("volumes: [{name: v, hostPath: {path: tmpfs}}]"));
    let hint = found.first().and_then(|problem| problem.hint.clone()).unwrap_or_default();
    assert!(hint.contains("emptyDir: { medium: Memory }"), "{found:?}");
}
