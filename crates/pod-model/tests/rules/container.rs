//! Rules about one container.

use crate::{check, container, pod};

#[test]
fn words_of_a_container_are_from_a_list() {
    check(
        &[
            (
                "imagePullPolicy: Sometimes",
                &[
                    "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                ],
            ),
            (
                "terminationMessagePolicy: Logs",
                &[
                    "spec.containers[0].terminationMessagePolicy: Unsupported value: \"Logs\": supported values: \"File\", \"FallbackToLogsOnError\"",
                ],
            ),
            (
                "restartPolicy: Sometimes",
                &[
                    "spec.containers[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
                ],
            ),
        ],
        container,
    );
}

#[test]
fn ordinary_init_containers_have_neither_hooks_nor_probes() {
    let exec = "{exec: {command: [a]}}";
    let init = |fields: &str| {
        pod(&format!(
            "{{containers: [{{name: c, image: i}}], initContainers: [{{name: s, image: i, {fields}}}]}}"
        ))
    };
    for (field, value) in [
        ("lifecycle", "{postStart: {exec: {command: [a]}}}"),
        ("livenessProbe", exec),
        ("readinessProbe", exec),
        ("startupProbe", exec),
    ] {
        let expected = format!(
            "spec.initContainers[0].{field}: Forbidden: may not be set for init containers without restartPolicy=Always"
        );
        assert_eq!(crate::messages(&init(&format!("{field}: {value}"))), [expected]);
        let sidecar = init(&format!("restartPolicy: Always, {field}: {value}"));
        assert_eq!(crate::messages(&sidecar), [""; 0]);
    }
}

#[test]
fn restart_rules_say_what_to_do_upon_which_codes() {
    let many = format!(
        "restartPolicy: Never, restartPolicyRules: [{{action: Restart, exitCodes: {{operator: In, values: [{}]}}}}]",
        ["1"; 256].join(",")
    );
    assert_eq!(
        crate::messages(&container(&many)),
        [
            "spec.containers[0].restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items"
        ]
    );
    let rule = "{action: Restart, exitCodes: {operator: In, values: [1]}}";
    let many = format!("restartPolicy: Never, restartPolicyRules: [{}]", [rule; 21].join(","));
    assert_eq!(
        crate::messages(&container(&many)),
        ["spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items"]
    );
    check(
        &[
            (
                "restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [3]}}]",
                &[
                    "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
                ],
            ),
            (
                "restartPolicy: Never, restartPolicyRules: [{action: Again, exitCodes: {operator: In, values: [3]}}]",
                &[
                    "spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"Again\": supported values: \"Restart\", \"RestartAllContainers\"",
                ],
            ),
            (
                "restartPolicy: Never, restartPolicyRules: [{action: Restart}]",
                &[
                    "spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified",
                ],
            ),
            (
                "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {values: [3]}}]",
                &[
                    "spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: \"\": supported values: \"In\", \"NotIn\"",
                ],
            ),
        ],
        container,
    );
}

#[test]
fn ports_have_numbers_names_and_protocols() {
    check(
        &[
            ("ports: [{}]", &["spec.containers[0].ports[0].containerPort: Required value"]),
            (
                "ports: [{containerPort: 65536}]",
                &[
                    "spec.containers[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                "ports: [{containerPort: 80, hostPort: -1}]",
                &[
                    "spec.containers[0].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                "ports: [{containerPort: 80, protocol: HTTP}]",
                &[
                    "spec.containers[0].ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                ],
            ),
            (
                "ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]",
                &["spec.containers[0].ports[1].name: Duplicate value: \"a\""],
            ),
            (
                "ports: [{containerPort: 80, name: a-very-long-name}]",
                &[
                    "spec.containers[0].ports[0].name: Invalid value: \"a-very-long-name\": must be no more than 15 characters",
                ],
            ),
            (
                "ports: [{containerPort: 80, name: -8--}]",
                &[
                    "spec.containers[0].ports[0].name: Invalid value: \"-8--\": must contain at least one letter (a-z)",
                    "spec.containers[0].ports[0].name: Invalid value: \"-8--\": must not contain consecutive hyphens",
                    "spec.containers[0].ports[0].name: Invalid value: \"-8--\": must not begin or end with a hyphen",
                ],
            ),
            (
                "ports: [{containerPort: 80, name: Web}]",
                &[
                    "spec.containers[0].ports[0].name: Invalid value: \"Web\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                ],
            ),
        ],
        container,
    );
}

#[test]
fn requests_and_limits_are_quantities_that_fit_each_other() {
    check(
        &[
            (
                "resources: {limits: {cpu: 100m}, requests: {cpu: '0.5'}}",
                &[
                    "spec.containers[0].resources.requests: Invalid value: \"500m\": must be less than or equal to cpu limit of 100m",
                ],
            ),
            (
                "resources: {limits: {memory: -1}}",
                &[
                    "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                    "spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                ],
            ),
            (
                "resources: {requests: {memory: 100m}}",
                &[
                    "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
                ],
            ),
            (
                "resources: {requests: {mem: 1}}",
                &[
                    "spec.containers[0].resources.requests[mem]: Invalid value: \"mem\": must be a standard resource type or fully qualified",
                    "spec.containers[0].resources.requests[mem]: Invalid value: \"mem\": must be a standard resource for containers",
                    "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
                ],
            ),
            (
                "resources: {limits: {example.com/gpu: 500m}}",
                &[
                    "spec.containers[0].resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
                    "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
                    "spec.containers[0].resources.limits[example.com/gpu]: the container gets no device: there are no device plug-ins",
                ],
            ),
            (
                "resources: {limits: {memory: 1MB}}",
                &[
                    "spec.containers[0].resources.limits[memory]: Invalid value: \"1MB\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                ],
            ),
            (
                "resources: {limits: {hugepages-2Mi: 2Mi}}",
                &["spec.containers[0].resources: Forbidden: HugePages require cpu or memory"],
            ),
        ],
        container,
    );
}

#[test]
fn probes_have_one_handler_and_sensible_numbers() {
    check(
        &[
            (
                "livenessProbe: {}",
                &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}",
                &[
                    "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                ],
            ),
            (
                "livenessProbe: {exec: {}}",
                &["spec.containers[0].livenessProbe.exec.command: Required value"],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, successThreshold: 2}",
                &["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
            ),
            (
                "startupProbe: {exec: {command: [a]}, successThreshold: 2}",
                &["spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1"],
            ),
            ("readinessProbe: {exec: {command: [a]}, successThreshold: 2}", &[]),
            (
                "readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 2}",
                &[
                    "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 2: must not be set for readinessProbes",
                ],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 0}",
                &[
                    "spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
                ],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, periodSeconds: -1}",
                &[
                    "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                ],
            ),
            (
                "livenessProbe: {httpGet: {port: 0}}",
                &[
                    "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                "livenessProbe: {httpGet: {port: 80, scheme: FTP}}",
                &[
                    "spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
                ],
            ),
            (
                "livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: 'a b', value: c}]}}",
                &[
                    "spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
                ],
            ),
            (
                "ports: [{containerPort: 80, name: http}], livenessProbe: {httpGet: {port: htpt}}",
                &["spec.containers[0].livenessProbe.httpGet.port: Not found: \"htpt\""],
            ),
            (
                "livenessProbe: {grpc: {port: 99999}}",
                &[
                    "spec.containers[0].livenessProbe.grpc.port: Invalid value: 99999: must be between 1 and 65535, inclusive",
                ],
            ),
        ],
        container,
    );
}

#[test]
fn hooks_fit_into_the_time_that_there_is() {
    check(
        &[
            (
                "lifecycle: {preStop: {sleep: {seconds: 31}}}",
                &[
                    "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
                ],
            ),
            ("lifecycle: {preStop: {sleep: {seconds: 30}}}", &[]),
            (
                "lifecycle: {postStart: {}}",
                &[
                    "spec.containers[0].lifecycle.postStart: Required value: must specify a handler type",
                ],
            ),
            (
                "lifecycle: {stopSignal: SIGUSR1}",
                &[
                    "spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`",
                ],
            ),
        ],
        container,
    );
    let text =
        "{os: {name: linux}, containers: [{name: c, image: i, lifecycle: {stopSignal: SIGBOGUS}}]}";
    let found = crate::messages(&pod(text));
    assert!(found[0].starts_with("spec.containers[0].lifecycle.stopSignal: Unsupported value: \"SIGBOGUS\": supported values: \"SIGABRT\", \"SIGALRM\""), "{found:?}");
    let fine = text.replace("SIGBOGUS", "SIGRTMIN+3");
    assert_eq!(crate::messages(&pod(&fine)), [""; 0]);
}

#[test]
fn mounts_name_volumes_and_places_of_their_own() {
    let mounts = |fields: &str| {
        pod(&format!(
            "{{volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: i, {fields}}}]}}"
        ))
    };
    check(
        &[
            (
                "volumeMounts: [{name: w, mountPath: /a}]",
                &["spec.containers[0].volumeMounts[0].name: Not found: \"w\""],
            ),
            (
                "volumeMounts: [{name: v}]",
                &["spec.containers[0].volumeMounts[0].mountPath: Required value"],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a}]",
                &[
                    "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, subPath: /b}]",
                &[
                    "spec.containers[0].volumeMounts.subPath: Invalid value: \"/b\": must be a relative path",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, subPath: b/../c}]",
                &[
                    "spec.containers[0].volumeMounts.subPath: Invalid value: \"b/../c\": must not contain '..'",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, subPath: b, subPathExpr: c}]",
                &[
                    "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"c\": subPathExpr and subPath are mutually exclusive",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}]",
                &[
                    "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, mountPropagation: Both}]",
                &[
                    "spec.containers[0].volumeMounts.mountPropagation: Unsupported value: \"Both\": supported values: \"Bidirectional\", \"HostToContainer\", \"None\"",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, recursiveReadOnly: Enabled}]",
                &[
                    "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /a, readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}]",
                &[
                    "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
                ],
            ),
            (
                "volumeDevices: [{name: v, devicePath: /dev/a}]",
                &[
                    "spec.containers[0].volumeDevices is not supported: raw block devices are not supported",
                    "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                ],
            ),
        ],
        mounts,
    );
}
