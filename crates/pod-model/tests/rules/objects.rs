//! Rules about ConfigMaps, Secrets and PersistentVolumeClaims.

use crate::check;

#[test]
fn config_maps_have_keys_that_can_be_files() {
    let map = |fields: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\n{fields}\n")
    };
    let key = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let found = crate::messages(&map("data: {a/b: x}"));
    assert_eq!(found, [format!("data[a/b]: Invalid value: \"a/b\": {key}")]);
    check(
        &[
            ("data: {..: x}", &["data[..]: Invalid value: \"..\": must not be '..'"]),
            ("data: {..a: x}", &["data[..a]: Invalid value: \"..a\": must not start with '..'"]),
            (
                "data: {a: x}\nbinaryData: {a: eA==}",
                &["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
            ),
            ("data: {a: 5}", &["data[a] must be a string, and is the number 5"]),
            ("data: {y: x}", &[]),
            ("data:\n  a:", &[]),
        ],
        map,
    );
    let large = format!("data: {{a: {}}}", "x".repeat((1 << 20) + 1));
    assert_eq!(crate::messages(&map(&large)), [": Too long: may not be more than 1048576 bytes"]);
}

#[test]
fn secrets_hold_what_their_type_promises() {
    let secret =
        |fields: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{fields}\n");
    check(
        &[
            ("data: {a: eA==}", &[]),
            ("data:\n  a: |\n    eHh4\n    eHh4", &[]),
            ("stringData: {a: x}", &[]),
            (
                "type: kubernetes.io/tls",
                &["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            ),
            (
                "type: kubernetes.io/basic-auth",
                &["data[username]: Required value", "data[password]: Required value"],
            ),
            ("type: kubernetes.io/ssh-auth", &["data[ssh-privatekey]: Required value"]),
            ("type: kubernetes.io/dockerconfigjson", &["data[.dockerconfigjson]: Required value"]),
            (
                "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: x}",
                &[
                    "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be a JSON object",
                ],
            ),
        ],
        secret,
    );
    let found = crate::problems(&secret("data: {a: hello!}")).remove(0);
    assert!(found.message.starts_with("data[a]: illegal base64 data"), "{}", found.message);
    assert_eq!(found.hint.as_deref(), Some("plain text goes to stringData"));
}

#[test]
fn claims_say_how_much_and_how() {
    let claim = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c}}\nspec: {spec}\n"
        )
    };
    check(
        &[
            ("{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}", &[]),
            (
                "{resources: {requests: {storage: 1Gi}}}",
                &["spec.accessModes: Required value: at least 1 access mode is required"],
            ),
            (
                "{accessModes: [ReadWriteTwice], resources: {requests: {storage: 1Gi}}}",
                &[
                    "spec.accessModes: Unsupported value: \"ReadWriteTwice\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                ],
            ),
            (
                "{accessModes: [ReadWriteOncePod, ReadOnlyMany], resources: {requests: {storage: 1Gi}}}",
                &[
                    "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                ],
            ),
            ("{accessModes: [ReadWriteOnce]}", &["spec.resources[storage]: Required value"]),
            (
                "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 0}}}",
                &["spec.resources[storage]: Invalid value: \"0\": must be greater than zero"],
            ),
            (
                "{accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}",
                &[
                    "spec.storageClassName changes nothing on one machine: every claim is a directory on this machine",
                ],
            ),
            (
                "{accessModes: [ReadWriteOnce], volumeMode: Block, resources: {requests: {storage: 1Gi}}}",
                &[
                    "spec.volumeMode: Forbidden: minipod's claims are directories, not block devices",
                ],
            ),
        ],
        claim,
    );
}
