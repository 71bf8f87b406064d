//! Rules about variables and where their values come from.

use crate::{beside, check, container, pod};

#[test]
fn variables_have_names_and_one_source() {
    check(
        &[
            ("env: [{value: x}]", &["spec.containers[0].env[0].name: Required value"]),
            (
                "env: [{name: a=b}]",
                &[
                    "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
                ],
            ),
            ("env: [{name: 'a b.c-9'}]", &[]),
            (
                "env: [{name: a, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
                &[
                    "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
                ],
            ),
            (
                "env: [{name: a, valueFrom: {}}]",
                &[
                    "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
                ],
            ),
            (
                "env: [{name: a, valueFrom: {fieldRef: {fieldPath: metadata.name}, configMapKeyRef: {name: m, key: k}}}]",
                &[
                    "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
                ],
            ),
            (
                "env: [{name: a, valueFrom: {configMapKeyRef: {name: m}}}]",
                &["spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value"],
            ),
            (
                "env: [{name: a, valueFrom: {secretKeyRef: {name: m, key: ..}}}]",
                &[
                    "spec.containers[0].env[0].valueFrom.secretKeyRef.key: Invalid value: \"..\": must not be '..'",
                ],
            ),
            (
                "env: [{name: a, value: x}, {name: a, value: z}]",
                &[
                    "spec.containers[0].env[1]: hides previous definition of \"a\", which may be dropped when using apply",
                ],
            ),
            ("env: [{name: a, value: x}, {name: a, value: $(a)y}]", &[]),
            (
                "envFrom: [{configMapRef: {}}]",
                &["spec.containers[0].envFrom[0].configMapRef.name: Required value"],
            ),
            (
                "envFrom: [{prefix: a}]",
                &[
                    "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
                ],
            ),
            (
                "envFrom: [{configMapRef: {name: a}, secretRef: {name: b}}]",
                &[
                    "spec.containers[0].envFrom: Invalid value: \"\": may not have more than one field specified at a time",
                ],
            ),
            (
                "envFrom: [{prefix: a=, secretRef: {name: b}}]",
                &[
                    "spec.containers[0].envFrom[0].prefix: Invalid value: \"a=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
                ],
            ),
        ],
        container,
    );
}

#[test]
fn fields_of_the_pod_are_those_that_can_be_told() {
    let field = |path: &str| {
        container(&format!(
            "env: [{{name: a, valueFrom: {{fieldRef: {{fieldPath: \"{path}\"}}}}}}]"
        ))
    };
    let at = "spec.containers[0].env[0].valueFrom.fieldRef";
    for path in [
        "metadata.name",
        "metadata.uid",
        "metadata.labels['a/b']",
        "metadata.annotations['a']",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.podIPs",
        "status.hostIPs",
    ] {
        assert_eq!(crate::messages(&field(path)), [""; 0], "{path}");
    }
    for (path, message) in [
        (
            "status.podip",
            format!(
                "{at}.fieldPath: Invalid value: \"status.podip\": error converting fieldPath: field label not supported: status.podip"
            ),
        ),
        (
            "status.podIP['a']",
            format!(
                "{at}.fieldPath: Invalid value: \"status.podIP['a']\": error converting fieldPath: field label does not support subscript: status.podIP['a']"
            ),
        ),
        (
            "metadata.labels",
            format!(
                "{at}.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
            ),
        ),
        ("", format!("{at}.fieldPath: Required value")),
    ] {
        assert_eq!(crate::messages(&field(path)), [message]);
    }
}

#[test]
fn resources_are_told_in_sensible_units() {
    let resource = |fields: &str| {
        container(&format!("env: [{{name: a, valueFrom: {{resourceFieldRef: {{{fields}}}}}}}]"))
    };
    check(
        &[
            ("resource: limits.cpu, divisor: 1m", &[]),
            ("resource: requests.memory, divisor: 1Mi", &[]),
            (
                "resource: limits.memory, divisor: 1024",
                &[
                    "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.memory\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
                ],
            ),
            (
                "resource: limits.cpu, divisor: 1Mi",
                &[
                    "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
                ],
            ),
            (
                "{}",
                &["spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Required value"],
            ),
            (
                "resource: limits.disk",
                &[
                    "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.disk\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"",
                ],
            ),
        ],
        |fields| if fields == "{}" { resource("containerName: c") } else { resource(fields) },
    );
}

#[test]
fn variables_from_files_come_from_an_empty_dir() {
    let file = |fields: &str| {
        pod(&format!(
            "{{volumes: [{{name: v, emptyDir: {{}}}}, {{name: s, secret: {{secretName: s}}}}], containers: \
             [{{name: c, image: i, env: [{{name: a, valueFrom: {{fileKeyRef: {{{fields}}}}}}}]}}]}}"
        ))
    };
    let at = "spec.containers[0].env[0].valueFrom.fileKeyRef";
    for (fields, message) in [
        ("volumeName: v, path: a/b.env, key: K", None),
        ("volumeName: w, path: f, key: K", Some(format!("{at}.volumeName: Not found: \"w\""))),
        (
            "volumeName: s, path: f, key: K",
            Some(format!("{at}.volumeName: Invalid value: \"s\": must be an emptyDir volume")),
        ),
        (
            "volumeName: v, path: ../f, key: K",
            Some(format!("{at}.path: Invalid value: \"../f\": must not contain '..'")),
        ),
        (
            "volumeName: v, path: /f, key: K",
            Some(format!("{at}.path: Invalid value: \"/f\": must be a relative path")),
        ),
        ("volumeName: v, path: f", Some(format!("{at}.key: Required value"))),
    ] {
        assert_eq!(crate::messages(&file(fields)), Vec::from_iter(message), "{fields}");
    }
    assert_eq!(crate::messages(&beside("volumes: []")), [""; 0]);
}
