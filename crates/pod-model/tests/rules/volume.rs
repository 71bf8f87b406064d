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

#[test]
fn a_claim_that_is_made_for_a_pod_is_checked_as_one_that_stands_alone() {
    const SPEC: &str =
        "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}";
    let template = |text: &str| format!("ephemeral: {{volumeClaimTemplate: {{{text}}}}}");
    let path = "spec.volumes[0].ephemeral.volumeClaimTemplate";
    let found = |source: &str| {
        let found = problems(&volume(source));
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(found(&template(SPEC)), Vec::<String>::new());
    let labelled = format!("metadata: {{labels: {{a: b}}, annotations: {{c: d}}}}, {SPEC}");
    assert_eq!(found(&template(&labelled)), Vec::<String>::new());
    assert_eq!(found("ephemeral: {}"), [format!("{path}: Required value")]);
    let named = format!("metadata: {{name: other}}, {SPEC}");
    let why = "Forbidden: cannot be set for an ephemeral volume";
    assert_eq!(found(&template(&named)), [format!("{path}.metadata.name: {why}")]);
    let empty = SPEC.replace("ReadWriteOnce", "").replace("1Mi", "0");
    assert_eq!(
        found(&template(&empty)),
        [
            format!("{path}.spec.accessModes: Required value: at least 1 access mode is required"),
            format!(
                "{path}.spec.resources[storage]: Invalid value: \"0\": must be greater than zero"
            ),
        ]
    );
    let block = SPEC.replace("spec: {", "spec: {volumeMode: Block, ");
    let why = "Forbidden: minipod's claims are directories, not block devices";
    assert_eq!(found(&template(&block)), [format!("{path}.spec.volumeMode: {why}")]);
}

#[test]
fn a_pod_refers_to_no_claim_that_is_made_for_it() {
    let pod = |name: &str, claim: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
             containers: [{{name: c, image: i}}]\n  volumes:\n  \
             - {{name: one, persistentVolumeClaim: {{claimName: {claim}}}}}\n  \
             - {{name: v, ephemeral: {{volumeClaimTemplate: {{spec: {{accessModes: [ReadWriteOnce], \
             resources: {{requests: {{storage: 1Mi}}}}}}}}}}}}\n"
        )
    };
    let found =
        |text: &str| problems(text).into_iter().map(|problem| problem.message).collect::<Vec<_>>();
    assert_eq!(found(&pod("p", "other")), Vec::<String>::new());
    let why = "must not reference a PVC that gets created for an ephemeral volume";
    assert_eq!(
        found(&pod("p", "p-v")),
        [format!("spec.volumes[0].persistentVolumeClaim.claimName: Invalid value: \"p-v\": {why}")]
    );
    let long = "p".repeat(252);
    let messages = found(&pod(&long, "other"));
    let begins = format!("spec.volumes[1].name: Invalid value: \"v\": PVC name \"{long}-v\": ");
    assert!(messages.iter().any(|one| one.starts_with(&begins)), "{messages:?}");
}
